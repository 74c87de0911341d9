/**
 * A map of which every gateway has a copy, and that comes out the same wherever and in whatever order its entries were
 * heard: of each key the entry counts that has the greatest stamp. Who changes a key gives it a greater stamp than it
 * had here, so what is ordered after something that was heard counts, whatever the clocks say; a clock that is ahead
 * decides only between what two gateways are told at once. What was removed is kept for a while as an entry without a
 * value, or a gateway that has not heard of it would bring it back.
 */
import type { Clock } from '../clock.ts';
import type { JsonObject } from '../contract/commands.ts';
import { Timeout, type TimerWheel } from '../timer-wheel.ts';

/** Entries, with those that were removed; beyond it what was removed is forgotten first, then what is oldest. */
export const ENTRIES_MAX = 20_000;
/** How long it is remembered that a key was removed: longer than a gateway is cut off from the bus. */
export const REMOVED_MS = 86_400_000;
/** Parts of the map that are compared one by one. */
export const BUCKETS = 256;
/** Between two looks for what has ended; the first is the least, and what has ended is not shown meanwhile. */
const SWEEP_MS = { least: 1_000, most: 60_000 } as const;

export type Entry = {
  readonly key: string;
  /** The stamp: milliseconds since the epoch, or more, and the gateway that gave it. */
  readonly at: number;
  readonly by: string;
  /** When the entry ends, in milliseconds since the epoch; 0: it does not. */
  readonly until: number;
  /** null: the key was removed. */
  readonly value: JsonObject | null;
};

export type ReplicaParts = {
  readonly gatewayId: string;
  readonly clock: Clock;
  readonly wheel: TimerWheel;
};

/** @param entry null: there is none any more. */
export type OnChange = (key: string, entry: Entry | null) => void;

export class Replica {
  readonly #parts: ReplicaParts;
  readonly #onChange: OnChange;
  readonly #onForgotten: () => void;
  readonly #buckets: Map<string, Entry>[] = Array.from({ length: BUCKETS }, () => new Map());
  /** Of each bucket, what its entries come to. */
  readonly #sums = new Uint32Array(BUCKETS);
  readonly #sweep: Timeout;
  #size = 0;
  /** No entry ends before this, in milliseconds since the epoch; and for which time the next look is set. */
  #nextEnd = Infinity;
  #lookedFor = Infinity;

  /** @param onForgotten Entries were dropped before their time. */
  constructor(parts: ReplicaParts, onChange: OnChange, onForgotten: () => void = () => {}) {
    this.#parts = parts;
    this.#onChange = onChange;
    this.#onForgotten = onForgotten;
    this.#sweep = new Timeout(() => {
      this.#dropEnded();
    });
  }

  /** Entries, with those that were removed. */
  get size(): number {
    return this.#size;
  }

  /** Undefined where there is none, or it has ended or was removed. */
  get(key: string): Entry | undefined {
    const entry = this.#bucketOf(key).get(key);
    return entry === undefined || entry.value === null || this.#hasEnded(entry) ? undefined : entry;
  }

  /** Sets a key here. Returns the entry, for the others. */
  put(key: string, value: JsonObject, until: number): Entry {
    return this.#write(key, value, until);
  }

  /** Removes a key here. undefined: there is none. */
  remove(key: string): Entry | undefined {
    const known = this.get(key);
    if (known === undefined) return undefined;
    const until = this.#parts.clock.wallNow() + REMOVED_MS;
    // What has ended everywhere comes back from nowhere.
    return this.#write(key, null, known.until === 0 ? until : Math.min(until, known.until));
  }

  #write(key: string, value: JsonObject | null, until: number): Entry {
    const { clock, gatewayId } = this.#parts;
    const before = this.#bucketOf(key).get(key)?.at ?? 0;
    const at = Math.max(clock.wallNow(), before + 1);
    const entry = { key, at, by: gatewayId, until, value };
    this.#set(entry);
    this.#settle();
    return entry;
  }

  /** Takes entries of other gateways. Returns those that were news. */
  merge(entries: readonly Entry[]): Entry[] {
    const news = entries.filter((entry) => this.#take(entry));
    if (news.length > 0) this.#settle();
    return news;
  }

  #take(entry: Entry): boolean {
    const known = this.#bucketOf(entry.key).get(entry.key);
    if (known !== undefined && !isAfter(entry, known)) return false;
    if (!this.#hasEnded(entry)) this.#set(entry);
    else if (known === undefined) return false;
    else this.#drop(known);
    return true;
  }

  // ---- to compare it ------------------------------------------------------------------------------------

  /** One number for each bucket: equal where the entries are, all but certainly. */
  get sums(): Uint32Array {
    return this.#sums.slice();
  }

  inBucket(bucket: number): IterableIterator<Entry> {
    return this.#buckets[bucket]!.values();
  }

  *entries(): IterableIterator<Entry> {
    for (const bucket of this.#buckets) yield* bucket.values();
  }

  // ---- inside -------------------------------------------------------------------------------------------

  #bucketOf(key: string): Map<string, Entry> {
    return this.#buckets[bucketOf(key)]!;
  }

  #hasEnded({ until }: Entry): boolean {
    return until !== 0 && until <= this.#parts.clock.wallNow();
  }

  #set(entry: Entry): void {
    const { key, until, value } = entry;
    if (until !== 0) this.#nextEnd = Math.min(this.#nextEnd, until);
    const at = bucketOf(key);
    const bucket = this.#buckets[at]!;
    const known = bucket.get(key);
    if (known === undefined) this.#size++;
    else this.#sums[at]! ^= sumOf(known);
    bucket.set(key, entry);
    this.#sums[at]! ^= sumOf(entry);
    this.#onChange(key, value === null ? null : entry);
  }

  #drop(entry: Entry): void {
    const { key, value } = entry;
    const at = bucketOf(key);
    if (!this.#buckets[at]!.delete(key)) return;
    this.#size--;
    this.#sums[at]! ^= sumOf(entry);
    if (value !== null) this.#onChange(key, null);
  }

  /** There is room, and the next look comes when the next entry ends. */
  #settle(): void {
    if (this.#size > ENTRIES_MAX) this.#makeRoom();
    this.#look();
  }

  /** The same are forgotten everywhere. */
  #makeRoom(): void {
    const isRemoved = ({ value }: Entry): number => Number(value === null);
    const byWorth = [...this.entries()].toSorted(
      (a, b) => isRemoved(a) - isRemoved(b) || (isAfter(a, b) ? -1 : 1),
    );
    for (const entry of byWorth.slice(ENTRIES_MAX)) this.#drop(entry);
    this.#onForgotten();
  }

  /** Looks for what has ended when the first of them may have. */
  #look(): void {
    const { wheel, clock } = this.#parts;
    if (this.#nextEnd === Infinity || this.#nextEnd === this.#lookedFor) return;
    this.#lookedFor = this.#nextEnd;
    // The wall clock may be set meanwhile: it is looked at again.
    const ms = Math.min(SWEEP_MS.most, Math.max(SWEEP_MS.least, this.#nextEnd - clock.wallNow()));
    wheel.set(this.#sweep, ms);
  }

  #dropEnded(): void {
    this.#nextEnd = this.#lookedFor = Infinity;
    for (const entry of [...this.entries()])
      if (this.#hasEnded(entry)) this.#drop(entry);
      else if (entry.until !== 0) this.#nextEnd = Math.min(this.#nextEnd, entry.until);
    this.#look();
  }
}

/** Whether `entry` counts where both are known. */
export function isAfter(entry: Entry, other: Entry): boolean {
  if (entry.at !== other.at) return entry.at > other.at;
  if (entry.by !== other.by) return entry.by > other.by;
  // No gateway gives two of one stamp; whoever forges them must not keep gateways apart.
  const [text, otherText] = [JSON.stringify(entry), JSON.stringify(other)];
  return text > otherText;
}

export function bucketOf(key: string): number {
  return hash(key) % BUCKETS;
}

function sumOf({ key, at, by }: Entry): number {
  return hash(`${key}\n${at}\n${by}`);
}

/** [FNV-1a, and the end of MurmurHash3: the first alone leaves similar texts alike.] */
function hash(text: string): number {
  let h = 0x811c9dc5;
  for (let i = 0; i < text.length; i++) h = Math.imul(h ^ text.charCodeAt(i), 0x01000193);
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
  return (h ^ (h >>> 16)) >>> 0;
}
