/** What `make bench` says of a run, compared with earlier ones. */
import { expect, test } from 'vitest';

import { comparable, type Entry, regressions } from '../bench/history.ts';

const entry = (ratios: Entry['ratios'], rest: Partial<Entry> = {}): Entry => ({
  ...{ date: '2026-11-27', revision: '2df10cf273', node: 'v24.21.0' },
  ...{ machine: '2 × a processor', load: 0.3, ratios },
  ...rest,
});
const before = [1.1, 1.3, 1.2].map((ratio) => entry({ 'link-ws': ratio, push: 1 }));

test('up to 1.5 times the median of earlier runs is the machine', () => {
  expect(regressions(before, entry({ 'link-ws': 1.79, push: 0.2 }))).toEqual([]);
});

test('more is a regression, and named with both figures', () => {
  expect(regressions(before, entry({ 'link-ws': 1.81, push: 1.51 }))).toEqual([
    'link-ws: 1.81 times the floor, and 1.20 before',
    'push: 1.51 times the floor, and 1.00 before',
  ]);
});

test.each([
  ['a row that is new', { 'relay-link': 9 }],
  ['nothing', {}],
])('%s is compared with nothing', (_, ratios) => {
  expect(regressions(before, entry(ratios))).toEqual([]);
});

test('a busy machine is compared with nothing, and nothing with it', () => {
  const busy = entry({ 'link-ws': 9 }, { load: 1.1 });
  expect(regressions(before, busy)).toEqual([]);
  expect(regressions([busy, busy, ...before], entry({ 'link-ws': 1.9 }))).toHaveLength(1);
});

test('only the last ten runs on the same kind of machine count', () => {
  const other = entry({ 'link-ws': 1 }, { machine: '8 × another' });
  const history = [entry({ 'link-ws': 5 }), ...Array.from({ length: 10 }, () => before[0]!), other];
  expect(comparable(history, entry({}))).toEqual(Array.from({ length: 10 }, () => before[0]));
});
