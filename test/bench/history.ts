/** What `make bench` has found before: a line of JSON for each run in `history.jsonl`, the newest last. */
import { appendFileSync, existsSync, readFileSync } from 'node:fs';

export type Entry = {
  /** Of the run, as ISO 8601 has it: a day. */
  readonly date: string;
  /** Of the tree, with a `+` if it was changed. */
  readonly revision: string;
  readonly node: string;
  /** Its processors: ratios of other machines say little about this one. */
  readonly machine: string;
  /** Load average of a minute before the run, for each processor. */
  readonly load: number;
  /** CPU per message as a multiple of the floor's in the same run, by the name of what was measured. */
  readonly ratios: Readonly<Record<string, number>>;
};

/** How many of the last runs on a machine count. */
const COMPARED = 10;
/** Load for each processor above which a run is not compared. */
const BUSY = 1;
/** A ratio beyond so many times the median of those is a regression: a busy machine alone does not do that. */
export const MARGIN = 1.5;

export function readHistory(file: string): Entry[] {
  if (!existsSync(file)) return [];
  const lines = readFileSync(file, 'utf8').split('\n');
  return lines.filter((line) => line !== '').map((line) => JSON.parse(line) as Entry);
}

export function append(file: string, entry: Entry): void {
  appendFileSync(file, `${JSON.stringify(entry)}\n`);
}

export function median(numbers: readonly number[]): number {
  return [...numbers].sort((a, b) => a - b)[Math.floor(numbers.length / 2)] ?? Number.NaN;
}

/** The last runs on the machine of `entry` before it. */
export function comparable(history: readonly Entry[], { machine }: Entry): Entry[] {
  return history.filter((one) => one.machine === machine).slice(-COMPARED);
}

/** More than the run itself was on the machine: what it says is kept, and compared with nothing. */
export function wasBusy({ load }: Entry): boolean {
  return load > BUSY;
}

/** What is dearer than before, by more than the margin; in words. */
export function regressions(history: readonly Entry[], entry: Entry): string[] {
  if (wasBusy(entry)) return [];
  const { ratios } = entry;
  const before = history.filter((one) => !wasBusy(one));
  return Object.entries(ratios).flatMap(([name, ratio]) => {
    const usual = median(before.flatMap((one) => one.ratios[name] ?? []));
    if (!(ratio > usual * MARGIN)) return [];
    return `${name}: ${ratio.toFixed(2)} times the floor, and ${usual.toFixed(2)} before`;
  });
}
