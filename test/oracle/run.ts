/** Prints the comparison, line by line: `make oracle`. Ends with 1 if anything differs that the table does not list. */
import { type Comparison, compareAll, judge, staleRows, tails } from './compare.ts';
import type { Transcript } from './play.ts';
import { ORIGINALS } from './servers.ts';

const TITLES = { pomelo: 'pomelo 2.2.7', pinus: 'pinus 1.7.4' } as const;
const NOTES = {
  pomelo:
    'with close code 1000; over TCP its send is mended, which without that answers nobody on this Node',
  pinus: 'with a close frame that has no code',
} as const;
const LABELS = { same: 'same', intended: 'intended', different: 'DIFFERENT' } as const;

function print(line: string): void {
  process.stdout.write(`${line}\n`);
}

function printSide(name: string, lines: Transcript): void {
  const text = lines.length === 0 ? ['(nothing more)'] : lines;
  for (const [i, line] of text.entries()) print(`      ${(i === 0 ? name : '').padEnd(8)}${line}`);
}

function printComparison(comparison: Comparison): void {
  const verdict = judge(comparison);
  const { step, transport, original } = comparison;
  print(`  ${LABELS[verdict.kind].padEnd(10)}${step.world}, ${transport}: ${step.name}`);
  if (verdict.kind === 'same') return;
  const { theirs, ours } = tails(comparison);
  printSide(original, theirs);
  printSide('pith', ours);
  if (verdict.kind === 'intended') print(`      why     ${verdict.why}`);
}

const comparisons = await compareAll();
const stale = staleRows(comparisons);
const totals: string[] = [];
let isGood = stale.length === 0;
for (const original of ORIGINALS) {
  const own = comparisons.filter((one) => one.original === original);
  print(
    `\nPith and ${TITLES[original]}, byte for byte; bytes that are no ASCII are shown as \\xNN`,
  );
  print(`END is an end as ${TITLES[original]} makes it, ${NOTES[original]}\n`);
  for (const comparison of own) printComparison(comparison);
  const count = (kind: keyof typeof LABELS): number =>
    own.filter((one) => judge(one).kind === kind).length;
  if (count('different') > 0) isGood = false;
  totals.push(
    `${TITLES[original]}: ${count('same')} same, ${count('intended')} intended differences, ${count('different')} DIFFERENT`,
  );
}
print('');
for (const line of stale) print(`the table lists what is not so: ${line}`);
for (const line of totals) print(line);
process.exitCode = isGood ? 0 : 1;
