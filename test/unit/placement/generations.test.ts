/** Which generation is the newest, and who sends newcomers to it: by what is known of the fleet alone. */
import { describe, expect, test } from 'vitest';

import { areNewerOnesReady, newestOf } from '../../../src/placement/generations.ts';
import { PlacedFleet } from './fleet.ts';
import type { Member } from '../../../src/placement/members.ts';

const NOW = 10_000_000;
const SECOND = 1_000;
const MINUTE = 60_000;

/** As `a 600` or `a 600/900`: its generation, how many seconds ago it was started, and its generation's first gateway. */
function member(text: string, more: Partial<Member> = {}): Member {
  const [, generation, age, first] = /^(\S*) (\d+)(?:\/(\d+))?$/.exec(text)!;
  return {
    gateway: `g-${text.replaceAll(/\W/g, '')}`,
    generation: generation!,
    startedAt: NOW - Number(age) * SECOND,
    generationAt: NOW - Number(first ?? age) * SECOND,
    ...{ sessions: 100, room: 10_000, isOwn: false },
    ...more,
  };
}

/** The first one is asked. */
function fleet(...texts: string[]): Member[] {
  return texts.map((text, i) => member(text, { isOwn: i === 0 }));
}

/** @param changedAt When a gateway was last on its way. */
const sendsAway = (members: readonly Member[], now = NOW, changedAt = now) =>
  areNewerOnesReady(members, now, changedAt);

describe('a rollout', () => {
  test('whoever is of the older generation sends newcomers to the newer one, which does not', () => {
    expect(newestOf(fleet('a 900', 'a 900', 'b 10'), NOW)).toBe('b');
    expect(sendsAway(fleet('a 900', 'a 900', 'b 10'))).toBe(true);
    expect(sendsAway(fleet('b 10', 'a 900', 'a 900'))).toBe(false);
    expect(sendsAway(fleet('b 10/40', 'b 40', 'a 900'))).toBe(false);
  });

  test('one generation alone, or none at all: nobody sends newcomers away', () => {
    expect(sendsAway(fleet('a 900', 'a 10/900', 'a 5/900'))).toBe(false);
    expect(sendsAway(fleet(' 900', ' 10', 'b 5'))).toBe(false);
    expect(newestOf(fleet(' 900', ' 10'), NOW)).toBe('');
  });

  test('of three, the two older ones do', () => {
    expect(sendsAway(fleet('a 900', 'b 100', 'c 10'))).toBe(true);
    expect(sendsAway(fleet('b 100', 'a 900', 'c 10'))).toBe(true);
    expect(sendsAway(fleet('c 10', 'a 900', 'b 100'))).toBe(false);
  });

  test('two that were started at the same time are of the same age', () => {
    const members = fleet('a 100', 'b 100');
    expect(sendsAway(members)).toBe(false);
    const later = [members[0]!, { ...members[1]!, startedAt: NOW - 99_800, generationAt: NOW - 99_800 }]; // prettier-ignore
    expect(sendsAway(later)).toBe(false);
  });

  test('a label has a scope: another fleet on the same bus is none of its business', () => {
    expect(sendsAway(fleet('eu/a 900', 'us/b 10'))).toBe(false);
    expect(sendsAway(fleet('eu/a 900', 'eu/b 10', 'us/c 5'))).toBe(true);
    const crowded = [...fleet('eu/a 900', 'eu/b 10'), member('us/c 5', { sessions: 1_000_000 })];
    expect(sendsAway(crowded)).toBe(true);
  });
});

describe('room', () => {
  const rooms: [own: number, newer: number[], room: number[], sends: boolean][] = [
    [100, [0], [100], true],
    [100, [0], [99], false],
    [100, [50], [149], false],
    [100, [50], [150], true],
    [100, [0, 0], [50, 50], true],
    [100, [0, 0], [50, 0], false],
    [0, [0], [0], false],
  ];
  test.each(rooms)(
    '%i sessions here, %j there, which take %j: %s',
    (own, sessions, room, sends) => {
      const members = [
        member('a 900', { isOwn: true, sessions: own }),
        ...sessions.map((count, i) => member('b 10', { sessions: count, room: room[i]! })),
      ];
      expect(sendsAway(members)).toBe(sends);
    },
  );

  test('it must be enough for the whole fleet, older gateways and those without a label among them', () => {
    const others = [member('a 900', { sessions: 60 }), member('b 9', { sessions: 0, room: 100 })];
    const own = member('a 900', { isOwn: true, sessions: 40 });
    expect(sendsAway([own, ...others])).toBe(true);
    expect(sendsAway([own, ...others, member('a 800/900', { sessions: 1 })])).toBe(false);
    expect(sendsAway([own, ...others, member(' 800', { sessions: 1 })])).toBe(false);
  });
});

describe('what changes nobody’s readiness', () => {
  const rollout = ['a 900', 'a 900', 'b 30/60', 'b 60'];
  const answers = (texts: readonly string[]) =>
    texts.map((_, i) => sendsAway(texts.map((text, j) => member(text, { isOwn: i === j }))));

  test('a gateway of the older label that is started again', () => {
    expect(answers(rollout)).toEqual([true, true, false, false]);
    expect(answers(['a 900', 'a 5/900', 'b 30/60', 'b 60'])).toEqual([true, true, false, false]);
    // The next one of the rollout has started meanwhile: however long ago that restart is.
    expect(answers(['a 900', 'a 500/900', 'b 400/600'])).toEqual([true, true, false]);
  });

  test('a gateway that is added to either', () => {
    expect(answers([...rollout, 'a 1/900'])).toEqual([true, true, false, false, true]);
    expect(answers([...rollout, 'b 1/60'])).toEqual([true, true, false, false, false]);
  });

  test('a gateway of the newer label that is started again, or the first of them that is gone', () => {
    expect(answers(['a 900', 'a 900', 'b 30/60', 'b 1/60'])).toEqual([true, true, false, false]);
    expect(answers(['a 900', 'a 900', 'b 30/60'])).toEqual([true, true, false]);
  });
});

describe('going back to the older label', () => {
  test('after a rollout it is a generation like any other', () => {
    expect(sendsAway(fleet('b 3600', 'b 3000/3600', 'a 5'))).toBe(true);
    expect(sendsAway(fleet('a 5', 'b 3600'))).toBe(false);
  });

  test('in the middle of one, it is the newest once it has had the last start for two minutes', () => {
    const members = (seconds: number, own: string) => {
      const texts = ['a 9000', `a ${seconds}/9000`, 'b 300/600', 'b 600'];
      return texts.map((text) => member(text, { isOwn: text.startsWith(own) }));
    };
    expect(newestOf(members(119, 'a'), NOW)).toBe('b');
    expect(sendsAway(members(119, 'a 9000'))).toBe(true);
    expect(newestOf(members(121, 'a'), NOW)).toBe('a');
    expect(sendsAway(members(121, 'a 9000'))).toBe(false);
    expect(sendsAway(members(121, 'a 121'))).toBe(false);
    expect(sendsAway(members(121, 'b 300'))).toBe(true);
  });

  test('and stays it while the others of it start', () => {
    expect(newestOf(fleet('a 9000', 'a 130/9000', 'a 1/9000', 'b 300/600'), NOW)).toBe('a');
  });

  test('until the rollout goes on', () => {
    expect(newestOf(fleet('a 9000', 'a 130/9000', 'b 300/600', 'b 1/600'), NOW)).toBe('b');
  });
});

test('where nothing has started for a quarter of an hour, nobody sends newcomers away', () => {
  const members = fleet('a 900', 'b 10');
  expect(sendsAway(members, NOW + 14 * MINUTE)).toBe(true);
  expect(sendsAway(members, NOW + 15 * MINUTE)).toBe(false);
});

test('a gateway that drains for long is on its way all the time, and no more once it is gone', async () => {
  const yaml = (generation: string): string =>
    `generation: ${generation}\ndrain: { generations: true }\n`;
  const placed = new PlacedFleet(yaml('a'), 2);
  await placed.pass(20 * MINUTE);
  placed.add(yaml('b'));
  await placed.pass(4 * SECOND);
  const [draining, old] = placed.gateways;
  const says = 'gateways of a newer generation take new clients';
  expect(old!.placement.elsewhere).toBe(says);
  draining!.placement.stop();
  await placed.pass(10 * MINUTE);
  expect(old!.placement.elsewhere).toBe(says);
  placed.gateways.shift();
  for (const { members } of placed.gateways) members.left(draining!.id);
  await placed.pass(179 * SECOND);
  expect(old!.placement.elsewhere).toBe(says);
  await placed.pass(3 * SECOND);
  expect(old!.placement.elsewhere).toBe('');
});

describe('where nothing is on its way for three minutes, neither', () => {
  const members = fleet('a 900', 'b 10');

  test('since the last start', () => {
    expect(sendsAway(members, NOW + 169 * SECOND, -Infinity)).toBe(true);
    expect(sendsAway(members, NOW + 171 * SECOND, -Infinity)).toBe(false);
  });

  test('since the last one had drained, however long that took', () => {
    const drainedAt = NOW + 10 * MINUTE;
    expect(sendsAway(members, drainedAt + 179 * SECOND, drainedAt)).toBe(true);
    expect(sendsAway(members, drainedAt + 180 * SECOND, drainedAt)).toBe(false);
  });
});
