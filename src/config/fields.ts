/**
 * The kinds of keys that the schema is made of. Each says in its text what it is, its unit, and what 0 means;
 * defaults are written as in the YAML file, and parsed like everything else.
 */
import { z } from 'zod';
import type { PathKind } from './paths.ts';
import {
  DURATION_PATTERN,
  formatDuration,
  formatSize,
  parseDuration,
  parseSize,
  SIZE_PATTERN,
} from './units.ts';

declare module 'zod' {
  interface GlobalMeta {
    /** How a number is written in YAML. */
    unit?: 'duration' | 'size';
    /** What a number may be, as in `1ms to 24h`; for the reference pages. */
    range?: string;
    /** True: never shown; see mask.ts. */
    secret?: boolean;
    /** What the text names; see paths.ts. */
    names?: PathKind;
  }
}

/** Says what is wrong with a value, or nothing. */
export type Check = (value: string) => string | undefined;

type Range = {
  /** Smallest value that is allowed. */
  min: number;
  /** Largest value that is allowed. */
  max: number;
};

type DurationRange = Partial<Range> & {
  /** True: 0s is allowed too, below `min`. */
  zero?: boolean;
  /** True: only whole seconds. */
  wholeSeconds?: boolean;
};

const DAY_MS = 86_400_000;

/** Makes a check of a parser that throws: its message is what is wrong. */
export function checkOf(parse: (text: string) => unknown): Check {
  return (text) => {
    try {
      parse(text);
      return undefined;
    } catch (error) {
      return error instanceof Error ? error.message : String(error);
    }
  };
}

/** Text that passes a check. */
export function checkedText(check: Check) {
  return z.string().superRefine((value, context) => {
    const message = check(value);
    if (message !== undefined) context.addIssue({ code: 'custom', message });
  });
}

/** A text key. A check is not asked about the empty text if that is the default, so it means "not set". */
export function text(fallback: string, about: string, check: Check = () => undefined) {
  return checkedText((value) => (value === '' && fallback === '' ? undefined : check(value)))
    .prefault(fallback)
    .describe(about);
}

/** A text key whose value is never shown. Default: empty. */
export function secret(about: string) {
  return z
    .string({ error: 'expected text; put it in quotes' })
    .meta({ secret: true })
    .prefault('')
    .describe(about);
}

/** A path; a relative one is taken from the configuration's folder. Default: empty, none. */
export function path(names: PathKind, about: string) {
  return z.string().meta({ names }).prefault('').describe(about);
}

/** A path whose text, or what stands in its place, is never shown. Default: empty, none. */
export function secretPath(names: PathKind, about: string) {
  return z
    .string({ error: 'expected text; put it in quotes' })
    .meta({ names, secret: true })
    .prefault('')
    .describe(about);
}

/** A list of paths. Default: empty. */
export function paths(names: PathKind, about: string) {
  return z.array(z.string().min(1, 'expected a path').meta({ names })).prefault([]).describe(about);
}

/** A list of texts whose values are never shown. Default: empty. */
export function secrets(about: string) {
  return z
    .array(z.string({ error: 'expected text; put it in quotes' }))
    .meta({ secret: true })
    .prefault([])
    .describe(about);
}

/** A list of keys, each a path, or its text, which is never shown. Default: empty. */
export function keys(about: string) {
  return z
    .array(
      z
        .string({ error: 'expected text; put it in quotes' })
        .min(1, 'expected a path')
        .meta({ names: 'pem' }),
    )
    .meta({ secret: true })
    .prefault([])
    .describe(about);
}

/** A list of texts, each passing the check. Default: empty. */
export function texts(about: string, check: Check = () => undefined) {
  return z.array(checkedText(check)).prefault([]).describe(about);
}

/** One of some words. */
export function choice<const Words extends readonly [string, ...string[]]>(
  words: Words,
  fallback: Words[number],
  about: string,
) {
  return z
    .enum(words)
    .prefault(fallback as never)
    .describe(about);
}

/** true or false. */
export function flag(fallback: boolean, about: string) {
  return z.boolean().prefault(fallback).describe(about);
}

/** `auto`, true or false. */
export function autoFlag(about: string) {
  return z
    .union([z.literal('auto'), z.boolean()], { error: 'expected auto, true or false' })
    .prefault('auto')
    .describe(about);
}

/** A whole number without a default, in a range. */
export function wholeNumber({ min, max }: Range) {
  const error = `expected a whole number from ${min} to ${max}`;
  return z.int({ error }).min(min, { error }).max(max, { error });
}

/** A whole number in a range. */
export function integer(fallback: number, about: string, range: Range) {
  return wholeNumber(range).prefault(fallback).describe(about);
}

/** A duration, parsed to milliseconds. Range: 1ms to 24h unless said otherwise. */
export function duration(fallback: string, about: string, range: DurationRange = {}) {
  const { min = 1, max = DAY_MS, zero = false, wholeSeconds = false } = range;
  const span =
    `expected ${wholeSeconds ? 'whole seconds, ' : ''}${formatDuration(min)} to ` +
    `${formatDuration(max)}${zero ? ', or 0s' : ''}`;
  const isInRange = (ms: number) =>
    (zero && ms === 0) || (ms >= min && ms <= max && (!wholeSeconds || ms % 1000 === 0));
  const syntax = 'expected a duration: a whole number with its unit, as 250ms, 3s, 1m or 1h';
  return z
    .string({ error: (issue) => durationTypeError(issue.input) ?? syntax })
    .regex(DURATION_PATTERN, { error: (issue) => durationTypeError(issue.input) ?? syntax })
    .transform(parseDuration)
    .refine(isInRange, { error: span })
    .meta({ unit: 'duration', range: span.replace('expected ', '') })
    .prefault(fallback)
    .describe(about);
}

/** A size, parsed to bytes. */
export function size(fallback: string, about: string, { min, max }: Range) {
  const error = 'expected a size: bytes as a whole number, or with B, KiB or MiB, as 64KiB';
  const range = `${formatSize(min)} to ${formatSize(max)}`;
  return z
    .union([z.int().nonnegative({ error }), z.string().regex(SIZE_PATTERN, { error })], { error })
    .transform((value) => (typeof value === 'number' ? value : parseSize(value)))
    .refine((bytes) => bytes >= min && bytes <= max, { error: `expected ${range}` })
    .meta({ unit: 'size', range })
    .prefault(fallback)
    .describe(about);
}

/** `auto`, or a size, parsed to bytes. */
export function autoSize(about: string, { min, max }: Range) {
  const range = `${formatSize(min)} to ${formatSize(max)}`;
  const error = `expected auto, or a size from ${range}, as 64MiB`;
  const written = z.union([z.int().nonnegative(), z.string().regex(SIZE_PATTERN)]);
  return z
    .union([z.literal('auto'), written], { error })
    .transform((value) =>
      value === 'auto' || typeof value === 'number' ? value : parseSize(value),
    )
    .refine((bytes) => bytes === 'auto' || (bytes >= min && bytes <= max), { error })
    .meta({ unit: 'size', range })
    .prefault('auto')
    .describe(about);
}

/** Names and texts that go with every call, each pair passing the check. Default: none. */
export function pairs(about: string, check: (name: string, value: string) => string | undefined) {
  return z
    .record(z.string(), z.string())
    .superRefine((record, context) => {
      for (const [name, value] of Object.entries(record)) {
        const message = check(name, value);
        if (message !== undefined) context.addIssue({ code: 'custom', message, path: [name] });
      }
    })
    .prefault({})
    .describe(about);
}

/** A bare number is the most common mistake, and it is never clear which unit was meant. */
function durationTypeError(input: unknown): string | undefined {
  const isBareNumber =
    typeof input === 'number' || (typeof input === 'string' && /^\d+(\.\d+)?$/.test(input));
  return isBareNumber ? `write the unit: ${input}ms or ${input}s` : undefined;
}
