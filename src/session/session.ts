/**
 * One client: its state, who it is, and the order of what comes and goes. What its messages mean and where
 * they go is the relay's.
 */
import type { CodecContext } from '../dialect/wire.ts';
import type { Failure } from '../errors.ts';
import { Message, MessageKind } from '../protocol/message.ts';
import { type Encoded, HEARTBEAT, PacketType } from '../protocol/packet.ts';
import type { Connection, ConnectionHandler, SocketFault } from '../transport/transport.ts';
import type { CloseDetails, CloseReason } from './close-reason.ts';
import { CLOSE_REASONS, kickBody, NO_DETAILS } from './close-reason.ts';
import { kickFor, type Life } from './life.ts';
import { Deadlines } from './deadlines.ts';
import { ReadGate } from './read-gate.ts';
import { Outbox, type Perishable, type Taken } from './outbox.ts';
import { SessionRecord } from './session-record.ts';
import { AllInFlight, type InFlight } from './in-flight.ts';
import type { SessionParts } from './session-parts.ts';
import { type ClientReader, packetsOf } from './client-reader.ts';
import { actionFor, type Drop, mayBecome, type State } from './state.ts';
import { onEarly, onUnreadable } from './unreadable.ts';

export class Session extends SessionRecord implements ConnectionHandler, CodecContext {
  readonly outbox: Outbox;
  readonly readGate: ReadGate;
  readonly deadlines: Deadlines;

  #state: State = 'opening';
  readonly #parts: SessionParts;
  readonly #reader: ClientReader;
  readonly #message = new Message();
  readonly #inFlight = new AllInFlight();
  /** The client has sent its handshake; only one is allowed. */
  #handshakeCame = false;
  /** Its socket is closed. */
  #isGone = false;

  /** @param n The gateway's own count of connections. @param openedAtWall Milliseconds since the epoch. */
  constructor(parts: SessionParts, connection: Connection, n: number, openedAtWall: number) {
    super(parts, connection, n, openedAtWall);
    const { limits, outboxes, wheel } = parts;
    this.#parts = parts;
    this.outbox = new Outbox(connection, outboxes, limits.outbox, this);
    // Nothing but the handshake may go out before the client's ack.
    this.outbox.cork();
    this.deadlines = new Deadlines(wheel, limits, this);
    this.#reader = packetsOf(parts, connection, this.#onPacket);
    this.readGate = new ReadGate(this, this.#reader, this.deadlines, parts);
  }

  /** The session is registered now. `mustAsk`: a handshake is required, because a backend authenticates it. */
  begin(mustAsk: boolean): void {
    if (this.watching.isOn) this.watching.consider(this);
    if (mustAsk || !this.listenerDialect.traits.activeAtOnce) return;
    this.#become('handshaking');
    this.#activate();
  }

  get state(): State {
    return this.#state;
  }

  /** Requests in flight or waiting. */
  get inFlight(): number {
    return this.#inFlight.size;
  }

  // ---- in -----------------------------------------------------------------------------------------------

  onBytes(chunk: Buffer): void {
    if (this.#state === 'closed') return;
    const fault = this.readGate.read(chunk);
    if (fault !== null) this.close(fault);
  }

  onPartial(): void {
    this.deadlines.bytesCame(true);
    this.readGate.weigh();
  }

  onPong(isAnswer = true): void {
    this.deadlines.lives(isAnswer);
  }

  onDrain(): void {
    this.outbox.onDrain();
  }

  onEnd(): void {
    this.#parts.fanouts.leave(this, () => {
      this.close('client_closed');
    });
  }

  onFault(fault: SocketFault, error: Error): void {
    if (this.#state === 'closed') return;
    this.connection.close(CLOSE_REASONS[fault].webSocketCode, fault);
    this.#end(fault, NO_DETAILS, error.message);
  }

  onClosed(error: Error | null): void {
    this.#isGone = true;
    this.#parts.fanouts.leave(this, () => {
      this.outbox.release();
      this.#end(error === null ? 'client_closed' : 'connection_lost', NO_DETAILS, error?.message);
    });
  }

  readonly #onPacket = (type: number, body: Buffer): void => {
    this.deadlines.heard();
    this.readGate.packetCame();
    // Nearly every packet; the table says the same.
    if (type === PacketType.DATA && this.#state === 'active') {
      this.#onMessage(body);
      return;
    }
    if (this.watchers !== 0) this.watching.came(this, type, body.length);
    switch (actionFor(this.#state, type, this.listenerDialect.traits)) {
      case 'message':
        this.#onMessage(body);
        return;
      case 'heartbeat':
        // [protocol.md 4.3] Some clients must get a heartbeat for each of theirs.
        if (this.deadlines.answersHeartbeats) this.beat();
        return;
      case 'handshake':
        this.#onHandshake(body);
        return;
      case 'activate':
        this.#activate();
        return;
      case 'early':
        onEarly(this, this.#parts.relay, body, this.#message);
        return;
      case 'ignore':
        return;
      case 'close':
        this.close('bad_packet_type');
    }
  };

  /** Its uid, data or groups are different now. */
  override changed(): void {
    super.changed();
    if (this.watching.isOn) this.watching.consider(this);
  }

  #onHandshake(body: Buffer): void {
    if (this.#handshakeCame) return;
    this.#handshakeCame = true;
    this.deadlines.greeted();
    // Who it is may have to be asked; what the client sends meanwhile is kept.
    this.readGate.wait();
    this.#parts.auth.onHandshake(this, this.listenerDialect.readHandshake(body));
  }

  /** Sends the answer that accepts its handshake. Harmless when closed. */
  accept(answer: Encoded): void {
    if (this.watchers !== 0) this.watching.went(this, 'handshake');
    if (this.#state === 'active') {
      // It needed no handshake, and sent one anyway.
      this.send(answer);
    } else if (this.#state === 'opening') {
      this.#become('handshaking');
      this.connection.send([answer]);
      if (this.listenerDialect.traits.activeAtOnce) this.#activate();
      else this.deadlines.handshaken();
    }
    this.readGate.answered();
  }

  /** Turns the client away; `answer` null: without a word; `cause`: what the log says. Harmless when closed. */
  refuse(answer: Encoded | null, cause: string): void {
    if (this.#state === 'closed') return;
    if (answer !== null) this.connection.send([answer]);
    this.close('handshake_refused', NO_DETAILS, cause);
  }

  #activate(): void {
    this.#become('active');
    this.deadlines.activated();
    // JS clients send no heartbeat before they have got one. [protocol.md 4.3]
    if (this.deadlines.answersHeartbeats) this.connection.send([HEARTBEAT]);
    this.#parts.report.active(this);
    this.outbox.uncork();
  }

  #onMessage(body: Buffer): void {
    this.deadlines.spoke();
    const message = this.#message;
    const fault = this.wire.decode(body, message);
    if (fault !== null) {
      onUnreadable(this, this.#parts.relay, fault, message);
      return;
    }
    if (message.kind === MessageKind.RESPONSE) {
      this.drop('unexpected_kind');
      return;
    }
    this.traffic.came(message.wantsAnswer);
    if (message.wantsAnswer && this.awaits(message.rawId)) {
      // The client can match one answer to an id, so the second request is dropped.
      this.drop('duplicate_id');
      return;
    }
    this.#parts.relay.receive(this, message);
  }

  /** Does at once what waits for its turn to be done to it, such as its end because the client has gone. */
  catchUp(): void {
    if (this.#parts.fanouts.isBusy) this.#parts.fanouts.catchUp(this);
  }

  /** Counts a message that gets no answer. */
  drop(why: Drop): void {
    this.#parts.report.dropped(this, why);
  }

  /** True while the request that came with `rawId` waits for its answer. */
  awaits(rawId: number): boolean {
    return this.#inFlight.awaits(rawId);
  }

  /** Counts a message as in flight; at the limit the client is not read from. */
  track(call: InFlight): void {
    this.#inFlight.add(call);
    if (this.#inFlight.size >= this.#parts.limits.inFlightMax) this.readGate.consider();
  }

  /** The message is done with. */
  untrack(call: InFlight): void {
    this.#inFlight.delete(call);
    if (!this.readGate.isReading) this.readGate.consider();
  }

  /** Answers all that is in flight with an error. */
  giveUp(why: Failure): void {
    this.#inFlight.giveUp(why);
  }

  // ---- out ----------------------------------------------------------------------------------------------

  beat(): void {
    if (this.watchers !== 0) this.watching.went(this, 'heartbeat');
    this.#put(HEARTBEAT, null);
  }

  /** Sends what must be sent: the answer to a request, which gets one. */
  send(encoded: Encoded): Taken {
    this.traffic.responses++;
    return this.#put(encoded, null);
  }

  /** Puts a push that is encoded already and maybe shared with other sessions. */
  push(encoded: Encoded, perishable: Perishable | null): Taken | 'closed' {
    this.catchUp();
    if (this.#isGone || this.#state === 'closed') return 'closed';
    this.traffic.pushes++;
    return this.#put(encoded, perishable);
  }

  #put(encoded: Encoded, perishable: Perishable | null): Taken {
    this.catchUp();
    const { outbox } = this;
    const taken =
      perishable === null ? outbox.put(encoded) : outbox.putPerishable(encoded, perishable);
    if (taken === 'full') this.evict('limits.outbox is reached');
    return taken;
  }

  /** There is no room for what must be sent, here, or in all outboxes together. @param why For the log. */
  evict(why: string): void {
    // Only a client that was offered something can be called slow.
    this.close(this.outbox.isCorked ? 'outbox_full' : 'slow_consumer', NO_DETAILS, why);
  }

  /** The outbox was flushed as far as the client takes it: it may be read from again, or be behind. */
  flushed(): void {
    const { hasBacklog, isBehind } = this.outbox;
    if (hasBacklog) this.deadlines.congested();
    if (hasBacklog || isBehind || !this.readGate.isReading) this.readGate.consider();
  }

  /** What only it knows; `life.ts` hands it over to another process. */
  get life(): Life {
    const [state, greeted, reader] = [this.#state, this.#handshakeCame, this.#reader];
    return { state, greeted, reader, parts: this.#parts };
  }

  set life({ state, greeted }: Pick<Life, 'state' | 'greeted'>) {
    this.#state = state;
    this.#handshakeCame = greeted;
  }

  // ---- end ----------------------------------------------------------------------------------------------

  /** New requests are refused from now on; the drain closes the session when nothing is in flight. */
  drain(): void {
    if (this.#state === 'active') this.#become('draining');
    else if (this.#state !== 'draining') this.close('draining');
  }

  /** Sends what waits, a kick packet where the reason has one, and closes. Harmless when closed. */
  close(reason: CloseReason, details: CloseDetails = NO_DETAILS, cause = ''): void {
    this.catchUp();
    if (this.#state === 'closed') return;
    const isAcked = this.#state === 'active' || this.#state === 'draining';
    const encoded = kickFor(this, kickBody(reason, details, this.#parts.report.refOf(this)));
    if (encoded !== null && isAcked) this.outbox.put(encoded);
    else if (encoded !== null) this.connection.send([encoded]);
    if (reason === 'slow_consumer') {
      this.connection.destroy();
      this.outbox.release();
    } else {
      if (isAcked) this.outbox.flushLast();
      this.connection.close(CLOSE_REASONS[reason].webSocketCode, details.text || reason);
    }
    this.#end(reason, details, cause);
  }

  #end(reason: CloseReason, details: CloseDetails, cause = ''): void {
    if (this.#state === 'closed') return;
    const wasActive = this.#state === 'active' || this.#state === 'draining';
    this.#become('closed');
    this.deadlines.stop();
    this.readGate.leave();
    this.#reader.end();
    this.outbox.end();
    const unanswered = this.#inFlight.size;
    this.#inFlight.abandon();
    const { auth, registry, report, wheel } = this.#parts;
    registry.remove(this);
    auth.onClosed(this, reason);
    const lastedMs = Math.round(wheel.now() - this.openedAt);
    const end = { reason, details, cause, lastedMs, unanswered, wasActive };
    const closed = report.closed(this, end);
    for (const lane of this.lanes) lane?.backendSession?.forget(closed);
  }

  #become(next: State): void {
    if (!mayBecome(this.#state, next))
      throw new Error(`session ${this.sid}: ${this.#state} cannot become ${next}`);
    this.#state = next;
  }
}
