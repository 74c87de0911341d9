/** What a client is told when its backend refuses: one rule, however the backend is reached. */
import { describe, expect, test } from 'vitest';

import { TestClient } from '../support/client.ts';
import { startGateway, type TestGateway } from '../support/gateway.ts';
import { GrpcBackend } from '../support/grpc-backend.ts';
import { HttpBackend } from '../support/http-backend.ts';
import { IpcBackend, socketPath } from '../support/ipc-backend.ts';
import { startNats } from '../support/nats.ts';
import { serve } from '../support/nats-backend.ts';

/** A refusal, as each kind of backend says it. */
type Said = {
  readonly code: number;
  readonly reason?: string;
  readonly message?: string;
  readonly body?: string | Buffer;
};

type Refuser = AsyncDisposable & {
  /** YAML of one backend. */
  readonly backend: string;
  readonly bus?: string;
  refuse(said: Said): void;
};

const REFUSERS: Readonly<Record<string, () => Promise<Refuser>>> = {
  NATS: async () => {
    const nats = await startNats();
    let next: Said = { code: 0 };
    await serve(await nats.connect(), 'pith.rpc.>', () => ({
      headers: {
        'Nats-Service-Error-Code': String(next.code),
        'Nats-Service-Error': next.message ?? '',
        ...(next.reason !== undefined && { 'Pith-Error-Reason': next.reason }),
      },
      body: next.body ?? '',
    }));
    return {
      backend: 'nats: {}',
      bus: nats.url,
      refuse: (said) => void (next = said),
      [Symbol.asyncDispose]: () => nats[Symbol.asyncDispose](),
    };
  },
  HTTP: async () => {
    const backend = await HttpBackend.start(() => null);
    return {
      backend: `http: "${backend.url}"`,
      refuse: ({ code, reason, body = '' }) => {
        const headers = reason === undefined ? {} : { 'Pith-Error-Reason': reason };
        backend.answering = () => ({ status: code, headers, body });
      },
      [Symbol.asyncDispose]: () => backend[Symbol.asyncDispose](),
    };
  },
  'a Unix socket': async () => {
    const folder = socketPath();
    const backend = await IpcBackend.start(folder.path);
    return {
      backend: `ipc: "unix://${folder.path}"`,
      refuse: ({ code, reason, message, body }) => {
        const error = { code, ...(reason && { reason }), ...(message && { msg: message }) };
        backend.answering = ({ seq_id: id }) =>
          `{"seq_id":${id},"error":${JSON.stringify(error)}${body === undefined ? '' : `,"payload":${String(body)}`}}\n`;
      },
      async [Symbol.asyncDispose]() {
        await backend[Symbol.asyncDispose]();
        folder[Symbol.dispose]();
      },
    };
  },
  'a Link': () => grpc('hello'),
  Handle: () => grpc('unimplemented'),
};

async function grpc(link: 'hello' | 'unimplemented'): Promise<Refuser> {
  const backend = await GrpcBackend.start({ link });
  return {
    backend: `grpc: "${backend.url}"`,
    refuse: ({ code, reason = '', message = '', body }) => {
      const own = body === undefined ? {} : { body: { bytes: Buffer.from(body as string) } };
      backend.handler = (asked) => {
        asked.reply({ error: { code, reason, message, ...own } });
      };
    },
    [Symbol.asyncDispose]: () => backend[Symbol.asyncDispose](),
  };
}

async function start({ backend, bus }: Refuser, more = ''): Promise<TestGateway> {
  return startGateway(`${bus === undefined ? '' : `bus: ${bus}`}
backends: { game: { ${backend} } }
routes:
  - { match: "raw.>", backend: game, codec: raw }
  - { match: ">", backend: game, idempotent: true }
${more}`);
}

describe.each(Object.keys(REFUSERS))('over %s', (name) => {
  test('a refusal is told by one rule, once, and never asked again', async () => {
    await using refuser = await REFUSERS[name]!();
    await using gateway = await start(refuser);
    await using client = await TestClient.connect(gateway.port);
    const told = (said: Said, route = 'a.b') => {
      refuser.refuse(said);
      return client.request(route);
    };
    // An own body with a code passes as it is; 0 is none.
    expect(await told({ code: 403, body: '{"code":7,"own":[1]}' })).toEqual({ code: 7, own: [1] });
    expect(await told({ code: 403, body: '{"code":-1}' })).toEqual({ code: -1 });
    expect(await told({ code: 403, body: '{"code":0,"own":1}' })).toMatchObject({
      code: 403,
      reason: 'FORBIDDEN',
    });
    // Without one its words fill the standard error, and nothing else of it passes.
    expect(
      await told({
        code: 403,
        body: '{"reason":"BANNED","msg":"until Monday","retry_after_ms":5,"fields":{"a":"b"},"own":1}',
      }),
    ).toEqual({
      code: 403,
      reason: 'BANNED',
      msg: 'until Monday',
      retry_after_ms: 5,
      fields: { a: 'b' },
    });
    for (const body of ['{}', '[]', '{"own":1}', '"x"', 'null', '{"error":{}}'])
      expect(await told({ code: 403, body })).toMatchObject({ code: 403, reason: 'FORBIDDEN' });
    expect(await told({ code: 409, body: '{"error":{"reason":"A","msg":"x"}}' })).toEqual({
      code: 409,
      reason: 'A',
      msg: 'x',
    });
    expect(await told({ code: 409, reason: 'B', body: '{"reason":"A"}' })).toMatchObject({
      code: 409,
      reason: 'B',
    });
    // Without a reason it is that of the code's row.
    for (const [code, reason] of [
      [400, 'BAD_BODY'],
      [401, 'NOT_BOUND'],
      [403, 'FORBIDDEN'],
      [404, 'NO_ROUTE'],
      [409, 'CONFLICT'],
      [413, 'TOO_LARGE'],
      [429, 'TOO_MANY'],
      [500, 'BACKEND_ERROR'],
      [504, 'TIMEOUT'],
    ] as const)
      expect(await told({ code })).toMatchObject({ code, reason });
    // Where the route's bytes pass, a refusal's do.
    expect(await told({ code: 403, body: '{"own":1}' }, 'raw.x')).toEqual({ own: 1 });
    expect(await told({ code: 403 }, 'raw.x')).toMatchObject({ code: 403, reason: 'FORBIDDEN' });
    expect(gateway.log.filter(({ msg }) => msg === 'bad reply')).toEqual([]);
  });
});

test.each(['NATS', 'a Link', 'a Unix socket'])(
  'a refusal with 503 over %s is the backend’s word, and not sent again',
  async (name) => {
    await using refuser = await REFUSERS[name]!();
    await using gateway = await start(refuser);
    await using client = await TestClient.connect(gateway.port);
    refuser.refuse({ code: 503 });
    expect(await client.request('a.b')).toMatchObject({ code: 503, reason: 'BACKEND_AWAY' });
    expect(gateway.log.filter(({ msg }) => msg === 'call failed')).toEqual([]);
    expect(gateway.count('pith_requests_total', 'game', 'BACKEND_AWAY')).toBe(1);
  },
);

test.each(['NATS', 'HTTP', 'a Link', 'Handle'])(
  'Pitaya’s protobuf gets the bytes of a refusal over %s, and its JSON by the rule',
  async (name) => {
    await using refuser = await REFUSERS[name]!();
    const bytes = Buffer.from('0a07502d31', 'hex');
    const answered = async (serializer: string, body: string | Buffer): Promise<Buffer> => {
      await using gateway = await start(
        refuser,
        `listen: [{ url: "auto://127.0.0.1:0", dialect: pitaya, serializer: ${serializer}, compress: false }]`,
      );
      await using client = await TestClient.connect(gateway.port);
      refuser.refuse({ code: 403, body });
      const id = client.send('a.b', {});
      const response = await client.wait(
        () => client.received.find((item) => item.kind === 'response' && item.id === id),
        'the answer',
      );
      return (response as { body: Buffer }).body;
    };
    expect(await answered('protobuf', bytes)).toEqual(bytes);
    expect(await answered('protobuf', '{}')).toEqual(Buffer.from('{}'));
    expect(JSON.parse((await answered('json', '{}')).toString())).toMatchObject({
      code: 'PIT-403',
      metadata: { reason: 'FORBIDDEN' },
    });
    expect((await answered('json', '{"code":"OWN-1","msg":"x"}')).toString()).toBe(
      '{"code":"OWN-1","msg":"x"}',
    );
  },
);
