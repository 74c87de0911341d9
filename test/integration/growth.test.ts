/**
 * Texts of backends that grow when they are escaped, against the real process: each gets an answer that fits, and the
 * process serves on.
 */
import { expect, test } from 'vitest';

import { TestClient } from '../support/client.ts';
import { GrpcBackend } from '../support/grpc-backend.ts';
import { HttpBackend } from '../support/http-backend.ts';
import { IpcBackend, socketPath } from '../support/ipc-backend.ts';
import { serve } from '../support/serve.ts';

/** 8 MB, and 24 MB when each character is written as two escapes. */
const GROWS = '😀'.repeat(2_000_000);
/** Longer than what of a text is passed on. */
const LONG = '😀'.repeat(100_000);

async function expectServed(port: number, route: string): Promise<void> {
  await using client = await TestClient.connect(port);
  expect(await client.request(route)).toEqual({ ok: 1 });
}

test('errors and pushes over a Unix socket and a Link', async () => {
  using folder = socketPath();
  await using ipc = await IpcBackend.start(folder.path);
  await using grpc = await GrpcBackend.start();
  await using served = await serve(`
backends:
  ipc: { ipc: "unix://${folder.path}" }
  link: { grpc: "${grpc.url}" }
  fixed: { reply: { ok: 1 } }
routes: [{ match: "ipc.>", backend: ipc }, { match: "link.>", backend: link }, { match: ">", backend: fixed }]
`);
  await using client = await TestClient.connect(served.port);
  const grown = JSON.stringify({ code: 402, e: GROWS });
  ipc.answering = ({ seq_id: id }) => `{"seq_id":${id},"error":{"code":402},"payload":${grown}}\n`;
  expect(await client.request('ipc.a')).toMatchObject({ code: 502, reason: 'BAD_REPLY' });
  ipc.answering = ({ seq_id: id }) => ({ seq_id: id, error: { code: 402, msg: LONG } });
  const cut = await client.request('ipc.a');
  expect([cut['code'], (cut['msg'] as string).length]).toEqual([402, 1_024]);
  ipc.answering = ({ seq_id: id }) => ({ seq_id: id, payload: { e: GROWS } });
  expect(await client.request('ipc.a')).toMatchObject({ code: 502, reason: 'BAD_REPLY' });
  grpc.handler = (asked) => {
    const push = { route: 'onGrow', body: { bytes: Buffer.from(grown) } };
    const error = { code: 402, body: { bytes: Buffer.from(grown) } };
    asked.reply(asked.route === 'link.push' ? { pushes: [push] } : { error });
  };
  expect(await client.request('link.a')).toMatchObject({ code: 502, reason: 'BAD_REPLY' });
  expect(await client.request('link.push')).toEqual({});
  expect(client.pushes()).toEqual([]);
  await expectServed(served.port, 'a.b');
});

test('an answer to the handshake, or its refusal: nobody comes in, and the log says why', async () => {
  await using login = await HttpBackend.start(() => ({
    body: JSON.stringify({ accept: { patch: { uid: 'ann' }, user: { e: GROWS } } }),
  }));
  await using served = await serve(`
backends: { login: { http: "${login.url}" }, fixed: { reply: { ok: 1 } } }
auth: { mode: connect, backend: login }
routes: [{ match: ">", backend: fixed }]
`);
  {
    await using client = await TestClient.open(served.port, 'tcp');
    expect(await client.handshake()).toMatchObject({ code: 500, reason: 'BAD_REPLY' });
  }
  expect(await served.logged('handshake rejected')).toMatchObject({
    level: 'warn',
    reason: 'BAD_REPLY',
  });
  login.answering = () => ({ body: JSON.stringify({ error: { code: 403, reason: LONG } }) });
  {
    await using client = await TestClient.open(served.port, 'tcp');
    const refused = await client.handshake();
    expect([refused['code'], (refused['reason'] as string).length]).toEqual([500, 128]);
  }
  login.answering = () => ({ body: '{"accept":{}}' });
  await expectServed(served.port, 'a.b');
});
