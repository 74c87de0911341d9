/** Gateways on one bus: how they learn of each other, what they send each other, and for whom they wait. */
import { describe, expect, test } from 'vitest';

import { isFailure } from '../../../src/errors.ts';
import type { PeerCall, PeerReplies } from '../../../src/bus/bus.ts';
import type { Push } from '../../../src/contract/commands.ts';
import { ManualClock } from '../../support/clock.ts';
import { turn } from '../session/support.ts';
import { Exchange, makeGateway } from './support.ts';

const PUSH: Push = {
  target: null,
  route: 'onChat',
  body: Buffer.from('{"n":1}'),
  delivery: 'must',
  latestKey: '',
  expiresInMs: 0,
  afterReply: false,
};
const A = 'a-0123456789';
const B = 'b-0123456789';
const C = 'c-0123456789';

/** Gateways that have been connected, and have heard of each other unless `greeted` is false. */
function stage({ ids = [A, B], greeted = true }: { ids?: string[]; greeted?: boolean } = {}) {
  const exchange = new Exchange();
  const clock = new ManualClock(1_000);
  const gateways = ids.map((id) => makeGateway(id, exchange, clock));
  if (greeted) {
    for (const { bus } of gateways) bus.onUp(false);
    exchange.deliver();
    clock.advance(1_000);
    exchange.deliver();
  }
  exchange.takeSent();
  const [a, b, c] = gateways;
  return { exchange, clock, a: a!, b: b!, c: c! };
}

/** Everything that was sent but events, which are not for gateways alone. */
function sentBy(exchange: Exchange) {
  return exchange.sent.filter(({ subject }) => !subject.startsWith('pith.event.'));
}

/** The replies if they are complete, else null. */
async function settled(call: PeerCall): Promise<PeerReplies | null> {
  if (isFailure(call)) throw new Error(call.message);
  return Promise.race([call, turn().then(() => null)]);
}

describe('a greeting', () => {
  test('is this message, when the connection is there; each answers with its name', () => {
    const { exchange, a } = stage({ greeted: false });
    a.bus.onUp(false);
    exchange.deliver();
    expect(sentBy(exchange)).toEqual([
      {
        subject: 'pith.fleet.hello',
        reply: expect.stringMatching(/^_INBOX\.a-0123456789\.ask\./) as string,
        headers: [],
        payload: '{"gateway":"a-0123456789"}',
      },
      ...[`{"gateway":"${A}","knows":[]}`, `{"gateway":"${B}","knows":["${A}"]}`].map(
        (payload) => ({ subject: exchange.sent[0]!.reply, reply: '', headers: [], payload }),
      ),
    ]);
  });

  test('comes each second to a gateway that knows no other, and each 15 s then', () => {
    const { exchange, clock, a } = stage({ ids: [A], greeted: false });
    a.bus.onUp(false);
    exchange.deliver();
    const greetings = () =>
      exchange.takeSent().filter(({ subject }) => subject === 'pith.fleet.hello').length;
    greetings();
    clock.advance(1_000);
    expect(greetings()).toBe(1);
    makeGateway(B, exchange, clock);
    exchange.publish('pith.fleet.hello', `{"gateway":"${B}"}`);
    exchange.deliver();
    clock.advance(1_000);
    expect(greetings()).toBe(2);
    clock.advance(14_000);
    expect(greetings()).toBe(0);
    clock.advance(1_000);
    expect(greetings()).toBe(1);
  });

  test('waits while there is no connection', () => {
    const { exchange, clock, a } = stage({ ids: [A], greeted: false });
    a.bus.onUp(false);
    exchange.takeSent();
    a.connector.up = false;
    clock.advance(3_000);
    expect(exchange.sent).toEqual([]);
    a.connector.up = true;
    clock.advance(1_000);
    expect(sentBy(exchange)).toHaveLength(1);
  });

  test('with a name that is none is refused, and counted', () => {
    const { exchange, a } = stage();
    exchange.publish('pith.fleet.hello', '{"gateway":"a b"}');
    exchange.deliver();
    expect(a.metrics.count('pith_bus_refused_total', ['GATEWAYS'])).toBe(1);
  });
});

describe('a gateway that is stopped while another connects', () => {
  /** A has greeted, and B has not heard it. @param ago Milliseconds since anybody has heard of B. */
  function stopped(ago = 60_000) {
    const made = stage({ ids: [A, B, C], greeted: false });
    const { a, b, c, exchange, clock } = made;
    a.connector.up = false;
    for (const { bus } of [b, c]) bus.onUp(false);
    exchange.deliver();
    b.connector.up = false;
    clock.advance(ago);
    exchange.takeSent();
    a.connector.up = true;
    a.bus.onUp(false);
    const inbox = sentBy(exchange).at(-1)!.reply;
    exchange.takeSent();
    exchange.deliver();
    clock.advance(1_000);
    exchange.deliver();
    return { ...made, inbox };
  }

  test('is known when it answers the greeting, up to 15 s late', async () => {
    const { a, exchange, clock, inbox } = stopped();
    clock.advance(13_999);
    exchange.publish(inbox, `{"gateway":"${B}"}`);
    exchange.deliver();
    const call = a.bus.peers.pushCounted({ all: true }, PUSH, 500);
    exchange.deliver();
    clock.advance(500);
    expect((await settled(call))!.silentGateways).toEqual([B]);
  });

  const close = { reason: '', code: 0, kick: true, retryAfterMs: 0 };
  type Bus = ReturnType<typeof stage>['a']['bus'];
  test.each<[string, (bus: Bus, sids: string[]) => PeerCall]>([
    ['a push', ({ peers }, sids) => peers.pushCounted({ sids }, PUSH, 500)],
    ['a kick', ({ peers }, sids) => peers.kick({ sids }, close, 500)],
    ['a list', ({ peers }, sids) => peers.list({ sids }, { limit: 1, after: '' }, 500)],
    [
      'joining a group',
      ({ peers }, sids) =>
        peers.changeGroups({ verb: 'join', target: { sids }, groups: ['g'] }, 500),
    ],
  ])(
    'is waited for, 250 ms at most, and named as silent, if %s names its session by sid',
    async (_, ask) => {
      const { a, exchange, clock } = stopped();
      const call = ask(a.bus, [`${B}.7`, `${A}.1`, 'no sid', '.1']);
      exchange.deliver();
      await turn();
      exchange.deliver();
      clock.advance(249);
      expect(await settled(call)).toBe(null);
      clock.advance(1);
      expect((await settled(call))!.silentGateways).toEqual([B]);
    },
  );

  test('is known from another that has heard of it a moment ago, and named as silent', async () => {
    const { a, exchange, clock } = stopped(45_000);
    for (let i = 0; i < 4; i++) {
      const call = a.bus.peers.pushCounted({ all: true }, PUSH, 500);
      exchange.deliver();
      clock.advance(500);
      expect((await settled(call))!.silentGateways).toEqual([B]);
    }
  });

  test('is waited for no longer than until it answers', async () => {
    const { a, b, exchange } = stopped();
    b.client(7);
    b.connector.up = true;
    const call = a.bus.peers.pushCounted({ sids: [`${B}.7`] }, PUSH, 500);
    exchange.deliver();
    expect(await settled(call)).toEqual({
      answers: [
        { gateway: B, delivered: 1, uids: [], sids: [`${B}.7`] },
        { gateway: C, uids: [], sids: [] },
      ],
      silentGateways: [],
    });
  });

  test('is not named by a gateway that has been connected for a minute, but without a connection it is', async () => {
    const { a, exchange, clock } = stopped();
    const ask = async () => {
      const call = a.bus.peers.pushCounted({ sids: [`${B}.7`] }, PUSH, 500);
      exchange.deliver();
      clock.advance(500);
      return (await settled(call))!.silentGateways;
    };
    clock.advance(58_999);
    expect(await ask()).toEqual([B]);
    expect(await ask()).toEqual([]);
    a.connector.up = false;
    expect(await ask()).toEqual([C, B]);
    a.connector.up = true;
    a.bus.onUp(false);
    expect(await ask()).toEqual([B]);
  });
});

describe('a goodbye', () => {
  test('is the last that a gateway says', async () => {
    const { exchange, clock, b } = stage();
    await b.bus.close();
    exchange.takeSent();
    clock.advance(60_000);
    expect(exchange.sent.filter(({ payload }) => payload.includes(B))).toEqual([]);
  });

  test('is this message; nobody waits for the gateway then', async () => {
    const { exchange, clock, a, b } = stage();
    await b.bus.close();
    expect(exchange.sent).toEqual([
      { subject: 'pith.fleet.bye', reply: '', headers: [], payload: `{"gateway":"${B}"}` },
    ]);
    expect(b.connector.drained).toBe(true);
    b.connector.up = false;
    exchange.deliver();
    // It is doubted for 20 s, so there may be one more than is known.
    clock.advance(20_000);
    exchange.deliver();
    exchange.takeSent();
    const call = a.bus.peers.kick({ all: true }, { reason: 'x', code: 0, kick: true, retryAfterMs: 0 }, 500); // prettier-ignore
    exchange.deliver();
    clock.advance(250);
    expect(await settled(call)).toEqual({ answers: [], silentGateways: [] });
  });
});

describe('what goes to the others', () => {
  test('a counted push: its headers as to one session, and the target in one more', () => {
    const { exchange, a } = stage();
    const target = { sids: [`${B}.1`], uids: ['zoë'], exceptUids: ['bob'], where: { hp: 1 } };
    void a.bus.peers.pushCounted(target, { ...PUSH, delivery: 'latest', latestKey: 'k' }, 0);
    expect(exchange.sent).toEqual([
      {
        subject: 'pith.fleet.push',
        reply: '',
        headers: [
          'Pith-Route: onChat',
          'Pith-Delivery: latest',
          'Pith-Latest-Key: k',
          'Pith-Target: {"sids":["b-0123456789.1"],"uids":["zo\\u00eb"],"except_uids":["bob"],"where":{"hp":1}}',
          `Pith-Gateway: ${A}`,
        ],
        payload: '{"n":1}',
      },
    ]);
  });

  test('a kick and a list', () => {
    const { exchange, a } = stage();
    const close = { reason: 'bye', code: 7, kick: true, retryAfterMs: 1_500 };
    void a.bus.peers.kick({ groups: ['g'] }, close, 0);
    void a.bus.peers.list({ all: true }, { limit: 10, after: `${A}.3` }, 0);
    expect(exchange.sent.map(({ subject, payload }) => [subject, payload])).toEqual([
      [
        'pith.fleet.kick',
        `{"gateway":"${A}","target":{"groups":["g"]},"reason":"bye","code":7,"kick":true,"retry_after":"1.5s"}`,
      ],
      ['pith.fleet.list', `{"gateway":"${A}","target":{"all":true},"limit":10,"after":"${A}.3"}`],
    ]);
  });

  test.each([
    ['all', { all: true }, ['pith.all.push']],
    ['a group', { groups: ['room.1'] }, ['pith.group.=cm9vbS4x.push']],
    [
      'users, each once',
      { uids: ['ann', 'bob', 'ann'] },
      ['pith.user.ann.push', 'pith.user.bob.push'],
    ],
    ['a session, named twice', { sids: [`${B}.7`, `${B}.7`] }, [`pith.session.${B}.7.push`]],
    ['64 users', { uids: users(64) }, users(64).map((uid) => `pith.user.${uid}.push`)],
    ['65 users', { uids: users(65) }, ['pith.fleet.push']],
    ['two groups', { groups: ['g', 'h'] }, ['pith.fleet.push']],
    ['a user and a group', { uids: ['ann'], groups: ['g'] }, ['pith.fleet.push']],
  ])('a push that is not counted, to %s', (_, target, subjects) => {
    const { exchange, a } = stage();
    expect(a.bus.peers.push(target, PUSH)).toBe(null);
    expect(exchange.sent.map(({ subject }) => subject)).toEqual(subjects);
    for (const { headers } of exchange.sent)
      expect(headers.some((line) => line.startsWith('Pith-Target'))).toBe(
        subjects[0]!.includes('fleet'),
      );
  });

  test('reaches each session once, by whichever subject', async () => {
    for (const target of [
      { all: true },
      { uids: ['ann'] },
      { groups: ['g'] },
      { groups: ['g', 'h'] },
    ]) {
      const { exchange, a, b } = stage();
      const { session, connection } = b.client(1, 'ann', 'g', 'h');
      a.bus.peers.push(target, PUSH);
      exchange.deliver();
      // What was subscribed is confirmed.
      await turn();
      for (const { resolve } of b.connector.flushes) resolve();
      await turn();
      session.outbox.flush();
      expect(connection.messages).toEqual(['onChat {"n":1}']);
    }
  });

  test('larger than NATS takes is refused before it is sent', () => {
    const { exchange, a } = stage();
    a.connector.payloadBytesMax = 2_000;
    const uids = users(200);
    const close = { reason: '', code: 0, kick: true, retryAfterMs: 0 };
    const tooLarge = expect.objectContaining({ code: 413, reason: 'TOO_LARGE' }) as unknown;
    const big = { ...PUSH, body: Buffer.alloc(1_000) };
    expect([
      a.bus.peers.push({ uids }, PUSH),
      a.bus.peers.push({ all: true }, big),
      a.bus.peers.pushCounted({ all: true }, big, 250),
      a.bus.peers.kick({ uids }, close, 250),
      a.bus.peers.list({ uids }, { limit: 1, after: '' }, 250),
    ]).toEqual([tooLarge, tooLarge, tooLarge, tooLarge, tooLarge]);
    expect(exchange.sent).toEqual([]);
  });

  test('when NATS takes nothing more: a push is counted as refused, and a counted one is refused', () => {
    const { a } = stage();
    a.connector.overloaded = true;
    expect(a.bus.peers.push({ all: true }, PUSH)).toBe(null);
    expect(a.metrics.count('pith_bus_refused_total', ['OVERLOADED'])).toBe(1);
    const call = a.bus.peers.pushCounted({ all: true }, PUSH, 250);
    expect(call).toMatchObject({ code: 503, reason: 'OVERLOADED' });
  });

  test('without a connection: a push is counted as refused, and known gateways are silent', async () => {
    const { exchange, a } = stage();
    a.connector.up = false;
    expect(a.bus.peers.push({ all: true }, PUSH)).toBe(null);
    expect(a.metrics.count('pith_bus_refused_total', ['BUS_AWAY'])).toBe(1);
    const call = a.bus.peers.pushCounted({ all: true }, PUSH, 250);
    expect(await settled(call)).toEqual({ answers: [], silentGateways: [B] });
    expect(exchange.sent).toEqual([]);
  });
});

describe('a call', () => {
  const count = (a: ReturnType<typeof makeGateway>, waitMs = 500) =>
    a.bus.peers.pushCounted({ all: true }, PUSH, waitMs);

  test('ends as soon as all that are known have answered', async () => {
    const { exchange, a, b, c } = stage({ ids: [A, B, C] });
    b.client(1);
    c.client(1);
    c.client(2);
    const call = count(a);
    expect(await settled(call)).toBe(null);
    exchange.deliver();
    const { answers, silentGateways } = (await settled(call))!;
    expect(answers).toEqual([
      { gateway: B, delivered: 1, uids: [], sids: [] },
      { gateway: C, delivered: 2, uids: [], sids: [] },
    ]);
    expect(silentGateways).toEqual([]);
  });

  /** A has given B up, which was silent three times. */
  async function withoutB() {
    const made = stage({ ids: [A, B, C] });
    made.b.connector.up = false;
    for (let i = 0; i < 3; i++) {
      const call = count(made.a);
      made.exchange.deliver();
      made.clock.advance(500);
      expect((await settled(call))!.silentGateways).toEqual([B]);
    }
    return made;
  }

  test('waits for a silent one until the time is up, and names it', async () => {
    const { exchange, clock, a, b } = stage({ ids: [A, B, C] });
    b.connector.up = false;
    const call = count(a);
    exchange.deliver();
    clock.advance(499);
    expect(await settled(call)).toBe(null);
    clock.advance(1);
    const { answers, silentGateways } = (await settled(call))!;
    expect([answers.map(({ gateway }) => gateway), silentGateways]).toEqual([[C], [B]]);
  });

  test('waits for one that was silent three times no more, and names it; but 250 ms for those that are not known', async () => {
    const { exchange, clock, a } = await withoutB();
    const call = count(a);
    exchange.deliver();
    clock.advance(249);
    expect(await settled(call)).toBe(null);
    clock.advance(1);
    expect((await settled(call))!.silentGateways).toEqual([B]);
  });

  test('names one that was given up, and greets while it is asked, but does not answer in time', async () => {
    const { exchange, clock, a } = await withoutB();
    const call = count(a);
    exchange.deliver();
    exchange.publish('pith.fleet.hello', `{"gateway":"${B}"}`);
    exchange.deliver();
    clock.advance(250);
    expect((await settled(call))!.silentGateways).toEqual([B]);
  });

  test('does not name one that was given up, and answers', async () => {
    const { exchange, clock, a, b } = await withoutB();
    b.connector.up = true;
    const call = count(a);
    exchange.deliver();
    clock.advance(250);
    const { answers, silentGateways } = (await settled(call))!;
    expect(new Set(answers.map(({ gateway }) => gateway))).toEqual(new Set([B, C]));
    expect(silentGateways).toEqual([]);
  });

  test('counts a gateway that nobody knew, in its first 250 ms', async () => {
    const { exchange, clock, a, b } = stage({ greeted: false });
    b.client(1);
    const call = count(a);
    exchange.deliver();
    expect(await settled(call)).toBe(null);
    clock.advance(250);
    expect((await settled(call))!.answers.map(({ gateway }) => gateway)).toEqual([B]);
  });

  test('takes the first answer of a gateway, none of its own, and none that is unreadable', async () => {
    const { exchange, clock, a } = stage({ ids: [A] });
    exchange.hear('pith.fleet.push');
    const call = count(a);
    const { reply } = exchange.sent[0]!;
    for (const answer of [
      `{"gateway":"${B}","delivered":1}`,
      `{"gateway":"${B}","delivered":5}`,
      `{"gateway":"${A}","delivered":7}`,
      '{"gateway":"no gateway"}',
      '{"delivered":7}',
      'nonsense',
    ])
      exchange.publish(reply, answer);
    exchange.deliver();
    clock.advance(250);
    expect((await settled(call))!.answers).toEqual([{ gateway: B, delivered: 1 }]);
    expect(a.metrics.count('pith_bus_refused_total', ['GATEWAYS'])).toBe(1);
  });

  test('takes a refusal for one, and what is of the wrong type for absent', async () => {
    const { exchange, clock, a } = stage({ ids: [A] });
    const call = a.bus.peers.list({ all: true }, { limit: 1, after: '' }, 250);
    const { reply } = exchange.sent[0]!;
    const error = { code: 413, reason: 'TOO_LARGE', msg: 'too large' };
    exchange.publish(reply, JSON.stringify({ gateway: B, error, closed: -1, sessions: {} }));
    exchange.publish(
      reply,
      `{"gateway":"${C}","sessions":[{"sid":"${C}.1"},{"sid":7},null],"more":1}`,
    );
    exchange.deliver();
    clock.advance(250);
    expect((await settled(call))!.answers).toMatchObject([
      { gateway: B, failure: { code: 413, reason: 'TOO_LARGE', message: 'too large' } },
      { gateway: C, sessions: [{ sid: `${C}.1` }] },
    ]);
  });

  test('that waits for nobody is over at once', async () => {
    const { exchange, a } = stage();
    expect(await settled(count(a, 0))).toEqual({ answers: [], silentGateways: [] });
    expect(exchange.sent.map(({ reply }) => reply)).toEqual(['']);
  });

  test('is over once its answers have more than 64 MiB', async () => {
    const { exchange, a, b, c } = stage({ ids: [A, B, C] });
    for (const { connector } of [b, c]) connector.up = false;
    const call = count(a);
    const { reply } = exchange.sent.at(-1)!;
    exchange.deliver();
    // The gateway's answer to itself is one of them.
    const own = exchange.sent.at(-1)!.payload.length;
    exchange.publish(reply, Buffer.alloc(67_108_864 - own, ' '));
    exchange.deliver();
    expect(await settled(call)).toBe(null);
    exchange.publish(reply, ' ');
    exchange.deliver();
    expect(await settled(call)).toEqual({ answers: [], silentGateways: [B, C] });
  });
});

describe('a call of another gateway', () => {
  const ask = (exchange: Exchange, verb: string, payload: string, head = '') => {
    const answers = exchange.hear('_INBOX.z-0123456789.ask.1');
    exchange.publish(`pith.fleet.${verb}`, payload, '_INBOX.z-0123456789.ask.1', Buffer.from(head));
    exchange.deliver();
    return answers;
  };

  test('push: sessions, users and sids that are here', () => {
    const { exchange, a: b } = stage({ ids: [B] });
    b.client(1, 'ann');
    b.client(2, 'bob');
    const target = `{"uids":["ann","zed"],"sids":["${B}.2","${B}.9"]}`;
    const head = `NATS/1.0\r\nPith-Route: onX\r\nPith-Target: ${target}\r\n\r\n`;
    expect(ask(exchange, 'push', '{}', head)).toEqual([
      `{"gateway":"${B}","delivered":2,"dropped":0,"refused":0,"uids":["ann"],"sids":["${B}.2"]}`,
    ]);
  });

  test('kick: how many were closed', () => {
    const { exchange, a: b } = stage({ ids: [B] });
    const { connection } = b.client(1, 'ann');
    b.client(2, 'bob');
    const kick = '{"target":{"uids":["ann"]},"reason":"bye","kick":true}';
    expect(ask(exchange, 'kick', kick)).toEqual([`{"gateway":"${B}","closed":1}`]);
    expect(connection.packets.map(({ body }) => body.toString())).toEqual(['{"reason":"bye"}']);
  });

  test('list: a page of sessions, and whether there are more', () => {
    const { exchange, a: b } = stage({ ids: [B] });
    for (const n of [3, 1, 2]) b.client(n);
    const read = (text: string) => {
      const { sessions, ...rest } = JSON.parse(text) as { sessions: { sid: string }[] };
      return [sessions.map(({ sid }) => sid), rest];
    };
    const list = '{"target":{"all":true},"limit":2,"after":""}';
    expect(ask(exchange, 'list', list).map(read)).toEqual([
      [[`${B}.1`, `${B}.2`], { gateway: B, more: true }],
    ]);
    const next = `{"target":{"all":true},"limit":2,"after":"${B}.2"}`;
    expect(ask(exchange, 'list', next).map(read)).toEqual([
      [[`${B}.3`], { gateway: B, more: false }],
    ]);
  });

  test.each([
    ['a verb of a later version', 'dance', '{"x":1}', ''],
    ['one that cannot be read', 'kick', 'nonsense', ''],
    [
      'a push that may not be sent',
      'push',
      '',
      `NATS/1.0\r\nPith-Route: ${'r'.repeat(128)}\r\nPith-Target: {"all":true}\r\n\r\n`,
    ],
    ['a push without a route', 'push', '', 'NATS/1.0\r\nPith-Target: {"all":true}\r\n\r\n'],
  ])('%s is answered with the name alone', (_, verb, payload, head) => {
    const { exchange, a: b } = stage({ ids: [B] });
    const { session, connection } = b.client(1);
    expect(ask(exchange, verb, payload, head)).toEqual([`{"gateway":"${B}"}`]);
    session.outbox.flush();
    expect(connection.writes).toEqual([]);
    expect(b.metrics.count('pith_bus_refused_total', ['BAD_ARGUMENT'])).toBe(
      verb === 'dance' ? 0 : 1,
    );
  });
});

function users(count: number): string[] {
  return Array.from({ length: count }, (_, i) => `u${i}`);
}

describe('a call that gateways of older releases do not know', () => {
  test('names those among the silent, and does not wait for them', async () => {
    const { exchange, a, b } = stage();
    b.client(7, 'ann', 'r');
    const old = 'old-0123456789';
    exchange.publish('pith.fleet.hello', `{"gateway":"${old}"}`);
    exchange.deliver();
    exchange.takeSent();
    const call = a.bus.peers.presence(['ann'], 250);
    const { reply, subject, payload } = exchange.sent.at(-1)!;
    expect([subject, payload]).toEqual([
      'pith.fleet.presence',
      '{"gateway":"a-0123456789","uids":["ann"]}',
    ]);
    exchange.publish(reply, `{"gateway":"${old}"}`);
    exchange.deliver();
    expect(await settled(call)).toEqual({
      answers: [
        {
          gateway: B,
          did: 'presence',
          presence: [{ index: 0, sessions: 1, entries: [[7, 1_000]] }],
        },
      ],
      silentGateways: [old],
    });
  });

  test.each([
    ['join', { groups: ['x'] }, { did: 'join', changed: 1 }],
    ['leave', { groups: ['r'] }, { did: 'leave', changed: 1 }],
    ['leave', { groups: ['none'] }, { did: 'leave' }],
  ] as const)('%s %j', async (verb, { groups }, answer) => {
    const { exchange, a, b } = stage();
    b.client(7, 'ann', 'r');
    const call = a.bus.peers.changeGroups({ verb, groups, target: { uids: ['ann'] } }, 250);
    exchange.deliver();
    // The subscription of a group that is new there is confirmed before the answer.
    await turn();
    for (const flush of b.connector.flushes) flush.resolve();
    await turn();
    exchange.deliver();
    expect(await settled(call)).toEqual({
      answers: [{ gateway: B, ...answer }],
      silentGateways: [],
    });
  });

  test('groups', async () => {
    const { exchange, a, b } = stage();
    b.client(7, '', 'r.1', 'r.2', 'x');
    const call = a.bus.peers.groups('r.', { limit: 1, after: 'r.1' }, 250);
    exchange.deliver();
    expect(await settled(call)).toEqual({
      answers: [{ gateway: B, did: 'groups', groups: [['r.2', 1]] }],
      silentGateways: [],
    });
  });

  test('find', async () => {
    const { exchange, a, b } = stage();
    b.client(7, 'ann', 'r');
    b.client(8, 'bob', 'r');
    const call = a.bus.peers.list({ all: true }, { limit: 5, after: '', search: 'AN' }, 250);
    exchange.deliver();
    const { answers, silentGateways } = (await settled(call))!;
    expect(silentGateways).toEqual([]);
    expect(answers.map(({ did, sessions }) => [did, sessions?.map(({ uid }) => uid)])).toEqual([
      ['find', ['ann']],
    ]);
    expect(answers[0]!.sessions![0]).not.toHaveProperty('stats');
  });

  test('find, with what each session is doing', async () => {
    const { exchange, a, b } = stage();
    b.client(7, 'ann', 'r');
    const call = a.bus.peers.list({ all: true }, { limit: 5, after: '', stats: true }, 250);
    exchange.deliver();
    const { answers } = (await settled(call))!;
    expect(answers[0]!.sessions![0]!.stats).toMatchObject({ state: 'active', messages: 0 });
  });

  test('status; one of a kind of a later release is not known', async () => {
    const { exchange, a } = stage();
    const call = a.bus.peers.status('routes', {}, 250);
    exchange.deliver();
    expect(await settled(call)).toEqual({
      answers: [{ gateway: B, did: 'status', status: [] }],
      silentGateways: [],
    });
    const heard = exchange.hear('_INBOX.x.ask.1');
    exchange.publish('pith.fleet.status', '{"kind":"weather"}', '_INBOX.x.ask.1');
    exchange.deliver();
    expect(heard).toEqual([A, B].map((gateway) => `{"gateway":"${gateway}"}`));
  });

  test('that cannot be read is answered without a result, and counted', async () => {
    const { exchange, a, b } = stage();
    const heard = exchange.hear('_INBOX.x.ask.1');
    for (const [verb, payload] of [
      ...[
        ['presence', '{}'],
        ['presence', '{"uids":[1]}'],
        ['groups', '{}'],
      ],
      ...[
        ['join', '{"target":{"all":true}}'],
        ['leave', '{"groups":["x"]}'],
      ],
    ])
      exchange.publish(`pith.fleet.${verb}`, payload!, '_INBOX.x.ask.1');
    exchange.deliver();
    expect(heard).toEqual(
      Array.from({ length: 5 }, () => [A, B].map((gateway) => `{"gateway":"${gateway}"}`)).flat(),
    );
    for (const { metrics } of [a, b])
      expect(metrics.count('pith_bus_refused_total', ['BAD_ARGUMENT'])).toBe(5);
  });
});
