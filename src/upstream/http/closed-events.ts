/** Notifies a backend of ended sessions, or of lost gateways. Nothing waits for it, and what cannot be sent is dropped. */
import type { Dispatcher } from 'undici';

import { Fifo } from '../../fifo.ts';
import { Timeout, type TimerWheel } from '../../timer-wheel.ts';
import type { BackendReport } from '../backend-report.ts';
import { Exchange, type ExchangeLimits, ByteBudget } from './exchange.ts';
import type { Pairs } from './request-headers.ts';
import type { Trouble, Where } from './trouble.ts';

/** Connections that this may use besides those of requests. */
export const CLOSED_IN_FLIGHT_MAX = 8;
/** Events that wait; beyond it the newest is dropped. */
const WAITING_MAX = 10_000;
const ANSWER_WAIT_MS = 5_000;
/** How long a backend that has no such path is not asked again. */
export const CLOSED_PAUSE_MS = 60_000;
/** The answer says nothing; more than this of it is not read. */
const ANSWER_BYTES_MAX = 64 * 1024;
/** There is nothing there, or nothing that takes a POST. */
export const NOT_SERVED = new Set([404, 405, 501]);

export type ClosedEventsParts = {
  readonly pool: Dispatcher;
  readonly path: string;
  readonly headers: Pairs;
  readonly where: Where;
  readonly wheel: TimerWheel;
  readonly report: BackendReport;
};

/** One event on its way, until it is answered or takes too long. */
class ClosedExchange extends Exchange {
  readonly late = new Timeout(() => {
    this.abort();
  });
  readonly #events: ClosedEvents;

  constructor(events: ClosedEvents, where: Where, limits: ExchangeLimits) {
    super(where, limits);
    this.#events = events;
  }

  protected answered(): void {
    this.#events.answered(this);
  }

  protected failed(trouble: Trouble): void {
    this.#events.failed(this, trouble);
  }
}

export class ClosedEvents {
  readonly #parts: ClosedEventsParts;
  readonly #limits: ExchangeLimits = {
    answerBytesMax: ANSWER_BYTES_MAX,
    held: new ByteBudget(CLOSED_IN_FLIGHT_MAX * ANSWER_BYTES_MAX),
  };
  readonly #waiting = new Fifo<string>();
  readonly #inFlight = new Set<ClosedExchange>();
  #pausedUntil = -Infinity;
  #onIdle: () => void = () => {};

  constructor(parts: ClosedEventsParts) {
    this.#parts = parts;
  }

  /** @param event A ClosedEvent in JSON. */
  tell(event: () => string): void {
    if (this.#parts.wheel.now() < this.#pausedUntil) return;
    if (this.#waiting.length >= WAITING_MAX) {
      this.#parts.report.unreported(`${WAITING_MAX} ended sessions are waiting to be reported`);
      return;
    }
    this.#waiting.push(event());
    this.#sendNext();
  }

  /** Resolves when nothing waits and nothing is in flight. */
  idle(): Promise<void> {
    return new Promise((resolve) => {
      this.#onIdle = resolve;
      this.#lookIdle();
    });
  }

  stop(): void {
    this.#waiting.clear();
    for (const { late } of this.#inFlight) this.#parts.wheel.cancel(late);
  }

  answered(exchange: ClosedExchange): void {
    this.#over(exchange);
    if (NOT_SERVED.has(exchange.status)) this.#pause(exchange.status);
    else if (exchange.status >= 300)
      this.#parts.report.unreported(`${this.#parts.path} answered ${exchange.status}`);
    this.#sendNext();
  }

  failed(exchange: ClosedExchange, trouble: Trouble): void {
    this.#over(exchange);
    const why = exchange.cancelled ? `no answer in ${ANSWER_WAIT_MS} ms` : trouble.why;
    this.#parts.report.unreported(why);
    this.#sendNext();
  }

  #over(exchange: ClosedExchange): void {
    this.#parts.wheel.cancel(exchange.late);
    this.#inFlight.delete(exchange);
    this.#lookIdle();
  }

  #pause(status: number): void {
    const { wheel, path, report } = this.#parts;
    this.#waiting.clear();
    // Those that were in flight at the same time say the same.
    if (wheel.now() < this.#pausedUntil) return;
    this.#pausedUntil = wheel.now() + CLOSED_PAUSE_MS;
    report.unreported(`${path} answered ${status}: it is not served`, CLOSED_PAUSE_MS);
  }

  #sendNext(): void {
    while (this.#inFlight.size < CLOSED_IN_FLIGHT_MAX) {
      const event = this.#waiting.take();
      if (event === null) break;
      this.#send(event);
    }
    this.#lookIdle();
  }

  #send(event: string): void {
    const { pool, path, headers, where, wheel } = this.#parts;
    const exchange = new ClosedExchange(this, where, this.#limits);
    this.#inFlight.add(exchange);
    wheel.set(exchange.late, ANSWER_WAIT_MS);
    pool.dispatch({ method: 'POST', path, headers: [...headers], body: event }, exchange);
  }

  #lookIdle(): void {
    if (this.#inFlight.size === 0 && this.#waiting.length === 0) this.#onIdle();
  }
}
