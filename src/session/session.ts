/**
 * One client: its state, who it is, and the order of what comes and goes. What its messages mean and where
 * they go is the relay's.
 */
import { type HandshakeRequest, parseHandshake } from '../protocol/handshake.ts';
import {
  decodeMessage,
  encodeResponse,
  Message,
  type MessageFault,
  MessageKind,
  type RouteOfCode,
} from '../protocol/message.ts';
import { type Encoded, encodeJsonPacket, encodePacket, PacketType } from '../protocol/packet.ts';
import { PacketReader } from '../protocol/packet-reader.ts';
import type { TimerWheel } from '../timer-wheel.ts';
import type { Connection, ConnectionHandler, SocketFault } from '../transport/transport.ts';
import {
  CLOSE_REASONS,
  type CloseReason,
  type CloseWords,
  kickBody,
  NO_WORDS,
} from './close-reason.ts';
import type { JsonObject } from './commands.ts';
import { type DeadlineLimits, Deadlines, type Watched } from './deadlines.ts';
import { Lane } from './lane.ts';
import { type Flusher, Outbox, type OutboxLimits, type Perishable, type Taken } from './outbox.ts';
import { actionFor, type Drop, mayBecome, type State } from './state.ts';

/** Undecodable messages that are dropped before the connection is closed for them. */
export const MALFORMED_MAX = 16;
const HEARTBEAT = encodePacket(PacketType.HEARTBEAT);

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
  onSessionClosed(): void;
}

/** What the session tells the rest of the gateway. */
export interface SessionHost {
  readonly routeOfCode: RouteOfCode;
  /** Null: refused, and the session has been closed by the host. */
  onHandshake(session: Session, request: HandshakeRequest | null): Encoded | null;
  onActive(session: Session): void;
  onMessage(session: Session, message: Message): void;
  /** An undecodable request whose id could be read: answer it. */
  onUnreadable(session: Session, message: Message, fault: MessageFault): void;
  onDropped(session: Session, why: Drop): void;
  onClosed(session: Session, reason: CloseReason, words: CloseWords, error: Error | null): void;
}

export type SessionParts = {
  readonly n: number;
  readonly gatewayId: string;
  readonly connection: Connection;
  readonly host: SessionHost;
  readonly wheel: TimerWheel;
  readonly flusher: Flusher;
  readonly limits: SessionLimits;
  readonly openedAtWall: number;
};

export class Session implements ConnectionHandler, Watched {
  readonly n: number;
  /** `<gateway id>.<n>`: unique for ever. */
  readonly sid: string;
  readonly gatewayId: string;
  readonly remoteIp: string;
  /** Milliseconds since the epoch. */
  readonly openedAtWall: number;
  /** Milliseconds of the monotonic clock. */
  readonly openedAt: number;
  readonly connection: Connection;
  readonly outbox: Outbox;
  clientType = '';
  clientVersion = '';
  /** '' until bound. */
  uid = '';
  /** No prototype: keys are the application's. */
  readonly data: JsonObject = Object.create(null) as JsonObject;
  readonly groups = new Set<string>();
  /** Grows with every change of uid, data or groups. */
  version = 0;
  /** The gateway's own count of messages relayed. */
  seq = 0;
  /** Messages per second still allowed; owned by the admission. */
  tokens = Number.NaN;
  tokensAt = 0;
  /** One per backend, by the backend's ordinal. */
  readonly lanes: Lane[] = [];
  readonly calls: InFlight[] = [];

  #state: State = 'opening';
  readonly #host: SessionHost;
  readonly #limits: SessionLimits;
  readonly #reader: PacketReader;
  readonly #message = new Message();
  readonly #deadlines: Deadlines;
  #malformed = 0;
  /** The client has answered our handshake. A session may be draining without that. */
  #acked = false;
  #reading = true;

  constructor(parts: SessionParts) {
    this.n = parts.n;
    this.gatewayId = parts.gatewayId;
    this.sid = `${parts.gatewayId}.${parts.n}`;
    this.connection = parts.connection;
    this.remoteIp = parts.connection.remoteAddress;
    this.openedAtWall = parts.openedAtWall;
    this.openedAt = parts.wheel.now();
    this.#host = parts.host;
    this.#limits = parts.limits;
    this.outbox = new Outbox(parts.connection, parts.flusher, parts.limits.outbox);
    // Nothing but the handshake may go out before the client's ack.
    this.outbox.cork();
    this.#reader = new PacketReader(parts.limits.packetBytesMax, (type, body) => {
      this.#onPacket(type, body);
    });
    this.#deadlines = new Deadlines(parts.wheel, parts.limits, this);
  }

  get state(): State {
    return this.#state;
  }

  /** Requests in flight or waiting. */
  get inFlight(): number {
    return this.calls.length;
  }

  lane(backendOrdinal: number): Lane {
    return (this.lanes[backendOrdinal] ??= new Lane());
  }

  // ---- in -----------------------------------------------------------------------------------------------

  onBytes(chunk: Buffer): void {
    if (this.#state === 'closed') return;
    const fault = this.#reader.push(chunk);
    // [protocol.md 9] Some WebSocket clients send a buffer that is longer than the packet in it.
    if (this.connection.transport === 'ws') this.#reader.forgetPadding();
    if (fault !== null) this.close(fault);
    else this.#deadlines.bytesCame(this.#reader.heldBytes > 0);
  }

  onDrain(): void {
    this.outbox.onDrain();
    this.#considerReading();
  }

  onFault(fault: SocketFault, error: Error): void {
    if (this.#state === 'closed') return;
    this.connection.close(CLOSE_REASONS[fault].webSocketCode, fault);
    this.#end(fault, NO_WORDS, error);
  }

  onClosed(error: Error | null): void {
    this.#end(error === null ? 'client_closed' : 'connection_lost', NO_WORDS, error);
  }

  #onPacket(type: number, body: Buffer): void {
    this.#deadlines.heard();
    // Nearly every packet; the table says the same.
    if (type === PacketType.DATA && this.#state === 'active') {
      this.#onMessage(body);
      return;
    }
    switch (actionFor(this.#state, type)) {
      case 'message':
        this.#onMessage(body);
        return;
      case 'heartbeat':
        // [protocol.md 4.3] Some clients must get a heartbeat for each of theirs.
        if (this.#limits.heartbeatMs > 0) this.#put(HEARTBEAT);
        return;
      case 'handshake':
        this.#onHandshake(body);
        return;
      case 'activate':
        this.#activate();
        return;
      case 'ignore':
        if (type === PacketType.DATA && this.#state !== 'closed')
          this.#host.onDropped(this, 'before_ack');
        return;
      case 'close':
        this.close('bad_packet_type');
    }
  }

  #onHandshake(body: Buffer): void {
    const answer = this.#host.onHandshake(this, parseHandshake(body));
    if (answer === null) return;
    this.#become('handshaking');
    this.connection.send([answer]);
    this.#deadlines.handshaken();
  }

  #activate(): void {
    this.#become('active');
    this.#acked = true;
    this.#deadlines.activated();
    // JS clients send no heartbeat before they have got one. [protocol.md 4.3]
    if (this.#limits.heartbeatMs > 0) {
      this.connection.send([HEARTBEAT]);
    }
    this.#host.onActive(this);
    this.outbox.uncork();
  }

  #onMessage(body: Buffer): void {
    const message = this.#message;
    const fault = decodeMessage(body, this.#host.routeOfCode, message);
    if (fault !== null) {
      this.#onMalformed(fault, message);
      return;
    }
    if (message.kind === MessageKind.RESPONSE) {
      this.#host.onDropped(this, 'unexpected_kind');
      return;
    }
    if (message.wantsAnswer && this.#isInFlight(message.rawId)) {
      // One answer for both would be one too few or one too many: the client counts on the first.
      this.#host.onDropped(this, 'duplicate_id');
      return;
    }
    this.#host.onMessage(this, message);
  }

  #onMalformed(fault: MessageFault, message: Message): void {
    this.#host.onDropped(this, fault);
    this.#malformed++;
    const idWasRead = fault === 'truncated' || fault === 'unknown_route_code';
    if (this.#malformed >= MALFORMED_MAX) this.close('malformed');
    else if (idWasRead && message.wantsAnswer && !this.#isInFlight(message.rawId))
      this.#host.onUnreadable(this, message, fault);
  }

  #isInFlight(rawId: number): boolean {
    for (const call of this.calls) {
      if (call.rawId === rawId && call.wantsAnswer) return true;
    }
    return false;
  }

  // ---- in flight ----------------------------------------------------------------------------------------

  /** Counts a message as in flight; at the limit the client is not read from. */
  track(call: InFlight): void {
    call.sessionIndex = this.calls.length;
    this.calls.push(call);
    if (this.calls.length >= this.#limits.inFlightMax) this.#considerReading();
  }

  /** The message is done with. */
  untrack(call: InFlight): void {
    const last = this.calls.pop()!;
    if (last !== call) {
      this.calls[call.sessionIndex] = last;
      last.sessionIndex = call.sessionIndex;
    }
    call.sessionIndex = -1;
    if (!this.#reading) this.#considerReading();
  }

  /** True once nothing is in flight and nothing is unsent. */
  get idle(): boolean {
    return this.calls.length === 0 && this.outbox.unsentBytes === 0;
  }

  #considerReading(): void {
    if (this.#state === 'closed') return;
    const { inFlightMax, outbox } = this.#limits;
    const full = this.calls.length >= inFlightMax || this.outbox.unsentBytes > outbox.bytesMax / 2;
    if (this.#reading && full) {
      this.#reading = false;
      this.connection.pause();
      this.#reader.hold();
    } else if (!this.#reading && !full && this.calls.length <= inFlightMax / 2) {
      this.#reading = true;
      this.#deadlines.rested();
      const fault = this.#reader.release();
      if (fault !== null) {
        this.close(fault);
      } else if (this.#reading) {
        this.connection.resume();
        this.#deadlines.bytesCame(this.#reader.heldBytes > 0);
      }
    }
  }

  // ---- out ----------------------------------------------------------------------------------------------

  /** Sends the answer to the request `rawId`. The caller answers each request once. */
  answer(rawId: number, body: Uint8Array): void {
    this.#put(encodeResponse(rawId, body));
  }

  /** Puts a push that is encoded already and maybe shared with other sessions. */
  push(encoded: Encoded, perishable: Perishable | null): Taken | 'closed' {
    if (this.#state === 'closed') return 'closed';
    if (perishable === null) return this.#put(encoded);
    const taken = this.outbox.putPerishable(encoded, perishable);
    return taken === 'full' ? this.#closeSlow() : taken;
  }

  #put(encoded: Encoded): Taken {
    if (this.outbox.put(encoded) === 'full') return this.#closeSlow();
    if (this.outbox.isBehind) {
      this.#deadlines.congested();
      this.#considerReading();
    }
    return 'taken';
  }

  #closeSlow(): 'full' {
    this.close('slow_consumer');
    return 'full';
  }

  // ---- deadlines ----------------------------------------------------------------------------------------

  get isReading(): boolean {
    return this.#reading;
  }

  get isIncomplete(): boolean {
    return this.#reader.heldBytes > 0 || this.connection.assembling;
  }

  backlogMs(now: number): number {
    return this.outbox.backlogMs(now);
  }

  onLooked(): void {
    // What was unsent may be gone without a drain: all of it taken at once, or expired.
    if (!this.#reading) this.#considerReading();
  }

  onDeadline(reason: CloseReason): void {
    this.close(reason);
  }

  // ---- end ----------------------------------------------------------------------------------------------

  /** New requests are refused from now on; the drain closes the session when nothing is in flight. */
  drain(): void {
    if (this.#state === 'active') this.#become('draining');
    else if (this.#state !== 'draining') this.close('draining');
  }

  /** Sends what waits, a kick packet where the reason has one, and closes. Harmless when closed. */
  close(reason: CloseReason, words: CloseWords = NO_WORDS): void {
    if (this.#state === 'closed') return;
    const kick = kickBody(reason, words);
    // [protocol.md 3.4] Before the ack a client may not be sent a kick: it just sees the close.
    if (kick !== null && this.#acked) this.outbox.put(encodeJsonPacket(PacketType.KICK, kick));
    if (reason === 'slow_consumer') {
      this.connection.destroy();
    } else {
      if (this.#acked) this.outbox.flushLast();
      this.connection.close(CLOSE_REASONS[reason].webSocketCode, words.text || reason);
    }
    this.#end(reason, words, null);
  }

  #end(reason: CloseReason, words: CloseWords, error: Error | null): void {
    if (this.#state === 'closed') return;
    this.#become('closed');
    this.#deadlines.stop();
    for (const call of [...this.calls]) call.onSessionClosed();
    this.#host.onClosed(this, reason, words, error);
  }

  #become(next: State): void {
    if (!mayBecome(this.#state, next))
      throw new Error(`session ${this.sid}: ${this.#state} cannot become ${next}`);
    this.#state = next;
  }
}
