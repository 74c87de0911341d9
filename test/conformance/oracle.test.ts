/**
 * Pomelo's and Pinus's own servers as oracles: the same script, byte for byte, is played on them and on Pith.
 * `make oracle` prints what is compared here.
 */
import { beforeAll, describe, expect, test } from 'vitest';

import { type Comparison, compareAll, judge, SCRIPT, staleRows, tails } from '../oracle/compare.ts';
import { ORIGINALS } from '../oracle/servers.ts';
import { WORLDS } from '../oracle/worlds.ts';

let comparisons: Comparison[] = [];

beforeAll(async () => {
  comparisons = await compareAll();
});

function named({ original, step, transport }: Comparison): string {
  return `${original}: ${step.world}, ${transport}: ${step.name}`;
}

describe.each(ORIGINALS)('%s', (original) => {
  test.each(Object.keys(WORLDS))('says what Pith says in the world "%s"', (world) => {
    const own = comparisons.filter((one) => one.original === original && one.step.world === world);
    const steps = SCRIPT.filter((step) => step.world === world);
    expect(own).toHaveLength(steps.flatMap(({ transports }) => transports).length);
    const different = own.filter((one) => judge(one).kind === 'different');
    expect(different.map((one) => ({ step: named(one), ...tails(one) }))).toEqual([]);
  });
});

test('the table of differences tells the truth', () => {
  expect(staleRows(comparisons)).toEqual([]);
});

test('a step that differs is seen', () => {
  const one = comparisons.find(({ theirs }) => theirs.length > 0)!;
  expect(judge(one)).toEqual({ kind: 'same' });
  expect(judge({ ...one, ours: [] })).toEqual({ kind: 'different' });
  expect(judge({ ...one, ours: [...one.ours, 'HEARTBEAT ""'] })).toEqual({ kind: 'different' });
  const nothing = ['NOTHING, where fence was awaited'];
  expect(judge({ ...one, theirs: nothing, ours: nothing })).toEqual({ kind: 'different' });
  expect(staleRows([one]).length).toBeGreaterThan(0);
});
