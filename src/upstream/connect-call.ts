/**
 * A handshake on its way to a backend and back: a call to whoever carries it, so its answer is found by number
 * like any other. But it is one per connection, so it is not pooled, keeps its own deadline, and ends in a promise.
 */
import { NOTHING } from '../bytes.ts';
import { JSON_DEPTH_MAX_TO_BACKENDS as DEPTH_MAX, nestsTooDeep } from '../contract/json.ts';
import { type Failure, failure, isFailure } from '../errors.ts';
import { type TimerWheel, WHEEL_TICK_MS } from '../timer-wheel.ts';
import { Call } from './call.ts';
import type { ConnectAsk, Upstream } from './upstream.ts';
import type { Accepted, Reply } from '../contract/commands.ts';

/** What the body of an ordinary answer says about a handshake. */
type Read = (body: Uint8Array) => Accepted | Failure;

export class ConnectCall extends Call {
  /** Resolves once, with the first of: an answer, the reason why there will be none, the deadline, the abort. */
  readonly outcome: Promise<Accepted | Failure>;
  /** As its upstream sends it, where that is not its body. */
  encoded: Buffer = NOTHING;
  /** The backend itself has refused. */
  refused = false;
  override readonly isInLane = false;
  readonly #wheel: TimerWheel;
  readonly #read: Read;
  readonly #signal: AbortSignal | undefined;
  #resolve!: (outcome: Accepted | Failure) => void;
  #ended = false;

  constructor(ask: ConnectAsk, upstream: Upstream, wheel: TimerWheel, read: Read) {
    super();
    this.#read = read;
    this.session = ask.client;
    this.lane = ask.lane;
    this.upstream = upstream;
    this.wantsAnswer = true;
    this.startedAt = wheel.now();
    // The wheel fires up to a tick late, and who has asked must know by the deadline, to say so to the client.
    this.deadline = ask.deadline - WHEEL_TICK_MS;
    // More time is not for a backend to give: the client's handshake has its own limit.
    this.extended = true;
    this.#wheel = wheel;
    this.#signal = ask.signal;
    this.outcome = new Promise((resolve) => {
      this.#resolve = resolve;
    });
    wheel.setAt(this, this.deadline);
    this.#signal?.addEventListener('abort', this.#onAbort);
    if (this.#signal?.aborted) this.#settle(failure('CLOSING'));
    else if (nestsTooDeep(ask.user) || nestsTooDeep(ask.sys))
      this.#settle(failure('BAD_BODY', `the handshake is nested deeper than ${DEPTH_MAX}`));
  }

  /** It has its outcome, maybe from the beginning: then it is not to be sent. */
  get ended(): boolean {
    return this.#ended;
  }

  /** The backend's answer. */
  answered(outcome: Accepted | Failure): void {
    if (this.#ended) return;
    this.refused = isFailure(outcome) && outcome.reason !== 'BAD_REPLY';
    this.#settle(outcome);
  }

  override fail(why: Failure): void {
    this.#settle(this.why === '' ? why : { ...why, detail: this.why });
  }

  /** An answer as requests get it. */
  override succeed(body: Uint8Array): void {
    this.answered(this.#read(body));
  }

  override answer(reply: Reply): void {
    this.answered(reply.failure ?? this.#read(reply.body ?? NOTHING));
  }

  /** It is no notify. */
  override sent(): void {}

  override onLate(): void {
    this.#giveUp(failure('TIMEOUT'));
  }

  readonly #onAbort = (): void => {
    this.#giveUp(failure('CLOSING'));
  };

  #giveUp(why: Failure): void {
    this.#settle(why);
    this.pending?.cancel(this);
  }

  #settle(outcome: Accepted | Failure): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#wheel.cancel(this);
    this.#signal?.removeEventListener('abort', this.#onAbort);
    this.#resolve(outcome);
  }
}
