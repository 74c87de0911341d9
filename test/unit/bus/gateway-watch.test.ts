/** Gateways that watch each other: who is lost, who says so, and what one says that was only cut off. */
import { describe, expect, test } from 'vitest';

import { inBackground } from '../../../src/background.ts';
import type { LostGateway } from '../../../src/contract/facts.ts';
import { isFailure } from '../../../src/errors.ts';
import { ManualClock } from '../../support/clock.ts';
import { turn } from '../session/support.ts';
import { makeEventGateway, namesOf, told, toldOn } from './event-gateway.ts';
import { Exchange } from './support.ts';

const A = 'a-0123456789';
const B = 'b-0123456789';
const C = 'c-0123456789';
const STEP_MS = 100;
/** Of the event loop, in one step: enough for all that 3,000 sessions do at the same time. */
const TURNS_PER_STEP = 16;

type Member = ReturnType<typeof makeEventGateway>;

/** Gateways of one fleet, the first started first; each lives by its own clock. */
async function fleet(...ids: string[]) {
  const exchange = new Exchange();
  const dead = new Set<Member>();
  /** NATS takes what they say, and confirms nothing. */
  const deaf = new Set<Member>();
  const members: Member[] = [];
  const add = (id: string): Member => {
    const clock = new ManualClock(1_000 + members.length);
    const member = makeEventGateway(id, { exchange, clock });
    members.push(member);
    member.bus.onUp(true);
    return member;
  };
  for (const id of ids) add(id);
  const live = async (ms: number): Promise<void> => {
    for (let passed = 0; passed < ms; passed += STEP_MS) {
      for (const member of members) if (!dead.has(member)) member.clock.advance(STEP_MS);
      for (let i = 0; i < TURNS_PER_STEP; i++) await turn();
      exchange.deliver();
      for (const member of members)
        if (!dead.has(member) && !deaf.has(member)) await member.confirm();
    }
  };
  const kill = (member: Member): void => {
    member.connector.up = false;
    dead.add(member);
  };
  await live(1_500);
  told(exchange);
  return { exchange, members: members as [Member, Member, Member], add, live, kill, dead, deaf };
}

/** What is told until `ms` later, and was not asked for before. */
async function toldIn({ exchange, live }: Awaited<ReturnType<typeof fleet>>, ms: number) {
  await live(ms);
  return told(exchange);
}

/** Whom a call to the fleet has missed after 400 ms; it waits for 2 s. */
async function silentIn({ live }: Awaited<ReturnType<typeof fleet>>, { bus }: Member) {
  const call = bus.peers.presence(['nobody'], 2_000);
  if (isFailure(call)) throw new Error(call.message);
  let silent: readonly string[] | 'waits' = 'waits';
  inBackground(
    call.then(({ silentGateways }) => {
      silent = silentGateways;
    }),
    () => {},
  );
  await live(400);
  return silent;
}

test('each says every second that it is alive', async () => {
  const { exchange, members, live } = await fleet(A);
  members[0].open(1);
  members[0].open(2);
  exchange.takeSent();
  await live(5_000);
  const alive = toldOn(exchange.takeSent());
  expect(alive).toHaveLength(5);
  expect(new Set(alive.map((one) => JSON.stringify(one)))).toEqual(
    new Set([
      JSON.stringify({
        ...{ name: 'gateway.alive', gateway: A, seq: '2', sessions: 2, term: 1 },
        started_at: '2026-01-01T00:00:00.000Z',
      }),
    ]),
  );
});

describe('one that is killed', () => {
  test('is waited for by calls to the fleet until it is announced, and not afterwards', async () => {
    const made = await fleet(A, B, C);
    const [a, b, c] = made.members;
    made.kill(b);
    for (const [ms, waits] of [
      [1_000, true],
      [9_000, false],
    ] as const) {
      await made.live(ms);
      for (const member of [a, c])
        expect(await silentIn(made, member)).toEqual(waits ? 'waits' : [B]);
    }
  });

  test('is not waited for either by one that has begun since, and knows of it from others', async () => {
    const made = await fleet(A, B);
    const [a, b] = made.members;
    made.kill(b);
    await made.live(1_000);
    const late = made.add(C);
    await made.live(1_500);
    expect(await silentIn(made, late)).toBe('waits');
    await made.live(7_000);
    expect([await silentIn(made, a), await silentIn(made, late)]).toEqual([[B], [B]]);
  });

  test('is announced by the oldest that is left, once, within 9 s', async () => {
    const made = await fleet(A, B, C);
    const [a, b] = made.members;
    b.open(1);
    b.open(2);
    await made.live(1_100);
    told(made.exchange);
    made.kill(b);
    expect(await toldIn(made, 6_000)).toEqual([]);
    expect(await toldIn(made, 3_000)).toEqual([
      {
        ...{ name: 'gateway.lost', id: `lost.${B}.1`, gateway: B, sessions: 2, last_seq: '2' },
        ...{ last_heard: expect.stringMatching(/^2026-01-01T00:00:0/), term: 1, by: A, seq: '0' },
      },
    ]);
    expect(await toldIn(made, 60_000)).toEqual([]);
    expect(a.lines.filter(({ msg }) => msg === 'gateway lost')).toMatchObject([
      { level: 'warn', lost: B, sessions: 2, by: A },
    ]);
  });

  test('a moment after another has come is known to that one', async () => {
    const made = await fleet(A);
    const { exchange, live, members, kill } = made;
    const born = makeEventGateway(B, { exchange, clock: new ManualClock(2_000) });
    born.bus.onUp(true);
    (members as Member[]).push(born);
    exchange.takeSent();
    exchange.deliver();
    // B says that it is alive, and A at once, though it said so less than a second ago.
    expect(toldOn(exchange.takeSent()).map(({ gateway }) => gateway)).toEqual([A]);
    exchange.deliver();
    kill(members[0]);
    await live(10_000);
    expect(told(exchange).map(({ name, gateway, by }) => [name, gateway, by])).toEqual([
      ['gateway.lost', A, B],
    ]);
  });

  test('is announced at once where whoever has started it says that it has gone', async () => {
    const made = await fleet(A, B);
    const [a, b] = made.members;
    made.kill(b);
    a.bus.watch.gone(B, 5);
    // What was heard last counts.
    expect(await toldIn(made, 100)).toMatchObject([
      { name: 'gateway.lost', id: `lost.${B}.1`, gateway: B, sessions: 0, term: 1, by: A },
    ]);
    a.bus.watch.gone(B, 5);
    expect(await toldIn(made, 20_000)).toEqual([]);
  });

  test('is announced then though it was never heard, again until NATS has confirmed it', async () => {
    const made = await fleet(A);
    const [a] = made.members;
    made.deaf.add(a);
    a.bus.watch.gone(B, 5);
    const lost = {
      name: 'gateway.lost',
      id: `lost.${B}.1`,
      gateway: B,
      sessions: 5,
      last_seq: '0',
    };
    expect(await toldIn(made, 100)).toMatchObject([lost]);
    expect(await toldIn(made, 1_500)).toMatchObject([lost]);
    made.deaf.delete(a);
    expect(await toldIn(made, 20_000)).toEqual([]);
  });

  test('is known to one that came less than 100 ms after its last sign of life', async () => {
    const { exchange, members, live, kill, add } = await fleet(A);
    // A has said that it is alive 100 ms ago; B is there 50 ms later.
    await live(500);
    members[0].clock.advance(50);
    exchange.takeSent();
    add(B);
    exchange.deliver();
    expect(toldOn(exchange.takeSent()).map(({ gateway }) => gateway)).toEqual([B]);
    await live(200);
    kill(members[0]);
    await live(10_000);
    expect(told(exchange).map(({ name, gateway, by }) => [name, gateway, by])).toEqual([
      ['gateway.lost', A, B],
    ]);
  });

  test('with the oldest is announced by the one that is left, and so is the oldest', async () => {
    const made = await fleet(A, B, C);
    made.kill(made.members[0]);
    made.kill(made.members[1]);
    const lost = await toldIn(made, 10_000);
    expect(new Set(lost.map(({ gateway }) => gateway))).toEqual(new Set([A, B]));
    expect(lost.map(({ by }) => by)).toEqual([C, C]);
  });

  test('is announced by the next oldest if the oldest does not say it', async () => {
    const made = await fleet(A, B, C);
    const [a, b, c] = made.members;
    made.kill(c);
    // It goes on saying that it is alive, and nothing about others.
    made.deaf.add(a);
    const lost = await toldIn(made, 10_000);
    expect(lost.map(({ name, gateway, by }) => [name, gateway, by])).toEqual([
      ['gateway.lost', C, B],
    ]);
    expect(b.lines.some(({ msg }) => msg === 'gateway lost')).toBe(true);
  });

  test('is not announced by one that has stopped, and one that has stopped is not lost', async () => {
    const made = await fleet(A, B, C);
    const [, b] = made.members;
    b.events.gateway('stopped');
    made.exchange.deliver();
    await b.bus.close();
    told(made.exchange);
    made.kill(b);
    expect(await toldIn(made, 20_000)).toEqual([]);
  });

  test('is told to those that are not on the bus', async () => {
    const made = await fleet(A, B, C);
    const heard: [string, LostGateway, boolean][] = [];
    for (const [i, { bus }] of made.members.entries())
      bus.watch.listen({
        gatewayLost: (lost, isSpeaker) => void heard.push(['abc'[i]!, lost, isSpeaker]),
      });
    made.kill(made.members[0]);
    await made.live(10_000);
    const what = { id: `lost.${A}.1`, gateway: A, term: 1, by: B };
    expect(new Set(heard)).toEqual(
      new Set([
        ['b', expect.objectContaining(what), true],
        ['c', expect.objectContaining(what), false],
      ]),
    );
  });
});

describe('one that is not lost', () => {
  test('is stalled or cut off for less than 6 s', async () => {
    const made = await fleet(A, B, C);
    const [, b] = made.members;
    made.dead.add(b);
    expect(await toldIn(made, 5_900)).toEqual([]);
    made.dead.delete(b);
    b.clock.jump(5_900);
    expect(await toldIn(made, 20_000)).toEqual([]);
  });

  test('is one that this gateway could not hear, because it was stalled itself', async () => {
    const made = await fleet(A, B);
    const [a, b] = made.members;
    made.dead.add(a);
    a.connector.up = false;
    const lost = await toldIn(made, 5_000);
    a.connector.up = true;
    made.dead.delete(a);
    // As when a process goes on after a minute.
    a.clock.jump(60_000);
    expect(
      [...lost, ...(await toldIn(made, 10_000))].map(({ name, gateway }) => [name, gateway]),
    ).toEqual([
      // It has been silent itself.
      ['gateway.returned', A],
    ]);
    expect(b.lines.filter(({ msg }) => msg === 'gateway lost')).toEqual([]);
  });

  test('is one that another loses the bus with', async () => {
    const made = await fleet(A, B);
    const [a] = made.members;
    await a.breaks();
    await made.live(5_000);
    a.comesBack();
    expect(await toldIn(made, 3_000)).toEqual([]);
  });
});

describe('one that was only cut off', () => {
  test('says that it has returned, and announces its sessions again', async () => {
    const made = await fleet(A, B);
    const [a, b] = made.members;
    const [ann, bob] = [b.open(1), b.open(2)];
    b.sessionCommands.patch(ann, { uid: 'ann' });
    await made.live(1_100);
    await b.confirm();
    told(made.exchange);
    made.dead.add(b);
    b.connector.up = false;
    expect(await toldIn(made, 10_000)).toMatchObject([{ name: 'gateway.lost', gateway: B, by: A }]);
    bob.close('client_closed');
    const cy = b.open(3);
    made.dead.delete(b);
    b.clock.jump(10_000);
    b.comesBack();
    const events = await toldIn(made, 2_000);
    // Those that waited are first, then who is there.
    expect(namesOf(events)).toEqual([
      'session.closed 4',
      'session.opened 5',
      'gateway.returned 6',
      'session.opened 7',
      'session.opened 8',
    ]);
    expect(events[2]).toEqual({
      ...{ name: 'gateway.returned', gateway: B, sessions: 2, term: 2, seq: '6' },
    });
    expect(events[3]).toMatchObject({ session: { sid: ann.sid, uid: 'ann' }, again: true });
    expect(events[4]).toMatchObject({ session: { sid: cy.sid }, again: true });
    expect(await toldIn(made, 20_000)).toEqual([]);
    expect(a.lines.filter(({ returned }) => returned === B)).toHaveLength(1);
    made.kill(b);
    expect(await toldIn(made, 10_000)).toMatchObject([{ id: `lost.${B}.2`, term: 2, sessions: 2 }]);
  });

  test('is told that it was lost, if it has not noticed', async () => {
    const made = await fleet(A, B);
    const [a, b] = made.members;
    b.open(1);
    await made.live(1_100);
    told(made.exchange);
    // As in a cluster that falls apart: both reach their own part.
    const cut = [...made.exchange.subscribers].filter(
      ({ connection }) => connection === a.connector,
    );
    const lost = { id: `lost.${B}.1`, gateway: B, sessions: 1, last_seq: '1', term: 1, by: C };
    const text = JSON.stringify({ ...lost, last_heard: '2026-01-01T00:00:00Z', seq: '0' });
    for (const one of cut)
      if (one.subject === 'pith.event.gateway.*')
        one.onMessage(null, message('pith.event.gateway.lost', text));
    const events = await toldIn(made, 4_000);
    expect(namesOf(events)).toEqual(['gateway.lost 0', 'gateway.returned 2', 'session.opened 3']);
  });

  test.each([1, 7, 1_001, 1_002, 4_294_967_295, Number.MAX_SAFE_INTEGER])(
    'is taken back at once, and told of once, after a `lost` that somebody has forged, with the term %i',
    async (term) => {
      const made = await fleet(A, B, C);
      const [, b] = made.members;
      b.open(1);
      const forged = { gateway: B, term, by: 'x', last_heard: '2026-01-01T00:00:00Z', sessions: 1 };
      made.exchange.publish('pith.event.gateway.lost', JSON.stringify(forged));
      const events = await toldIn(made, 60_000);
      const isBelieved = term <= 1_001;
      const [returned, ...more] = events.filter(({ name }) => name === 'gateway.returned');
      expect(more).toEqual([]);
      expect(returned?.['term']).toBe(isBelieved ? term + 1 : undefined);
      // It can be lost again, and whoever has heard the forged one believes that.
      made.kill(b);
      const [lost] = await toldIn(made, 10_000);
      expect(lost).toMatchObject({ gateway: B, term: isBelieved ? term + 1 : 1, by: A });
    },
  );

  test('ignores what was said of it before it returned', async () => {
    const made = await fleet(A, B);
    const [, b] = made.members;
    const text = (term: number) =>
      JSON.stringify({ gateway: B, term, by: A, last_heard: '2026-01-01T00:00:00Z' });
    made.exchange.publish('pith.event.gateway.lost', text(1));
    expect(namesOf(await toldIn(made, 1_000)).slice(-1)).toEqual(['gateway.returned 1']);
    await made.live(10_000);
    made.exchange.publish('pith.event.gateway.lost', text(1));
    expect((await toldIn(made, 3_000)).map(({ name }) => name)).not.toContain('gateway.returned');
    expect(b.events.seq).toBe(1);
  });

  test('announces 3,000 sessions in parts, and again from the start if the bus is lost meanwhile', async () => {
    const made = await fleet(A);
    const [a] = made.members;
    for (let n = 1; n <= 3_000; n++) a.open(n);
    await a.confirm();
    a.events.hasGap = true;
    await made.live(500);
    const first = told(made.exchange).filter(({ again }) => again === true);
    expect(first).toHaveLength(256);
    await a.breaks();
    await made.live(1_000);
    a.comesBack();
    told(made.exchange);
    for (let i = 0; i < 70; i++) {
      await made.live(100);
      await a.confirm();
    }
    const events = told(made.exchange);
    const from = events.findLastIndex(({ name }) => name === 'gateway.returned');
    const sids = events.slice(from + 1).map(({ session }) => (session as { sid: string }).sid);
    expect(new Set(sids).size).toBe(3_000);
    expect(sids).toHaveLength(3_000);
  });

  test('after a gap as well', async () => {
    const made = await fleet(A);
    const [a] = made.members;
    const ann = a.open(1);
    await a.confirm();
    await a.breaks();
    for (let i = 0; i < 10_001; i++) a.events.gateway('draining');
    a.comesBack();
    await made.live(100);
    await a.confirm();
    const events = await toldIn(made, 1_000);
    expect(namesOf(events).slice(-2)).toEqual(['gateway.returned 10003', 'session.opened 10004']);
    expect(events.at(-1)).toMatchObject({ session: { sid: ann.sid }, again: true });
  });
});

describe('what anyone may have sent', () => {
  test.each([
    ['no JSON', 'alive', '{'],
    ['no id', 'alive', '{"gateway":"a b","started_at":"2026-01-01T00:00:00Z"}'],
    ['no time', 'alive', `{"gateway":"${B}","started_at":"soon"}`],
    [
      'a negative term',
      'alive',
      `{"gateway":"${B}","term":-1,"started_at":"2026-01-01T00:00:00Z"}`,
    ],
    [
      'no number',
      'lost',
      `{"gateway":"${B}","by":"${A}","seq":"x","last_heard":"2026-01-01T00:00:00Z"}`,
    ],
    ['nothing', 'lost', ''],
  ])('%s is ignored and counted', async (_, name, payload) => {
    const made = await fleet(A);
    made.exchange.publish(`pith.event.gateway.${name}`, payload);
    made.exchange.deliver();
    made.exchange.takeSent();
    expect(await toldIn(made, 10_000)).toEqual([]);
    expect(made.members[0].metrics.count('pith_bus_refused_total', ['BAD_EVENT'])).toBe(1);
  });

  test('no more than 1,000 gateways are watched, and those that are lost make room', async () => {
    const made = await fleet(A);
    const alive = (i: number) =>
      JSON.stringify({ gateway: `g-${i}`, term: 1, started_at: '2026-01-01T00:00:00Z' });
    for (let i = 0; i < 1_001; i++) made.exchange.publish('pith.event.gateway.alive', alive(i));
    made.exchange.deliver();
    expect(made.members[0].bus.watch.size).toBe(1_000);
    expect(made.members[0].metrics.count('pith_bus_refused_total', ['GATEWAYS'])).toBe(1);
    expect(await toldIn(made, 10_000)).toHaveLength(1_000);
    made.exchange.publish('pith.event.gateway.alive', alive(2_000));
    made.exchange.deliver();
    expect(made.members[0].bus.watch.size).toBe(1);
  });

  test('a gateway that may not listen says so once, and accuses nobody', async () => {
    const made = await fleet(A, B);
    const [a, b] = made.members;
    for (const one of made.exchange.subscribers)
      if (one.connection === a.connector && one.subject === 'pith.event.gateway.*') {
        made.exchange.subscribers.delete(one);
        for (let i = 0; i < 2; i++)
          one.onMessage(new Error('Permissions Violation'), message('', ''));
      }
    expect(a.lines.filter(({ reason }) => reason === 'GATEWAY_EVENTS')).toHaveLength(1);
    made.kill(b);
    expect(await toldIn(made, 20_000)).toEqual([]);
  });
});

function message(subject: string, text: string) {
  const data = Buffer.from(text);
  return { subject, data, _msg: { hdr: 0 }, _rdata: data };
}
