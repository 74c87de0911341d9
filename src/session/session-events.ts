/** Tells listeners when sessions open and close, and when their uid changes. */
import type { ClosedSession } from '../contract/facts.ts';
import type { Session } from './session.ts';

export interface SessionEvents {
  /** Its handshake is done. */
  opened(session: Session): void;
  /** It was opened already, and goes on from another one only now. */
  resumed(session: Session): void;
  /** It has got a uid, maybe before its handshake is done. */
  bound(session: Session): void;
  /** It goes on without. @param uid The one that it had. */
  unbound(session: Session, uid: string): void;
  /** It has ended; one that was never opened or bound may be, too. */
  closed(session: Session, closed: ClosedSession): void;
}

/** Nobody is told. */
export const NO_SESSION_EVENTS: SessionEvents = {
  opened() {},
  resumed() {},
  bound() {},
  unbound() {},
  closed() {},
};
