/**
 * The last failures on this gateway: of each session the last few, and of all of them no more than a fixed number. A
 * session without a failure costs nothing, and neither does a message that succeeds.
 */
import { type ClientIp, shownAddress } from '../ip.ts';
import { parseRef } from '../ref.ts';
import { bounded, type FailureRecord } from './failure-record.ts';

/** Failures of one session that are kept. */
export const FAILURES_PER_SESSION_MAX = 8;
/** Failures of all sessions together, those that have ended too. */
export const FAILURES_MAX = 4_096;
/** Of them, ends in which nothing went wrong: they must not push the others out. */
export const ORDINARY_ENDS_MAX = 1_024;
/** Failures in one answer. */
export const FAILURES_SHOWN_MAX = 64;

/** Close reasons in which nothing went wrong. */
const ORDINARY: ReadonlySet<string> = new Set(['client_closed', 'resumed', 'draining']);

/** A kept record, and its neighbours by age. */
type Kept = {
  readonly record: FailureRecord;
  readonly sid: string;
  readonly queue: Queue;
  older: Kept | null;
  newer: Kept | null;
};

export class Failures {
  readonly #clientIp: ClientIp;
  readonly #bySid = new Map<string, Kept[]>();
  readonly #ordinary = new Queue();
  readonly #others = new Queue();

  /** @param clientIp `log.client_ip` */
  constructor(clientIp: ClientIp = 'full') {
    this.#clientIp = clientIp;
  }

  /** How many are kept. */
  get size(): number {
    return this.#ordinary.size + this.#others.size;
  }

  add(record: FailureRecord): void {
    const sid = sidOf(record.ref);
    const isOrdinary = record.what === 'session' && ORDINARY.has(record.reason);
    const queue = isOrdinary ? this.#ordinary : this.#others;
    const remoteIp = shownAddress(record.remoteIp, this.#clientIp);
    const shown = bounded({ ...record, remoteIp });
    const kept: Kept = { record: shown, sid, queue, older: null, newer: null };
    const own = this.#bySid.get(sid);
    if (own === undefined) this.#bySid.set(sid, [kept]);
    else if (own.push(kept) > FAILURES_PER_SESSION_MAX) this.#drop(own[0]!);
    queue.push(kept);
    if (this.#ordinary.size > ORDINARY_ENDS_MAX) this.#drop(this.#ordinary.oldest!);
    if (this.size > FAILURES_MAX) this.#drop((this.#others.oldest ?? this.#ordinary.oldest)!);
  }

  /**
   * What is kept of a ref, a sid or a uid, the oldest first; of many the newest.
   *
   * @param sids Sessions that are meant, too: a user's, from before they were bound.
   */
  about(name: string, sids: Iterable<string> = []): FailureRecord[] {
    const found = new Set<FailureRecord>();
    const ref = parseRef(name);
    for (const sid of new Set([name, ...sids]))
      for (const { record } of this.#bySid.get(sid) ?? []) found.add(record);
    for (const { record } of (ref && this.#bySid.get(ref.sid)) ?? [])
      if (record.ref === name) found.add(record);
    // Seldom asked, and bounded: no index of uids is kept for it.
    for (const own of this.#bySid.values())
      if (own.some(({ record }) => record.uid === name))
        for (const { record } of own) found.add(record);
    return [...found].toSorted((a, b) => a.at - b.at).slice(-FAILURES_SHOWN_MAX);
  }

  #drop(kept: Kept): void {
    kept.queue.remove(kept);
    const own = this.#bySid.get(kept.sid)!;
    own.splice(own.indexOf(kept), 1);
    if (own.length === 0) this.#bySid.delete(kept.sid);
  }
}

/** Of a ref that was made here, and is not checked again. */
function sidOf(ref: string): string {
  const end = ref.lastIndexOf('-');
  return end > ref.lastIndexOf('.') ? ref.slice(0, end) : ref;
}

/** Records in the order in which they came. Any of them can be taken out at once. */
class Queue {
  size = 0;
  oldest: Kept | null = null;
  #newest: Kept | null = null;

  push(kept: Kept): void {
    kept.older = this.#newest;
    if (this.#newest === null) this.oldest = kept;
    else this.#newest.newer = kept;
    this.#newest = kept;
    this.size++;
  }

  remove(kept: Kept): void {
    if (kept.older === null) this.oldest = kept.newer;
    else kept.older.newer = kept.newer;
    if (kept.newer === null) this.#newest = kept.older;
    else kept.newer.older = kept.older;
    this.size--;
  }
}
