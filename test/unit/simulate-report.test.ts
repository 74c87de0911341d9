import { expect, test } from 'vitest';

import {
  columns,
  commandOf,
  duration,
  faultsText,
  tableOf,
  uncheckedOf,
} from '../simulate/report.ts';
import { LastLines } from '../simulate/trace.ts';

test.each([
  [0, '0 ms'],
  [999.4, '999 ms'],
  [1_234.6, '1.235 s'],
  [60_000, '1 min'],
  [200_500, '3 min 20.5 s'],
  [3_600_000, '1 h'],
  [95_400_000, '1 d 2 h'],
  [31_536_000_000, '365 d'],
])('%d ms are %s', (ms, text) => {
  expect(duration(ms)).toBe(text);
});

test('the command that plays a run again names all that it depends on', () => {
  const options = { seed: '7', hours: 0.5, gateways: 3, clients: 200 };
  expect(commandOf(options)).toBe('make simulate SEED=7 HOURS=0.5 GATEWAYS=3 CLIENTS=200');
  expect(commandOf(options, 'TRACE=1')).toMatch(/CLIENTS=200 TRACE=1$/);
});

test('faults are listed one a line; none is said, too', () => {
  const text = faultsText([
    { atMs: 61_000, kind: 'bus: partition', ms: 2_000, target: 'n1', more: 'g2' },
    { atMs: 62_000, kind: 'client: vanishes', ms: 0, target: 'c4' },
  ]);
  expect(text).toBe(
    '  at 1 min 1 s  bus: partition  n1 g2  for 2 s\n  at 1 min 2 s  client: vanishes  c4',
  );
  expect(faultsText([])).toContain('no fault');
});

test('the table says what was counted, and of whom', () => {
  const counts = {
    asked: 9,
    answered: 7,
    refused: 1,
    lost: 2,
    pushed: 4,
    received: 1_250,
    closed: 3,
  };
  const times = { runs: 1, steps: 1, virtualMs: 1, realMs: 1, cpuMs: 1, heapBytesMax: 1 };
  const table = tableOf({ ...times, injected: {}, counts, checks: {} }, '3, 200', '7');
  expect(table).toContain(`
what happened                                        times
requests and notifies sent by clients                9
requests answered                                    7
of these, with an error                              1
requests not answered before their connection ended  2
pushes sent by backends                              4
pushes received by clients                           1,250
connections of clients that ended                    3
`);
});

test('a rule that nothing was held against is named', () => {
  expect(uncheckedOf({ checks: { c: 0, b: 1, a: 0 } })).toEqual(['a', 'c']);
  expect(uncheckedOf({ checks: { b: 1 } })).toEqual([]);
});

test('columns are as wide as their widest cell', () => {
  expect(
    columns([
      ['a', 'b'],
      ['long', 'c'],
      ['', ''],
    ]),
  ).toBe('a     b\nlong  c\n');
});

test('of a trace the newest lines are kept, the oldest of them first', () => {
  const last = new LastLines(3);
  last.add('1');
  expect(last.lines()).toEqual(['1']);
  for (const line of ['2', '3', '4', '5']) last.add(line);
  expect(last.lines()).toEqual(['3', '4', '5']);
});
