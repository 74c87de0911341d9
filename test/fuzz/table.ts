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
  const all = [HEAD, ...lines];
  const widths = HEAD.map((_, column) => Math.max(...all.map((line) => line[column]!.length)));
  console.log('');
  for (const line of all) {
    console.log(
      line
        .map((cell, i) => (i === 0 ? cell.padEnd(widths[i]!) : cell.padStart(widths[i]!)))
        .join('  '),
    );
  }
  console.log('steps and memory: the most that one input cost, of what it may.');
}

function percent(part: number): string {
  return `${Math.ceil(part * 100)}%`;
}
