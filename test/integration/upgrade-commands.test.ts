/** What backends and operators order while `pith upgrade` moves the sessions, through the real command. */
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import {
  credentials,
  type GrpcObject,
  loadPackageDefinition,
  type ServiceClientConstructor,
} from '@grpc/grpc-js';
import { loadSync } from '@grpc/proto-loader';
import { expect, test } from 'vitest';

import { admin } from '../support/admin.ts';
import { TestClient } from '../support/client.ts';
import { IpcBackend, socketPath } from '../support/ipc-backend.ts';
import { startLinkBackend } from '../support/link-backend.ts';
import { startNats } from '../support/nats.ts';
import { run } from '../support/process.ts';
import { type Edit, Releases } from '../support/releases.ts';
import { serveOther } from '../support/serve.ts';
import { closeAll } from '../support/workers.ts';

const PROTO_DIR = fileURLToPath(new URL('../../proto', import.meta.url));

type Push = (n: number, route: string) => void | Promise<void>;

/** Orders one numbered push after another until `stop`, which resolves with how many they were. */
function numbered(route: string, push: Push): { stop(): Promise<number> } {
  let isOver = false;
  let n = 0;
  const all = (async () => {
    for (; !isOver; n++) {
      await push(n, route);
      await sleep(1);
    }
  })();
  return {
    stop: async () => {
      isOver = true;
      await all;
      return n;
    },
  };
}

function numbersOf(client: TestClient, route: string): number[] {
  return client.received.flatMap((item) =>
    item.kind === 'push' && item.route === route
      ? [(JSON.parse(item.body.toString()) as { n: number }).n]
      : [],
  );
}

/** Control over gRPC, which never asks twice by itself. */
function controlOf(port: number): { push(request: object): Promise<boolean>; close(): void } {
  const definition = loadSync('pith/v1/control.proto', {
    includeDirs: [PROTO_DIR],
    keepCase: true,
    oneofs: true,
  });
  const pith = loadPackageDefinition(definition)['pith'] as GrpcObject;
  const Control = (pith['v1'] as GrpcObject)['Control'] as ServiceClientConstructor;
  const client = new Control(`127.0.0.1:${port}`, credentials.createInsecure(), {
    'grpc.enable_retries': 0,
    'grpc.initial_reconnect_backoff_ms': 100,
  });
  return {
    push: (request) =>
      new Promise((resolve, reject) => {
        (client['Push'] as Function).call(client, request, (error: { code: number } | null) => {
          // 14: UNAVAILABLE
          if (error !== null && error.code !== 14) reject(error);
          else resolve(error === null);
        });
      }),
    close: () => {
      client.close();
    },
  };
}

const range = (count: number): number[] => Array.from({ length: count }, (_, n) => n);

const MOVED = /: 4 clients moved, paused for/;
/** Everybody is frozen by then. */
const FAILS: Edit = [
  'takeover/take-over.ts',
  "this.#line.say({ say: 'restored', sessions: this.#sessions.length });",
  "await sleep(clock, 300); throw new Error('it cannot go on');",
];

test.each<[string, RegExp, readonly Edit[], number]>([
  ['embedded', MOVED, [], 0],
  ['NATS', MOVED, [], 0],
  ['embedded, and the upgrade fails', /not upgraded: worker 1: it cannot go on/, [FAILS], 1],
])(
  'pushes and changes over a Link, an IPC line and Control come once and in order, or are refused; the bus: %s',
  async (kind, said, edits, exitCode) => {
    await using nats = kind === 'NATS' ? await startNats() : null;
    await using link = await startLinkBackend((request) => {
      request.answer({ by: 'link' });
    });
    using socket = socketPath();
    await using ipc = await IpcBackend.start(socket.path);
    using releases = new Releases();
    releases.install('1.0.0');
    await using served = await serveOther(
      releases.main,
      `${nats === null ? '' : `bus: ${nats.url}`}
backends:
  l: { grpc: "${link.address}" }
  i: { ipc: "unix://${ipc.path}" }
routes: [{ match: "l.>", backend: l }, { match: "i.>", backend: i }]
`,
      '--upgradable',
    );
    await served.logged('all workers are ready');
    const clients: TestClient[] = [];
    for (let n = 0; n < 4; n++) {
      const client = await TestClient.connect(served.port, n % 2 === 0 ? 'ws' : 'tcp');
      expect(await client.request('l.a')).toEqual({ by: 'link' });
      expect(await client.request('i.a')).toEqual({});
      clients.push(client);
    }
    await admin(served, 'Join', { target: { all: true }, groups: ['lobby'] });
    const { lines } = await admin(served, 'ListSessions');
    const { sid, version } = lines[0] as { sid: string; version: string };
    const overLink = (target: object): Push => {
      return (n, route) => {
        link.pushAll([{ target, route, body: { bytes: Buffer.from(`{"n":${n}}`) } }]);
      };
    };
    const overIpc = (to: object): Push => {
      return (n, route) => {
        const first = [...ipc.sockets].find(({ writable }) => writable)!;
        const push = { cmd: 'push', route, payload: { n } };
        first.write(`${JSON.stringify({ ...push, ...to })}\n`);
      };
    };
    const control = controlOf(served.controlPort);
    const accepted: number[] = [];
    const pushing = [
      numbered('onLink', overLink({ groups: ['lobby'] })),
      numbered('onIpc', overIpc({ group: 'lobby' })),
      numbered('onOwnLink', overLink({ sids: [sid] })),
      numbered('onOwnIpc', overIpc({ sid })),
      numbered('', (n) => overIpc({ cmd: 'patch', sid, patch: { set: { n } } })(n, '')),
    ];
    const ordering = numbered('onControl', async (n, route) => {
      const body = { text: `{"n":${n}}` };
      if (await control.push({ push: { target: { groups: ['lobby'] }, route, body } }))
        accepted.push(n);
    });
    releases.install('2.0.0', edits);
    const args = [releases.main, 'upgrade', '--pid', String(served.running.pid)];
    const { code, output } = await run(process.execPath, args, {});
    expect(output).toMatch(said);
    expect(code).toBe(exitCode);
    const [byLink, byIpc, ownByLink, ownByIpc, changes] = await Promise.all(
      pushing.map((one) => one.stop()),
    );
    await ordering.stop();
    for (const [by, push] of [
      ['onLinkEnd', overLink({ all: true })],
      ['onIpcEnd', overIpc({ all: true })],
    ] as const) {
      await push(0, by);
      for (const client of clients) await client.push(by);
    }
    for (const client of clients) {
      expect(numbersOf(client, 'onLink')).toEqual(range(byLink!));
      expect(numbersOf(client, 'onIpc')).toEqual(range(byIpc!));
      expect(numbersOf(client, 'onControl')).toEqual(accepted);
    }
    const own = clients.filter((client) => numbersOf(client, 'onOwnLink').length > 0);
    expect(own).toHaveLength(1);
    expect(numbersOf(own[0]!, 'onOwnLink')).toEqual(range(ownByLink!));
    expect(numbersOf(own[0]!, 'onOwnIpc')).toEqual(range(ownByIpc!));
    // Each change is one version.
    const { lines: after } = await admin(served, 'ListSessions');
    const changed = after.find((one) => one['sid'] === sid)!;
    expect(changed['data']).toEqual({ n: changes! - 1 });
    expect(Number(changed['version']) - Number(version)).toBe(changes);
    control.close();
    await closeAll(clients);
  },
);
