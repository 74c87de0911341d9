/**
 * `make chaos` (SCENARIO=name,name RUNS=10 SESSIONS=500 JOBS=4): real gateways, nats-servers and clients, and what goes
 * wrong with them. Prints a table for each scenario, and fails if a row is not as promised.
 */
import { errorText } from '../../src/errors.ts';
import { putToolsOnPath } from '../tools/path.ts';
import { SCENARIOS } from './all.ts';
import { playAll, type Row, type Scenario } from './scenario.ts';
import { totalsTable } from './totals.ts';

const { env } = process;
putToolsOnPath();
process.exit(await main());

async function main(): Promise<number> {
  const wanted = (env['SCENARIO'] || SCENARIOS.map(({ name }) => name).join()).split(',');
  const scenarios = SCENARIOS.filter(({ name }) => wanted.includes(name));
  if (scenarios.length === 0) {
    const names = SCENARIOS.map(({ name }) => name).join(', ');
    console.error(`no scenario is called ${env['SCENARIO']}; there are ${names}`);
    return 64;
  }
  const began = performance.now();
  let faults = 0;
  const played: { scenario: string; rows: Row[] }[] = [];
  for (const scenario of scenarios) {
    const rows: Row[] = [];
    played.push({ scenario: scenario.name, rows });
    faults += await play(scenario, rows);
  }
  console.log(`\n${totalsTable(played).join('\n')}`);
  const seconds = Math.round((performance.now() - began) / 1_000);
  console.log(`\nchaos: ${faults === 0 ? 'passed' : `${faults} faults`}, in ${seconds} s`);
  return faults === 0 ? 0 : 1;
}

/** @param rows Where they go. @returns How many faults there were. */
async function play(scenario: Scenario, rows: Row[]): Promise<number> {
  const size = {
    sessions: Number(env['SESSIONS'] || scenario.sessions),
    runs: Number(env['RUNS'] || scenario.runs),
    jobs: Number(env['JOBS'] || scenario.jobs),
  };
  console.log(`\n${scenario.name}: ${scenario.about}`);
  let faults = 0;
  let first: Row | null = null;
  try {
    await playAll(scenario, size, (row) => {
      rows.push(row);
      if (first === null) console.log(line(row, (head) => head));
      first ??= row;
      console.log(line(first, (head) => String(row.cells[head])));
      for (const fault of row.faults) console.log(`  FAULT: ${fault}`);
      faults += row.faults.length;
    });
    console.log(scenario.summary(rows));
  } catch (error) {
    console.log(`  FAULT: ${errorText(error)}`);
    faults++;
  }
  return faults;
}

/** Rows are printed as they come, so the first one says how wide a column is: six places at least. */
function line(first: Row, cell: (head: string) => string): string {
  return Object.entries(first.cells)
    .map(([head, value]) => {
      const width = Math.max(head.length, String(value).length, 6);
      return typeof value === 'number' || /^[\d. ]+$/.test(value)
        ? cell(head).padStart(width)
        : cell(head).padEnd(width);
    })
    .join('  ')
    .trimEnd();
}
