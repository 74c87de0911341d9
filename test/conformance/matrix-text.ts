/** The matrix as text: for the page, and for the end of a run. */
import { type Cell, COLUMNS, type Column, LEFT_OUT, type Row, ROWS } from './matrix.ts';

/** The page's part between the two marker comments, as Markdown. */
export function matrixPage(): string {
  const notes: string[] = [];
  const head = ['client', 'runs in', 'dialect', 'transport', ...COLUMNS];
  const lines = ROWS.map((row) => {
    const cells = COLUMNS.map((column) => pageCell(row, column, notes));
    return [row.client, row.runs, row.dialect, row.transport, ...cells];
  });
  const table = [head, head.map(() => '---'), ...lines].map((line) => `| ${line.join(' | ')} |`);
  const leftOut = LEFT_OUT.map(({ client, why }) => `- ${client}: ${why}.`);
  return [
    ...table,
    '',
    ...notes.map((note, i) => `${i + 1}. ${note}`),
    '',
    'Not in the table:',
    '',
    ...leftOut,
  ].join('\n');
}

function pageCell(row: Row, column: Column, notes: string[]): string {
  const why = row.lacks[column] ?? row.notes[column];
  const mark = row.lacks[column] === undefined ? '✓' : '–';
  if (why === undefined) return mark;
  if (!notes.includes(why)) notes.push(why);
  return `${mark}<sup>${notes.indexOf(why) + 1}</sup>`;
}

/** How a cell's test ended. */
export type Outcome = Cell & { readonly state: 'passed' | 'failed' | 'skipped' | 'pending' };

const MARKS = { passed: '✓', failed: '✗', skipped: 's', pending: 's' } as const;

/** The matrix of a run, for a terminal; `s`: its test was left out, `?`: it did not run. Empty if no cell ran. */
export function matrixOfRun(outcomes: readonly Outcome[]): string {
  if (outcomes.length === 0) return '';
  const rows = ROWS.filter(({ id }) => outcomes.some(({ row }) => row === id));
  const names = rows.map(
    (row) => `${row.client} · ${row.dialect} · ${row.transport} · ${row.runs}`,
  );
  const width = Math.max(...names.map((name) => name.length));
  const lines = rows.map((row, i) => {
    const cells = COLUMNS.map((column) => runCell(row, column, outcomes).padEnd(column.length));
    return `${names[i]!.padEnd(width)}  ${cells.join('  ')}`;
  });
  return [`${'Clients'.padEnd(width)}  ${COLUMNS.join('  ')}`, ...lines].join('\n');
}

function runCell(row: Row, column: Column, outcomes: readonly Outcome[]): string {
  if (row.lacks[column] !== undefined) return '–';
  const found = outcomes.find((one) => one.row === row.id && one.column === column);
  return found === undefined ? '?' : MARKS[found.state];
}
