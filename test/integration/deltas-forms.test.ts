/** A snapshot and what follows it, in each form in which backends say what an answer has, and number their pushes. */
import { expect, test } from 'vitest';

import { admin } from '../support/admin.ts';
import { TestClient } from '../support/client.ts';
import { startGateway, type TestGateway } from '../support/gateway.ts';
import { HttpBackend } from '../support/http-backend.ts';
import { IpcBackend, socketPath } from '../support/ipc-backend.ts';
import { startLinkBackend } from '../support/link-backend.ts';
import { metadata, MethodPair } from '../support/method-pair.ts';
import { startNats } from '../support/nats.ts';
import { serve, tellJson } from '../support/nats-backend.ts';

/** Numbered pushes to the group by Control, one after the other. */
async function pushAll(gateway: TestGateway, cursors: readonly string[]): Promise<void> {
  for (const cursor of cursors) {
    const push = { target: { groups: ['hall'] }, route: 'd', body: { json: { cursor } }, cursor };
    expect(await admin(gateway, 'Push', { push })).toMatchObject({ status: 200 });
  }
}

/** What has come since the handshake: answers by what they say, pushes by their cursors. */
function got(client: TestClient): string[] {
  return client.received.flatMap((item) => {
    if (item.kind !== 'response' && item.kind !== 'push') return [];
    const { cursor, text } = JSON.parse(item.body.toString()) as { cursor?: string; text?: string };
    return [cursor ?? text ?? item.body.toString()];
  });
}

/** The client asks; what is pushed before the answer waits for it. What the client gets of it. */
async function follows(gateway: TestGateway, route: string): Promise<string[]> {
  await using client = await TestClient.connect(gateway.port);
  await client.request(route, {});
  await pushAll(gateway, ['e.7']);
  await client.push('d', 1);
  return got(client);
}

const MEANWHILE = ['e.4', 'e.5', 'e.6'];
const ROUTES = 'routes: [{ match: ">", backend: b, join: hall }]';

test('over a Unix socket: `from` of an answer, and `cursor` of a push', async () => {
  using folder = socketPath();
  await using _backend = await IpcBackend.start(folder.path, ({ seq_id: seqId }) => {
    const push = (cursor: string) =>
      JSON.stringify({ cmd: 'push', group: 'hall', route: 'd', payload: { cursor }, cursor });
    const answer = { seq_id: seqId, payload: { text: 'snapshot' }, from: 'e.5' };
    return `${[...MEANWHILE.map(push), JSON.stringify(answer)].join('\n')}\n`;
  });
  await using gateway = await startGateway(
    `backends: { b: { ipc: "unix://${folder.path}" } }\n${ROUTES}`,
  );
  expect(await follows(gateway, 'any.route')).toEqual(['snapshot', 'e.6', 'e.7']);
});

test('over HTTP: Pith-From', async () => {
  await using backend = await HttpBackend.start(async () => {
    await pushAll(gateway, MEANWHILE);
    return { body: '{"text":"snapshot"}', headers: { 'Pith-From': 'e.5' } };
  });
  await using gateway = await startGateway(
    `backends: { b: { http: "${backend.url}" } }\n${ROUTES}`,
  );
  expect(await follows(gateway, 'any.route')).toEqual(['snapshot', 'e.6', 'e.7']);
});

test('by Handle: Reply.from', async () => {
  await using backend = await startLinkBackend(
    (request) => {
      void pushAll(gateway, MEANWHILE).then(() => {
        request.answer({ text: 'snapshot' }, { from: 'e.5' });
      });
    },
    { link: false },
  );
  await using gateway = await startGateway(
    `backends: { b: { grpc: "${backend.address}", mode: handle } }\n${ROUTES}`,
  );
  expect(await follows(gateway, 'any.route')).toEqual(['snapshot', 'e.6', 'e.7']);
});

test('by a method of its own: x-pith-from; one that streams is refused', async () => {
  await using pair = await MethodPair.start((asked) => {
    void pushAll(pair.gateway, MEANWHILE).then(() => {
      asked.answer({ text: 'snapshot' }, metadata({ 'x-pith-from': 'e.5' }));
    });
  });
  expect(await follows(pair.gateway, 't.join.say')).toEqual(['snapshot', 'e.6', 'e.7']);
  await using client = await pair.join();
  expect(await client.request('t.join.many')).toMatchObject({ code: 501, reason: 'UNSUPPORTED' });
  const [session] = [...pair.gateway.gateway.registry.all()];
  expect([...session!.groups]).toEqual([]);
});

test('what is malformed is refused with what it should be', async () => {
  await using nats = await startNats();
  const nc = await nats.connect();
  await serve(nc, 'pith.rpc.>', () => ({ body: '{}', headers: { 'Pith-From': 'seven' } }));
  await using gateway = await startGateway(
    `bus: ${nats.url}\nbackends: { b: { nats: {} } }\n${ROUTES}`,
  );
  await using client = await TestClient.connect(gateway.port);
  const why = 'header pith-from is "seven", not <epoch>.<n>';
  const answer = await client.request('any.route');
  expect(answer).toMatchObject({ code: 502, reason: 'BAD_REPLY' });
  expect(answer['msg']).toContain(why);
  const [session] = [...gateway.gateway.registry.all()];
  expect([...session!.groups]).toEqual([]);
  for (const [subject, cursor, what] of [
    [`pith.session.${session!.sid}.push`, 'e.1', 'the target must be one group'],
    [`pith.session.${session!.sid}.push`, 'e', '<epoch>.<n>'],
    ['pith.all.push', 'e.1', 'the target must be one group'],
  ] as const) {
    const words = { 'Pith-Route': 'd', 'Pith-Cursor': cursor };
    const { error } = (await tellJson(nc, subject, '{}', words)) as { error: { msg: string } };
    expect(error.msg).toContain(what);
  }
  const push = { target: { groups: ['a', 'b'] }, route: 'd', cursor: 'e.1' };
  expect(await admin(gateway, 'Push', { push })).toMatchObject({
    ...{ status: 400, lines: [{ error: { reason: 'BAD_ARGUMENT' } }] },
  });
});
