/** All ways to change an input, by the forms that a target names. */
import type { Chance } from '../border/chance.ts';
import { amplified } from './amplify.ts';
import { mutateBytes, type Mutator, type Pool } from './mutate-bytes.ts';
import { mutatePackets, mutateProtobuf } from './mutate-frames.ts';
import { mutateJson, mutateLines, mutateText, mutateWords } from './mutate-text.ts';
import type { Form } from './target.ts';

const MUTATORS: Readonly<Record<Form, Mutator>> = {
  bytes: mutateBytes,
  text: mutateText,
  json: mutateJson,
  protobuf: mutateProtobuf,
  packets: mutatePackets,
  lines: mutateLines,
  words: mutateWords,
};

const AMPLIFIED_PART = 0.005;

/** The input with one to eight changes, in one of the forms each. */
export function mutated(
  input: Buffer,
  forms: readonly Form[],
  pool: Pool,
  bytesMax: number,
): Buffer {
  const { chance } = pool;
  if (chance.is(AMPLIFIED_PART)) return amplified(chance.pick(forms))(input, pool);
  let made = input;
  for (let left = changes(chance); left > 0; left--) {
    const form = chance.is(0.1) ? 'bytes' : chance.pick(forms);
    made = MUTATORS[form](made, pool);
  }
  return made.length > bytesMax ? made.subarray(0, bytesMax) : made;
}

function changes(chance: Chance): number {
  return 2 ** chance.pick([0, 0, 0, 1, 1, 2, 3]);
}
