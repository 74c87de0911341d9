/** What gateways tell each other of their place in the fleet: by messages as they are sent, with a clock for each. */
import { describe, expect, test } from 'vitest';

import { readAlive } from '../../../src/bus/gateway-events.ts';
import { FleetMembers } from '../../../src/placement/members.ts';
import { ManualClock } from '../../support/clock.ts';

const SECOND = 1_000;
const MINUTE = 60_000;
const HOUR = 3_600_000;
const A = 'pith/a';
const B = 'pith/b';

type Gateway = ReturnType<typeof start>;

/** Clocks have nothing in common but their speed. */
function start(gatewayId: string, generation: string, nowMs: number) {
  const clock = new ManualClock(nowMs);
  const members = new FleetMembers({
    ...{ gatewayId, clock, generation, sessions: () => 7, room: () => 500 },
  });
  members.setReady(true);
  return { gatewayId, clock, members };
}

/** As it comes over the bus. */
function sign({ gatewayId, members }: Gateway) {
  const sign = {
    ...{ gateway: gatewayId, seq: '1', sessions: 7, term: 1 },
    ...{ started_at: '2026-01-01T00:00:00Z', ...members.facts() },
  };
  return readAlive(JSON.parse(JSON.stringify(sign)) as Record<string, unknown>);
}

/** Each hears each other. */
function talk(...gateways: Gateway[]): void {
  const signs = gateways.map(sign);
  for (const [i, { members }] of gateways.entries())
    for (const [j, one] of signs.entries()) if (i !== j) members.heard(one);
}

function pass(ms: number, ...gateways: Gateway[]): void {
  for (const { clock } of gateways) clock.advance(ms);
}

/** Ages in seconds of all that it knows: of the gateway, and of its generation. */
function ages({ clock, members }: Gateway): Record<string, [own: number, generation: number]> {
  return Object.fromEntries(
    members.all().map(({ gateway, startedAt, generationAt }) => {
      const age = (at: number): number => Math.round((clock.now() - at) / SECOND);
      return [gateway, [age(startedAt), age(generationAt)]];
    }),
  );
}

test('each knows of each how old it is, what it has and takes, whatever their clocks say', () => {
  const [one, two] = [start('g-1', A, 5_000), start('g-2', B, 9e9)];
  pass(10 * SECOND, one);
  talk(one, two);
  expect(one.members.all()).toMatchObject([
    { gateway: 'g-1', generation: A, sessions: 7, room: 500, isOwn: true },
    { gateway: 'g-2', generation: B, sessions: 7, room: 500, isOwn: false },
  ]);
  expect([ages(one), ages(two)]).toEqual([
    { 'g-1': [10, 10], 'g-2': [0, 0] },
    { 'g-1': [10, 10], 'g-2': [0, 0] },
  ]);
});

test('a sign that comes late makes nobody younger', () => {
  const [one, two] = [start('g-1', A, 0), start('g-2', B, 0)];
  const [early, late] = [sign(two), sign(two)];
  one.members.heard(early);
  pass(900, one);
  one.members.heard(late);
  expect(one.members.all()[1]).toMatchObject({ startedAt: 0, generationAt: 0 });
});

test('who was not heard for three seconds does not count', () => {
  const [one, two] = [start('g-1', A, 0), start('g-2', B, 0)];
  talk(one, two);
  pass(2_999, one);
  expect(one.members.all()).toHaveLength(2);
  pass(1, one);
  expect(one.members.all()).toHaveLength(1);
});

test('who has stopped does not count, and who takes no clients has no room', () => {
  const [one, two, three] = [start('g-1', A, 0), start('g-2', A, 0), start('g-3', A, 0)];
  two.members.setReady(false);
  talk(one, two, three);
  one.members.left('g-3');
  expect(one.members.all()).toMatchObject([{ room: 500 }, { gateway: 'g-2', room: 0 }]);
});

describe('the age of a generation is that of its first gateway', () => {
  test('which is handed on: to those that never met it', () => {
    const [first, second] = [start('g-1', A, 0), start('g-2', A, 0)];
    pass(100 * SECOND, first, second);
    talk(first, second);
    const third = start('g-3', A, 0);
    talk(second, third);
    pass(10 * SECOND, second, third);
    const fourth = start('g-4', A, 0);
    talk(third, fourth);
    expect(ages(fourth)).toEqual({ 'g-4': [0, 110], 'g-3': [10, 110] });
  });

  test('also where none of it is left for a moment: others remember it', () => {
    const [old, other] = [start('g-1', A, 0), start('g-2', B, 0)];
    pass(100 * SECOND, old, other);
    talk(old, other);
    pass(59 * SECOND, other);
    const again = start('g-3', A, 0);
    talk(other, again);
    expect(ages(again)['g-3']).toEqual([0, 159]);
    expect(ages(other)['g-3']).toEqual([0, 159]);
  });

  test('after a minute without any it is a new one', () => {
    const [old, other] = [start('g-1', A, 0), start('g-2', B, 0)];
    pass(100 * SECOND, old, other);
    talk(old, other);
    pass(61 * SECOND, other);
    const again = start('g-3', A, 0);
    talk(other, again);
    expect(ages(again)['g-3']).toEqual([0, 0]);
    expect(ages(other)['g-3']).toEqual([0, 0]);
  });

  test('hearsay does not keep it: two others that tell each other forget it, too', () => {
    const [old, other, third] = [start('g-1', A, 0), start('g-2', B, 0), start('g-3', B, 0)];
    talk(old, other, third);
    for (let seconds = 0; seconds <= 61; seconds++) {
      pass(SECOND, other, third);
      talk(other, third);
    }
    expect(sign(other).generations.map(({ generation }) => generation)).toEqual([B]);
  });
});

describe('when sessions were moved', () => {
  test('is told to those that come later, for as long as it counts', () => {
    const [one, two] = [start('g-1', A, 0), start('g-2', A, 77)];
    pass(10 * SECOND, one, two);
    one.members.movedNow(HOUR);
    pass(20 * SECOND, one, two);
    one.members.movedNow(HOUR);
    pass(5 * SECOND, one, two);
    talk(one, two);
    const third = start('g-3', A, 0);
    pass(30 * MINUTE, one, two, third);
    talk(two, third);
    const { since, until } = third.members.moved(HOUR)!;
    expect([third.clock.now() - since, third.clock.now() - until]).toEqual([
      30 * MINUTE + 25 * SECOND,
      30 * MINUTE + 5 * SECOND,
    ]);
    pass(30 * MINUTE, one, two, third);
    talk(one, two, third);
    for (const { members } of [one, two, third]) expect(members.moved(HOUR)).toBe(null);
  });

  test('of several times the whole counts', () => {
    const [one, two] = [start('g-1', A, 0), start('g-2', A, 0)];
    one.members.movedNow(HOUR);
    pass(MINUTE, one, two);
    two.members.movedNow(HOUR);
    talk(one, two);
    for (const { members } of [one, two])
      expect(members.moved(HOUR)).toEqual({ since: 0, until: MINUTE });
  });
});

test.each([
  { generation: 'a b' },
  { generation: 7 },
  { generation: 'x'.repeat(64) },
  { generations: [{ generation: '', age_ms: '5' }, 3, null] },
])('what no release says of a generation is as if it had none: %j', (more) => {
  const { members } = start('g-1', A, 0);
  members.heard(readAlive({ gateway: 'g-2', started_at: '2026-01-01T00:00:00Z', ...more }));
  expect(members.all()[1]).toMatchObject({ gateway: 'g-2', generation: '', room: 0 });
});

test('more gateways than can be known take nobody’s place', () => {
  const { members } = start('g-1', A, 0);
  for (let i = 0; i < 1_100; i++)
    members.heard(readAlive({ gateway: `h-${i}`, started_at: '2026-01-01T00:00:00Z' }));
  expect(members.all()).toHaveLength(1_001);
  expect(members.all()[1]).toMatchObject({ gateway: 'h-0' });
});
