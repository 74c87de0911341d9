/** What every scenario counts in the same way, at clients and backends, and the table of it at the end of `make chaos`. */
import { readFileSync } from 'node:fs';

import type { Row } from './scenario.ts';

const COUNTS = ['sent', 'once', 'refused', 'never', 'again', 'crossed', 'disconnects', 'lost pushes'] as const; // prettier-ignore
/** The largest of all rows. */
const PEAKS = ['peak MiB', 'recovery s'] as const;

/**
 * Of one row. Requests that were sent, and those that were answered once, refused with an error, never answered, answered
 * again, or with the answer of another; connections that players lost; pushes that must arrive, and did not; the most memory
 * that a gateway took; how long it took until all was well. Absent: the scenario has nothing of the kind.
 */
export type Totals = Partial<Record<(typeof COUNTS)[number] | (typeof PEAKS)[number], number>>;

type Played = { readonly scenario: string; readonly rows: readonly Row[] };

/** The table: a line for each scenario; a dash for what it does not count. */
export function totalsTable(played: readonly Played[]): string[] {
  const head = ['scenario', 'rows', ...COUNTS, ...PEAKS, 'faults'];
  const lines = played.map(({ scenario, rows }) => [
    scenario,
    String(rows.length),
    ...COUNTS.map((name) => cell(rows, name, (all) => String(all.reduce((a, b) => a + b, 0)))),
    ...PEAKS.map((name) => cell(rows, name, (all) => Math.max(...all).toFixed(1))),
    String(rows.reduce((all, { faults }) => all + faults.length, 0)),
  ]);
  const widths = head.map((name, i) =>
    Math.max(name.length, ...lines.map((line) => line[i]!.length)),
  );
  return [head, ...lines].map((line) =>
    line
      .map((text, i) => (i === 0 ? text.padEnd(widths[i]!) : text.padStart(widths[i]!)))
      .join('  ')
      .trimEnd(),
  );
}

function cell(rows: readonly Row[], name: keyof Totals, of: (all: number[]) => string): string {
  const all = rows.flatMap(({ totals }) => totals?.[name] ?? []);
  return all.length === 0 ? '-' : of(all);
}

/** The most resident memory that any of these processes has taken so far, in MiB; 0 where Linux cannot be asked. */
export function peakMib(processes: readonly { readonly pid: number }[]): number {
  return Math.max(0, ...processes.map(({ pid }) => peakOf(pid)));
}

function peakOf(pid: number): number {
  try {
    const [, kib = '0'] =
      /^VmHWM:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8')) ?? [];
    return Number(kib) / 1_024;
  } catch {
    // It has ended.
    return 0;
  }
}
