/** Inputs that are blown up: a part of one so many times that work which grows faster than its size shows. */
import { type Mutator, type Pool, spliced } from './mutate-bytes.ts';
import { repeatedField } from './mutate-frames.ts';
import { repeatedValue } from './mutate-text.ts';
import type { Form } from './target.ts';

/** Bytes that an input is blown up to, at most. */
const AMPLIFIED_BYTES = 65_536;

/** By the form of the input, so that it is still what it was: an element, a field, a line more often. */
const AMPLIFIERS: Readonly<
  Partial<Record<Form, (input: Buffer, pool: Pool, bytes: number) => Buffer>>
> = {
  json: repeatedValue,
  protobuf: repeatedField,
  lines: repeatedLine,
};

export function amplified(form: Form): Mutator {
  const repeat = AMPLIFIERS[form] ?? repeatedBytes;
  return (input, pool) => {
    const from = input.length > 0 ? input : pool.other();
    if (from.length === 0) return from;
    return repeat(from, pool, pool.chance.logarithmic(AMPLIFIED_BYTES));
  };
}

function repeatedBytes(input: Buffer, { chance }: Pool, bytes: number): Buffer {
  const at = chance.int(0, input.length - 1);
  const part = input.subarray(at, at + chance.int(1, Math.min(64, input.length - at)));
  const times = Math.floor(bytes / part.length);
  return spliced(input, at, 0, Buffer.alloc(part.length * times, part));
}

function repeatedLine(input: Buffer, pool: Pool, bytes: number): Buffer {
  const lines = input.toString('latin1').split('\n');
  const at = pool.chance.int(0, lines.length - 1);
  const line = lines[at]!;
  const times = Math.floor(bytes / (line.length + 1));
  return Buffer.from(
    lines.toSpliced(at, 0, ...Array<string>(times).fill(line)).join('\n'),
    'latin1',
  );
}
