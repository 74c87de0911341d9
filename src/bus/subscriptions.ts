/** The subscriptions of this gateway's users and groups, and when the server has confirmed them. */
import { type Clock, nextTurn, within } from '../clock.ts';
import type { Subscriptions, SubscriptionKind } from '../session/registry.ts';
import type { OnMessage } from '../upstream/nats/nats-connection.ts';
import type { Subjects } from '../upstream/nats/subjects.ts';
import type { BusConnection, BusParts } from './bus-parts.ts';

/** How long each change waits for the confirmation of its subscription; then it is answered without. */
export const CONFIRM_MS_MAX = 2_000;

type Watched = {
  readonly name: string;
  readonly subscription: ReturnType<BusConnection['subscribe']>;
  /** null: the server has confirmed the subscription, or will make it with the next connection. */
  confirmed: Promise<void> | null;
};

export class NatsSubscriptions implements Subscriptions {
  readonly #connector: BusConnection;
  readonly #subjects: Subjects;
  readonly #clock: Clock;
  readonly #onVerb: OnMessage;
  /** By the subject that is subscribed. */
  readonly #watched = new Map<string, Watched>();
  #confirming: Promise<void> | null = null;

  constructor({ connector, subjects, clock }: BusParts, onVerb: OnMessage) {
    this.#connector = connector;
    this.#subjects = subjects;
    this.#clock = clock;
    this.#onVerb = onVerb;
  }

  add(kind: SubscriptionKind, name: string): Promise<void> | null {
    const subject = this.#subjects.everyVerb(kind, name);
    const known = this.#watched.get(subject);
    if (known !== undefined) return this.#waitFor(known);
    const subscription = this.#connector.subscribe(subject, this.#onVerb);
    const watched: Watched = { name, subscription, confirmed: null };
    this.#watched.set(subject, watched);
    if (!this.#connector.up) return null;
    watched.confirmed = this.#confirm().then(() => {
      watched.confirmed = null;
    });
    return this.#waitFor(watched);
  }

  /** However long the server takes, nobody waits for it longer than CONFIRM_MS_MAX. */
  #waitFor({ confirmed }: Watched): Promise<void> | null {
    if (confirmed === null || !this.#connector.up) return null;
    return within(this.#clock, CONFIRM_MS_MAX, confirmed, undefined);
  }

  remove(kind: SubscriptionKind, name: string): void {
    const subject = this.#subjects.everyVerb(kind, name);
    this.#watched.get(subject)?.subscription.unsubscribe();
    this.#watched.delete(subject);
  }

  /** The user or group of a verb's subject; undefined: no session here belongs to it. */
  nameOf(verbSubject: string): string | undefined {
    return this.#watched.get(`${verbSubject.slice(0, verbSubject.lastIndexOf('.'))}.*`)?.name;
  }

  /** One round trip to the server for all subscriptions of this turn. Never rejects. */
  #confirm(): Promise<void> {
    this.#confirming ??= this.#flushTurn();
    return this.#confirming;
  }

  async #flushTurn(): Promise<void> {
    await nextTurn(this.#clock);
    this.#confirming = null;
    // A connection that breaks in the meantime subscribes again once it is back: there is no point in waiting for it.
    await this.#connector.flush().catch(() => {});
  }
}
