/** What the cells of the matrix play in: the chat in Go, a gateway with a listener for each kind of client, an observer. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { TestClient } from '../support/client.ts';
import { startGateway, type TestGateway } from '../support/gateway.ts';
import { startGrpcChat } from '../support/go.ts';
import { Authority } from '../support/tls.ts';
import type { Dialect } from './matrix.ts';

/** What a Pomelo project's folder says of the chat. */
export const DICTIONARY = ['chat.room.join', 'chat.room.send', 'onJoin', 'onChat'];
export const CLIENT_PROTOS = {
  'chat.room.join': { 'required string name': 1, 'required string room': 2 },
  'chat.room.send': { 'required string text': 1 },
};
export const SERVER_PROTOS = {
  'chat.room.join': { 'optional uInt32 code': 1, 'optional string room': 2 },
  'chat.room.send': { 'optional uInt32 code': 1 },
  onChat: { 'required string from': 1, 'required string text': 2 },
};

const KINDS = ['plain', 'dictionary', 'protobuf', 'tls'] as const;
type ListenerKind = (typeof KINDS)[number];

/** `beating` is plain, on a gateway of its own that has heartbeats in no time. */
export type Kind = ListenerKind | 'beating';

const LISTENERS: readonly { readonly dialect: Dialect; readonly kind: ListenerKind }[] = [
  ...KINDS.map((kind) => ({ dialect: 'pomelo', kind }) as const),
  ...(['plain', 'dictionary', 'tls'] as const).flatMap((kind) => [
    { dialect: 'pitaya', kind } as const,
    { dialect: 'nano', kind } as const,
  ]),
  { dialect: 'json', kind: 'plain' },
  { dialect: 'json', kind: 'tls' },
];

/** Rare enough for clients that wait for a processor, and often enough to be waited for. */
const HEARTBEAT = '2s';

export type Arena = AsyncDisposable & {
  readonly gateway: TestGateway;
  /** Of the authority that signed the certificate of the TLS listeners. */
  readonly ca: string;
  port(dialect: Dialect, kind: Kind): number;
  /** A client whose room others play in, by itself proven elsewhere. */
  observer(name: string, room: string): Promise<TestClient>;
};

export async function startArena(): Promise<Arena> {
  await using stack = new AsyncDisposableStack();
  const folder = mkdtempSync(join(tmpdir(), 'pith-matrix-'));
  stack.defer(() => {
    rmSync(folder, { recursive: true });
  });
  const project = {
    dictionary: DICTIONARY,
    clientProtos: CLIENT_PROTOS,
    serverProtos: SERVER_PROTOS,
  };
  for (const [name, content] of Object.entries(project))
    writeFileSync(join(folder, `${name}.json`), JSON.stringify(content));
  const authority = new Authority();
  const { cert, key } = authority.issue('localhost');
  const chat = stack.use(await startGrpcChat());
  const files = { folder, cert, key };
  const listen = LISTENERS.map(({ dialect, kind }) => listener(dialect, kind, files));
  const plain = LISTENERS.filter(({ kind }) => kind === 'plain');
  const common = `
backends: { chat: { grpc: "${chat.address}" } }
routes: [{ match: "chat.>", backend: chat, forward: [room] }]
`;
  const gateway = stack.use(await startGateway(`${common}listen: ${JSON.stringify(listen)}\n`));
  const beating = stack.use(
    await startGateway(`${common}heartbeat: ${HEARTBEAT}
listen: ${JSON.stringify(plain.map(({ dialect }) => listener(dialect, 'plain', files)))}
`),
  );
  const port = (dialect: Dialect, kind: Kind): number =>
    kind === 'beating'
      ? portsOf(beating)[plain.findIndex((one) => one.dialect === dialect)]!
      : portsOf(gateway)[
          LISTENERS.findIndex((one) => one.dialect === dialect && one.kind === kind)
        ]!;
  const all = stack.move();
  return {
    gateway,
    ca: authority.cert,
    port,
    async observer(name, room) {
      const client = await TestClient.connect(port('pomelo', 'plain'));
      await client.request('chat.room.join', { name, room });
      return client;
    },
    [Symbol.asyncDispose]: () => all.disposeAsync(),
  };
}

type Files = { readonly folder: string; readonly cert: string; readonly key: string };

function portsOf({ gateway }: TestGateway): number[] {
  return gateway.addresses.clients.map((url) => Number(url.split(':').pop()));
}

function listener(dialect: Dialect, kind: ListenerKind, { folder, cert, key }: Files): object {
  const scheme = dialect === 'json' ? (kind === 'tls' ? 'wss' : 'ws') : 'auto';
  return {
    url: `${scheme}://127.0.0.1:0`,
    dialect,
    ...(kind === 'tls' && { tls: { cert, key } }),
    ...((kind === 'dictionary' || kind === 'protobuf') && {
      pomelo: {
        config_dir: folder,
        use_dict: kind === 'dictionary',
        use_protobuf: kind === 'protobuf',
      },
    }),
  };
}
