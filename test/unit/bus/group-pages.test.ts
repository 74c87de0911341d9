/** Pages of groups over several gateways, against all groups at once. */
import fc from 'fast-check';
import { expect, test, vi } from 'vitest';

import { groupsHere, mergedGroups } from '../../../src/bus/group-pages.ts';
import type { Session } from '../../../src/session/session.ts';

type Members = Readonly<Record<string, number>>;

function registry(groups: Members) {
  const sets = Object.entries(groups).map(([name, count]): [string, Set<Session>] => [
    name,
    new Set(Array.from({ length: count }, () => ({}) as Session)),
  ]);
  return { groups: () => new Map(sets).entries() };
}

/** Every group by the pages of one limit, as a client reads them. */
function allPages(gateways: readonly Members[], prefix: string, limit: number, bytesMax: number) {
  const found: { name: string; sessions: number; gateways: number }[] = [];
  for (let after = '', pages = 0; ; pages++) {
    expect(pages).toBeLessThan(1_000);
    const parts = gateways.map((groups, i) => ({
      gateway: `g${i}`,
      ...groupsHere(registry(groups), prefix, { limit, after }, bytesMax),
    }));
    const page = mergedGroups(parts, limit);
    expect(page.groups.length).toBeLessThanOrEqual(limit);
    found.push(...page.groups);
    if (!page.more) return found;
    after = page.groups.at(-1)!.name;
  }
}

const name = fc.string({ unit: fc.constantFrom('a', 'b', 'ä', '🎈'), minLength: 1, maxLength: 4 });
const members = fc.dictionary(name, fc.integer({ min: 1, max: 3 }), { noNullPrototype: true });

test('give each group once, in order, with all of its members', () => {
  fc.assert(
    fc.property(
      fc.array(members, { minLength: 1, maxLength: 3 }),
      fc.constantFrom('', 'a', 'ä'),
      fc.integer({ min: 1, max: 5 }),
      fc.constantFrom(300, 10_000),
      (gateways, prefix, limit, bytesMax) => {
        const expected = new Map<string, { sessions: number; gateways: number }>();
        for (const groups of gateways)
          for (const [group, count] of Object.entries(groups)) {
            if (!group.startsWith(prefix)) continue;
            const sum = expected.get(group) ?? { sessions: 0, gateways: 0 };
            expected.set(group, { sessions: sum.sessions + count, gateways: sum.gateways + 1 });
          }
        const names = [...expected.keys()].sort((a, b) => (a < b ? -1 : 1));
        expect(allPages(gateways, prefix, limit, bytesMax)).toEqual(
          names.map((group) => ({ name: group, ...expected.get(group)! })),
        );
      },
    ),
  );
});

test('the first of many groups are found without sorting them all', () => {
  const names = Array.from({ length: 50_000 }, (_, i) => `g${(i * 7_919) % 50_000}`);
  const many = registry(Object.fromEntries(names.map((name) => [name, 1])));
  const sorts = vi.spyOn(Array.prototype, 'sort');
  const { groups, more } = groupsHere(many, '', { limit: 100, after: '' }, 1e6);
  const sorted = sorts.mock.contexts.map((array) => (array as unknown[]).length);
  sorts.mockRestore();
  expect([groups.length, groups[0]![0], more]).toEqual([100, 'g0', true]);
  expect(Math.max(...sorted)).toBeLessThanOrEqual(200);
  expect(sorted.length).toBeLessThan(100);
});
