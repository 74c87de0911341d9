/** Which way a session takes, and how sessions are brought to ways that come. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';

import { Balancer, type Choice, type Policy } from '../../../../src/upstream/pool/balancer.ts';
import { rebalance, type Share } from '../../../../src/upstream/pool/rebalance.ts';

type Made = { -readonly [K in keyof Choice]: Choice[K] };

function choice(label: string, more: Partial<Made> = {}): Made {
  const sessions = { size: 0, owed: 0 };
  return {
    label,
    weight: 1,
    welcomes: true,
    isOpen: true,
    inFlight: 0,
    sessions,
    turn: 0,
    ...more,
  };
}

const POLICIES: readonly Policy[] = ['round_robin', 'least_in_flight', 'hash', 'pick_first'];
const keys = Array.from({ length: 2_000 }, (_, i) => `player-${i}`);
const weights = fc.array(fc.integer({ min: 1, max: 20 }), { minLength: 1, maxLength: 6 });

describe.for(POLICIES)('%s', (policy) => {
  const balancer = new Balancer(policy);

  test('takes only ways that welcome; if none does, any that is open; else none', () => {
    const states = fc.constantFrom('welcomes', 'open', 'closed');
    fc.assert(
      fc.property(fc.array(states, { maxLength: 6 }), fc.string(), (all, key) => {
        const ways = all.map((state, i) =>
          choice(`way-${i}`, { welcomes: state === 'welcomes', isOpen: state !== 'closed' }),
        );
        const picked = balancer.pick(ways, key);
        const best = (['welcomes', 'open'] as const).find((state) => all.includes(state)) ?? null;
        const got = picked === null ? null : picked.welcomes ? 'welcomes' : 'open';
        expect(got).toBe(best);
        expect(picked?.isOpen ?? true).toBe(true);
      }),
      { numRuns: 50 },
    );
  });
});

describe('round_robin', () => {
  test('gives each way exactly its weight in every round', () => {
    fc.assert(
      fc.property(weights, (all) => {
        const ways = all.map((weight, i) => choice(`way-${i}`, { weight }));
        const balancer = new Balancer('round_robin');
        const total = all.reduce((sum, weight) => sum + weight, 0);
        const counts = all.map(() => 0);
        for (let i = 0; i < total; i++) counts[ways.indexOf(balancer.pick(ways, '')!)]!++;
        expect(counts).toEqual(all);
      }),
      { numRuns: 30 },
    );
  });

  test('first gives the sessions that a way is owed', () => {
    const [a, b] = [choice('a'), choice('b', { sessions: { size: 0, owed: 1 } })];
    expect(new Balancer('round_robin').pick([a, b], '')).toBe(b);
  });
});

describe('least_in_flight', () => {
  test('goes by calls for each weight, then by sessions for each weight', () => {
    const of = (inFlight: number, size: number, weight = 1): Made =>
      choice(`${inFlight}/${size}`, { inFlight, sessions: { size, owed: 0 }, weight });
    const balancer = new Balancer('least_in_flight');
    const pick = (...ways: Made[]): string => balancer.pick(ways, '')!.label;
    expect(pick(of(3, 0), of(2, 9))).toBe('2/9');
    expect(pick(of(3, 0), of(5, 0, 2))).toBe('5/0');
    expect(pick(of(0, 4), of(0, 3), of(0, 5))).toBe('0/3');
  });
});

describe('hash', () => {
  const balancer = new Balancer('hash');
  const homes = (ways: readonly Made[]): string[] =>
    keys.map((key) => balancer.pick(ways, key)!.label);

  test('a way that goes moves its own keys alone, whatever the order of the others', () => {
    const all = Array.from({ length: 5 }, (_, i) => choice(`ipv4:10.0.0.${i}:9000#0`));
    const before = homes(all);
    const after = homes(all.slice(1).reverse());
    const stay = keys.map((_, i) => i).filter((i) => before[i] !== all[0]!.label);
    expect(stay.map((i) => after[i])).toEqual(stay.map((i) => before[i]));
  });

  test('gives each way about its share of the keys', () => {
    const all = [1, 1, 2].map((weight, i) => choice(`ipv4:10.0.0.${i}:9000#0`, { weight }));
    const got = homes(all);
    for (const { label, weight } of all) {
      const share = got.filter((home) => home === label).length / keys.length;
      expect(Math.abs(share - weight / 4)).toBeLessThan(0.05);
    }
  });
});

/** A way with idle and with busy sessions. */
class Endpoint implements Share {
  readonly weight: number;
  readonly isWell: boolean;
  isEjected = false;
  admitsTrial = false;
  readonly sessions = {
    owed: 0,
    size: 0,
    releaseIdle: (count: number): number => {
      const released = Math.min(count, this.idle);
      this.idle -= released;
      this.sessions.size -= released;
      return released;
    },
  };
  idle: number;

  constructor(idle: number, busy: number, weight: number, isWell = true) {
    this.idle = idle;
    this.sessions.size = idle + busy;
    this.weight = weight;
    this.isWell = isWell;
  }
}

describe('the spread of sessions', () => {
  const ways = fc.array(
    fc
      .tuple(fc.nat(300), fc.nat(20), fc.integer({ min: 1, max: 5 }), fc.boolean())
      .map(([idle, busy, weight, isWell]) => new Endpoint(idle, busy, weight, isWell)),
    { maxLength: 5 },
  );

  test('ends with each way at its share, but for those that are busy; nobody is lost', () => {
    fc.assert(
      fc.property(ways, (all) => {
        const sum = (): number =>
          all.reduce((total, { sessions }) => total + sessions.size + sessions.owed, 0);
        const before = sum();
        let steps = 0;
        while (rebalance(all, 50) && steps < 200) steps++;
        expect(sum()).toBe(before);
        const well = all.filter(({ isWell }) => isWell);
        fc.pre(well.length > 1);
        const total = well.reduce((n, { sessions }) => n + sessions.size + sessions.owed, 0);
        const weight = well.reduce((n, one) => n + one.weight, 0);
        for (const way of well) {
          const over = way.sessions.size + way.sessions.owed - (total * way.weight) / weight;
          expect(over < 1 || way.idle === 0).toBe(true);
        }
      }),
      { numRuns: 100 },
    );
  });

  test('moves no more than it may in a step', () => {
    const all = [new Endpoint(300, 0, 1), new Endpoint(0, 0, 1)];
    expect(rebalance(all, 50)).toBe(true);
    expect(all.map(({ sessions }) => [sessions.size, sessions.owed])).toEqual([
      [250, 0],
      [0, 50],
    ]);
  });

  test('an ejected way gets one session when its time is over, and no second one before that has come', () => {
    const all = [new Endpoint(10, 0, 1), new Endpoint(20, 0, 1), new Endpoint(0, 0, 1, false)];
    const ejected = all[2]!;
    ejected.isEjected = true;
    const counts = () => all.map(({ sessions }) => sessions.size + sessions.owed);
    // It is looked at again and again until then.
    for (let i = 0; i < 3; i++) expect(rebalance(all, 50)).toBe(true);
    expect(counts()).toEqual([15, 15, 0]);
    ejected.admitsTrial = true;
    for (let i = 0; i < 3; i++) expect(rebalance(all, 50)).toBe(true);
    expect(ejected.sessions).toMatchObject({ size: 0, owed: 1 });
    expect(counts().reduce((a, b) => a + b)).toBe(30);
    ejected.isEjected = ejected.admitsTrial = false;
    expect(rebalance(all.slice(0, 2), 50)).toBe(false);
  });
});
