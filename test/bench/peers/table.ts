/** The results as tables, for the terminal and for the page. */
import { GENERATOR_CORE_MAX, type LoadSample, type MemorySample } from './results.ts';
import type { Results } from './results.ts';
import { aimsOf, type Stat, Summary } from './summary.ts';

export type Table = {
  readonly title: string;
  readonly note: string;
  readonly head: readonly string[];
  readonly rows: readonly (readonly string[])[];
};

const NONE = '–';
const MIB = 2 ** 20;
const KB = 1_000;
const MS = 1_000;

export function number(value: number, digits: number): string {
  const text = value.toFixed(digits);
  const [whole, rest] = text.split('.');
  const grouped = whole!.replaceAll(/\B(?=(\d{3})+$)/g, ',');
  return rest === undefined ? grouped : `${grouped}.${rest}`;
}

/** The median. */
function mid(stat: Stat | null, digits: number): string {
  return stat === null ? NONE : number(stat.median, digits);
}

/** The median, and the least and the most. */
export function spread(stat: Stat | null, digits: number): string {
  if (stat === null) return NONE;
  if (stat.count === 1) return number(stat.median, digits);
  const [min, max] = [number(stat.min, digits), number(stat.max, digits)];
  return `${number(stat.median, digits)} (${min} to ${max})`;
}

function aimsTable(summary: Summary): Table {
  const rows = aimsOf(summary).map(({ figure, value, aim, digits, unit }) => {
    const aimText = aim === undefined ? '' : `≤ ${aim} ${unit}`;
    const verdict =
      aim === undefined || value === null ? '' : value.median <= aim ? 'met' : 'missed';
    return [figure, value === null ? NONE : `${spread(value, digits)} ${unit}`, aimText, verdict];
  });
  return {
    title: 'Aims',
    note: 'Ratios are of the CPU of the front process for each request.',
    head: ['figure', 'measured', 'aim', ''],
    rows,
  };
}

function systemsTable(summary: Summary): Table {
  return {
    title: 'What runs',
    note: 'Each front with its backends, alone on the machine. Without a backend: what the least costs.',
    head: ['system', 'front → backend', 'versions'],
    rows: summary.results.systems.map(({ name, what, versions }) => [name, what, versions]),
  };
}

function names(summary: Summary, load: string): string[] {
  return summary.results.systems
    .map(({ name }) => name)
    .filter((name) => summary.loads([name, load]).length > 0);
}

function closedTable(summary: Summary, load: string, title: string): Table {
  const rows = names(summary, load).map((name) => {
    const of = [name, load] as const;
    const stat = (pick: (sample: LoadSample) => number): Stat | null => summary.load(of, pick);
    const ms = (pick: (sample: LoadSample) => number): string =>
      mid(
        stat((sample) => pick(sample) / MS),
        1,
      );
    return [
      name,
      spread(
        stat(({ frontUs }) => frontUs),
        1,
      ),
      mid(summary.cpuRatio(of, ['ws-floor', load]), 2),
      mid(
        stat(({ allUs }) => allUs),
        1,
      ),
      mid(
        stat(({ frontUs }) => 1e6 / frontUs),
        0,
      ),
      spread(
        stat(({ perSecond }) => perSecond),
        0,
      ),
      ms(({ p50 }) => p50),
      ms(({ p99 }) => p99),
      ms(({ p999 }) => p999),
      mid(
        stat(({ generatorCore }) => generatorCore),
        2,
      ),
      String(stat(({ frontUs }) => frontUs)!.count),
    ];
  });
  return {
    title,
    note: 'Closed loop: as fast as answers come, so that latencies are those of a full machine.',
    head: [
      ...['system', 'front CPU µs', '× ws', 'all CPU µs', 'a second and core', 'on this box'],
      ...['p50 ms', 'p99 ms', 'p99.9 ms', 'generator core', 'rounds'],
    ],
    rows,
  };
}

const ms = (pick: (sample: LoadSample) => number) => (sample: LoadSample) => pick(sample) / MS;
const P50 = ms(({ p50 }) => p50);
const P99 = ms(({ p99 }) => p99);
const P999 = ms(({ p999 }) => p999);

function pacedTable(summary: Summary): Table {
  const rows = names(summary, 'paced50').map((name) => [
    name,
    number(summary.results.peaks[name] ?? 0, 0),
    ...['paced30', 'paced50', 'paced80'].map((load) =>
      [P50, P99, P999].map((pick) => mid(summary.load([name, load], pick), 2)).join(' / '),
    ),
    spread(summary.load([name, 'paced50'], P99), 2),
  ]);
  return {
    title: 'Open loop, at a share of the own peak',
    note: 'Paced, 1,000 connections; latencies from the time at which a request was due: p50 / p99 / p99.9, in ms.',
    head: ['system', 'peak a second', 'at 30 %', 'at 50 %', 'at 80 %', 'p99 at 50 %, with spread'],
    rows,
  };
}

function hopTable(summary: Summary): Table {
  const rows = ['pith-link-ws', 'pith-nats-ws'].flatMap((pith) =>
    [...[pith, pith.replace('pith', 'relay')], ...['ws-floor', 'go-floor', 'nats-direct']].flatMap(
      (name) => {
        const of = [name, name === pith ? 'paced50' : `hop-${pith}`] as const;
        const [sample] = summary.loads(of);
        if (sample === undefined) return [];
        const stat = (pick: (one: LoadSample) => number): string =>
          spread(summary.load(of, pick), 2);
        return [[name, number(sample.rate, 0), stat(P50), stat(P99), stat(P999)]];
      },
    ),
  );
  return {
    title: 'The hop',
    note: 'At the same rate, half of the peak of a Pith: Pith, and what answers without it. Milliseconds.',
    head: ['system', 'a second', 'p50', 'p99', 'p99.9'],
    rows,
  };
}

function sideTable(summary: Summary, load: 'slow' | 'hung', title: string, note: string): Table {
  const rows = summary.results.systems
    .filter(({ name }) => summary.loads([name, load]).length > 0 || summary.why(name, load))
    .filter(({ name }) => !/floor|direct|relay/.test(name))
    .map(({ name }) => {
      const of = [name, load] as const;
      const [sample] = summary.loads(of);
      if (sample === undefined) return [name, `none: ${summary.why(name, load)}`, '', '', '', ''];
      const asked = load === 'hung' ? 0.9 : 1;
      return [
        name,
        number(sample.rate, 0),
        mid(
          summary.load(of, ({ perSecond, rate }) =>
            Math.min(100, (100 * perSecond) / rate / asked),
          ),
          0,
        ),
        mid(summary.load(of, P50), 1),
        spread(summary.load(of, P99), 1),
        mid(summary.load(of, P999), 1),
      ];
    });
  const head = ['system', 'asked a second', '% answered in time', 'p50 ms', 'p99 ms', 'p99.9 ms'];
  return { title, note, head, rows };
}

function sipTable(summary: Summary): Table {
  const rows = names(summary, 'sip').map((name) => {
    const of = [name, 'sip'] as const;
    return [
      name,
      number(summary.loads(of)[0]!.rate, 0),
      mid(summary.load(of, P50), 2),
      spread(summary.load(of, P99), 2),
      mid(summary.load(of, P999), 2),
      mid(
        summary.load(of, ({ grownBytes }) => grownBytes / MIB),
        1,
      ),
      mid(
        summary.load(of, ({ slowClosed }) => slowClosed),
        0,
      ),
    ];
  });
  return {
    title: 'One client in ten reads slowly',
    note: '200 connections; 20 of them read 1 KiB a second, of bodies of 1,000 bytes. Latencies are of the others.',
    head: [
      'system',
      'a second',
      'p50 ms',
      'p99 ms',
      'p99.9 ms',
      'front grew MiB',
      'slow ones closed',
    ],
    rows,
  };
}

function castTable(summary: Summary): Table {
  const rows = summary.results.systems
    .filter(({ name }) => summary.loads([name, 'cast']).length > 0)
    .map(({ name }) => {
      const of = [name, 'cast'] as const;
      return [
        name,
        spread(
          summary.load(of, ({ frontUs }) => frontUs),
          2,
        ),
        mid(summary.cpuRatio(of, ['ws-floor-cast', 'cast']), 2),
        mid(
          summary.load(of, ({ allUs }) => allUs),
          2,
        ),
        mid(
          summary.load(of, ({ perSecond }) => perSecond),
          0,
        ),
        mid(summary.load(of, P50), 1),
        mid(summary.load(of, P99), 1),
      ];
    });
  return {
    title: 'A push to 1,000',
    note: 'One broadcast after the other; CPU for each delivery, latency until all have it.',
    head: [
      'system',
      'front CPU µs',
      '× ws',
      'all CPU µs',
      'deliveries a second',
      'p50 ms',
      'p99 ms',
    ],
    rows,
  };
}

function memoryTable(summary: Summary): Table {
  const rows = summary.results.systems
    .filter(({ name }) => summary.memory(name, false, () => 1) !== null)
    .map(({ name }) => {
      const plain = (pick: (sample: MemorySample) => number): Stat | null =>
        summary.memory(name, false, pick);
      const tls = summary.memory(name, true, ({ perConnection }) => perConnection / KB);
      return [
        name,
        spread(
          plain(({ restBytes }) => restBytes / MIB),
          0,
        ),
        spread(
          plain(({ perConnection }) => perConnection / KB),
          1,
        ),
        tls === null && summary.why(name, 'tls') ? 'none' : spread(tls, 1),
        spread(
          plain(({ startMs }) => startMs),
          0,
        ),
      ];
    });
  return {
    title: 'Memory and start',
    note: `Of the front; ${number(summary.results.idleConnections, 0)} idle connections (${number(summary.results.idleTls, 0)} with TLS), each with a heartbeat behind it. KB is 1,000 bytes.`,
    head: ['system', 'at rest MiB', 'a connection KB', 'with TLS KB', 'first answer ms'],
    rows,
  };
}

export function tablesOf(results: Results): Table[] {
  const summary = new Summary(results);
  const tables = [
    aimsTable(summary),
    systemsTable(summary),
    closedTable(summary, '1000x1', '1,000 connections, one request in flight each'),
    closedTable(summary, '200x10', '200 connections, ten requests in flight each'),
    pacedTable(summary),
    hopTable(summary),
    sideTable(
      summary,
      'slow',
      'A backend that takes 20 ms',
      'Paced, 1,000 connections. 2,000 requests a second, or half of the peak where that is less.',
    ),
    sideTable(
      summary,
      'hung',
      'One backend of two hangs',
      'The same, and every tenth client asks a second backend, which is stopped. Latencies are of the others; those that had no answer two seconds after the end count as that long.',
    ),
    sipTable(summary),
    castTable(summary),
    memoryTable(summary),
  ];
  return tables.filter(({ rows }) => rows.length > 0);
}

/** What a reader has to know beside the tables. */
export function remarks(results: Results): string[] {
  const summary = new Summary(results);
  const steal = summary.results.samples.flatMap((sample) =>
    sample.kind === 'load' ? [sample.steal] : [],
  );
  const { machine } = results;
  const stolen = steal.length === 0 ? 0 : (100 * steal.reduce((a, b) => a + b, 0)) / steal.length;
  return [
    `${results.date.slice(0, 16).replace('T', ' ')} UTC, ${number(results.minutes, 0)} minutes; ${results.rounds} rounds (${results.sideRounds} of memory, slow and hung backends, slow readers, variants) of ${results.seconds} s for each load; Pith ${results.revision}.`,
    `${machine.cores} cores of ${machine.cpu}, ${number(machine.memoryMiB / 1_024, 0)} GiB, Linux ${machine.kernel}, Node ${machine.node}, ${machine.go}, gcc ${machine.gcc}; load ${machine.loadBefore} before, ${machine.loadAfter} after; ${stolen.toFixed(1)} % of the time stolen by the host.`,
    ...results.systems
      .filter(({ leftOut }) => leftOut !== '')
      .map(({ name, leftOut }) => `Left out: ${name}, ${leftOut}`),
    ...results.failures.map((failure) => `Failed: ${failure}`),
    ...voidRemarks(summary),
  ];
}

/** Grouped, since a load that is void once is often void each time. */
function voidRemarks(summary: Summary): string[] {
  const voids = summary.voids();
  if (voids.length === 0) return [];
  const shown = voids.slice(0, 20).join('; ');
  const more = voids.length > 20 ? `; and ${voids.length - 20} more` : '';
  return [
    `Not counted, among them those in which the generator used over ${GENERATOR_CORE_MAX} of a core: ${shown}${more}.`,
  ];
}

export function markdownTable({ head, rows }: Table): string {
  const line = (cells: readonly string[]): string => `| ${cells.join(' | ')} |`;
  return [line(head), `|${'---|'.repeat(head.length)}`, ...rows.map(line)].join('\n');
}

export function terminalTables(results: Results): string {
  const text = tablesOf(results).map(({ title, note, head, rows }) => {
    const widths = head.map((_, i) => Math.max(...[head, ...rows].map((row) => row[i]!.length)));
    const line = (cells: readonly string[]): string =>
      cells
        .map((cell, i) => (i === 0 ? cell.padEnd(widths[i]!) : cell.padStart(widths[i]!)))
        .join('  ');
    return [`\n${title}. ${note}`, line(head), ...rows.map(line)].join('\n');
  });
  return [...text, '', ...remarks(results)].join('\n');
}
