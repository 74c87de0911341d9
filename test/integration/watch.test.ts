/** `Watch`: an operator sees what clients send and get, on every gateway, and nobody pays for it who is not watched. */
import { credentials, loadPackageDefinition } from '@grpc/grpc-js';
import { loadSync } from '@grpc/proto-loader';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';

import { TestClient } from '../support/client.ts';
import { startGateway, type TestGateway } from '../support/gateway.ts';
import { startNats, type TestNats } from '../support/nats.ts';
import { eventually } from '../support/wait.ts';
import { Watching } from '../support/watching.ts';

const WRITE = 'write-0123456789abcdefgh';
const READ = 'read-0123456789abcdefghi';
const CONFIG = `
backends: { gate: { reply: { code: 200, host: game.example } } }
routes: [{ match: "gate.>", backend: gate }]
`;
const GUARDED = `${CONFIG}
admin: { listen: 127.0.0.1:0, tokens: [{ token: ${WRITE} }, { token: ${READ}, role: read }], watch_bodies: true }
`;

async function post(
  { adminPort }: { readonly adminPort: number },
  method: string,
  body: object,
  token = '',
) {
  const headers = token === '' ? {} : { authorization: `Bearer ${token}` };
  const url = `http://127.0.0.1:${adminPort}/v1/${method}`;
  const answer = await fetch(url, { method: 'POST', headers, body: JSON.stringify(body) });
  return { status: answer.status, text: await answer.text() };
}

const sidOf = ({ gateway }: TestGateway, n: number): string => `${gateway.id}.${n}`;
/** How many sessions are watched. */
const watched = ({ gateway }: TestGateway): number =>
  [...gateway.registry.all()].filter(({ watchers }) => watchers !== 0).length;

describe('one gateway', () => {
  let gateway: TestGateway;
  let opened = 0;

  beforeAll(async () => {
    gateway = await startGateway(CONFIG);
  });
  afterAll(() => gateway[Symbol.asyncDispose]());

  const player = async (): Promise<[TestClient, string]> => {
    const client = await TestClient.connect(gateway.port);
    return [client, sidOf(gateway, ++opened)];
  };

  test('a uid that is not there yet shows when it comes, and all that it does until it is kicked', async () => {
    await using watch = await Watching.begin(gateway, { target: { uids: ['ann'] } });
    expect(await watch.seen({ kind: 'watching' })).toMatchObject({
      ...{ gateway: gateway.gateway.id, gateways: [gateway.gateway.id], silent_gateways: [] },
    });
    const [other] = await player();
    const [ann, sid] = await player();
    await other.request('gate.handler.enter', { secret: 1 });
    await post(gateway, 'Bind', { sid, uid: 'ann' });
    await ann.request('gate.handler.enter', { room: 'a' });
    await ann.request('nowhere.handler.x', { secret: 2 }).catch(() => {});
    ann.notify('gate.handler.say', { text: 'hi' });
    await watch.seen({ kind: 'done' });
    await post(gateway, 'Push', { push: { target: { uids: ['ann'] }, route: 'onNews' } });
    await post(gateway, 'Kick', { target: { uids: ['ann'] }, close: { reason: 'cheating' } });
    await watch.seen({ kind: 'closed' });
    const kinds = watch.kinds.filter((kind) => kind !== 'heartbeat');
    expect(kinds).toEqual([
      ...['seen', 'request', 'response', 'request', 'response', 'notify', 'done'],
      ...['push', 'kick', 'closed'],
    ]);
    expect(watch.lines.every((line) => line.kind === 'watching' || line['sid'] === sid)).toBe(true);
    expect(watch.lines.find(({ kind }) => kind === 'response')).toMatchObject({
      ...{ direction: 'out', uid: 'ann', ref: `${sid}-1`, route: 'gate.handler.enter', code: 200 },
      ...{ rule: 'gate.>', backend: 'gate', reason: '' },
    });
    expect(watch.lines.filter(({ kind }) => kind === 'response')[1]).toMatchObject({
      ...{ ref: `${sid}-2`, route: 'nowhere.handler.x', code: 404, reason: 'NO_ROUTE', rule: '' },
    });
    expect(watch.lines.find(({ kind }) => kind === 'closed')).toMatchObject({
      ...{ ref: `${sid}-0`, reason: 'kick', note: 'cheating' },
    });
    expect(JSON.stringify(watch.lines)).not.toMatch(/secret|game\.example/);
    other.close();
  });

  test('all that is ended by the gateway or left by the caller leaves nothing behind', async () => {
    const [ann, sid] = await player();
    const watch = await Watching.begin(gateway, { target: { sids: [sid] } });
    await watch.seen({ kind: 'seen', sid });
    expect(watched(gateway)).toBe(1);
    const before = gateway.log.length;
    watch.leave();
    await eventually(() => watched(gateway) === 0, 'no watch');
    const [end] = gateway.log.slice(before).filter(({ method }) => method === 'Watch');
    expect(end).toMatchObject({ audit: true, msg: 'control call ended', via: 'http', events: 2 });
    ann.close();
  });

  test('the audit log has its begin: who, what, and not what is in it', async () => {
    await using watch = await Watching.begin(gateway, {
      target: { uids: ['bob'] },
      route: 'gate.>',
    });
    await watch.seen({ kind: 'watching' });
    const line = gateway.log.findLast(
      ({ method, msg }) => method === 'Watch' && msg === 'control call',
    );
    expect(line).toMatchObject({
      ...{ audit: true, outcome: 'OK', request: { target: { uids: ['bob'] }, route: 'gate.>' } },
    });
  });

  test('with a route, messages of that route of everybody', async () => {
    await using watch = await Watching.begin(gateway, { route: 'gate.*.enter' });
    await watch.seen({ kind: 'watching' });
    const [ann, sid] = await player();
    await ann.request('gate.handler.other');
    await ann.request('gate.handler.enter');
    await watch.seen({ kind: 'response' });
    expect(watch.kinds).toEqual(['request', 'response']);
    expect(watch.lines.at(-1)).toMatchObject({ sid, route: 'gate.handler.enter' });
    ann.close();
  });

  test.each([
    [{ bodies: true }, 403, 'admin.watch_bodies is false'],
    [{ route: 'gate..x' }, 400, 'a segment is empty'],
    [{ max_per_second: -1 }, 400, 'max_per_second'],
  ])('%j is refused', async (request, status, text) => {
    const answer = await post(gateway, 'Watch', request);
    expect(answer.status).toBe(status);
    expect(answer.text).toContain(text);
  });

  test('eight may watch, and take no place from other requests', async () => {
    const all: Watching[] = [];
    for (let i = 0; i < 8; i++)
      all.push(await Watching.begin(gateway, { target: { uids: [`${i}`] } }));
    const refused = await post(gateway, 'Watch', {});
    expect([refused.status, refused.text]).toEqual([503, expect.stringContaining('8 watches')]);
    const answers = await Promise.all(
      Array.from({ length: 56 }, () => post(gateway, 'GetInfo', {})),
    );
    expect(answers.filter(({ status }) => status !== 200)).toEqual([]);
    all.pop()!.leave();
    await eventually(async () => {
      const again = await Watching.begin(gateway, {});
      all.push(again);
      return again.status === 200;
    }, 'a place for another');
    for (const watch of all) watch.leave();
  });

  test('over gRPC the headers come at once, and it ends when the caller cancels', async () => {
    const { pith } = loadPackageDefinition(
      loadSync('pith/v1/control.proto', { includeDirs: ['proto'] }),
    ) as unknown as { pith: { v1: { Control: new (...args: unknown[]) => Control } } };
    const client = new pith.v1.Control(
      `127.0.0.1:${gateway.controlPort}`,
      credentials.createInsecure(),
    );
    const [ann, sid] = await player();
    const stream = client.Watch({ target: { sids: [sid] } });
    stream.on('error', () => {});
    await new Promise((resolve) => stream.once('metadata', resolve));
    await eventually(() => watched(gateway) === 1, 'a watch');
    stream.cancel();
    await eventually(() => watched(gateway) === 0, 'no watch');
    expect(gateway.gateway.registry.size).toBeGreaterThan(0);
    client.close();
    ann.close();
  });
});

type Control = {
  Watch(request: object): {
    on(event: string, listener: () => void): void;
    once(event: string, listener: (value: unknown) => void): void;
    cancel(): void;
  };
  close(): void;
};

test('bodies are for the role write, where the gateway may show them, and never those of a handshake', async () => {
  await using gateway = await startGateway(GUARDED);
  const refused = await post(gateway, 'Watch', { bodies: true }, READ);
  expect([refused.status, refused.text]).toEqual([403, expect.stringContaining('role write')]);
  await using all = await Watching.begin(gateway, { bodies: true }, WRITE);
  await using without = await Watching.begin(gateway, {}, READ);
  await all.seen({ kind: 'watching' });
  const ann = await TestClient.open(gateway.port);
  await ann.handshake({ user: { token: 'hunter2' } });
  ann.ack();
  await ann.request('gate.handler.enter', { room: 'lobby' });
  await ann.request('nowhere.handler.x', { card: '4111' }).catch(() => {});
  await all.seen({ kind: 'response', code: 404 });
  await without.seen({ kind: 'response', code: 404 });
  expect(
    all.lines.filter(({ body }) => body !== undefined).map(({ kind, body }) => [kind, body]),
  ).toEqual([
    ['request', { text: '{"room":"lobby"}' }],
    ['response', { text: '{"code":200,"host":"game.example"}' }],
  ]);
  expect(all.kinds).toEqual(expect.arrayContaining(['seen', 'handshake', 'handshake_ack']));
  expect(without.lines.every(({ body }) => body === undefined)).toBe(true);
  expect(JSON.stringify([all.lines, without.lines])).not.toMatch(/hunter2|4111/);
  ann.close();
});

test('it ends with a last word when the gateway stops, after the sessions that it closed', async () => {
  const gateway = await startGateway(CONFIG);
  const watch = await Watching.begin(gateway, {});
  await watch.seen({ kind: 'watching' });
  const ann = await TestClient.connect(gateway.port);
  await watch.seen({ kind: 'handshake_ack' });
  await gateway[Symbol.asyncDispose]();
  await eventually(() => watch.isEnded, 'the end');
  expect(watch.kinds.slice(-2)).toEqual(['closed', 'ended']);
  expect(watch.lines.at(-1)).toMatchObject({ note: 'the gateway is stopping' });
  ann.close();
});

describe('a fleet', () => {
  let nats: TestNats;
  beforeAll(async () => {
    nats = await startNats();
  });
  afterAll(() => nats[Symbol.asyncDispose]());

  const start = (id: string, more = CONFIG): Promise<TestGateway> =>
    startGateway(`id: ${id}\nbus: ${nats.url}\n${more}`);

  test('a session is seen through any gateway; one that goes is missed, one that comes is found', async () => {
    await using a = await start('a');
    const b = await start('b');
    const { id } = b.gateway;
    await using watch = await Watching.begin(a, { target: { uids: ['ann'] } });
    await eventually(
      () => watch.lines.some(({ gateways }) => (gateways as string[]).includes(id)),
      'the other gateway',
    );
    const ann = await TestClient.connect(b.port);
    const sid = sidOf(b, 1);
    await post(a, 'Bind', { sid, uid: 'ann' });
    await ann.request('gate.handler.enter');
    expect(await watch.seen({ kind: 'response' })).toMatchObject({
      ...{ gateway: id, sid, uid: 'ann', rule: 'gate.>', backend: 'gate', code: 200 },
    });
    await b[Symbol.asyncDispose]();
    await watch.seen({ kind: 'closed', sid, gateway: id });
    expect(watch.isEnded).toBe(false);
    ann.close();
  });

  test('a gateway stops looking when the watcher has gone, wherever that was', async () => {
    await using a = await start('a');
    await using b = await start('b');
    const ann = await TestClient.connect(b.port);
    const watch = await Watching.begin(a, { target: { sids: [sidOf(b, 1)] } });
    await watch.seen({ kind: 'seen', gateway: b.gateway.id });
    expect(watched(b)).toBe(1);
    watch.leave();
    await eventually(() => watched(b) === 0, 'no watch on the other gateway');
    ann.close();
  });

  test('each gateway shows the bodies that its own configuration allows', async () => {
    await using a = await start('a', GUARDED);
    await using b = await start('b');
    await using watch = await Watching.begin(a, { bodies: true }, WRITE);
    await eventually(
      () => watch.lines.some(({ gateways }) => (gateways as string[]).length === 2),
      'the other gateway',
    );
    const clients = [await TestClient.connect(a.port), await TestClient.connect(b.port)];
    for (const client of clients) await client.request('gate.handler.enter', { room: 'lobby' });
    const shown = async ({ gateway: { id } }: TestGateway) =>
      (await watch.seen({ kind: 'request', gateway: id }))['body'];
    expect([await shown(a), await shown(b)]).toEqual([{ text: '{"room":"lobby"}' }, undefined]);
    for (const client of clients) client.close();
  });
});
