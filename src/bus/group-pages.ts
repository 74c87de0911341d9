/** Pages of groups with the numbers of their members, sorted by name. */
import type { Registry } from '../session/registry.ts';
import type { GroupCount, Page, PeerReply } from './bus.ts';

/** Groups on one page. */
export const GROUPS_PAGE_MAX = 1_000;
/** Bytes of an answer besides its groups, and of a group besides its name. */
const AROUND_BYTES = 256;
const GROUP_BYTES = 20;

export type Group = { readonly name: string; readonly sessions: number; readonly gateways: number };
/** One gateway's part of a page. */
export type GroupsHere = { readonly groups: readonly GroupCount[]; readonly more: boolean };
export type GroupPage = { readonly groups: readonly Group[]; readonly more: boolean };

/** One gateway's part of a page: the groups whose names begin with `prefix`, as many as fit. */
export function groupsHere(
  registry: Pick<Registry, 'groups'>,
  prefix: string,
  { limit, after }: Page,
  bytesMax: number,
): GroupsHere {
  const first = new FirstNames(Math.min(limit, GROUPS_PAGE_MAX));
  for (const [name, members] of registry.groups())
    if (name > after && name.startsWith(prefix)) first.offer([name, members.size]);
  const groups = first.sorted();
  let bytes = AROUND_BYTES;
  for (const [i, [name]] of groups.entries()) {
    bytes += Buffer.byteLength(JSON.stringify(name)) + GROUP_BYTES;
    if (bytes > bytesMax) return { groups: groups.slice(0, i), more: true };
  }
  return { groups, more: first.more };
}

/** All parts together, up to the first point where a gateway has more groups than it gave: the next page begins there. */
export function mergedGroups(parts: readonly PeerReply[], limit: number): GroupPage {
  const sums = new Map<string, { sessions: number; gateways: number }>();
  let end: string | null = null;
  for (const { groups = [], more } of parts) {
    for (const [name, sessions] of groups) {
      const sum = sums.get(name) ?? { sessions: 0, gateways: 0 };
      sums.set(name, { sessions: sum.sessions + sessions, gateways: sum.gateways + 1 });
    }
    const last = groups.at(-1)?.[0];
    if (more && last !== undefined && (end === null || last < end)) end = last;
  }
  const names = [...sums.keys()].filter((name) => end === null || name <= end).sort(compareNames);
  const groups = names.slice(0, limit).map((name) => ({ name, ...sums.get(name)! }));
  return { groups, more: end !== null || names.length > limit };
}

/** By UTF-16 units, as `<` compares: the same on every gateway. */
function compareNames(a: string, b: string): number {
  return a < b ? -1 : Number(a > b);
}

/** The first names of many that come in any order, without sorting them all: a gateway may have 100,000 groups. */
class FirstNames {
  /** Something was left out. */
  more = false;
  readonly #max: number;
  #kept: GroupCount[] = [];
  /** Names beyond it are left out; null: not known yet. */
  #last: string | null = null;

  constructor(max: number) {
    this.#max = max;
  }

  offer(group: GroupCount): void {
    if (this.#last !== null && group[0] > this.#last) {
      this.more = true;
      return;
    }
    this.#kept.push(group);
    // Sorted rarely: each time, half of what is sorted is dropped.
    if (this.#kept.length >= 2 * this.#max) this.#cut();
  }

  sorted(): GroupCount[] {
    this.#cut();
    return this.#kept;
  }

  #cut(): void {
    this.#kept.sort(([a], [b]) => compareNames(a, b));
    if (this.#kept.length <= this.#max) return;
    this.more = true;
    this.#kept = this.#kept.slice(0, this.#max);
    this.#last = this.#kept.at(-1)![0];
  }
}
