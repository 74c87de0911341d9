/** What the rows have to say, as text. */
import type { Row } from './row.ts';
import { MIB } from './values.ts';

const COLUMNS = [
  ['attack', (row: Row) => row.name],
  ['sent', (row: Row) => String(row.tally.sent)],
  ['MiB', (row: Row) => (row.tally.bytes / MIB).toFixed(1)],
  ['largest', (row: Row) => size(row.tally.largest)],
  ['answered', (row: Row) => String(row.tally.answered)],
  ['refused', (row: Row) => String(sum(row.tally.refused))],
  ['closed', (row: Row) => String(row.tally.closed)],
  ['by', (row: Row) => String(row.bystanders.answered)],
  ['wait ms', (row: Row) => ms(row.bystanders.worstMs)],
  ['turn ms', (row: Row) => ms(row.turnMs)],
  ['lag ms', (row: Row) => ms(row.lagMs)],
  ['livez ms', (row: Row) => ms(row.probeMs)],
  ['remains', (row: Row) => size(row.remainsBytes)],
  ['resident', (row: Row) => size(row.residentBytes)],
  ['s', (row: Row) => row.seconds.toFixed(1)],
  ['', (row: Row) => (row.faults.length > 0 ? 'FAILS' : row.wall.length > 0 ? 'OVER' : '')],
] as const;

/** What the columns mean that do not say it themselves. */
export const LEGEND = `by: answers to bystanders, and wait: the longest for one. turn: longest turn of the gateway's loop by its CPU;
lag: by its own metric; livez: by a probe, each with what else the machine did. remains: heap and external memory
after a collection, more than before the attack.`;

export function tableOf(rows: readonly Row[]): string {
  const cells = [
    COLUMNS.map(([head]) => head as string),
    ...rows.map((row) => COLUMNS.map(([, cell]) => cell(row))),
  ];
  const widths = COLUMNS.map((_, i) => Math.max(...cells.map((line) => line[i]!.length)));
  const line = (texts: readonly string[]): string =>
    texts
      .map((text, i) => (i === 0 ? text.padEnd(widths[i]!) : text.padStart(widths[i]!)))
      .join('  ')
      .trimEnd();
  return cells.map(line).join('\n');
}

function sum(counts: Readonly<Record<string, number>>): number {
  return Object.values(counts).reduce((all, one) => all + one, 0);
}

function ms(value: number): string {
  return value.toFixed(0);
}

function size(bytes: number): string {
  if (Math.abs(bytes) < 10_000) return `${bytes} B`;
  if (Math.abs(bytes) < MIB) return `${(bytes / 1_024).toFixed(0)} KiB`;
  return `${(bytes / MIB).toFixed(1)} MiB`;
}
