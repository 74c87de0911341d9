/** What a session is made of, and whom it speaks to. */
import type { FrozenAuth } from './frozen.ts';
import type { Dialect } from '../dialect/wire.ts';
import type { Failure } from '../errors.ts';
import type { HandshakeRequest } from '../protocol/handshake.ts';
import type { Message } from '../protocol/message.ts';
import type { TimerWheel } from '../timer-wheel.ts';
import type { CloseReason } from './close-reason.ts';
import type { DeadlineLimits } from './deadlines.ts';
import type { Fanouts } from './fanouts.ts';
import type { OutboxLimits } from './outbox.ts';
import type { Outboxes } from './outboxes.ts';
import type { Registry } from './registry.ts';
import type { Session } from './session.ts';
import type { Unfinished } from './unfinished.ts';
import type { SessionReport } from './session-report.ts';

export type SessionLimits = DeadlineLimits & {
  /** Body bytes of a packet from the client. */
  readonly packetBytesMax: number;
  /** Requests in flight or waiting; at this many the client is not read from. */
  readonly inFlightMax: number;
  readonly outbox: OutboxLimits;
};

/** Where the messages of sessions go: the relay. */
export interface MessageSink {
  /** A message of an active or draining session. */
  receive(session: Session, message: Message): void;
  /** A message that goes nowhere: it is answered with `why`. */
  refuse(session: Session, message: Message, why: Failure): void;
}

/** Who may come in, as one listener has it. */
export interface Handshakes {
  /** Calls `accept` or `refuse` of the session, now or later. null: it was no handshake. */
  onHandshake(session: Session, request: HandshakeRequest | null): void;
  /** The session has ended, maybe before it was answered. */
  onClosed(session: Session, reason: CloseReason): void;
  /** Its backend is being asked about it. */
  isAsking?(session: Session): boolean;
  /** What is kept of the session here, for another process; absent or null: nothing. */
  freeze?(session: Session): FrozenAuth | null;
  thaw?(session: Session, frozen: FrozenAuth): void;
}

/** What the sessions of one listener share. */
export type SessionParts = {
  readonly gatewayId: string;
  /** The index of its entry in `listen`; absent: it has none. */
  readonly listener?: number;
  readonly dialect: Dialect;
  readonly limits: SessionLimits;
  readonly auth: Handshakes;
  readonly relay: MessageSink;
  /** A session takes itself out when it ends. */
  readonly registry: Registry;
  readonly report: SessionReport;
  readonly wheel: TimerWheel;
  readonly outboxes: Outboxes;
  readonly fanouts: Fanouts;
  readonly unfinished: Unfinished;
};
