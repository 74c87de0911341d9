/** What the gateway subscribes to for as long as it wants it: on one connection after the other. */
import { type Clock, nextTurn } from '../../clock.ts';
import type {
  NatsConnection,
  NatsMessage,
  NatsSubscription,
  OnMessage,
} from './nats-connection.ts';

/** Subscriptions that a new connection makes in one turn of the event loop: one or two milliseconds. */
export const SUBSCRIPTIONS_PER_TURN = 500;

export type Subscribing = {
  /** '': every gateway gets each message. */
  readonly queue?: string;
  /** Its subscriber ignores what comes twice, as answers to calls are. Default: false. */
  readonly mayRepeat?: boolean;
};

/** A message, and for which subscription it came. */
export type Tapped = {
  readonly wanted: string;
  readonly queue: string;
  readonly message: NatsMessage;
};

type Wanted = {
  readonly subject: string;
  readonly subscriber: OnMessage;
  /** Past the tap. */
  readonly untapped: OnMessage;
  readonly queue: string;
  readonly mayRepeat: boolean;
  /** null: there is none. */
  live: NatsSubscription | null;
  /** The connection of `live`. */
  on: NatsConnection | null;
  /** The same on the connection to which it goes; null: it goes to none, or has not yet. */
  ahead: NatsSubscription | null;
};

export class WantedSubscriptions {
  readonly #clock: Clock;
  readonly #wanted = new Set<Wanted>();
  /** The same by queue and subject. */
  readonly #byName = new Map<string, Wanted>();
  /** Gets every message instead of its subscriber, but those that may come twice; null: nobody does. */
  tap: ((tapped: Tapped) => void) | null = null;
  /** Where what is wanted next is subscribed; null: nowhere yet. */
  #connection: NatsConnection | null = null;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Subscribes on the present connection, if there is one, and on every later one, until it is unsubscribed. */
  want(
    subject: string,
    subscriber: OnMessage,
    { queue = '', mayRepeat = false }: Subscribing,
  ): NatsSubscription {
    const wanted: Wanted = {
      ...{ subject, queue, mayRepeat, live: null, on: null, ahead: null },
      untapped: subscriber,
      subscriber: (error, message) => {
        if (this.tap === null || error !== null || mayRepeat) subscriber(error, message);
        else this.tap({ wanted: subject, queue, message });
      },
    };
    this.#wanted.add(wanted);
    this.#byName.set(nameOf(subject, queue), wanted);
    if (this.#connection?.isClosed === false) subscribe(wanted, this.#connection);
    return {
      unsubscribe: () => {
        this.#wanted.delete(wanted);
        wanted.live?.unsubscribe();
        wanted.ahead?.unsubscribe();
        const name = nameOf(subject, queue);
        if (this.#byName.get(name) === wanted) this.#byName.delete(name);
      },
    };
  }

  /** Gives a message to its subscriber, past the tap; nobody may want it any more. */
  deliver({ wanted, queue, message }: Tapped): void {
    this.#byName.get(nameOf(wanted, queue))?.untapped(null, message);
  }

  /** What a new connection needs, a part in each turn: a gateway has one for each of its users and groups. */
  async subscribeAll(connection: NatsConnection): Promise<void> {
    this.#connection = connection;
    let left = SUBSCRIPTIONS_PER_TURN;
    // What is added meanwhile is subscribed by then, and what is removed is not met.
    for (const wanted of this.#wanted) {
      if (wanted.live !== null) continue;
      if (left-- === 0) {
        await nextTurn(this.#clock);
        left = SUBSCRIPTIONS_PER_TURN - 1;
      }
      if (connection.isClosed) return;
      if (wanted.live === null && this.#wanted.has(wanted)) subscribe(wanted, connection);
    }
  }

  /** The connection has ended, and its subscriptions with it. */
  forget(connection: NatsConnection): void {
    if (this.#connection === connection) this.#connection = null;
    for (const wanted of this.#wanted) {
      if (wanted.on !== connection) continue;
      wanted.live = null;
      wanted.on = null;
    }
  }

  /** First step from one connection to another: what may be on both, without being handled twice, is. */
  double(next: NatsConnection): void {
    for (const wanted of this.#wanted)
      if (wanted.mayRepeat || wanted.queue !== '')
        wanted.ahead = next.subscribe(wanted.subject, wanted.subscriber, wanted.queue);
  }

  /** The first step was for nothing: the next connection has ended. */
  undouble(): void {
    for (const wanted of this.#wanted) wanted.ahead = null;
  }

  /**
   * Second step: the others go from one to the other, a part of them after another. Each is taken from `old` first, and
   * whatever came there is handled, so that nothing is handled twice or out of order; what is published in the round trip
   * between the two is lost, as in any change of connections. Rejects when one of the connections ends.
   *
   * @param flush One round trip on `old`; rejects when a connection has ended.
   */
  async move(old: NatsConnection, next: NatsConnection, flush: () => Promise<void>): Promise<void> {
    this.#connection = next;
    for (const wanted of this.#wanted) {
      if (wanted.ahead === null) continue;
      if (!wanted.mayRepeat) wanted.live?.unsubscribe();
      wanted.live = wanted.ahead;
      wanted.on = next;
      wanted.ahead = null;
    }
    for (;;) {
      const part: Wanted[] = [];
      for (const wanted of this.#wanted) {
        if (part.length === SUBSCRIPTIONS_PER_TURN) break;
        if (wanted.on === old) part.push(wanted);
      }
      if (part.length === 0) return;
      for (const wanted of part) {
        wanted.live!.unsubscribe();
        wanted.live = null;
        wanted.on = null;
      }
      await flush();
      for (const wanted of part) if (this.#wanted.has(wanted)) subscribe(wanted, next);
    }
  }
}

function nameOf(subject: string, queue: string): string {
  return `${queue} ${subject}`;
}

function subscribe(wanted: Wanted, connection: NatsConnection): void {
  wanted.live = connection.subscribe(wanted.subject, wanted.subscriber, wanted.queue);
  wanted.on = connection;
}
