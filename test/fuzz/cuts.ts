/** Bytes in pieces, as a socket might give them. The same input is always cut in the same way. */
import { Chance } from '../border/chance.ts';

/** Beyond this, single bytes would take all the time. */
const SINGLES_MAX = 2_000;

/** Chance that depends on the input alone. */
export function chanceOf(input: Uint8Array): Chance {
  return new Chance(Buffer.from(input.buffer, input.byteOffset, input.length).toString('latin1'));
}

/** Copies of the pieces: whole, single bytes, and three times at places by chance. */
export function waysToCut(input: Buffer): Buffer[][] {
  const chance = chanceOf(input);
  const ways: Buffer[][] = [[Buffer.from(input)]];
  if (input.length <= SINGLES_MAX) ways.push(Array.from(input, (byte) => Buffer.from([byte])));
  for (const longest of [3, 40, 1_000]) ways.push(cutByChance(input, chance, longest));
  return ways;
}

export function cutByChance(input: Buffer, chance: Chance, longest: number): Buffer[] {
  const pieces: Buffer[] = [];
  for (let at = 0; at < input.length;) {
    const end = Math.min(input.length, at + chance.int(1, longest));
    pieces.push(Buffer.from(input.subarray(at, end)));
    at = end;
  }
  return pieces;
}
