/** Sessions move to a gateway that was added: how many, how fast, whose, and never the same ones again within an hour. */
import { describe, expect, test } from 'vitest';

import { rateOf, shapeOf, shareOf } from '../../../src/placement/balance.ts';
import type { Member } from '../../../src/placement/members.ts';
import { type FleetGateway, PlacedFleet } from './fleet.ts';

const SECOND = 1_000;
const MINUTE = 60_000;
const ON = 'drain: { rebalance: true, per_second: 10 }\n';

async function fleetOf(yaml: string, counts: readonly number[]): Promise<PlacedFleet> {
  const fleet = new PlacedFleet(yaml, counts.length);
  for (const [i, count] of counts.entries()) fleet.join(fleet.gateways[i]!, count);
  await fleet.pass(MINUTE);
  return fleet;
}

const elsewhere = ({ gateways }: PlacedFleet): string[] =>
  gateways.map(({ placement }) => placement.elsewhere);

/** What a gateway has logged. */
const said = ({ kept }: FleetGateway): unknown[] => kept.lines.map(({ msg }) => msg);

describe('after a gateway was added', () => {
  test('all have 1.1 times the mean at most in five minutes, at drain.per_second at most, each client cut once', async () => {
    const fleet = await fleetOf(ON, [150, 150, 150]);
    fleet.add();
    await fleet.pass(119 * SECOND);
    expect(fleet.cuts).toEqual([]);
    const unready = new Set<string>();
    await fleet.pass(5 * MINUTE, () => {
      for (const why of elsewhere(fleet)) unready.add(why);
    });
    // The mean is 112.5.
    expect(Math.max(...fleet.counts)).toBeLessThanOrEqual(123);
    expect(Math.min(...fleet.counts)).toBeGreaterThanOrEqual(100);
    expect(fleet.clients.filter(({ cuts }) => cuts.length > 1)).toEqual([]);
    expect(fleet.cuts.length).toBeLessThan(130);
    const { cuts } = fleet;
    // Each of three gateways has a slot of its own, so up to one more each.
    for (let i = 0; i + 13 < cuts.length; i++)
      expect(cuts[i + 13]! - cuts[i]!).toBeGreaterThanOrEqual(SECOND);
    expect([...unready].sort()).toEqual(['', 'moving sessions to other gateways']);
    expect(elsewhere(fleet)).toEqual(['', '', '', '']);
    expect(said(fleet.gateways[0]!)).toEqual([
      'moving sessions to other gateways',
      'moved sessions to other gateways',
    ]);
    const moved = fleet.gateways.map(({ metrics }) => /^pith_sessions_moved_total (\d+)/m.exec(metrics.render())); // prettier-ignore
    expect(moved.reduce((sum, found) => sum + Number(found?.[1] ?? 0), 0)).toBe(fleet.cuts.length);
  });

  test('whoever has a request in flight stays, however long it takes', async () => {
    const fleet = await fleetOf(ON, [60, 60]);
    const busy = fleet.clients.filter((_, i) => i % 2 === 0);
    for (const { at } of busy) at.session.track({ rawId: 1, wantsAnswer: true, abandon() {}, giveUp() {} }); // prettier-ignore
    fleet.add();
    await fleet.pass(7 * MINUTE);
    expect(busy.filter(({ cuts }) => cuts.length > 0)).toEqual([]);
    expect(Math.max(...fleet.counts)).toBeLessThanOrEqual(44);
  });

  test('nobody is moved twice in an hour, though another gateway comes; after it anybody is', async () => {
    const fleet = await fleetOf(ON, [120, 120]);
    fleet.add();
    await fleet.pass(8 * MINUTE);
    const first = fleet.cuts.length;
    expect(first).toBeGreaterThan(60);
    fleet.add();
    await fleet.pass(8 * MINUTE);
    expect(fleet.cuts.length).toBeGreaterThan(first);
    expect(fleet.clients.filter(({ cuts }) => cuts.length > 1)).toEqual([]);
    // The third one has only such that were moved to it, or nobody would have been.
    const [, , third] = fleet.gateways;
    expect(third!.sessions).toBeGreaterThan(50);
    await fleet.pass(50 * MINUTE);
    const pauses = fleet.clients.flatMap(({ cuts }) => cuts.slice(1).map((at, i) => at - cuts[i]!));
    expect(Math.min(...pauses)).toBeGreaterThanOrEqual(60 * MINUTE);
    await fleet.pass(20 * MINUTE);
    expect(Math.max(...fleet.counts)).toBeLessThanOrEqual(66);
  }, 60_000);

  test('with drain.hint_route they are told before, and why', async () => {
    const hint = 'drain: { rebalance: true, per_second: 10, hint_route: onMove, hint_lead: 1s }\n';
    const fleet = await fleetOf(hint, [40]);
    const first = fleet.clients.map(({ at }) => at);
    fleet.add();
    await fleet.pass(4 * MINUTE);
    const told = first.flatMap(({ connection }) => connection.messages);
    expect(new Set(told)).toEqual(new Set(['onMove {"reason":"rebalance","in_ms":1000}']));
    expect(told).toHaveLength(20);
    expect(fleet.counts).toEqual([20, 20]);
    const closed = first.filter(({ connection }) => connection.closed !== null);
    expect(closed.map(({ connection }) => connection.closed)).toEqual(
      Array.from({ length: 20 }, () => ({ code: 1001, reason: 'rebalanced' })),
    );
  });
});

describe('nobody is moved', () => {
  test.each([
    ['where it is off', '', [60, 60, 0]],
    ['where nobody has much more than the mean', ON, [33, 33, 30, 24]],
    ['by a gateway alone', ON, [100]],
  ])('%s', async (_, yaml, counts) => {
    const fleet = await fleetOf(yaml, counts);
    await fleet.pass(4 * MINUTE);
    expect(fleet.cuts).toEqual([]);
  });

  test('until the fleet has been the same for two minutes', async () => {
    const fleet = await fleetOf(ON, [60, 60]);
    for (let i = 0; i < 4; i++) {
      fleet.add();
      await fleet.pass(110 * SECOND);
    }
    expect(fleet.cuts).toEqual([]);
    await fleet.pass(20 * SECOND);
    expect(fleet.cuts.length).toBeGreaterThan(0);
  });

  test('while a rollout is on: until it is one generation again', async () => {
    const fleet = await fleetOf(`generation: a\n${ON}`, [60, 60]);
    fleet.add(`generation: b\n${ON}`);
    await fleet.pass(5 * MINUTE);
    expect(fleet.cuts).toEqual([]);
  });

  test('any more once the fleet is not the same', async () => {
    const fleet = await fleetOf(ON, [200, 200]);
    fleet.add();
    await fleet.pass(125 * SECOND);
    const before = fleet.cuts.length;
    expect(before).toBeGreaterThan(10);
    fleet.add();
    await fleet.pass(100 * SECOND);
    expect(fleet.cuts.length - before).toBeLessThan(20);
    expect(elsewhere(fleet)).toEqual(['', '', '', '']);
  });
});

describe('a share', () => {
  const members = (counts: readonly number[], more: Partial<Member> = {}): Member[] =>
    counts.map((sessions, i) => ({
      ...{ gateway: `g-${i}`, generation: '', startedAt: 0, generationAt: 0, room: 1_000 },
      ...{ sessions, isOwn: i === 0, ...more },
    }));

  const rows: [counts: number[], excess: number | null, perSecond: number][] = [
    [[110, 90], null, 0],
    [[111, 89], 11, 10],
    [[100, 100], null, 0],
    [[150, 150, 0], 50, 5],
    [[200, 120, 0, 0], 120, 7.5],
    [[2, 1], null, 0],
    [[0, 0], null, 0],
  ];
  test.each(rows)('of %j: %s too many', (counts, excess, perSecond) => {
    const share = shareOf(members(counts), 10);
    expect(share?.excess ?? null).toBe(excess);
    expect(share?.perSecond ?? 0).toBeCloseTo(perSecond, 9);
  });

  test('who begins later gets what those before leave over, and who is last gets all', () => {
    const rate = (counts: readonly number[]): number => rateOf(members(counts), 100, 12);
    expect([rate([160, 160, 160]), rate([160, 130, 130]), rate([130, 160, 130])]).toEqual([
      4, 6, 3,
    ]);
    expect([rate([110, 100, 90]), rate([100, 110, 100]), rate([100, 100])]).toEqual([12, 0, 0]);
  });

  test('the shape of a fleet is who is there; none while one comes or goes', () => {
    expect(shapeOf(members([1, 2]))).toBe('g-0,g-1');
    expect(shapeOf(members([1]))).toBe('');
    expect(shapeOf(members([1, 2], { room: 0 }))).toBe('');
    const [one, two] = members([1, 2], { generation: 'a' });
    expect(shapeOf([one!, two!])).toBe('g-0,g-1');
    expect(shapeOf([one!, { ...two!, generation: 'b' }])).toBe('');
  });
});
