/** What a session is made of, and what it tells the rest of the gateway. */
import type { Dialect } from '../dialect/wire.ts';
import type { Failure } from '../errors.ts';
import type { HandshakeRequest } from '../protocol/handshake.ts';
import type { Message, MessageFault } from '../protocol/message.ts';
import type { TimerWheel } from '../timer-wheel.ts';
import type { Connection } from '../transport/transport.ts';
import type { CloseReason, CloseDetails } from './close-reason.ts';
import type { DeadlineLimits } from './deadlines.ts';
import type { OutboxLimits } from './outbox.ts';
import type { Outboxes } from './outboxes.ts';
import type { Session } from './session.ts';
import type { Drop } from './state.ts';

export type SessionLimits = DeadlineLimits & {
  /** Body bytes of a packet from the client. */
  readonly packetBytesMax: number;
  /** Requests in flight or waiting; at this many the client is not read from. */
  readonly inFlightMax: number;
  readonly outbox: OutboxLimits;
};

/** A message that this session waits for. */
export interface InFlight {
  readonly rawId: number;
  readonly wantsAnswer: boolean;
  /** Owned by the session. */
  sessionIndex: number;
  /** Its client is gone, and nobody waits for its answer any longer. */
  abandon(): void;
  /** Nobody waits for its answer any longer, though its client can be told: it is answered with `why`. */
  giveUp(why: Failure): void;
}

/** What the session tells the rest of the gateway. */
export interface SessionHost {
  /** Calls `accept` or `refuse` of the session, now or later. null: it was no handshake. */
  onHandshake(session: Session, request: HandshakeRequest | null): void;
  onActive(session: Session): void;
  onMessage(session: Session, message: Message): void;
  /** A request that cannot be relayed, though it can be answered: do so. */
  onUnreadable(session: Session, message: Message, fault: MessageFault | 'before_ack'): void;
  onDropped(session: Session, why: Drop): void;
  /** @param cause More than the reason says, for the log: the socket's error, what was wrong with a handshake. */
  onClosed(session: Session, reason: CloseReason, details: CloseDetails, cause: string): void;
}

export type SessionParts = {
  readonly n: number;
  readonly gatewayId: string;
  readonly connection: Connection;
  readonly dialect: Dialect;
  readonly host: SessionHost;
  readonly wheel: TimerWheel;
  readonly outboxes: Outboxes;
  readonly limits: SessionLimits;
  readonly openedAtWall: number;
};
