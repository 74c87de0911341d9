/**
 * What one session gets of groups whose pushes are numbered: while a request that joins a group is in flight, the
 * group's pushes wait here; behind the answer come those that it does not have. A client that asked for it is told
 * what it has missed. Made for sessions that need it, and no others.
 */
import type { Push } from '../contract/commands.ts';
import { type Cursor, cursorText } from '../contract/cursor.ts';
import { isFailure } from '../errors.ts';
import { clientJsonBytes, type Encoded } from '../protocol/packet.ts';
import type { Series } from '../telemetry/metrics.ts';
import { type TimerWheel, WheelEntry } from '../timer-wheel.ts';
import type { FrozenDeltas } from './frozen.ts';
import { GroupView } from './group-view.ts';
import { HeldTotals } from './held-pushes.ts';
import type { Perishable, Taken } from './outbox.ts';
import type { Backlog, Outboxes } from './outboxes.ts';
import type { Session } from './session.ts';

/**
 * For so long after an answer, pushes that it has are dropped. What a backend publishes before it answers may come
 * later than its answer, by another connection or by way of another gateway.
 */
export const LATE_DELTAS_MS = 10_000;
/** After so long a client that takes too little is told again what it has missed. */
const TELL_AGAIN_MS = 1_000;
const GAP_ROUTE = 'pith.gap';
/** Nobody is closed for it: it is told again. */
const GAP: Perishable = { droppable: true, expiresAt: Infinity, latestKey: '' };
const MUST: Perishable = { droppable: false, expiresAt: Infinity, latestKey: '' };

export type DeltaParts = {
  readonly outboxes: Outboxes;
  readonly wheel: TimerWheel;
  /** `limits.outbox`: also the most that may wait for an answer, together with what is unsent. */
  readonly bytesMax: number;
  readonly counts: {
    /** Pushes that waited for an answer. */
    readonly held: Series;
    /** Pushes that the answer had. */
    readonly skipped: Series;
    readonly gaps: Series;
  };
};

export class Deltas extends WheelEntry implements Backlog {
  /** The client asked to be told of gaps. */
  readonly tellsGaps: boolean;
  readonly #parts: DeltaParts;
  readonly #session: Session;
  readonly #views = new Map<string, GroupView>();
  readonly #totals = new HeldTotals();
  /** What waits, about, as it is counted among what all outboxes hold. */
  #countedBytes = 0;
  /** The turn since which something waits. */
  behindSinceTurn = 0;

  constructor(parts: DeltaParts, session: Session, tellsGaps: boolean) {
    super();
    this.#parts = parts;
    this.#session = session;
    this.tellsGaps = tellsGaps;
  }

  get heldBytes(): number {
    return this.#totals.heldBytes;
  }

  /** Groups of which something is known. */
  get size(): number {
    return this.#views.size;
  }

  /** No request that joins is in flight, and nothing waits. */
  get isAtRest(): boolean {
    return (
      this.#totals.entries === 0 && [...this.#views.values()].every((one) => one.pending === 0)
    );
  }

  /** For another process, while it is at rest. */
  freeze(now: number): FrozenDeltas {
    const views = [...this.#views.values()].map((view) => view.freeze(now));
    return { tellsGaps: this.tellsGaps, views };
  }

  thaw({ views }: FrozenDeltas, now: number): void {
    for (const view of views) this.#viewOf(view.group).thaw(view, now);
    // What it was late with there, it looks at here.
    this.#lookIn(this.tellsGaps ? TELL_AGAIN_MS : LATE_DELTAS_MS);
  }

  /** All outboxes together are full, and what waits here is more than what others have not taken. */
  evict(): void {
    this.#session.close('outbox_full');
  }

  // ---- requests that join ---------------------------------------------------------------------------------

  /** The session is a member only for the sake of requests in flight. */
  isTrial(group: string): boolean {
    return this.#views.get(group)?.isTrial ?? false;
  }

  /** A request is about to be sent whose answer is a snapshot of the group. */
  begin(group: string, isTrial: boolean): GroupView {
    const view = this.#viewOf(group);
    view.begin(isTrial);
    view.forgetAt = Infinity;
    return view;
  }

  /** The request of `view` has ended, after the answer was sent. True: nothing keeps the session in the group. */
  end(view: GroupView, answer: { readonly from: Cursor | null } | null): boolean {
    if (view.isGone) return false;
    view.pending--;
    if (answer !== null) view.answered(answer.from);
    if (view.pending > 0) return false;
    if (view.isTrial) return true;
    this.#release(view);
    return false;
  }

  /** A backend has put the session into these groups. */
  keep(groups: readonly string[]): void {
    for (const group of groups) {
      const view = this.#views.get(group);
      if (view !== undefined) view.isTrial = false;
    }
  }

  /** The session has left the group. */
  forget(group: string): void {
    const view = this.#views.get(group);
    if (view === undefined) return;
    view.isGone = true;
    view.held.take();
    this.#views.delete(group);
    this.#count();
    if (this.#views.size === 0 && !this.tellsGaps) this.#end();
  }

  /** The session has ended. */
  clear(): void {
    for (const group of [...this.#views.keys()]) this.forget(group);
    this.#end();
  }

  #end(): void {
    this.#parts.wheel.cancel(this);
    this.#session.deltas = null;
  }

  // ---- pushes -----------------------------------------------------------------------------------------------

  /** Puts a push that is for `groups`, among others maybe. */
  put(
    push: Push,
    groups: readonly string[],
    encoded: Encoded,
    perishable: Perishable | null,
  ): Taken | 'closed' {
    const session = this.#session;
    const cursor = push.cursor ?? null;
    if (session.state === 'closed') return 'closed';
    for (const group of groups) {
      const view = this.#views.get(group);
      if (view !== undefined && view.pending > 0)
        return this.#hold(view, cursor, encoded, perishable);
    }
    if (cursor === null) return session.push(encoded, perishable);
    const view = this.#counted(groups[0]!);
    if (view === undefined) return session.push(encoded, perishable);
    return this.#deliver(view, cursor, encoded, perishable);
  }

  /** A push to the group that is not for this session: nothing is missing. */
  pass(group: string, cursor: Cursor): void {
    const view = this.#counted(group);
    if (view === undefined || !this.tellsGaps) return;
    if (view.pending === 0) {
      if (!view.has(cursor)) view.follow(cursor);
    } else if (this.#hasRoom(0)) {
      view.held.pass(cursor);
    } else {
      view.drop(cursor);
    }
    this.#count();
  }

  /** Of a group whose pushes are counted for this session. It may have left since it was chosen: nobody would forget it. */
  #counted(group: string): GroupView | undefined {
    const isCounted = this.tellsGaps && this.#session.groups.has(group);
    return isCounted ? this.#viewOf(group) : this.#views.get(group);
  }

  #viewOf(group: string): GroupView {
    let view = this.#views.get(group);
    if (view === undefined) {
      view = new GroupView(group, this.#totals);
      this.#views.set(group, view);
    }
    return view;
  }

  #hold(
    view: GroupView,
    cursor: Cursor | null,
    encoded: Encoded,
    perishable: Perishable | null,
  ): Taken {
    const { droppable, latestKey } = perishable ?? MUST;
    const mustGo = !droppable && latestKey === '';
    const bytes = encoded.length - view.held.bytesOf(latestKey);
    if (!this.#fits(bytes, mustGo)) {
      if (!mustGo) {
        view.drop(cursor);
        return 'dropped';
      }
      this.#session.close('outbox_full');
      return 'full';
    }
    view.held.push(encoded, perishable, cursor);
    this.#parts.counts.held.add();
    this.#count();
    return 'taken';
  }

  #hasRoom(bytes: number): boolean {
    const unsent = this.#session.outbox.unsentBytes + this.#totals.bytes;
    return unsent === 0 || unsent + bytes <= this.#parts.bytesMax;
  }

  /** It fits here, and among all. */
  #fits(bytes: number, mustGo: boolean): boolean {
    if (!this.#hasRoom(bytes)) return false;
    const { outboxes } = this.#parts;
    if (outboxes.hasRoom(bytes) || outboxes.makeRoom(bytes, mustGo))
      // To make room this one may have been closed.
      return this.#session.state !== 'closed';
    return false;
  }

  /** The answer is on its way: what waited follows it. */
  #release(view: GroupView): void {
    const { counts } = this.#parts;
    const waited = view.held.size;
    const entries = view.release();
    counts.skipped.add(waited - entries.length);
    this.#count();
    for (const { cursor, encoded, perishable } of entries) {
      if (view.isGone) return;
      if (encoded === null) view.follow(cursor!);
      else if (cursor === null) this.#session.push(encoded, perishable);
      else this.#deliver(view, cursor, encoded, perishable);
    }
    view.released();
    this.#settle(view);
  }

  #deliver(
    view: GroupView,
    cursor: Cursor,
    encoded: Encoded,
    perishable: Perishable | null,
  ): Taken | 'closed' {
    const session = this.#session;
    if (view.has(cursor)) {
      // It has it: from the snapshot.
      this.#parts.counts.skipped.add();
      return 'taken';
    }
    if (!this.tellsGaps) return session.push(encoded, perishable);
    view.follow(cursor);
    this.#tell(view);
    if (perishable === null) return session.push(encoded, null);
    const watcher = {
      skipped: (): void => {
        view.miss(cursor, cursor);
        this.#lookIn(0);
      },
    };
    const taken = session.push(encoded, { ...perishable, watcher });
    if (taken === 'dropped') watcher.skipped();
    return taken;
  }

  // ---- gaps, and what is forgotten -------------------------------------------------------------------------

  #tell(view: GroupView): void {
    const { group, missed } = view;
    if (missed === null || view.isGone || view.pending > 0) return;
    const { wire } = this.#session;
    const body = { group, from: cursorText(missed.from), to: cursorText(missed.to) };
    const encoded = wire.push(GAP_ROUTE, clientJsonBytes(body));
    // A client whose form cannot say it does not ask for it.
    const taken = isFailure(encoded) ? 'closed' : this.#session.push(encoded, GAP);
    if (taken === 'dropped') {
      this.#lookIn(TELL_AGAIN_MS);
      return;
    }
    view.missed = null;
    if (taken === 'taken') this.#parts.counts.gaps.add();
  }

  /** Nothing is in flight any more. */
  #settle(view: GroupView): void {
    if (this.tellsGaps) {
      this.#tell(view);
    } else {
      view.forgetAt = this.#parts.wheel.now() + (view.hasSnapshot ? LATE_DELTAS_MS : 0);
      this.#lookIn(LATE_DELTAS_MS);
    }
  }

  /** Soon, if it is not sooner already. */
  #lookIn(ms: number): void {
    const { wheel } = this.#parts;
    if (this.wheelTick < 0 || ms === 0) wheel.set(this, ms);
  }

  override onLate(): void {
    const now = this.#parts.wheel.now();
    for (const view of [...this.#views.values()]) {
      if (this.tellsGaps) this.#tell(view);
      else if (view.pending === 0 && view.forgetAt <= now) this.#views.delete(view.group);
    }
    if (this.tellsGaps) return;
    if (this.#views.size === 0) this.#end();
    else this.#lookIn(LATE_DELTAS_MS);
  }

  /** Counts what is held now. */
  #count(): void {
    const { outboxes } = this.#parts;
    const before = this.#countedBytes;
    const { heldBytes } = this;
    if (heldBytes === before) return;
    this.#countedBytes = heldBytes;
    outboxes.count(heldBytes - before);
    if (heldBytes === 0) {
      outboxes.removeBehind(this);
      return;
    }
    if (before === 0) {
      this.behindSinceTurn = outboxes.turn;
      outboxes.addBehind(this);
    }
    outboxes.keptBack();
  }
}
