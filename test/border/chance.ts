/** Chance that can be had again: the same seed gives the same cases, in whichever process they are made. */

/** The seed of this run: TEST_SEED, or one by chance. Whoever fails prints it. */
export function seedOfRun(): number {
  const given = Number(process.env['TEST_SEED'] ?? '');
  return Number.isInteger(given) && given > 0 ? given : 1 + Math.floor(Math.random() * 0x7ffffffe);
}

export class Chance {
  #state: number;

  /** @param seed Any text; the same text is the same chance. */
  constructor(seed: string) {
    // FNV-1a
    let hash = 0x811c9dc5;
    for (let i = 0; i < seed.length; i++) hash = Math.imul(hash ^ seed.charCodeAt(i), 0x01000193);
    this.#state = hash >>> 0;
  }

  /** 0 to 1, 1 excluded. [mulberry32] */
  next(): number {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0;
    let t = this.#state;
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 0x100000000;
  }

  /** A whole number from `min` to `max`, both included. */
  int(min: number, max: number): number {
    return min + Math.floor(this.next() * (max - min + 1));
  }

  /** True in `part` of all cases. */
  is(part: number): boolean {
    return this.next() < part;
  }

  pick<T>(from: readonly T[]): T {
    return from[this.int(0, from.length - 1)]!;
  }

  /** Few high numbers, many low ones: every order of magnitude up to `max` comes as often. */
  logarithmic(max: number): number {
    return Math.floor(Math.exp(this.next() * Math.log(max + 1))) - (this.is(0.1) ? 1 : 0);
  }

  bytes(length: number): Buffer {
    const made = Buffer.allocUnsafe(length);
    for (let i = 0; i < length; i++) made[i] = this.int(0, 255);
    return made;
  }
}
