/** Copies that come out the same in whatever order their entries come; what ends, what is removed, and how much there is. */
import { describe, expect, test } from 'vitest';

import {
  BUCKETS,
  bucketOf,
  ENTRIES_MAX,
  type Entry,
  REMOVED_MS,
  Replica,
} from '../../../src/orders/replica.ts';
import type { Random } from '../../../src/random.ts';
import { TimerWheel } from '../../../src/timer-wheel.ts';
import { ManualClock } from '../../support/clock.ts';
import { seededRandom } from '../../support/random.ts';

function stage(gatewayId = 'a-0123456789', clock = new ManualClock(1_000)) {
  const changes: string[] = [];
  let forgotten = 0;
  const replica = new Replica(
    { gatewayId, clock, wheel: new TimerWheel(clock) },
    (key, entry) => changes.push(`${key}${entry === null ? ' gone' : ''}`),
    () => forgotten++,
  );
  const all = (): Entry[] => [...replica.entries()].toSorted((a, b) => (a.key < b.key ? -1 : 1));
  return { clock, replica, changes, all, forgotten: () => forgotten };
}

const NOW = Date.UTC(2026, 0, 1);

function anyEntry(random: Random): Entry {
  const pick = (n: number): number => Math.floor(random.number() * n);
  const value = pick(3) === 0 ? null : { reason: String(pick(3)) };
  const until = pick(4) === 0 ? NOW + 60_000 + pick(2) : 0;
  return {
    key: `uid:${pick(6)}`,
    at: NOW + pick(4),
    by: `${'abc'[pick(3)]}-0123456789`,
    until: value === null ? NOW + REMOVED_MS : until,
    value,
  };
}

describe('merging', () => {
  test('comes out the same in any order, in any pieces, and however often', () => {
    for (let seed = 1; seed <= 300; seed++) {
      const random = seededRandom(seed);
      const entries = Array.from({ length: 24 }, () => anyEntry(random));
      const [one, two] = [stage(), stage()];
      one.replica.merge(entries);
      const shuffled = entries
        .map((entry) => [random.number(), entry] as const)
        .toSorted(([a], [b]) => a - b)
        .map(([, entry]) => entry);
      for (const entry of [...shuffled, ...shuffled.slice(0, 9)]) two.replica.merge([entry]);
      expect([seed, two.all()]).toEqual([seed, one.all()]);
      expect(two.replica.sums).toEqual(one.replica.sums);
      expect(two.replica.merge(one.all())).toEqual([]);
    }
  });

  test('what was ordered last counts, and in a tie the same everywhere', () => {
    const { replica } = stage();
    const entry = { key: 'uid:1', at: NOW, by: 'b-0123456789', until: 0, value: { reason: 'b' } };
    expect(replica.merge([entry])).toEqual([entry]);
    expect(replica.merge([{ ...entry, by: 'a-0123456789', value: { reason: 'a' } }])).toEqual([]);
    expect(replica.merge([{ ...entry, at: NOW - 1, by: 'c-0123456789' }])).toEqual([]);
    expect(replica.get('uid:1')?.value).toEqual({ reason: 'b' });
    expect(replica.merge([{ ...entry, at: NOW + 1, by: 'a-0123456789' }])).toHaveLength(1);
  });

  test('an order that follows one that was heard counts, though its clock is behind', () => {
    const ahead = stage('z-0123456789', new ManualClock(600_000));
    const behind = stage('a-0123456789');
    // Ten minutes of difference, both of which count from the same midnight.
    ahead.clock.advance(600_000);
    const set = ahead.replica.put('uid:1', { reason: 'x' }, 0);
    behind.replica.merge([set]);
    const removed = behind.replica.remove('uid:1')!;
    expect(removed.at).toBe(set.at + 1);
    ahead.replica.merge([removed]);
    expect(ahead.replica.get('uid:1')).toBeUndefined();
    expect(ahead.replica.sums).toEqual(behind.replica.sums);
  });

  test('what was removed does not come back from a gateway that has not heard of it', () => {
    const { replica, clock, changes } = stage();
    const set = replica.put('uid:1', {}, 0);
    replica.remove('uid:1');
    expect(changes).toEqual(['uid:1', 'uid:1 gone']);
    expect(replica.merge([set])).toEqual([]);
    clock.advance(REMOVED_MS - 1_000);
    expect(replica.merge([set])).toEqual([]);
    clock.advance(62_000);
    expect(replica.size).toBe(0);
  });

  test('to remove what is not there does nothing', () => {
    const { replica } = stage();
    expect(replica.remove('uid:1')).toBeUndefined();
    expect(replica.size).toBe(0);
  });
});

describe('what ends', () => {
  test('is gone from then on, and taken out a little later', () => {
    const { replica, clock, changes } = stage();
    replica.put('uid:1', {}, clock.wallNow() + 5_000);
    replica.put('uid:2', {}, clock.wallNow() + 90_000);
    clock.advance(4_999);
    expect(replica.get('uid:1')?.key).toBe('uid:1');
    clock.advance(1);
    expect(replica.get('uid:1')).toBeUndefined();
    clock.advance(1_100);
    expect(changes).toEqual(['uid:1', 'uid:2', 'uid:1 gone']);
    expect(replica.size).toBe(1);
    clock.advance(90_000);
    expect(replica.size).toBe(0);
    expect([...replica.sums].every((sum) => sum === 0)).toBe(true);
  });

  test('with nothing that ends no timer is set', () => {
    const { replica, clock } = stage();
    replica.put('uid:1', {}, 0);
    clock.advance(2_000);
    expect(clock.timerCount).toBe(0);
  });

  test('what has ended here is not taken, but ends what it replaces', () => {
    const { replica, changes } = stage();
    const entry = { key: 'uid:1', at: NOW, by: 'b-0123456789', until: 0, value: {} };
    expect(replica.merge([{ ...entry, until: NOW }])).toEqual([]);
    replica.merge([entry]);
    expect(replica.merge([{ ...entry, at: NOW + 1, until: NOW }])).toHaveLength(1);
    expect(changes).toEqual(['uid:1', 'uid:1 gone']);
    expect(replica.size).toBe(0);
  });
});

describe('how much there is', () => {
  const entriesOf = (n: number, by: string, value: Entry['value'] = {}, from = NOW): Entry[] =>
    Array.from({ length: n }, (_, i) => {
      const until = value === null ? NOW + REMOVED_MS : 0;
      return { key: `uid:${by}${i}`, at: from + i, by, until, value };
    });

  test('beyond the bound what was removed is forgotten first, then what is oldest, and that is said', () => {
    const { replica, forgotten } = stage();
    replica.merge(entriesOf(ENTRIES_MAX - 1, 'a'));
    expect(forgotten()).toBe(0);
    replica.merge(entriesOf(3, 'b', null));
    expect([replica.size, forgotten()]).toEqual([20_000, 1]);
    expect(replica.get('uid:a0')?.by).toBe('a');
    replica.merge(entriesOf(3, 'c', {}, NOW + 50_000));
    expect(replica.size).toBe(20_000);
    expect(replica.get('uid:a0')).toBeUndefined();
    expect(replica.get('uid:a1')).toBeUndefined();
    expect(replica.get('uid:a2')?.by).toBe('a');
    expect(replica.get('uid:c0')?.by).toBe('c');
  });

  test('the buckets are of much the same size', () => {
    const sizes = Array<number>(BUCKETS).fill(0);
    for (let i = 0; i < 10_000; i++) sizes[bucketOf(`network:10.0.${i >> 8}.${i & 255}`)]!++;
    expect(Math.max(...sizes)).toBeLessThan(80);
    expect(Math.min(...sizes)).toBeGreaterThan(10);
  });
});
