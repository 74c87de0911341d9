/** What a target of the fuzzer is, and how it says that something is wrong. */
import type fc from 'fast-check';

/** How inputs are changed; a target names the forms that its inputs have. */
export type Form = 'bytes' | 'text' | 'json' | 'protobuf' | 'packets' | 'lines' | 'words';

/** The most that one input may cost: a part for any input, and a part for each byte of it. */
export type Bound = { readonly base: number; readonly perByte: number };

export type Target = {
  readonly name: string;
  /** The exports of src/ that it drives, as `protocol/message.ts decodeMessage`. */
  readonly drives: readonly string[];
  readonly forms: readonly Form[];
  /** Valid inputs, and inputs that once broke something. */
  readonly seeds: readonly (string | Uint8Array)[];
  /** Fresh valid inputs. */
  readonly fresh?: fc.Arbitrary<string | Uint8Array>;
  /** Words beyond those that are read from the sources of what it drives. */
  readonly tokens?: readonly (string | Uint8Array)[];
  /** Bytes that an input may grow to; 4096 if absent. */
  readonly bytesMax?: number;
  /** Changed inputs that `make test` runs; 100 if absent. */
  readonly replays?: number;
  /** Blocks of src/ executed; see `STEPS`. */
  readonly steps?: Partial<Bound>;
  /** Bytes of buffers allocated; see `ALLOCATED`. */
  readonly allocated?: Partial<Bound>;
  /** `run` gives a promise. What hangs is then ended by the process that started the worker. */
  readonly isAsync?: true;
  /** Throws if the code breaks its contract. It must have no memory: the same input gives the same result. */
  run(input: Buffer): void | Promise<void>;
};

/** Bounds of a target that names none. A run usually reads its input several times, in several ways. */
export const STEPS: Bound = { base: 50_000, perByte: 1_000 };
export const ALLOCATED: Bound = { base: 1_048_576, perByte: 200 };
export const BYTES_MAX = 4_096;

/** The most that `bytes` of input may cost. */
export function mostOf(bound: Partial<Bound> | undefined, otherwise: Bound, bytes: number): number {
  const { base, perByte } = { ...otherwise, ...bound };
  return base + perByte * bytes;
}

/** A broken promise, as opposed to an error of the target itself; both are findings. */
export class Broken extends Error {
  override readonly name = 'Broken';
}

/** @throws {Broken} */
export function check(
  holds: boolean,
  promise: string,
  ...shown: readonly unknown[]
): asserts holds {
  if (!holds) throw new Broken([promise, ...shown.map(show)].join(' · '));
}

/** @throws {Broken} unless both are equal as JSON, with bytes in hex and numbers to the bit. */
export function same(a: unknown, b: unknown, promise: string): void {
  const [one, other] = [show(a), show(b)];
  if (one === other) return;
  const { length } = one;
  let at = 0;
  while (at < length && one[at] === other[at]) at++;
  const from = Math.max(0, at - 40);
  throw new Broken(`${promise} · …${one.slice(from, at + 80)} · …${other.slice(from, at + 80)}`);
}

/** A value as one line; two values that differ give two texts. */
export function show(value: unknown): string {
  if (value === undefined) return 'undefined';
  return JSON.stringify(value, (_key, inner: unknown) => plain(inner));
}

function plain(value: unknown): unknown {
  if (typeof value === 'bigint') return `${value}n`;
  if (typeof value === 'number' && (!Number.isFinite(value) || Object.is(value, -0)))
    return Object.is(value, -0) ? '-0' : String(value);
  if (value instanceof Map) return { map: [...(value as Map<unknown, unknown>)] };
  if (value instanceof Set) return { set: [...(value as Set<unknown>)] };
  if (value instanceof Uint8Array) return `hex:${Buffer.from(value).toString('hex')}`;
  if (isBufferJson(value)) return `hex:${Buffer.from(value.data).toString('hex')}`;
  if (value instanceof Error) return `${value.name}: ${value.message}`;
  return value;
}

/** JSON.stringify calls `Buffer.toJSON` before the replacer. */
function isBufferJson(value: unknown): value is { data: number[] } {
  return (
    typeof value === 'object' &&
    value !== null &&
    (value as { type?: unknown }).type === 'Buffer' &&
    Array.isArray((value as { data?: unknown }).data)
  );
}

/** What `read` gives, or the error that it throws if that is one of `documented`. */
export function orError<T>(
  read: () => T,
  ...documented: readonly (abstract new (...args: never[]) => Error)[]
): T | Error {
  try {
    return read();
  } catch (error) {
    if (documented.some((kind) => error instanceof kind)) return error as Error;
    throw error;
  }
}
