/** What `make test` runs of the fuzzer: what is kept, and a few new inputs, always the same. */
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

import fc from 'fast-check';

import { Chance } from '../border/chance.ts';
import { CORPUS, readInputs } from './corpus.ts';
import { mutated } from './mutators.ts';
import { BYTES_MAX, type Target } from './target.ts';
import { wordsOf } from './tokens.ts';

const CHANGED = 100;
const FRESH = 50;

/**
 * Runs the seeds, the corpus, some changed inputs, and some that fast-check makes.
 *
 * @returns How many ran.
 * @throws {Error} What is wrong, with the input in base64.
 */
export async function replay(target: Target): Promise<number> {
  const count = target.replays ?? CHANGED;
  const kept = [
    ...target.seeds.map((seed) => Buffer.from(seed)),
    ...readInputs(join(CORPUS, target.name)),
  ];
  for (const input of kept) await run(target, input);
  const chance = new Chance(`replay ${target.name}`);
  const files = new Set(
    target.drives.map((one) =>
      fileURLToPath(new URL(`../../src/${one.split(' ')[0]}`, import.meta.url)),
    ),
  );
  const word = wordsOf([...files], target.tokens ?? [], chance);
  const pool = { chance, word, other: () => chance.pick(kept) };
  for (let i = 0; i < count; i++) {
    await run(target, mutated(chance.pick(kept), target.forms, pool, target.bytesMax ?? BYTES_MAX));
  }
  const fresh =
    target.fresh === undefined ? [] : fc.sample(target.fresh, { numRuns: FRESH, seed: 1 });
  for (const input of fresh) await run(target, Buffer.from(input));
  return kept.length + count + fresh.length;
}

async function run(target: Target, input: Buffer): Promise<void> {
  try {
    await target.run(Buffer.from(input));
  } catch (error) {
    const found = `${target.name} · ${(error as Error).message} · input in base64: ${input.toString('base64')}`;
    throw new Error(found, { cause: error });
  }
}
