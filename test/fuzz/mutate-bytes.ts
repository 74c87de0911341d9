/** Changes to any bytes, whatever they mean. */
import type { Chance } from '../border/chance.ts';

/** What a mutator may take from. */
export type Pool = {
  readonly chance: Chance;
  /** A word that the target, or its sources, compare inputs with. */
  readonly word: () => Uint8Array;
  /** Another input that is kept. */
  readonly other: () => Buffer;
};

export type Mutator = (input: Buffer, pool: Pool) => Buffer;

/** Numbers at whose sides code decides, in whichever width fits them. */
const NUMBERS = [
  0, 1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 31, 32, 33, 63, 64, 65, 99, 100, 125, 126, 127, 128, 129, 255, 256, 257, 499, 500, 511,
  512, 1_000, 1_023, 1_024, 4_095, 4_096, 16_383, 16_384, 32_767, 32_768, 65_534, 65_535, 65_536, 1_048_576, 2_097_151,
  2_097_152, 16_777_215, 16_777_216, 268_435_455, 268_435_456, 536_870_911, 536_870_912, 2_147_483_647, 2_147_483_648,
  4_294_967_295, 4_294_967_296, 2 ** 35 - 1, 2 ** 42, 2 ** 49, Number.MAX_SAFE_INTEGER, 2 ** 53, 2 ** 63,
] as const; // prettier-ignore

export function interesting(chance: Chance): number {
  return chance.pick(NUMBERS) + (chance.is(0.2) ? chance.int(-1, 1) : 0);
}

/** A number in the seven-bit groups of protobuf and Pomelo; negative ones as zigzag. */
export function varint(number: number): Buffer {
  const bytes: number[] = [];
  let rest = BigInt(number < 0 ? -2 * number - 1 : number);
  while (rest > 0x7fn) {
    bytes.push(Number(rest & 0x7fn) | 0x80);
    rest >>= 7n;
  }
  bytes.push(Number(rest));
  return Buffer.from(bytes);
}

function place({ chance }: Pool, input: Buffer): number {
  // Formats decide much in their first bytes.
  const end = chance.is(0.3) ? Math.min(12, input.length) : input.length;
  return chance.int(0, Math.max(0, end - 1));
}

function extent({ chance }: Pool, input: Buffer, at: number): number {
  const most = input.length - at;
  return Math.min(most, chance.is(0.8) ? chance.int(1, 8) : chance.int(1, Math.max(1, most)));
}

export function spliced(input: Buffer, at: number, removed: number, added: Uint8Array): Buffer {
  return Buffer.concat([input.subarray(0, at), added, input.subarray(at + removed)]);
}

function number({ chance }: Pool): Buffer {
  const value = interesting(chance);
  const width = chance.pick([1, 2, 3, 4, 8]);
  if (width === 8 || chance.is(0.3)) return varint(Math.max(value, 0));
  const bytes = Buffer.alloc(width);
  const fitting = value % 2 ** (8 * width);
  if (chance.is(0.5)) bytes.writeUIntBE(fitting < 0 ? 0 : fitting, 0, width);
  else bytes.writeUIntLE(fitting < 0 ? 0 : fitting, 0, width);
  return bytes;
}

const CHANGES: readonly Mutator[] = [
  (input, pool) => {
    const made = Buffer.from(input);
    made[place(pool, input)]! ^= 1 << pool.chance.int(0, 7);
    return made;
  },
  (input, pool) => {
    const made = Buffer.from(input);
    made[place(pool, input)] = pool.chance.int(0, 255);
    return made;
  },
  (input, pool) => {
    const made = Buffer.from(input);
    made[place(pool, input)]! += pool.chance.int(-16, 16);
    return made;
  },
  (input, pool) => {
    const at = place(pool, input);
    return spliced(input, at, extent(pool, input, at), Buffer.alloc(0));
  },
  (input, pool) => {
    const at = place(pool, input);
    return spliced(input, at, 0, pool.chance.bytes(pool.chance.int(1, 8)));
  },
  (input, pool) => {
    const at = place(pool, input);
    const part = input.subarray(at, at + extent(pool, input, at));
    return spliced(input, place(pool, input), 0, part);
  },
  (input, pool) => {
    const token = pool.word();
    return spliced(input, place(pool, input), pool.chance.is(0.5) ? token.length : 0, token);
  },
  (input, pool) => {
    const bytes = number(pool);
    return spliced(input, place(pool, input), pool.chance.is(0.7) ? bytes.length : 0, bytes);
  },
  (input, pool) => input.subarray(0, place(pool, input)),
  (input, pool) => {
    const other = pool.other();
    if (other.length === 0) return input;
    const from = pool.chance.int(0, other.length - 1);
    const part = other.subarray(from, from + extent(pool, other, from));
    return spliced(input, place(pool, input), pool.chance.is(0.5) ? part.length : 0, part);
  },
  // One's beginning and the other's end.
  (input, pool) => {
    const other = pool.other();
    const from = pool.chance.int(0, other.length);
    return Buffer.concat([input.subarray(0, place(pool, input)), other.subarray(from)]);
  },
];

export function mutateBytes(input: Buffer, pool: Pool): Buffer {
  if (input.length === 0) {
    return pool.chance.is(0.5) ? Buffer.from(pool.word()) : pool.chance.bytes(4);
  }
  return pool.chance.pick(CHANGES)(input, pool);
}
