/** Random numbers that a seed decides. */
import type { Random } from '../../src/random.ts';

/** xoshiro128**, seeded by a hash of a text: each name has a stream of its own. [prng.di.unimi.it] */
export class SeededRandom implements Random {
  #a: number;
  #b: number;
  #c: number;
  #d: number;

  constructor(seed: string) {
    const next = hashOf(seed);
    this.#a = next();
    this.#b = next();
    this.#c = next();
    this.#d = next() | 1;
  }

  /** 0 to 2³² − 1. */
  uint32(): number {
    const x = Math.imul(this.#b, 5);
    const result = Math.imul((x << 7) | (x >>> 25), 9) >>> 0;
    const t = this.#b << 9;
    this.#c ^= this.#a;
    this.#d ^= this.#b;
    this.#b ^= this.#c;
    this.#a ^= this.#d;
    this.#c ^= t;
    this.#d = (this.#d << 11) | (this.#d >>> 21);
    return result;
  }

  number(): number {
    return this.uint32() / 0x1_0000_0000;
  }

  bytes(count: number): Buffer {
    const bytes = Buffer.alloc(count);
    for (let i = 0; i < count; i++) bytes[i] = this.uint32() & 0xff;
    return bytes;
  }

  /** A whole number, `from` to `to`, both included. */
  int(from: number, to: number): number {
    return from + Math.floor(this.number() * (to - from + 1));
  }

  /** `from` ≤ x < `to`. */
  between(from: number, to: number): number {
    return from + this.number() * (to - from);
  }

  /** True with this probability. */
  chance(probability: number): boolean {
    return this.number() < probability;
  }

  /** With this mean, as between events that know nothing of each other. */
  exponential(mean: number): number {
    return -mean * Math.log(1 - this.number());
  }

  pick<T>(list: readonly T[]): T {
    return list[Math.floor(this.number() * list.length)]!;
  }
}

/** FNV-1a over the text, then a mixer: close seeds give streams that have nothing in common. */
function hashOf(text: string): () => number {
  let hash = 0x811c9dc5;
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193);
  return () => {
    hash = (hash + 0x6d2b79f5) | 0;
    let t = Math.imul(hash ^ (hash >>> 15), 1 | hash);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return (t ^ (t >>> 14)) >>> 0;
  };
}
