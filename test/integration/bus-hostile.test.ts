/** What somebody on the bus may do to a gateway: nothing that stops, fills or misleads it, or that nobody hears of. */
import net from 'node:net';
import type { NatsConnection } from 'nats';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';

import { admin } from '../support/admin.ts';
import { TestClient } from '../support/client.ts';
import { startGateway, type TestGateway } from '../support/gateway.ts';
import { startNats, type TestNats } from '../support/nats.ts';
import { Heard, serve, tell, tellJson } from '../support/nats-backend.ts';
import { eventually } from '../support/wait.ts';

const CONFIG = `
backends: { game: { nats: {} } }
routes: [{ match: ">", backend: game, timeout: 60s }]
`;

let nats: TestNats;
let nc: NatsConnection;

beforeAll(async () => {
  nats = await startNats();
  nc = await nats.connect();
});

afterAll(async () => {
  await nats[Symbol.asyncDispose]();
});

const start = (id = 'one'): Promise<TestGateway> =>
  startGateway(`id: ${id}\nbus: ${nats.url}\n${CONFIG}`);

const sidOf = (gateway: TestGateway): string => [...gateway.gateway.registry.all()][0]!.sid;

/** Warnings about the bus, as `reason subject`. */
function told(gateway: TestGateway): string[] {
  return gateway.log
    .filter(({ msg }) => msg === 'bus message refused')
    .map(({ reason, subject }) => `${String(reason)} ${String(subject)}`);
}

/** A connection that writes headers which no client library would. */
function rawTo({ port }: TestNats) {
  const socket = net.connect(port, '127.0.0.1');
  socket.write('CONNECT {"verbose":false,"headers":true}\r\n');
  return {
    publish(subject: string, reply: string, headers: string, body = '{}'): void {
      const block = `NATS/1.0\r\n${headers}\r\n`;
      const size = Buffer.byteLength(block);
      const sizes = `${size} ${size + Buffer.byteLength(body)}`;
      socket.write(`HPUB ${subject} ${reply} ${sizes}\r\n${block}${body}\r\n`);
    },
    [Symbol.dispose]() {
      socket.destroy();
    },
  };
}

const lines = (count: number): string =>
  Array.from({ length: count }, (_, i) => `X-${i}: y\r\n`).join('');

describe('headers', () => {
  test('of 40,000 lines hold nobody up: a reply is a 502, a verb a 400, a call between gateways is passed over', async () => {
    await using gateway = await start();
    await using client = await TestClient.connect(gateway.port);
    using raw = rawTo(nats);
    const game = await Heard.on(nc, 'pith.rpc.>', ({ reply, data }) => {
      if (Buffer.from(data).includes('many')) raw.publish(reply!, '', lines(40_000));
      else nc.publish(reply!, '{"ok":1}');
    });
    const inbox = await Heard.on(nc, '_INBOX.headers.*');
    for (const [i, subject] of ['session.' + sidOf(gateway), 'all', 'fleet'].entries())
      raw.publish(
        `pith.${subject}.push`,
        `_INBOX.headers.${i}`,
        `Pith-Route: r\r\nPith-Target: {"all":true}\r\n${lines(40_000)}`,
      );
    expect(await client.request('game.many.headers', { many: 1 })).toMatchObject({
      code: 502,
      reason: 'BAD_REPLY',
      msg: expect.stringContaining('256') as string,
    });
    expect(await client.request('game.few.headers')).toEqual({ ok: 1 });
    const answers = (await inbox.until((all) => all.length === 3, 'answers')).map((msg) =>
      msg.json(),
    );
    const refusal = {
      error: { code: 400, reason: 'BAD_ARGUMENT', msg: expect.stringContaining('256') as string },
    };
    expect(answers).toEqual(
      expect.arrayContaining([refusal, refusal, { gateway: gateway.gateway.id }]),
    );
    expect(client.pushes()).toEqual([]);
    expect(gateway.count('pith_bus_refused_total', 'BAD_ARGUMENT')).toBe(3);
    game.stop();
    inbox.stop();
  });

  test('up to 256 lines are read, the same names in any case and number', async () => {
    await using gateway = await start();
    await using client = await TestClient.connect(gateway.port);
    using raw = rawTo(nats);
    raw.publish(
      `pith.session.${sidOf(gateway)}.push`,
      '',
      `PITH-route:onOne\r\nPith-Route: onTwo\r\n${lines(254)}`,
      '{"n":1}',
    );
    expect(await client.push('onOne')).toEqual({ n: 1 });
  });

  test('with JSON that is too much, too deep or none are refused', async () => {
    await using gateway = await start();
    await using client = await TestClient.connect(gateway.port);
    const subject = `pith.session.${sidOf(gateway)}.push`;
    const names = JSON.stringify(
      Array.from({ length: 100_000 }, (_, i) => `s${i}`).slice(0, 80_000),
    );
    for (const [json, code] of [
      ['['.repeat(400_000) + ']'.repeat(400_000), 400],
      [`[${'[],'.repeat(300_000)}[]]`, 400],
      ['%41'.repeat(300_000), 400],
      [names, undefined],
    ] as const) {
      const words = { 'Pith-Route': 'onMany', 'Pith-Except-Sids': json };
      const { json: answer } = (await tell(nc, subject, '{}', words))!;
      expect((answer['error'] as { code?: number } | undefined)?.code).toBe(code);
    }
    expect(await client.push('onMany')).toEqual({});
  });
});

describe('the names of other gateways', () => {
  test('forged 100,000 times are bounded, and those that answer go before them', async () => {
    await using one = await start('one');
    for (let i = 0; i < 100_000; i++) {
      nc.publish('pith.fleet.hello', `{"gateway":"forged-${String(i).padStart(10, '0')}"}`);
      if (i % 5_000 === 0) await nc.flush();
    }
    for (const name of ['', '*', 'x'.repeat(65), 'a b', 'zoë'])
      nc.publish('pith.fleet.hello', JSON.stringify({ gateway: name }));
    await eventually(() => one.count('pith_bus_refused_total', 'GATEWAYS') >= 99_005, 'the count');
    await using two = await start('two');
    await using ann = await TestClient.connect(two.port);
    const push = { target: { all: true }, route: 'onHi' };
    const { lines: answers } = await admin(one, 'Push', { push, wait: '0.5s' });
    const { silent_gateways: silent, ...counts } = answers[0]!;
    expect(counts).toMatchObject({ delivered: 1, gateways: 2 });
    expect((silent as string[]).length).toBeLessThanOrEqual(1_000);
    expect(silent).not.toContain(two.gateway.id);
    await ann.push('onHi');
    // Silent three times, they are forgotten.
    for (let i = 0; i < 2; i++) await admin(one, 'Push', { push, wait: '0.1s' });
    expect((await admin(one, 'Push', { push, wait: '5s' })).lines[0]).toMatchObject({
      delivered: 1,
      gateways: 2,
      silent_gateways: [],
    });
    expect(told(one).filter((line) => line.startsWith('GATEWAYS')).length).toBeLessThan(20);
  });

  test('a goodbye in the name of another does not hide it', async () => {
    await using one = await start('one');
    await using two = await start('two');
    await using three = await start('three');
    await using ann = await TestClient.connect(three.port);
    const push = { target: { all: true }, route: 'onHi' };
    const all = { delivered: 1, gateways: 3, silent_gateways: [] };
    await eventually(
      async () => (await admin(one, 'Push', { push, wait: '5s' })).lines[0]!['gateways'] === 3,
      'three gateways',
    );
    const before = ann.pushes('onHi').length;
    nc.publish('pith.fleet.bye', JSON.stringify({ gateway: three.gateway.id }));
    await nc.flush();
    await tellJson(nc, `pith.session.${one.gateway.id}.1.get`);
    expect((await admin(one, 'Push', { push, wait: '5s' })).lines[0]).toMatchObject(all);
    await ann.push('onHi', before);
    expect(two.gateway.registry.size).toBe(0);
  });

  test('one that is lost for a while is counted in the first call after it is back', async () => {
    await using one = await start('one');
    await using _two = await start('two');
    await using _three = await start('three');
    const push = { target: { all: true }, route: 'onHi' };
    const counted = async (wait = '5s') =>
      (await admin(one, 'Push', { push, wait })).lines[0]!['gateways'];
    await eventually(async () => (await counted()) === 3, 'three gateways');
    // Silent three times in a row, as behind a cut between servers.
    for (let i = 0; i < 3; i++) await counted('0.001s');
    expect(await counted()).toBe(3);
  });
});

describe('a wait of 0s', () => {
  test('pushes to the whole fleet, and counts only here', async () => {
    await using one = await start('one');
    await using two = await start('two');
    await using bob = await TestClient.connect(two.port);
    const push = { target: { all: true }, route: 'onHi' };
    expect((await admin(one, 'Push', { push, wait: '0s' })).lines[0]).toMatchObject({
      delivered: 0,
      gateways: 1,
    });
    expect(await bob.push('onHi')).toEqual({});
  });
});

describe('what misses every verb', () => {
  test('by its number of tokens is answered 400 by one gateway, counted, and told with the subject', async () => {
    await using one = await start('one');
    await using two = await start('two');
    const misses = [
      ...[
        'pith.group.room.lobby.push',
        'pith.user.a.b.c.push',
        'pith.user.push',
        'pith.group.push',
      ],
      ...[`pith.session.${one.gateway.id}.push`, `pith.session.${one.gateway.id}.1.a.push`],
      ...['pith.session.push', 'pith.all.push.now', 'pith.gateway.push', 'pith.gateway.a.b.push'],
    ];
    const inbox = await Heard.on(nc, '_INBOX.misses.*');
    for (const [i, subject] of misses.entries())
      nc.publish(subject, '{}', { reply: `_INBOX.misses.${i}` });
    const answers = await inbox.until((all) => all.length >= misses.length, 'answers');
    expect(answers.map(({ subject }) => subject).sort()).toEqual(
      misses.map((_, i) => `_INBOX.misses.${i}`).sort(),
    );
    for (const answer of answers) {
      expect(answer.headers!.get('Nats-Service-Error-Code')).toBe('400');
      expect(answer.json()).toMatchObject({ error: { code: 400, reason: 'BAD_ARGUMENT' } });
    }
    nc.publish('pith.group.room.lobby.push', '{}');
    const count = (): number =>
      one.count('pith_bus_refused_total', 'BAD_ARGUMENT') +
      two.count('pith_bus_refused_total', 'BAD_ARGUMENT');
    await eventually(() => count() === misses.length + 1, 'the count');
    expect([...told(one), ...told(two)].length).toBeGreaterThan(0);
    expect(told(one).length).toBeLessThanOrEqual(5);
    inbox.stop();
  });

  test('or is wrong in itself is counted and told, without a reply subject too', async () => {
    await using one = await start('one');
    await using ann = await TestClient.connect(one.port);
    const at = `pith.session.${sidOf(one)}`;
    await tellJson(nc, `${at}.bind`, { uid: 'ann' });
    nc.publish('pith.user.ann.psuh', '{}');
    nc.publish('pith.user.ann.push', '{}');
    nc.publish(`${at}.join`, '{"groups":7}');
    nc.publish(`pith.session.${one.gateway.id}.99.push`, '{}');
    await eventually(() => one.count('pith_bus_refused_total', 'NO_SESSION') === 1, 'the last');
    expect(one.count('pith_bus_refused_total', 'UNSUPPORTED')).toBe(1);
    expect(one.count('pith_bus_refused_total', 'BAD_ARGUMENT')).toBe(2);
    expect(told(one)).toEqual([
      'UNSUPPORTED pith.user.ann.psuh',
      'BAD_ARGUMENT pith.user.ann.push',
      `BAD_ARGUMENT ${at}.join`,
    ]);
    expect(ann.pushes()).toEqual([]);
  });
});

describe('a batch', () => {
  /** `{target: {all: true}, route: "r"}`, so many times. */
  const batch = (count: number): Buffer =>
    Buffer.concat(
      Array.from({ length: count }, () => Buffer.from([0x0a, 7, 0x0a, 2, 0x20, 1, 0x12, 1, 0x72])),
    );

  test('has at most 1,000 pushes, and says what became of it', async () => {
    await using one = await start('one');
    await using ann = await TestClient.connect(one.port);
    const subject = `pith.gateway.${one.gateway.id}.push`;
    expect(await tellJson(nc, subject, batch(1_000))).toEqual({
      delivered: 1_000,
      dropped: 0,
      refused: 0,
    });
    for (const count of [1_001, 100_000])
      expect((await tell(nc, subject, batch(count)))!.json).toMatchObject({
        error: { code: 413, msg: expect.stringContaining('1000') as string },
      });
    await ann.push('r', 999);
    expect(one.count('pith_bus_refused_total', 'TOO_LARGE')).toBe(2);
  });
});

describe('a NATS backend', () => {
  const healthy = (gateway: TestGateway): number => gateway.gateway.info().backends[0]!.healthy;

  test('without a subscriber is not healthy, and each reason is told with the subject', async () => {
    await using one = await start('one');
    await using client = await TestClient.connect(one.port);
    expect(healthy(one)).toBe(0);
    for (let i = 0; i < 20; i++)
      expect(await client.request('game.no.body')).toMatchObject({ reason: 'BACKEND_AWAY' });
    expect(healthy(one)).toBe(0);
    const calls = one.log.filter(({ msg }) => msg === 'call failed');
    expect(calls.length).toBeLessThanOrEqual(5);
    expect(calls[0]).toMatchObject({
      level: 'warn',
      backend: 'game',
      subject: 'pith.rpc.game.no.body',
    });
    const game = await serve(nc, 'pith.rpc.game.>', () => ({ body: '{"ok":1}' }));
    expect(await client.request('game.some.body')).toEqual({ ok: 1 });
    expect(healthy(one)).toBe(1);
    game.stop();
    await nc.flush();
  });
});
