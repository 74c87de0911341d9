/**
 * Questions to other gateways over NATS, gathered: an own inbox, a number per question, a bound in time.
 * Off the hot path: promises are fine here.
 */
import type { Clock } from '../clock.ts';
import type { NatsConnector, OnMessage } from '../upstream/nats/connection.ts';
import { isPubAck } from '../contract/pub-ack.ts';
import type { Subjects } from '../upstream/nats/subjects.ts';

const NO_RESPONDERS = 503;
/** Questions under way; beyond it the next is answered as if nobody had. */
const ASKS_MAX = 4_096;

type Received = Parameters<OnMessage>[1];

/** Who answered, and whether the server said that nobody listens. */
export type Gathered = { readonly messages: readonly Received[]; readonly nobody: boolean };

type Ask = {
  readonly messages: Received[];
  nobody: boolean;
  enough(messages: readonly Received[]): boolean;
  done(): void;
};

export class Asks {
  readonly #connector: NatsConnector;
  readonly #subjects: Subjects;
  readonly #clock: Clock;
  readonly #asks = new Map<string, Ask>();
  #next = 1;

  constructor(connector: NatsConnector, subjects: Subjects, clock: Clock) {
    this.#connector = connector;
    this.#subjects = subjects;
    this.#clock = clock;
    connector.always(`${subjects.inboxPrefix}.ask.*`, this.#onAnswer);
  }

  /**
   * Sends with `send(reply)` and gathers what comes to that subject until it is `enough`, nobody listens, or
   * `waitMs` has passed. Rejects with what `send` throws.
   */
  ask(
    send: (reply: string) => void,
    waitMs: number,
    enough: (messages: readonly Received[]) => boolean,
  ): Promise<Gathered> {
    if (!this.#connector.up || this.#asks.size >= ASKS_MAX)
      return Promise.resolve({ messages: [], nobody: true });
    const reply = `${this.#subjects.inboxPrefix}.ask.${(this.#next++).toString(36)}`;
    return new Promise((resolve, reject) => {
      const cancel = this.#clock.setTimer(waitMs, () => {
        ask.done();
      });
      const ask: Ask = {
        messages: [],
        nobody: false,
        enough,
        done: () => {
          cancel();
          this.#asks.delete(reply);
          resolve({ messages: ask.messages, nobody: ask.nobody });
        },
      };
      this.#asks.set(reply, ask);
      try {
        send(reply);
      } catch (error) {
        reject(error as Error);
        ask.done();
      }
    });
  }

  readonly #onAnswer: OnMessage = (error, message) => {
    const ask = error === null ? this.#asks.get(message.subject) : undefined;
    if (ask === undefined || isPubAck(message.data)) return;
    if (message.headers?.code === NO_RESPONDERS && message.data.length === 0) {
      ask.nobody = true;
      ask.done();
      return;
    }
    ask.messages.push(message);
    if (ask.enough(ask.messages)) ask.done();
  };
}
