/**
 * Which generation is the newest, and whether a gateway of an older one sends newcomers to it. Pure.
 *
 * The newest is the one whose first gateway was started last. Who goes back to an older label in the middle of a rollout
 * starts gateways of a generation that is known to be older: they would stay unready, and Kubernetes, which takes no
 * gateway of the other generation away before they are ready, would wait for ever. So a generation is the newest, too,
 * if one of its gateways has started after the last of the newest one, and `TURN_MS` have passed since. While a rollout
 * goes on, its gateways start one after the other, and one of the older label that was only restarted, or added, does
 * not have the last start for so long. Where no gateway starts, drains or is not there yet for `QUIET_MS`, all take
 * newcomers: Kubernetes may have no place for another start, as when somebody goes back while two newer ones are ready and
 * the older ones are not. So they do where nothing starts for `STILL_MS`, whatever the rollout waits for.
 */
import type { Member } from './members.ts';

export const TURN_MS = 120_000;
export const QUIET_MS = 180_000;
export const STILL_MS = 900_000;
/** Those that were started within this time of each other are of the same age: messages take some time. */
const SAME_AGE_MS = 250;

/** A label without its scope: `pith/7d9f` is compared with `pith/5c2b` alone. */
export function scopeOf(generation: string): string {
  return generation.slice(0, generation.lastIndexOf('/') + 1);
}

/** Those that are replaced by each other, this one among them. */
export function sameScope(members: readonly Member[]): Member[] {
  const own = members.find(({ isOwn }) => isOwn)!;
  const scope = scopeOf(own.generation);
  return members.filter(({ generation }) => scopeOf(generation) === scope);
}

/** `firstAt` is when it became the newest, or would have. */
type Generation = { readonly label: string; readonly firstAt: number; readonly starts: number[] };

/** The newest generation among gateways of one scope; '': there is none. @param now On the clock. */
export function newestOf(members: readonly Member[], now: number): string {
  return ranked(members, now).at(-1)?.label ?? '';
}

/** From the oldest to the newest. */
function ranked(members: readonly Member[], now: number): Generation[] {
  const byLabel = Map.groupBy(members, ({ generation }) => generation);
  byLabel.delete('');
  const all = [...byLabel].map(([label, some]): Generation => {
    const firstAt = Math.min(...some.map(({ generationAt }) => generationAt));
    return { label, firstAt, starts: some.map(({ startedAt }) => startedAt) };
  });
  const lastAt = Math.max(...(all.toSorted(byAge).at(-1)?.starts ?? []));
  return all.map((one) => ({ ...one, firstAt: turnedAt(one, lastAt, now) })).sort(byAge);
}

function byAge(a: Generation, b: Generation): number {
  return a.firstAt - b.firstAt || (a.label < b.label ? -1 : 1);
}

/** When it was begun again. @param lastAt When the last gateway of the newest generation was started. */
function turnedAt({ firstAt, starts }: Generation, lastAt: number, now: number): number {
  const later = Math.min(...starts.filter((at) => at > lastAt + SAME_AGE_MS));
  return now - later >= TURN_MS ? later : firstAt;
}

/**
 * Whether this gateway is of an older generation, and the newer ones have room for all: for those that they have, and
 * for those of everybody else.
 *
 * @param changedAt When a gateway was last known that takes no clients yet, or none any more.
 */
export function areNewerOnesReady(
  members: readonly Member[],
  now: number,
  changedAt: number,
): boolean {
  const some = sameScope(members);
  const own = some.find(({ isOwn }) => isOwn)!;
  const lastAt = Math.max(...some.map(({ startedAt }) => startedAt));
  const isStill = now - lastAt >= STILL_MS || now - Math.max(lastAt, changedAt) >= QUIET_MS;
  if (own.generation === '' || isStill) return false;
  const all = ranked(some, now);
  const rank = all.findIndex(({ label }) => label === own.generation);
  const newer = new Set(
    all
      .slice(rank + 1)
      .filter(({ firstAt }) => firstAt > all[rank]!.firstAt + SAME_AGE_MS)
      .map(({ label }) => label),
  );
  const takers = some.filter(({ generation, room }) => room > 0 && newer.has(generation));
  const sum = (of: readonly number[]): number => of.reduce((a, b) => a + b, 0);
  const room = sum(takers.map((one) => one.room));
  return takers.length > 0 && room >= sum(some.map(({ sessions }) => sessions));
}
