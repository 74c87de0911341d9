/**
 * Makes a run that breaks a rule small: fewer faults, shorter ones, fewer players, fewer gateways, less time, as long
 * as it breaks the same rule. [Zeller 1999, delta debugging]
 */
import { type Fault, ROUND_MS } from './faults.ts';
import type { RunOptions } from './runs.ts';

/** Whether a run breaks the rule, and when; null: it does not. */
export type Tries = (options: RunOptions) => Promise<{ readonly atMs: number } | null>;

export type Shrunk = {
  readonly options: RunOptions & { readonly faults: readonly Fault[] };
  readonly tries: number;
};

export type ShrinkOptions = {
  /** Runs that may be made. */
  readonly triesMax: number;
  /** Runs at a time. */
  readonly jobs: number;
};

/** Shares of its length that a fault is cut to, if that does; the shortest first. */
const SHORTER = [0.05, 0.25, 0.5] as const;
const FEWER = [0.1, 0.25, 0.5, 0.75] as const;

export type Small = Shrunk['options'];

/** @param start What broke the rule, with its faults; `atMs`: when. */
export async function shrink(
  start: Small,
  atMs: number,
  breaks: Tries,
  { triesMax, jobs }: ShrinkOptions,
): Promise<Shrunk> {
  let tries = 0;
  let best = start;
  let endMs = atMs;
  /** What comes after the violation has nothing to do with it. */
  const cut = (options: Small): Small => ({
    ...options,
    hours: (endMs + 1_000) / 3_600_000,
    faults: options.faults.filter((fault) => fault.atMs <= endMs),
  });
  /** The first of these that breaks the rule, if one does, is the best from now on. */
  const firstOf = async (candidates: readonly Small[]): Promise<boolean> => {
    for (let from = 0; from < candidates.length && tries < triesMax; from += jobs) {
      const some = candidates.slice(from, from + jobs);
      tries += some.length;
      const found = await Promise.all(some.map(breaks));
      const i = found.findIndex((one) => one !== null);
      if (i < 0) continue;
      endMs = found[i]!.atMs;
      best = cut(some[i]!);
      return true;
    }
    return false;
  };

  best = cut(best);
  if (best.faults.length > 0) await firstOf([{ ...best, faults: [] }]);
  await fewerFaults(() => best, firstOf);
  await earlier(() => best, firstOf);
  await smaller(() => best, firstOf);
  await shorterFaults(() => best, firstOf);
  // With fewer players, some of what is left may not be needed any more.
  await fewerFaults(() => best, firstOf);
  return { options: best, tries };
}

type FirstOf = (candidates: readonly Small[]) => Promise<boolean>;

async function fewerFaults(best: () => Small, firstOf: FirstOf): Promise<void> {
  let parts = 2;
  for (;;) {
    const { faults } = best();
    if (faults.length === 0) return;
    parts = Math.min(parts, faults.length);
    const size = Math.ceil(faults.length / parts);
    const without = Array.from({ length: Math.ceil(faults.length / size) }, (_, i) => ({
      ...best(),
      faults: [...faults.slice(0, i * size), ...faults.slice((i + 1) * size)],
    }));
    if (await firstOf(without)) parts = Math.max(parts - 1, 2);
    else if (size === 1) return;
    else parts *= 2;
  }
}

/** Without the rounds in which nothing happens any more. */
async function earlier(best: () => Small, firstOf: FirstOf): Promise<void> {
  const { faults } = best();
  const rounds = Math.floor(Math.min(...faults.map(({ atMs }) => atMs)) / ROUND_MS);
  if (faults.length === 0 || rounds === 0) return;
  const shifted = faults.map((fault) => ({ ...fault, atMs: fault.atMs - rounds * ROUND_MS }));
  await firstOf([{ ...best(), faults: shifted }]);
}

async function shorterFaults(best: () => Small, firstOf: FirstOf): Promise<void> {
  for (let i = 0; i < best().faults.length; i++) {
    const fault = best().faults[i]!;
    if (fault.ms === 0) continue;
    await firstOf(
      SHORTER.map((share) => ({
        ...best(),
        faults: best().faults.with(i, { ...fault, ms: Math.round(fault.ms * share) }),
      })),
    );
  }
}

async function smaller(best: () => Small, firstOf: FirstOf): Promise<void> {
  const lower = (key: 'clients' | 'gateways', counts: readonly number[]): Promise<boolean> =>
    firstOf([...new Set(counts)].map((count) => ({ ...best(), [key]: count })));
  const clients = (): number[] =>
    FEWER.map((share) => Math.max(1, Math.round(best().clients * share))).filter(
      (count) => count < best().clients,
    );
  while (await lower('clients', clients()));
  const gateways = Array.from({ length: best().gateways - 1 }, (_, i) => i + 1);
  await lower('gateways', gateways);
}
