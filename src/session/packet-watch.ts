/**
 * Whoever looks at the packets of sessions. A session that nobody looks at pays for a test of its `watchers`, and for
 * nothing else: what is told here is told of sessions whose `watchers` is not 0.
 */
import type { Push } from '../contract/commands.ts';
import type { SessionEnd } from './session-report.ts';
import type { Session } from './session.ts';
import type { Drop } from './state.ts';

/** Packets that are no messages. `kick`: the gateway's last word. */
export type PlainPacket = 'handshake' | 'handshake_ack' | 'heartbeat' | 'kick';

export interface PacketWatch {
  /** There is somebody who may want to look at a session that comes or changes. */
  readonly isOn: boolean;
  /** It has come, or its uid, data or groups are different now: sets its `watchers`. */
  consider(session: Session): void;
  /** The client sent a packet of this type; its messages are told elsewhere. */
  came(session: Session, type: number, bytes: number): void;
  /** The client was sent one. */
  went(session: Session, packet: PlainPacket): void;
  /** A message could not be read, or not be used. */
  dropped(session: Session, why: Drop): void;
  /** @param taken What became of it: as `Outbox` says it, or `closed`; `unencodable`: its client could not read it. */
  pushed(session: Session, push: Push, taken: PushFate): void;
  closed(session: Session, end: SessionEnd): void;
}

export type PushFate = 'taken' | 'dropped' | 'full' | 'closed' | 'unencodable';

/** Nobody looks at anything. */
export const NOT_WATCHED: PacketWatch = {
  isOn: false,
  consider() {},
  came() {},
  went() {},
  dropped() {},
  pushed() {},
  closed() {},
};
