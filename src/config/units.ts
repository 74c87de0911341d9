/** Durations and sizes as people write them, and back. Pure text; ranges are the schema's business. */

/** What a duration looks like: a whole number and its unit. */
export const DURATION_PATTERN = /^(\d{1,9})(ms|s|m|h)$/;

/** What a size looks like: a whole number of bytes, or one with a binary unit. */
export const SIZE_PATTERN = /^(\d{1,12})(B|KiB|MiB)?$/;

const DURATION_UNITS: Readonly<Record<string, number>> = {
  ms: 1,
  s: 1000,
  m: 60_000,
  h: 3_600_000,
};
const SIZE_UNITS: Readonly<Record<string, number>> = { B: 1, KiB: 1024, MiB: 1024 * 1024 };

/** Reads `250ms`, `3s`, `1m` or `1h` as milliseconds; NaN for anything else. */
export function parseDuration(text: string): number {
  const [, amount, unit] = DURATION_PATTERN.exec(text) ?? [];
  return Number(amount) * (DURATION_UNITS[unit ?? ''] ?? Number.NaN);
}

/** Reads `4096`, `512B`, `64KiB` or `1MiB` as bytes; NaN for anything else. */
export function parseSize(text: string): number {
  const [, amount, unit] = SIZE_PATTERN.exec(text) ?? [];
  return Number(amount) * (SIZE_UNITS[unit ?? 'B'] ?? Number.NaN);
}

/** Writes milliseconds with the largest unit that loses nothing: 90000 is `90s`, 0 is `0s`. */
export function formatDuration(ms: number): string {
  if (ms === 0) return '0s';
  for (const unit of ['h', 'm', 's']) {
    const length = DURATION_UNITS[unit] ?? 1;
    if (ms % length === 0) return `${ms / length}${unit}`;
  }
  return `${ms}ms`;
}

/** Writes bytes with the largest unit that loses nothing: 65536 is `64KiB`, 1000 is `1000B`. */
export function formatSize(bytes: number): string {
  if (bytes === 0) return '0B';
  for (const unit of ['MiB', 'KiB']) {
    const length = SIZE_UNITS[unit] ?? 1;
    if (bytes % length === 0) return `${bytes / length}${unit}`;
  }
  return `${bytes}B`;
}
