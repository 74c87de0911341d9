/**
 * Makes of results what pages show: `node test/bench/peers/page.ts [results.json]`. It writes the tables of
 * test/bench/README.md, the table of README.md, and the charts of deploy/pictures. Without a file it takes the newest of
 * test/bench/results.
 */
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { type Bar, barChart, dotChart, type Tone } from './chart.ts';
import type { LoadSample, Results } from './results.ts';
import { type Stat, Summary } from './summary.ts';
import { markdownTable, number, remarks, tablesOf } from './table.ts';

const ROOT = fileURLToPath(new URL('../../../', import.meta.url));
const RESULTS = join(ROOT, 'test/bench/results');
const NO_RUN = 'No run has been kept yet.';
const KB = 1_000;
const MS = 1_000;

/** In the charts and in README.md; the others are on the page. */
const TITLES: Readonly<Record<string, string>> = {
  'ws-floor': 'bare ws echo',
  'ws-floor-cast': 'bare ws, shared frame',
  'go-floor': 'bare gorilla echo (Go)',
  'pith-link-ws': 'Pith, Link',
  'pith-link-tcp': 'Pith, Link, TCP',
  'pith-nats-ws': 'Pith, NATS',
  'pinus-ws': 'Pinus',
  'pomelo-ws': 'Pomelo',
  'centrifugo-ws': 'Centrifugo, RPC proxy',
  'anycable-ws': 'AnyCable, RPC',
  'pitaya-ws': 'Pitaya',
  'nano-ws-async': 'Nano, async',
  'nano-ws': 'Nano',
};

/** What each chart shows, for who can't see it. */
const CHARTS: Readonly<Record<string, string>> = {
  'bench-cpu.svg': 'CPU of the front process for each request',
  'bench-latency.svg': 'Latencies at half of the own peak',
  'bench-cast.svg': 'CPU of the front process for each delivery of a push',
  'bench-memory.svg': 'Memory of an idle connection',
};

export function newestResults(): string | undefined {
  if (!existsSync(RESULTS)) return undefined;
  const [newest] = readdirSync(RESULTS)
    .filter((name) => name.endsWith('.json'))
    .toSorted()
    .toReversed();
  return newest === undefined ? undefined : join(RESULTS, newest);
}

export function readResults(file: string): Results {
  return JSON.parse(readFileSync(file, 'utf8')) as Results;
}

function toneOf(name: string): Tone {
  if (name.startsWith('pith')) return 'ours';
  return name.includes('floor') ? 'floor' : 'peer';
}

/** Those with a figure, the least first. */
function bars(stats: readonly (readonly [name: string, stat: Stat | null])[]): Bar[] {
  return stats
    .flatMap(([name, stat]) =>
      stat === null
        ? []
        : [
            {
              label: TITLES[name] ?? name,
              tone: toneOf(name),
              value: stat.median,
              min: stat.min,
              max: stat.max,
            },
          ],
    )
    .toSorted((a, b) => a.value - b.value);
}

/** File in deploy/pictures → SVG. */
export function chartsOf(results: Results): Map<string, string> {
  const summary = new Summary(results);
  const names = Object.keys(TITLES);
  const when = `${results.rounds} round${results.rounds === 1 ? '' : 's'}, ${results.date.slice(0, 10)}, ${results.machine.cores} cores`;
  const stats = (of: (name: string) => Stat | null): (readonly [string, Stat | null])[] =>
    names.map((name) => [name, of(name)] as const);
  const charts = new Map<string, string>();
  const keep = (file: string, chart: () => string, has: boolean): void => {
    if (has) charts.set(file, chart());
  };
  const cpu = bars(stats((name) => summary.load([name, '1000x1'], ({ frontUs }) => frontUs)));
  const cast = bars(stats((name) => summary.load([name, 'cast'], ({ frontUs }) => frontUs)));
  const idle = bars(
    stats((name) => summary.memory(name, false, ({ perConnection }) => perConnection / KB)),
  );
  const dots = names
    .flatMap((name) => {
      const at = (pick: (sample: LoadSample) => number): number | undefined =>
        summary.load([name, 'paced50'], (sample) => pick(sample) / MS)?.median;
      const values = [at(({ p50 }) => p50), at(({ p99 }) => p99), at(({ p999 }) => p999)];
      if (values.some((value) => value === undefined || value <= 0)) return [];
      return [{ label: TITLES[name]!, tone: toneOf(name), values: values as number[] }];
    })
    .toSorted((a, b) => a.values[1]! - b.values[1]!);
  keep(
    'bench-cpu.svg',
    () =>
      barChart(
        {
          title: 'CPU of the front process for each request, µs',
          subtitle: `1,000 connections, one request in flight each; the least is best; ${when}`,
          digits: 1,
        },
        cpu,
      ),
    cpu.length > 0,
  );
  keep(
    'bench-latency.svg',
    () =>
      dotChart(
        {
          title: 'Latency at half of the own peak, ms: p50 · p99 · p99.9',
          subtitle: `Open loop, 1,000 connections, from the time at which a request was due; ${when}`,
          digits: 1,
        },
        dots,
      ),
    dots.length > 0,
  );
  keep(
    'bench-cast.svg',
    () =>
      barChart(
        {
          title: 'CPU of the front process for each delivery of a push to 1,000, µs',
          subtitle: `One broadcast after the other; the least is best; ${when}`,
          digits: 2,
        },
        cast,
      ),
    cast.length > 0,
  );
  keep(
    'bench-memory.svg',
    () =>
      barChart(
        {
          title: 'Resident memory of an idle connection, KB',
          subtitle: `${number(results.idleConnections, 0)} connections after their handshakes, without TLS; the least is best; ${when}`,
          digits: 1,
        },
        idle,
      ),
    idle.length > 0,
  );
  return charts;
}

/** What stands between the marks of test/bench/README.md. */
export function pageBlock(results: Results | undefined): string {
  if (results === undefined) return NO_RUN;
  const tables = tablesOf(results).map(
    (table) => `### ${table.title}\n\n${table.note}\n\n${markdownTable(table)}`,
  );
  const samples = `[All samples](results/${results.date.slice(0, 10)}.json).`;
  const charts = [...chartsOf(results).keys()].map(
    (file) => `![${CHARTS[file]}](../../deploy/pictures/${file})`,
  );
  return [...remarks(results), samples, ...charts, ...tables].join('\n\n');
}

/** The same of README.md. */
export function readmeBlock(results: Results | undefined): string {
  if (results === undefined) return NO_RUN;
  const summary = new Summary(results);
  const mid = (stat: Stat | null, digits: number): string =>
    stat === null ? '–' : number(stat.median, digits);
  const rows = Object.entries(TITLES).flatMap(([name, title]) => {
    const one = [name, '1000x1'] as const;
    const cpu = summary.load(one, ({ frontUs }) => frontUs);
    if (cpu === null || name === 'nano-ws-async') return [];
    return [
      [
        name.startsWith('pith') ? `**${title}**` : title,
        mid(cpu, 1),
        mid(summary.cpuRatio(one, ['ws-floor', '1000x1']), 2),
        mid(
          summary.load([name, '200x10'], ({ perSecond }) => perSecond),
          0,
        ),
        mid(
          summary.load([name, 'paced50'], ({ p99 }) => p99 / MS),
          1,
        ),
        mid(
          summary.memory(name, false, ({ perConnection }) => perConnection / KB),
          1,
        ),
      ],
    ];
  });
  const head = [
    ...['', 'CPU µs a request', '× bare ws', 'requests a second on the box'],
    ...['p99 ms at half of peak', 'KB an idle connection'],
  ];
  const { cores, cpu } = results.machine;
  return [
    '![CPU of the front process for each request: Pith, its peers, and bare echo servers](deploy/pictures/bench-cpu.svg)',
    '',
    markdownTable({ title: '', note: '', head, rows }),
    '',
    `Medians of ${results.rounds} interleaved rounds on ${results.date.slice(0, 10)}, ${cores} cores of ${cpu} for everything, Node ${results.machine.node.slice(1)}.`,
  ].join('\n');
}

/** The page with what stands between `<!-- name: … -->` and `<!-- /name -->` replaced. */
export function withBlock(page: string, name: string, made: string): string {
  const block = new RegExp(`(<!-- ${name}: [^\\n]* -->\\n)[^]*?(\\n?<!-- /${name} -->)`);
  if (!block.test(page)) throw new Error(`no part “${name}” in the page`);
  return page.replace(block, (_all, begin: string) => `${begin}${made}\n<!-- /${name} -->`);
}

export const PAGES = [
  ['test/bench/README.md', pageBlock],
  ['README.md', readmeBlock],
] as const;

if (import.meta.main) {
  const file = process.argv[2] ?? newestResults();
  const results = file === undefined ? undefined : readResults(file);
  for (const [page, make] of PAGES) {
    const path = join(ROOT, page);
    writeFileSync(path, withBlock(readFileSync(path, 'utf8'), 'bench-peers', make(results)));
    console.log(`wrote ${page}`);
  }
  if (results !== undefined)
    for (const [name, svg] of chartsOf(results)) {
      writeFileSync(join(ROOT, 'deploy/pictures', name), svg);
      console.log(`wrote deploy/pictures/${name}`);
    }
}
