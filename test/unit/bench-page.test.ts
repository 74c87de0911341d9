/** The charts and tables of the benchmark, and that the pages show the results that are kept. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';

import { barChart, dotChart } from '../bench/peers/chart.ts';
import {
  chartsOf,
  newestResults,
  PAGES,
  readmeBlock,
  readResults,
  withBlock,
} from '../bench/peers/page.ts';
import { markdownTable, number, spread } from '../bench/peers/table.ts';
import { ROOT } from '../support/serve.ts';
import { load, memory, resultsWith } from '../support/bench-results.ts';

/** A picture in README.md must not be heavy. */
const SVG_MAX_BYTES = 200 * 1_024;

describe('numbers', () => {
  test.each([
    [0.954, 2, '0.95'],
    [999.5, 0, '1,000'],
    [1_234_567.89, 1, '1,234,567.9'],
    [-1_234.5, 1, '-1,234.5'],
  ])('%d with %i digits', (value, digits, text) => {
    expect(number(value, digits)).toBe(text);
  });

  test('stand with their spread', () => {
    expect(spread({ median: 2, min: 1, max: 1_200, count: 5 }, 1)).toBe('2.0 (1.0 to 1,200.0)');
    expect(spread({ median: 2, min: 2, max: 2, count: 1 }, 1)).toBe('2.0');
    expect(spread(null, 1)).toBe('–');
  });
});

test('a table', () => {
  const table = { title: 't', note: '', head: ['a', 'b'], rows: [['1', '2']] };
  expect(markdownTable(table)).toBe('| a | b |\n|---|---|\n| 1 | 2 |');
});

describe('charts', () => {
  const about = { title: 'CPU & more', subtitle: 'less <is> best', digits: 1 };
  const bars = [
    { label: 'Pith', tone: 'ours', value: 25, min: 20, max: 30 },
    { label: 'other', tone: 'peer', value: 100, min: 100, max: 100 },
  ] as const;

  test('bars have the length of their value, a line for the spread, and a number', () => {
    const svg = barChart(about, bars);
    // From 190 to 770 are 580 units, for 100.
    expect(svg).toContain('<rect class="ours" x="190" y="64" width="145" height="15" rx="2"/>');
    expect(svg).toContain('<path class="spread" d="M306 71.5H364"/>');
    expect(svg).toContain('<rect class="peer" x="190" y="90" width="580" height="15" rx="2"/>');
    expect(svg).toContain('<text x="372" y="76">25.0</text>');
    expect(svg).toContain('>CPU &amp; more</text>');
    expect(svg).toContain('>less &lt;is&gt; best</text>');
    expect(svg).toContain('viewBox="0 0 910 146"');
  });

  test('points stand on a logarithmic scale', () => {
    const svg = dotChart(about, [{ label: 'Pith', tone: 'ours', values: [1, 10, 100] }]);
    expect(svg).toContain('<circle class="ours" cx="190" cy="71.5" r="4"/>');
    expect(svg).toContain('<circle class="ours" cx="480" cy="71.5" r="5"/>');
    expect(svg).toContain('<circle class="ours" cx="770" cy="71.5" r="6"/>');
    expect(svg).toContain('1.0 · 10.0 · 100.0');
  });

  test('are small, and have no number that is none', () => {
    const systems = ['pith-link-ws', 'pith-nats-ws', 'pitaya-ws', 'nano-ws', 'ws-floor'];
    const charts = chartsOf(
      resultsWith(
        systems.flatMap((name) => [
          ...['1000x1', 'paced50', 'cast'].map((one) => load(name, one)),
          memory(name),
        ]),
      ),
    );
    expect([...charts.keys()]).toEqual([
      'bench-cpu.svg',
      'bench-latency.svg',
      'bench-cast.svg',
      'bench-memory.svg',
    ]);
    for (const svg of charts.values()) {
      expect(svg.length).toBeLessThan(SVG_MAX_BYTES);
      expect(svg).not.toMatch(/NaN|Infinity|undefined/);
    }
  });

  test('of results without figures there are none', () => {
    expect(chartsOf(resultsWith([])).size).toBe(0);
  });
});

test('the part of a page is replaced, and the rest stays', () => {
  const page = 'before\n<!-- part: made -->\nold\n<!-- /part -->\nafter\n';
  const made = 'before\n<!-- part: made -->\nnew\n<!-- /part -->\nafter\n';
  expect(withBlock(page, 'part', 'new')).toBe(made);
  expect(withBlock(made, 'part', 'new')).toBe(made);
  expect(() => withBlock(page, 'other', 'new')).toThrow('no part “other” in the page');
});

test('the table of README.md has the medians', () => {
  const results = resultsWith([
    load('ws-floor', '1000x1', { frontUs: 20 }),
    load('ws-floor', '200x10', { perSecond: 81_234 }),
    load('pith-link-ws', '1000x1', { frontUs: 19 }),
    load('pith-link-ws', 'paced50', { p99: 2_345 }),
    memory('pith-link-ws', { perConnection: 9_876 }),
  ]);
  const lines = readmeBlock(results).split('\n');
  expect(lines).toContain('| bare ws echo | 20.0 | 1.00 | 81,234 | – | – |');
  expect(lines).toContain('| **Pith, Link** | 19.0 | 0.95 | – | 2.3 | 9.9 |');
});

describe('the results that are kept', () => {
  const file = newestResults();
  const results = file === undefined ? undefined : readResults(file);

  test.each(PAGES)('are what %s shows', (page, make) => {
    const text = readFileSync(join(ROOT, page), 'utf8');
    const again = 'write it again: node test/bench/peers/page.ts';
    expect(text, again).toBe(withBlock(text, 'bench-peers', make(results)));
  });

  test('are what the charts show', () => {
    const charts = results === undefined ? new Map<string, string>() : chartsOf(results);
    for (const [name, svg] of charts)
      expect(readFileSync(join(ROOT, 'deploy/pictures', name), 'utf8')).toBe(svg);
  });

  test('are of a whole run', () => {
    expect(results?.quick ?? false).toBe(false);
  });
});
