/**
 * `make border T=300`: every attack, three times over, for so many seconds in all; prints a table and what was wrong,
 * and fails for it. `make test` has a short form, which does not look at time and memory.
 */
import { errorText } from '../../src/errors.ts';
import { putToolsOnPath } from '../tools/path.ts';
import { type Attack, ATTACKS, nameOf } from './attacks.ts';
import { seedOfRun } from './chance.ts';
import { NAMED_MS, RESIDENT_BYTES, type Row, runRow, STALL_MS } from './row.ts';
import { Stage } from './stage.ts';
import { LEGEND, tableOf } from './table.ts';
import { MIB } from './values.ts';

const REPEATS = 3;
const PAUSE_MS = 400;
const LARGEST_BYTES = 32 * MIB;

putToolsOnPath();
const seconds = Number(process.env['T'] || '300');
const only = process.env['ONLY'] ?? '';
const seed = seedOfRun();
console.log(
  `border: ${seconds} s, TEST_SEED=${seed}; a stall is over ${STALL_MS} ms, resident memory stays under ${RESIDENT_BYTES / MIB} MiB`,
);

const attacks = ATTACKS.filter((attack) => nameOf(attack).includes(only));
const msEach = (seconds * 1_000) / (attacks.length * REPEATS);
const rows: Row[] = [];
const wrong: string[] = [];
let stage = await Stage.start(PAUSE_MS);
for (let repeat = 1; repeat <= REPEATS; repeat++)
  for (const attack of attacks) await one(attack, repeat);
await stage[Symbol.asyncDispose]();

console.log(`${tableOf(rows)}\n${LEGEND}`);
const named = rows.filter(({ turnMs }) => turnMs > NAMED_MS && turnMs <= STALL_MS);
for (const { name, turnMs } of named)
  console.log(`over ${NAMED_MS} ms: ${name}: ${Math.round(turnMs)} ms`);
for (const line of wrong) console.log(`wrong: ${line}`);
console.log(wrong.length === 0 ? 'border: passed' : `border: ${wrong.length} faults`);
process.exit(wrong.length === 0 ? 0 : 1);

async function one(attack: Attack, repeat: number): Promise<void> {
  const name = nameOf(attack);
  try {
    const size = {
      cases: Number.MAX_SAFE_INTEGER,
      ms: msEach,
      largest: LARGEST_BYTES,
      isLong: true,
      isWarm: repeat > 1,
    };
    const row = await runRow(stage, attack, `${seed} ${repeat}`, size);
    rows.push({ ...row, name: `${row.name} ${repeat}` });
    const faults = [...row.faults, ...row.wall].map((fault) => `${name} ${repeat}: ${fault}`);
    console.log([`${repeat} of ${REPEATS}: ${name}`, ...faults].join('\n  '));
    wrong.push(...faults);
  } catch (error) {
    const fault = `${name} ${repeat}: ${errorText(error)}`;
    console.log(fault);
    wrong.push(fault);
    await stage[Symbol.asyncDispose]();
    stage = await Stage.start(PAUSE_MS);
  }
}
