/** Everything about one session that may be late, on one timeout that looks again when the next deadline is due. */
import { failure } from '../errors.ts';
import { type TimerWheel, WheelEntry } from '../timer-wheel.ts';
import { type CloseReason, NO_DETAILS } from './close-reason.ts';
import type { FrozenDeadlines } from './frozen.ts';
import type { Session } from './session.ts';

export type DeadlineLimits = {
  readonly handshakeMs: number;
  readonly ackMs: number;
  /** A packet begun must be complete by then. */
  readonly assembleMs: number;
  /** The client must be heard within twice this, three times where heartbeats go out on our own clock; 0: no heartbeats. */
  readonly heartbeatMs: number;
  /** The session must have a uid so many milliseconds after it has connected, once; 0: it need not. */
  readonly bindMs: number;
  /** Milliseconds without the client taking anything after which it is closed. */
  readonly closeAfterMs: number;
  /** Milliseconds without a message from the client after which it is closed, however it beats; 0: never. */
  readonly idleMs: number;
  /** Milliseconds from the connection after which an active session ends, up to a tenth earlier; 0: never. */
  readonly maxAgeMs: number;
};

/**
 * How much longer a handshake that has come may wait for its answer: a backend that is asked has its own deadline, at
 * `limits.handshake`, and the client is to hear what came of it, however busy the gateway was in that moment.
 */
export const ANSWER_GRACE_MS = 1_000;
/** How often a backlog is checked until it is too old: each check finds out whether the client takes some of it. */
const BACKLOG_LOOKS = 4;

/** How long a session that is old enough may wait for what is in flight. */
export const RETIRING_MS = 10_000;
/** How often it looks whether that has been answered. */
const RETIRING_LOOK_MS = 100;
/** Sessions end up to this share of their age early, so that those that began together do not end together. */
const AGE_SPREAD = 0.1;
/** Multiples of it, without their whole part, are spread more evenly than random numbers. */
const GOLDEN_RATIO = 0.618_033_988_749_895;

export class Deadlines extends WheelEntry {
  readonly #wheel: TimerWheel;
  readonly #limits: DeadlineLimits;
  readonly #session: Session;
  #openedAt: number;
  #lookAt = Infinity;
  /** From the connection on. */
  #openingMs: number;
  #handshakenAt = 0;
  /** When a WebSocket ping was sent that has not been answered; 0: none. */
  #pingedAt = 0;
  #lastHeardAt: number;
  #lastSpokeAt = 0;
  /** By `maxAgeMs` as it was when the session became active. */
  #endsAt = Infinity;
  /** 0: everything that has come is complete. */
  #incompleteSince = 0;
  #restsSince = 0;
  #tickAt = Infinity;
  /** It had a uid when that was due: one that is unbound later may stay. */
  #hadUid = false;

  constructor(wheel: TimerWheel, limits: DeadlineLimits, session: Session) {
    super();
    this.#wheel = wheel;
    this.#limits = limits;
    this.#session = session;
    this.#openedAt = wheel.now();
    this.#lastHeardAt = this.#openedAt;
    this.#openingMs = limits.handshakeMs;
    this.#lookBy(this.#openedAt + this.#openingMs);
  }

  freeze(): FrozenDeadlines {
    const now = this.#wheel.now();
    const ago = (at: number): number | null => (at === 0 ? null : now - at);
    const due = (at: number): number | null => (at === Infinity ? null : at - now);
    return {
      ...{ openedMs: now - this.#openedAt, heardMs: now - this.#lastHeardAt },
      ...{ spokeMs: now - this.#lastSpokeAt, handshakenMs: ago(this.#handshakenAt) },
      ...{ pingedMs: ago(this.#pingedAt), incompleteMs: ago(this.#incompleteSince) },
      ...{ lookMs: due(this.#lookAt) ?? 0, endsMs: due(this.#endsAt) },
      ...{ tickMs: due(this.#tickAt), openingMs: this.#openingMs, hadUid: this.#hadUid },
    };
  }

  thaw(frozen: FrozenDeadlines): void {
    const now = this.#wheel.now();
    const before = (ms: number | null): number => (ms === null ? 0 : now - ms);
    const after = (ms: number | null): number => (ms === null ? Infinity : now + ms);
    this.#openedAt = now - frozen.openedMs;
    this.#lastHeardAt = now - frozen.heardMs;
    this.#lastSpokeAt = now - frozen.spokeMs;
    [this.#handshakenAt, this.#pingedAt] = [before(frozen.handshakenMs), before(frozen.pingedMs)];
    this.#incompleteSince = before(frozen.incompleteMs);
    this.#endsAt = after(frozen.endsMs);
    this.#tickAt = after(frozen.tickMs);
    [this.#openingMs, this.#hadUid] = [frozen.openingMs, frozen.hadUid];
    this.#lookAt = now + frozen.lookMs;
    this.#wheel.set(this, frozen.lookMs);
  }

  /** A packet came, whichever: the client lives, and what is incomplete began after it. */
  heard(): void {
    this.#lastHeardAt = this.#wheel.now();
    this.#incompleteSince = 0;
  }

  /** What was heard is a message. */
  spoke(): void {
    this.#lastSpokeAt = this.#lastHeardAt;
  }

  /** A sign of life that completes nothing: a WebSocket ping, or a pong, which may come inside a message. */
  lives(isPong = false): void {
    this.#lastHeardAt = this.#wheel.now();
    if (!isPong || this.#pingedAt === 0) return;
    this.#session.tookRoundTrip(this.#lastHeardAt - this.#pingedAt);
    this.#pingedAt = 0;
  }

  /** Asks the client for a sign of life, where its transport has one that it gives at once. */
  ping(): void {
    if (this.#pingedAt === 0) this.#pingedAt = this.#wheel.now();
    this.#session.connection.ping();
  }

  /** The monotonic clock. */
  now(): number {
    return this.#wheel.now();
  }

  /** When the client was last heard, by the monotonic clock. */
  get lastHeardAt(): number {
    return this.#lastHeardAt;
  }

  /** How long nothing has been heard of the client, in milliseconds. */
  get silentMs(): number {
    return this.#wheel.now() - this.#lastHeardAt;
  }

  /** Milliseconds between its heartbeats; 0: none. */
  get heartbeatMs(): number {
    return this.#limits.heartbeatMs;
  }

  /** The client sends heartbeats, and gets one for each. */
  get answersHeartbeats(): boolean {
    return this.#limits.heartbeatMs > 0 && !this.#ticks;
  }

  /** The client is not read from until `rested`. */
  rests(): void {
    this.#restsSince = this.#wheel.now();
  }

  /** The client is read from again. It could say nothing meanwhile, so that time does not count. */
  rested(): void {
    const ms = this.#wheel.now() - this.#restsSince;
    this.#lastHeardAt += ms;
    this.#lastSpokeAt += ms;
    if (this.#incompleteSince === 0) return;
    this.#incompleteSince += ms;
    this.#lookBy(this.#incompleteSince + this.#limits.assembleMs);
  }

  /** The handshake has come; its answer is awaited. */
  greeted(): void {
    this.#openingMs = this.#limits.handshakeMs + ANSWER_GRACE_MS;
  }

  /** The handshake was accepted; the ack is awaited. */
  handshaken(): void {
    this.#handshakenAt = this.#wheel.now();
    this.#lookBy(this.#handshakenAt + this.#limits.ackMs);
  }

  activated(): void {
    const now = this.#wheel.now();
    // Every client sends its ack as soon as it has the answer to its handshake.
    if (this.#handshakenAt !== 0) this.#session.tookRoundTrip(now - this.#handshakenAt);
    this.#lookBy(now + this.#limits.assembleMs);
    if (this.#limits.bindMs > 0) this.#lookBy(this.#openedAt + this.#limits.bindMs);
    this.#lastSpokeAt = now;
    this.#lookForIdle(now);
    const { maxAgeMs } = this.#limits;
    if (maxAgeMs > 0) {
      const early = AGE_SPREAD * ((this.#session.n * GOLDEN_RATIO) % 1);
      this.#endsAt = this.#openedAt + maxAgeMs * (1 - early);
      this.#lookBy(this.#endsAt);
    }
    if (this.#limits.heartbeatMs === 0) return;
    this.#lookBy(now + this.#silenceMs);
    if (!this.#ticks) return;
    this.#tickAt = now + this.#limits.heartbeatMs;
    this.#lookBy(this.#tickAt);
  }

  /** Bytes came; `partial` when they end inside a packet, which must then be completed in time. */
  bytesCame(partial: boolean): void {
    // What is kept meanwhile may be whole.
    if (!this.#session.readGate.isReading) return;
    if (partial) this.#noteIncomplete();
    else this.#incompleteSince = 0;
  }

  #noteIncomplete(): void {
    if (this.#incompleteSince !== 0) return;
    this.#incompleteSince = this.#wheel.now();
    this.#lookBy(this.#incompleteSince + this.#limits.assembleMs);
  }

  /** The client does not take what it is sent. */
  congested(): void {
    this.#lookBy(this.#wheel.now() + this.#limits.closeAfterMs / BACKLOG_LOOKS);
  }

  stop(): void {
    this.#wheel.cancel(this);
    this.#lookAt = -Infinity;
  }

  #lookBy(at: number): void {
    if (at >= this.#lookAt) return;
    this.#lookAt = at;
    this.#wheel.set(this, at - this.#wheel.now());
  }

  /** The next of them is due. */
  onLate(): void {
    this.#lookAt = Infinity;
    const now = this.#wheel.now();
    const { outbox, readGate } = this.#session;
    const late = this.#late(now);
    if (late !== null) {
      this.#session.close(late, NO_DETAILS, this.#causeOf(late));
      return;
    }
    if (now >= this.#endsAt && this.#retire(now)) return;
    this.#lookForIdle(now);
    this.#lookBy(Math.max(this.#endsAt, now + RETIRING_LOOK_MS));
    // What was unsent may be gone without a drain: all of it taken at once, or expired.
    if (!readGate.isReading) readGate.consider();
    this.#tick(now);
    const { ackMs, assembleMs, bindMs, heartbeatMs, closeAfterMs } = this.#limits;
    // A WebSocket message that is begun brings no bytes to us: it is found by looking.
    if (this.#incompleteSince === 0 && readGate.isReading && readGate.isIncomplete)
      this.#incompleteSince = now;
    const isBegun = readGate.isReading && this.#incompleteSince !== 0;
    this.#lookBy((isBegun ? this.#incompleteSince : now) + assembleMs);
    const { state } = this.#session;
    if (state === 'opening') this.#lookBy(this.#openedAt + this.#openingMs);
    else if (state === 'handshaking') this.#lookBy(this.#handshakenAt + ackMs);
    else if (heartbeatMs > 0) {
      const due = this.#lastHeardAt + this.#silenceMs;
      this.#lookBy(due > now ? due : now + heartbeatMs);
    }
    if (bindMs > 0 && !this.#hadUid) this.#lookBy(Math.max(now, this.#openedAt + bindMs));
    const backlogMs = outbox.backlogMs(now);
    if (outbox.hasBacklog)
      this.#lookBy(now + Math.min(closeAfterMs - backlogMs, closeAfterMs / BACKLOG_LOOKS));
  }

  #lookForIdle(now: number): void {
    const { idleMs } = this.#limits;
    if (idleMs === 0) return;
    // Whoever waits for an answer is not idle.
    if (this.#session.inFlight > 0) this.#lastSpokeAt = now;
    const due = this.#lastSpokeAt + idleMs;
    // It is late only while it is not read from, when it could not speak.
    this.#lookBy(due > now ? due : now + idleMs);
  }

  /** Ends the session once nothing is in flight. Until then nothing more is read, so that it comes to that. */
  #retire(now: number): boolean {
    const session = this.#session;
    const isBusy = session.inFlight > 0 || session.outbox.unsentBytes > 0;
    if (isBusy && now < this.#endsAt + RETIRING_MS) {
      session.readGate.wait();
      return false;
    }
    session.giveUp(failure('DRAINING', 'this connection is too old; connect again'));
    session.resuming?.renew();
    session.close('max_age', NO_DETAILS, this.#causeOf('max_age'));
    return true;
  }

  /** Which key's number was passed, for the log. */
  #causeOf(reason: CloseReason): string {
    const { bindMs, idleMs, maxAgeMs } = this.#limits;
    if (reason === 'bind_timeout') return `auth.bind_within is ${bindMs} ms`;
    if (reason === 'idle_timeout') return `limits.idle is ${idleMs} ms`;
    return reason === 'max_age' ? `sessions.max_age is ${maxAgeMs} ms` : '';
  }

  /**
   * Two intervals; three where the gateway has the heartbeats on its own clock: clients in JavaScript answer one an interval
   * later and pass over the next, which comes meanwhile, so that they are heard every second interval.
   */
  get #silenceMs(): number {
    return (this.#ticks ? 3 : 2) * this.#limits.heartbeatMs;
  }

  /** Heartbeats of our own go out; the client need not be heard for them. */
  get #ticks(): boolean {
    return this.#session.listenerDialect.traits.heartbeat !== 'answer';
  }

  #tick(now: number): void {
    if (now < this.#tickAt) {
      this.#lookBy(this.#tickAt);
      return;
    }
    // From now, not from when it was due: a gateway that was held up sends one, not many.
    this.#tickAt = now + this.#limits.heartbeatMs;
    this.#lookBy(this.#tickAt);
    if (this.#session.listenerDialect.traits.heartbeat === 'ping') this.ping();
    else this.#session.beat();
  }

  /** Looks once, when it is due. */
  #isUnbound(now: number): boolean {
    const { bindMs } = this.#limits;
    if (bindMs === 0 || this.#hadUid || now < this.#openedAt + bindMs) return false;
    this.#hadUid = this.#session.uid !== '';
    return !this.#hadUid;
  }

  #late(now: number): CloseReason | null {
    const { ackMs, assembleMs, heartbeatMs, closeAfterMs, idleMs } = this.#limits;
    const { inFlight, outbox, readGate, state } = this.#session;
    if (state === 'opening')
      return now >= this.#openedAt + this.#openingMs ? 'handshake_timeout' : null;
    if (state === 'handshaking' && now >= this.#handshakenAt + ackMs) return 'ack_timeout';
    if (outbox.backlogMs(now) >= closeAfterMs) return 'slow_consumer';
    if (this.#isUnbound(now)) return 'bind_timeout';
    if (!readGate.isReading) return null;
    if (!readGate.isIncomplete) this.#incompleteSince = 0;
    if (this.#incompleteSince !== 0 && now >= this.#incompleteSince + assembleMs)
      return 'assemble_timeout';
    if (state === 'handshaking') return null;
    if (heartbeatMs > 0 && now >= this.#lastHeardAt + this.#silenceMs) return 'heartbeat_timeout';
    const isIdle = idleMs > 0 && inFlight === 0 && now >= this.#lastSpokeAt + idleMs;
    return isIdle ? 'idle_timeout' : null;
  }
}
