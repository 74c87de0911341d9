/** Joins sessions to groups for the sake of requests whose answers are snapshots of them; `deltas.ts` has the rest. */
import type { Patch } from '../contract/commands.ts';
import type { Cursor } from '../contract/cursor.ts';
import { type Failure, isFailure } from '../errors.ts';
import type { Metrics } from '../telemetry/metrics.ts';
import type { TimerWheel } from '../timer-wheel.ts';
import type { Changed } from './changes.ts';
import { type DeltaParts, Deltas } from './deltas.ts';
import type { FrozenDeltas } from './frozen.ts';
import type { GroupView } from './group-view.ts';
import type { Outboxes } from './outboxes.ts';
import type { Registry } from './registry.ts';
import type { Session } from './session.ts';

/** Changes a session: joins with their time to live, and within the session's limits. */
export interface Patcher {
  patch(session: Session, patch: Patch): Changed | Failure;
}

export type SnapshotJoinsParts = {
  readonly registry: Registry;
  readonly sessionCommands: Patcher;
  readonly outboxes: Outboxes;
  readonly wheel: TimerWheel;
  readonly metrics: Metrics;
  /** `limits.outbox`. */
  readonly bytesMax: number;
};

export type Joined = {
  readonly view: GroupView;
  /** When pushes to the group reach this session; null: they do now. Never rejects, and is bounded in time. */
  readonly confirmed: Promise<void> | null;
};

export class SnapshotJoins {
  readonly #registry: Registry;
  readonly #sessionCommands: Patcher;
  readonly #parts: DeltaParts;

  constructor(parts: SnapshotJoinsParts) {
    const { registry, sessionCommands, outboxes, wheel, bytesMax, metrics } = parts;
    this.#registry = registry;
    this.#sessionCommands = sessionCommands;
    const counts = {
      held: metrics.series('pith_deltas_total', ['held']),
      skipped: metrics.series('pith_deltas_total', ['in_snapshot']),
      gaps: metrics.series('pith_gaps_told_total', []),
    };
    this.#parts = { outboxes, wheel, bytesMax, counts };
  }

  /** The session is a member from now on, and the group's pushes wait until `end`. */
  begin(session: Session, group: string): Joined | Failure {
    const isTrial = !session.groups.has(group) || (session.deltas?.isTrial(group) ?? false);
    const changed = this.#sessionCommands.patch(session, { join: [group] });
    if (isFailure(changed)) return changed;
    session.deltas ??= new Deltas(this.#parts, session, false);
    const view = session.deltas.begin(group, isTrial);
    return { view, confirmed: changed.confirmed ?? this.#registry.heard(group) };
  }

  /**
   * The request has ended, after its answer was sent. A session that became a member for its sake stays one only if it
   * was answered.
   *
   * @param answer What the answer says of itself; null: an error, or none.
   */
  end(session: Session, view: GroupView, answer: { readonly from: Cursor | null } | null): void {
    if (session.deltas?.end(view, answer))
      this.#sessionCommands.patch(session, { leave: [view.group] });
  }

  /** The session goes on from another process. */
  thaw(session: Session, frozen: FrozenDeltas, now: number): void {
    session.deltas = new Deltas(this.#parts, session, frozen.tellsGaps);
    session.deltas.thaw(frozen, now);
  }

  /** The client asked to be told what it misses of its groups. */
  tellGaps(session: Session): void {
    session.deltas ??= new Deltas(this.#parts, session, true);
  }
}
