/** The table that `make fuzz` prints. */
import type { Row } from './schedule.ts';

const HEAD = [
  'target',
  'runs',
  'runs/s',
  'edges',
  'new',
  'dry s',
  'corpus',
  'steps',
  'memory',
  'findings',
];

export function printTable(rows: readonly Row[]): void {
  const lines = rows.map((row) => [
    row.target,
    String(row.executions),
    String(Math.round((row.executions * 1000) / Math.max(1, row.ms))),
    String(row.edges),
    String(row.edges - row.edgesBefore),
    (row.dryMs / 1000).toFixed(0),
    String(row.kept),
    percent(row.steps),
    percent(row.allocated),
    String(row.findings),
  ]);
  const sum = (pick: (row: Row) => number): string =>
    String(rows.reduce((all, row) => all + pick(row), 0));
  lines.push([
    'all',
    sum(({ executions }) => executions),
    '',
    sum(({ edges }) => edges),
    sum(({ edges, edgesBefore }) => edges - edgesBefore),
    '',
    sum(({ kept }) => kept),
    '',
    '',
    sum(({ findings }) => findings),
  ]);
  console.log('');
  printColumns([HEAD, ...lines], 1);
  console.log('steps and memory: the most that one input cost, of what it may.');
}

/** @param left How many columns are aligned to the left. */
export function printColumns(lines: readonly (readonly string[])[], left: number): void {
  const widths = lines[0]!.map((_, column) =>
    Math.max(...lines.map((line) => line[column]!.length)),
  );
  for (const line of lines) {
    const cells = line.map((cell, i) =>
      i < left ? cell.padEnd(widths[i]!) : cell.padStart(widths[i]!),
    );
    console.log(cells.join('  ').trimEnd());
  }
}

function percent(part: number): string {
  return `${Math.ceil(part * 100)}%`;
}
