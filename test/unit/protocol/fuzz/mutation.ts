/** Bytes changed in one way. */
import type { Random } from './random.ts';

/** A copy of `bytes`, which must not be empty, with one thing changed; half of the changes are near its beginning. */
export function mutated(random: Random, bytes: Buffer): Buffer {
  const at = random.below(random.oneIn(2) ? Math.min(bytes.length, 12) : bytes.length);
  const [head, tail] = [bytes.subarray(0, at), bytes.subarray(at)];
  const length = random.between(1, 8);
  switch (random.below(6)) {
    case 0:
      return Buffer.concat([
        head,
        Buffer.from([tail[0]! ^ (1 << random.below(8))]),
        tail.subarray(1),
      ]);
    case 1:
      return Buffer.concat([head, random.bytes(1), tail.subarray(1)]);
    case 2:
      return Buffer.from(head);
    case 3:
      return Buffer.concat([head, random.bytes(length), tail]);
    case 4:
      return Buffer.concat([head, tail.subarray(0, length), tail]);
    default:
      return Buffer.concat([head, tail.subarray(length)]);
  }
}
