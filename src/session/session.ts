/**
 * One client: its state, who it is, and the order of what comes and goes. What its messages mean and where
 * they go is the relay's.
 */
import type { CodecContext } from '../dialect/wire.ts';
import { Message, type MessageFault, MessageKind } from '../protocol/message.ts';
import { type Encoded, encodePacket, PacketType } from '../protocol/packet.ts';
import { PacketReader } from '../protocol/packet-reader.ts';
import { TextReader } from '../protocol/text-reader.ts';
import type { ConnectionHandler, SocketFault } from '../transport/transport.ts';
import { Calls } from './calls.ts';
import {
  CLOSE_REASONS,
  type CloseReason,
  type CloseDetails,
  kickBody,
  NO_DETAILS,
} from './close-reason.ts';
import { Deadlines, type Watched } from './deadlines.ts';
import { ReadGate } from './read-gate.ts';
import { Outbox, type OutboxOwner, type Perishable, type Taken } from './outbox.ts';
import { SessionRecord } from './session-record.ts';
import type { InFlight, SessionHost, SessionLimits, SessionParts } from './session-parts.ts';
import { actionFor, mayBecome, type State } from './state.ts';

/** Undecodable messages that are dropped before the connection is closed for them. */
export const MALFORMED_MAX = 16;
/** After so many packets the others have their turn first: a read may hold ten thousand. */
const PACKETS_PER_TURN = 256;
const HEARTBEAT = encodePacket(PacketType.HEARTBEAT);

export class Session
  extends SessionRecord
  implements ConnectionHandler, OutboxOwner, Watched, CodecContext
{
  readonly outbox: Outbox;
  readonly calls = new Calls();

  #state: State = 'opening';
  readonly #host: SessionHost;
  readonly #limits: SessionLimits;
  readonly #readGate: ReadGate;
  readonly #message = new Message();
  readonly #deadlines: Deadlines;
  #malformed = 0;
  /** Packets since the others last had their turn. */
  #packets = 0;
  /** They have it now. */
  #yields = false;
  /** The client has said its handshake; it may say one. */
  #greeted = false;
  /** The client has answered our handshake. A session may be draining without that. */
  #acked = false;

  constructor(parts: SessionParts) {
    super(parts);
    this.#host = parts.host;
    this.#limits = parts.limits;
    this.outbox = new Outbox(parts.connection, parts.outboxes, parts.limits.outbox, this);
    // Nothing but the handshake may go out before the client's ack.
    this.outbox.cork();
    const packetBytesMax = Math.min(parts.limits.packetBytesMax, parts.dialect.packetBytesMax);
    const Reader = parts.dialect.traits.framing === 'text' ? TextReader : PacketReader;
    const reader = new Reader(packetBytesMax, (type, body) => {
      this.#onPacket(type, body);
    });
    this.#readGate = new ReadGate(parts.connection, reader, packetBytesMax);
    this.#deadlines = new Deadlines(parts.wheel, parts.limits, this);
  }

  /** The session is known everywhere now. `mustAsk`: nobody is let in without a handshake. */
  begin(mustAsk: boolean): void {
    if (mustAsk || !this.server.traits.activeAtOnce) return;
    this.#become('handshaking');
    this.#activate();
  }

  get state(): State {
    return this.#state;
  }

  /** Requests in flight or waiting. */
  get inFlight(): number {
    return this.calls.size;
  }

  // ---- in -----------------------------------------------------------------------------------------------

  onBytes(chunk: Buffer): void {
    if (this.#state === 'closed') return;
    const fault = this.#readGate.push(chunk);
    if (fault !== null) this.close(fault);
    else this.#deadlines.bytesCame(this.#readGate.isIncomplete);
  }

  onPartial(): void {
    this.#deadlines.bytesCame(true);
  }

  onPong(): void {
    this.#deadlines.lives();
  }

  onDrain(): void {
    this.outbox.onDrain();
  }

  onEnd(): void {
    this.close('client_closed');
  }

  onFault(fault: SocketFault, error: Error): void {
    if (this.#state === 'closed') return;
    this.connection.close(CLOSE_REASONS[fault].webSocketCode, fault);
    this.#end(fault, NO_DETAILS, error.message);
  }

  onClosed(error: Error | null): void {
    this.outbox.release();
    this.#end(error === null ? 'client_closed' : 'connection_lost', NO_DETAILS, error?.message);
  }

  #onPacket(type: number, body: Buffer): void {
    this.#deadlines.heard();
    if (++this.#packets >= PACKETS_PER_TURN) this.#yield();
    // Nearly every packet; the table says the same.
    if (type === PacketType.DATA && this.#state === 'active') {
      this.#onMessage(body);
      return;
    }
    switch (actionFor(this.#state, type, this.server.traits)) {
      case 'message':
        this.#onMessage(body);
        return;
      case 'heartbeat':
        // [protocol.md 4.3] Some clients must get a heartbeat for each of theirs.
        if (this.#answersHeartbeats) this.#put(HEARTBEAT);
        return;
      case 'handshake':
        this.#onHandshake(body);
        return;
      case 'activate':
        this.#activate();
        return;
      case 'early':
        this.#onEarly(body);
        return;
      case 'ignore':
        return;
      case 'close':
        this.close('bad_packet_type');
    }
  }

  get #answersHeartbeats(): boolean {
    return this.#limits.heartbeatMs > 0 && !this.ticks;
  }

  #onHandshake(body: Buffer): void {
    if (this.#greeted) return;
    this.#greeted = true;
    this.#deadlines.greeted();
    // Who it is may have to be asked; what the client sends meanwhile is kept.
    this.#readGate.wait();
    this.#host.onHandshake(this, this.server.readHandshake(body));
  }

  /** Lets the client in: the host's answer to its handshake. Harmless when closed. */
  accept(answer: Encoded): void {
    if (this.#state === 'active') {
      // It needed no handshake, and sent one anyway.
      this.#put(answer);
    } else if (this.#state === 'opening') {
      this.#become('handshaking');
      this.connection.send([answer]);
      if (this.server.traits.activeAtOnce) this.#activate();
      else this.#deadlines.handshaken();
    }
    const fault = this.#readGate.answered();
    if (fault !== null) this.close(fault);
  }

  /** Turns the client away; `answer` null: without a word; `cause`: what the log says. Harmless when closed. */
  refuse(answer: Encoded | null, cause: string): void {
    if (this.#state === 'closed') return;
    if (answer !== null) this.connection.send([answer]);
    this.close('handshake_refused', NO_DETAILS, cause);
  }

  #activate(): void {
    this.#become('active');
    this.#acked = true;
    this.#deadlines.activated();
    // JS clients send no heartbeat before they have got one. [protocol.md 4.3]
    if (this.#answersHeartbeats) this.connection.send([HEARTBEAT]);
    this.#host.onActive(this);
    this.outbox.uncork();
  }

  #onEarly(body: Buffer): void {
    const { earlyData, framing } = this.server.traits;
    this.#host.onDropped(this, 'before_ack');
    if (earlyData === 'close') this.close('bad_packet_type');
    else if (framing === 'text' && this.wire.decode(body, this.#message) === null)
      this.#host.onUnreadable(this, this.#message, 'before_ack');
  }

  #onMessage(body: Buffer): void {
    const message = this.#message;
    const fault = this.wire.decode(body, message);
    if (fault !== null) {
      this.#onMalformed(fault, message);
      return;
    }
    if (message.kind === MessageKind.RESPONSE) {
      this.#host.onDropped(this, 'unexpected_kind');
      return;
    }
    if (message.wantsAnswer && this.calls.awaits(message.rawId)) {
      // One answer for both would be one too few or one too many: the client counts on the first.
      this.#host.onDropped(this, 'duplicate_id');
      return;
    }
    this.#host.onMessage(this, message);
  }

  #onMalformed(fault: MessageFault, message: Message): void {
    this.#host.onDropped(this, fault);
    this.#malformed++;
    const { malformed, framing } = this.server.traits;
    const idWasRead = framing === 'text' || fault === 'truncated' || fault === 'unknown_route_code';
    if (this.#malformed >= MALFORMED_MAX || malformed === 'close') this.close('malformed');
    else if (idWasRead && message.wantsAnswer && !this.calls.awaits(message.rawId))
      this.#host.onUnreadable(this, message, fault);
  }

  // ---- in flight ----------------------------------------------------------------------------------------

  /** Counts a message as in flight; at the limit the client is not read from. */
  track(call: InFlight): void {
    this.calls.add(call);
    if (this.calls.size >= this.#limits.inFlightMax) this.#considerReading();
  }

  /** The message is done with. */
  untrack(call: InFlight): void {
    this.calls.remove(call);
    if (!this.#readGate.isReading) this.#considerReading();
  }

  /** True once nothing is in flight and nothing is unsent. */
  get idle(): boolean {
    return this.calls.size === 0 && this.outbox.unsentBytes === 0;
  }

  #considerReading(): void {
    if (this.#state === 'closed') return;
    const { inFlightMax, outbox } = this.#limits;
    const full = this.calls.size >= inFlightMax || this.outbox.unsentBytes > outbox.bytesMax / 2;
    if (this.#readGate.isReading && full) {
      this.#deadlines.rests();
      this.#readGate.pause();
    } else if (
      !this.#readGate.isReading &&
      !full &&
      !this.#yields &&
      this.calls.size <= inFlightMax / 2
    ) {
      this.#deadlines.rested();
      const fault = this.#readGate.resume();
      if (fault !== null) this.close(fault);
      else if (this.#readGate.isReading) this.#deadlines.bytesCame(this.#readGate.isIncomplete);
    }
  }

  #yield(): void {
    this.#packets = 0;
    if (!this.#readGate.isReading) return;
    this.#yields = true;
    this.#deadlines.rests();
    this.#readGate.pause();
    setImmediate(() => {
      this.#yields = false;
      this.#considerReading();
    });
  }

  // ---- out ----------------------------------------------------------------------------------------------

  /** Sends the answer to a request. The caller answers each request once. */
  answer(encoded: Encoded): void {
    this.#put(encoded);
  }

  /** Puts a push that is encoded already and maybe shared with other sessions. */
  push(encoded: Encoded, perishable: Perishable | null): Taken | 'closed' {
    if (this.#state === 'closed') return 'closed';
    if (perishable === null) return this.#put(encoded);
    const taken = this.outbox.putPerishable(encoded, perishable);
    return taken === 'full' ? this.#closeFull() : taken;
  }

  #put(encoded: Encoded): Taken {
    return this.outbox.put(encoded) === 'full' ? this.#closeFull() : 'taken';
  }

  #closeFull(): 'full' {
    // Slow is who was offered something.
    this.close(this.outbox.isCorked ? 'outbox_full' : 'slow_consumer');
    return 'full';
  }

  onEvicted(): void {
    this.#closeFull();
  }

  onFlushed(): void {
    const { hasBacklog, isBehind } = this.outbox;
    if (hasBacklog) this.#deadlines.congested();
    if (hasBacklog || isBehind || !this.#readGate.isReading) this.#considerReading();
  }

  // ---- deadlines ----------------------------------------------------------------------------------------

  get isReading(): boolean {
    return this.#readGate.isReading;
  }

  get isIncomplete(): boolean {
    return this.#readGate.isIncomplete;
  }

  get hasBacklog(): boolean {
    return this.outbox.hasBacklog;
  }

  /** Heartbeats of our own go out; the client need not be heard for them. */
  get ticks(): boolean {
    return this.server.traits.heartbeat !== 'answer';
  }

  onTick(): void {
    if (this.server.traits.heartbeat === 'ping') this.connection.ping();
    else this.#put(HEARTBEAT);
  }

  backlogMs(now: number): number {
    return this.outbox.backlogMs(now);
  }

  onLooked(): void {
    // What was unsent may be gone without a drain: all of it taken at once, or expired.
    if (!this.#readGate.isReading) this.#considerReading();
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
  close(reason: CloseReason, details: CloseDetails = NO_DETAILS, cause = ''): void {
    if (this.#state === 'closed') return;
    const kick = kickBody(reason, details);
    // [protocol.md 3.4] Before the ack a client may not be sent a kick: it just sees the close.
    const encoded = kick === null || !this.#acked ? null : this.server.kick(kick);
    if (encoded !== null) this.outbox.put(encoded);
    if (reason === 'slow_consumer') {
      this.connection.destroy();
      this.outbox.release();
    } else {
      if (this.#acked) this.outbox.flushLast();
      this.connection.close(CLOSE_REASONS[reason].webSocketCode, details.text || reason);
    }
    this.#end(reason, details, cause);
  }

  #end(reason: CloseReason, details: CloseDetails, cause = ''): void {
    if (this.#state === 'closed') return;
    this.#become('closed');
    this.#deadlines.stop();
    this.outbox.end();
    this.calls.end();
    this.#host.onClosed(this, reason, details, cause);
  }

  #become(next: State): void {
    if (!mayBecome(this.#state, next))
      throw new Error(`session ${this.sid}: ${this.#state} cannot become ${next}`);
    this.#state = next;
  }
}
