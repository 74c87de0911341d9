/** What a run, or several, have to say, as text. */
import type { Fault } from './faults.ts';
import type { Run, RunOptions } from './runs.ts';

/** Several runs as one. */
export type Total = Pick<
  Run,
  'steps' | 'virtualMs' | 'realMs' | 'cpuMs' | 'injected' | 'counts' | 'checks'
> & { readonly runs: number; readonly heapBytesMax: number };

export function totalOf(runs: readonly Run[]): Total {
  const sum = (of: (run: Run) => number): number => runs.reduce((all, run) => all + of(run), 0);
  const sums = (of: (run: Run) => Readonly<Record<string, number>>): Record<string, number> => {
    const all: Record<string, number> = {};
    for (const run of runs)
      for (const [name, count] of Object.entries(of(run))) all[name] = (all[name] ?? 0) + count;
    return all;
  };
  return {
    runs: runs.length,
    steps: sum(({ steps }) => steps),
    virtualMs: sum(({ virtualMs }) => virtualMs),
    realMs: sum(({ realMs }) => realMs),
    cpuMs: sum(({ cpuMs }) => cpuMs),
    heapBytesMax: Math.max(0, ...runs.map(({ heapBytes }) => heapBytes)),
    injected: sums(({ injected }) => injected),
    counts: sums(({ counts }) => counts) as Run['counts'],
    checks: sums(({ checks }) => checks),
  };
}

/**
 * The table that `make simulate` prints.
 *
 * @param size How many gateways and clients there are.
 * @param seeds The first and the last, or the only one.
 */
export function tableOf(total: Total, size: string, seeds: string): string {
  const { injected, counts, checks, steps, virtualMs, cpuMs, realMs } = total;
  const faults = Object.values(injected).reduce((all, one) => all + one, 0);
  const head: [string, string][] = [
    ['seed', seeds],
    ['gateways, clients', size],
    ['virtual time', duration(virtualMs)],
    ['real time', `${duration(realMs)}${total.runs > 1 ? `, of ${total.runs} runs together` : ''}`],
    [
      'CPU',
      `${duration(cpuMs)}; a second of it is ${count(Math.round(virtualMs / cpuMs))} virtual ones`,
    ],
    ['heap', `${Math.round(total.heapBytesMax / 1_048_576)} MiB at the end`],
    ['steps', `${count(steps)}; ${((cpuMs * 1_000) / Math.max(steps, 1)).toFixed(1)} µs each`],
    ['faults', `${count(faults)}`],
  ];
  return [
    columns(head),
    '',
    heading('fault', 'times', injected),
    '',
    whatHappened(counts),
    '',
    heading('rule', 'checked', checks),
    'Beside these, each request, answer and push is held against the rules of test/simulate/ledger.ts.',
  ].join('\n');
}

/** Rules that nothing was held against: what nothing can break is no rule. */
export function uncheckedOf({ checks }: Pick<Total, 'checks'>): string[] {
  return Object.keys(checks).filter((rule) => checks[rule] === 0).sort(); // prettier-ignore
}

/** What is wrong, how it came to it, and how to see it again. */
export function violationOf(run: Run, options: RunOptions): string {
  const [{ rule, what, atMs } = { rule: '', what: '', atMs: 0 }] = run.violations;
  return [
    `broken after ${duration(atMs)}: ${rule}`,
    `  ${what}`,
    '',
    `the last ${run.lastLines.length} lines of its trace (microseconds, and what happened):`,
    ...run.lastLines.map((line) => `  ${line}`),
    '',
    `again: ${commandOf(options)}`,
    `with its trace: ${commandOf(options, 'TRACE=1')}`,
    `with the fewest faults that show it: ${commandOf(options, 'SHRINK=1')}`,
  ].join('\n');
}

export function commandOf({ seed, hours, gateways, clients }: RunOptions, more = ''): string {
  return `make simulate SEED=${seed} HOURS=${hours} GATEWAYS=${gateways} CLIENTS=${clients}${more && ` ${more}`}`;
}

/** One a line, for people. */
export function faultsText(faults: readonly Fault[]): string {
  if (faults.length === 0) return '  no fault at all: what clients and backends do is enough';
  return faults
    .map(({ atMs, kind, target, more = '', ms }) => {
      const where = more === '' ? target : `${target} ${more}`;
      return `  at ${duration(atMs)}  ${kind}  ${where}${ms > 0 ? `  for ${duration(ms)}` : ''}`;
    })
    .join('\n');
}

const HAPPENED: Readonly<Record<keyof Run['counts'], string>> = {
  asked: 'requests and notifies sent by clients',
  answered: 'requests answered',
  refused: 'of these, with an error',
  lost: 'requests not answered before their connection ended',
  pushed: 'pushes sent by backends',
  received: 'pushes received by clients',
  closed: 'connections of clients that ended',
};

function whatHappened(counts: Run['counts']): string {
  const rows = Object.entries(HAPPENED).map(([key, what]) => [what, count(counts[key as keyof Run['counts']])]); // prettier-ignore
  return columns([['what happened', 'times'], ...rows]);
}

function heading(left: string, right: string, rows: Readonly<Record<string, number>>): string {
  const sorted = Object.entries(rows).sort(([a], [b]) => (a < b ? -1 : 1));
  return columns([
    [left, right],
    ...sorted.map(([name, times]): [string, string] => [name, count(times)]),
  ]);
}

/** Each row's cells below those of the row before, the last column to the right where there are more than two. */
export function columns(rows: readonly (readonly string[])[]): string {
  const widths = rows[0]!.map((_, i) => Math.max(...rows.map((row) => row[i]!.length)));
  return rows
    .map((row) =>
      row
        .map((cell, i) => cell.padEnd(widths[i]!))
        .join('  ')
        .trimEnd(),
    )
    .join('\n');
}

function count(value: number): string {
  return value.toLocaleString('en-US');
}

/** `1 d 2 h`, `3 min 20 s`, `1.234 s`: two units at most. */
export function duration(ms: number): string {
  const units: [number, string][] = [
    [86_400_000, 'd'],
    [3_600_000, 'h'],
    [60_000, 'min'],
    [1_000, 's'],
  ];
  if (ms < 60_000) return ms < 1_000 ? `${Math.round(ms)} ms` : `${trimmed(ms / 1_000)} s`;
  const i = units.findIndex(([size]) => ms >= size);
  const [size, unit] = units[i]!;
  const [nextSize, nextUnit] = units[i + 1]!;
  const whole = Math.floor(ms / size);
  const rest = (ms - whole * size) / nextSize;
  const more = nextUnit === 's' ? trimmed(rest) : String(Math.floor(rest));
  return more === '0' ? `${whole} ${unit}` : `${whole} ${unit} ${more} ${nextUnit}`;
}

function trimmed(seconds: number): string {
  return String(Number(seconds.toFixed(3)));
}
