/** What the relay is made of. */
import type { Close, Patch, Push } from '../contract/commands.ts';
import type { Failure } from '../errors.ts';
import type { Maintenance } from '../orders/maintenance.ts';
import type { Random } from '../random.ts';
import type { Session } from '../session/session.ts';
import type { SnapshotJoins } from '../session/snapshot-joins.ts';
import type { TimerWheel } from '../timer-wheel.ts';
import type { Upstream } from '../upstream/upstream.ts';
import type { Admission } from './admission.ts';
import type { Breaker } from './breaker.ts';
import type { Shedding } from './shedding.ts';
import type { MessageReport } from './message-report.ts';

/** A backend as the relay knows it. */
export type RelayBackend = {
  readonly name: string;
  readonly upstream: Upstream;
  /** null: none. */
  readonly breaker: Breaker | null;
};

export type RelayParts = {
  readonly admission: Admission;
  readonly shedding: Shedding;
  /** What is in maintenance. */
  readonly maintenance: Pick<Maintenance, 'isOn' | 'refusal'>;
  readonly wheel: TimerWheel;
  readonly random: Random;
  /** What replies ask for besides the answer: of the session, and of other sessions anywhere. */
  readonly sessionCommands: {
    patch(session: Session, patch: Patch): Failure | object;
    /** null: there is nobody to ask before it is applied. */
    patchAsked(
      session: Session,
      patch: Patch,
      isWanted: () => boolean,
    ): Promise<Failure | object> | null;
    close(session: Session, close: Close): void;
  };
  readonly joins: Pick<SnapshotJoins, 'begin' | 'end'>;
  readonly fleetCommands: { push(push: Push, from: Session): Failure | null };
  readonly report: MessageReport;
};
