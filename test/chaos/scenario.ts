/** What a scenario is: a file of its own in `scenarios/`, and a line in `all.ts`. */

import type { Totals } from './totals.ts';
import { keepCompiledCode } from '../tools/compile-cache.ts';

/** A line of the table, and what is wrong with it; none: it is as promised. */
export type Row = {
  /** By column; all rows of a scenario have the same. */
  readonly cells: Readonly<Record<string, string | number>>;
  readonly faults: readonly string[];
  /** For the table at the end; absent: the scenario has no requests and no players. */
  readonly totals?: Totals;
};

export type Size = {
  /** Of clients; what it is exactly, each scenario says. */
  readonly sessions: number;
  /** How many rows there are to be in all, and how many fleets play them at the same time. */
  readonly runs: number;
  readonly jobs: number;
};

/** What one fleet is to play. */
export type Order = {
  readonly sessions: number;
  /** The number of the next run, from 1; null: there is none left. */
  readonly next: () => number | null;
};

export type Scenario = Size & {
  readonly name: string;
  /** What is done, and what is promised: printed above the table. */
  readonly about: string;
  /** Plays runs on a fleet of its own. */
  play(order: Order): AsyncIterable<Row>;
  /** One line below the table. */
  summary(rows: readonly Row[]): string;
};

/** Plays all runs of a scenario. @param onRow Called with each row as it is there. */
export async function playAll(
  scenario: Scenario,
  { sessions, runs, jobs }: Size,
  onRow: (row: Row) => void = () => {},
): Promise<Row[]> {
  keepCompiledCode();
  const rows: Row[] = [];
  let last = 0;
  const next = (): number | null => (last < runs ? ++last : null);
  const playOne = async (): Promise<void> => {
    for await (const row of scenario.play({ sessions, next })) {
      rows.push(row);
      onRow(row);
    }
  };
  await Promise.all(Array.from({ length: Math.min(jobs, runs) }, playOne));
  return rows;
}

export function sum(rows: readonly Row[], column: string): number {
  return rows.reduce((all, { cells }) => all + Number(cells[column]), 0);
}

/** `median 7.9 s, worst 8.6 s` of a column of seconds. */
export function spread(rows: readonly Row[], column: string): string {
  const sorted = rows.map(({ cells }) => Number(cells[column])).sort((a, b) => a - b);
  const [median, worst] = [sorted[Math.floor(sorted.length / 2)] ?? 0, sorted.at(-1) ?? 0];
  return `median ${median.toFixed(1)} s, worst ${worst.toFixed(1)} s`;
}
