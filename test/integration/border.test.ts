/**
 * Whatever comes over a border of the gateway, made by chance: the process lives, bystanders are answered, what was
 * refused is counted. Here it is the same each time, unless TEST_SEED says otherwise; `make border` draws anew, has
 * more of it, and looks at time and memory too.
 */
import { afterAll, expect, test } from 'vitest';

import { ATTACKS, nameOf } from '../border/attacks.ts';
import { runRow } from '../border/row.ts';
import { Stage } from '../border/stage.ts';
import { MIB } from '../border/values.ts';

const CASES = 7;
const PAUSE_MS = 800;
const SIZE = { cases: CASES, ms: 120_000, largest: 17 * MIB, isLong: false, isWarm: false };
const seed = Number(process.env['TEST_SEED'] ?? 20_261_126);
let stage: Stage | null = null;

afterAll(async () => {
  await stage?.[Symbol.asyncDispose]();
});

test.each(ATTACKS.map((attack) => [nameOf(attack), attack] as const))('%s', async (_, attack) => {
  stage ??= await Stage.start(PAUSE_MS);
  try {
    const row = await runRow(stage, attack, String(seed), SIZE);
    expect(row.faults, `TEST_SEED=${seed}`).toEqual([]);
  } catch (error) {
    await stage[Symbol.asyncDispose]();
    stage = null;
    throw error;
  }
});
