/** The subscriptions of this gateway's users and groups, and when the server has confirmed them. */
import { type Clock, nextTurn, within } from '../clock.ts';
import type { Subscriptions, SubscriptionKind } from '../session/registry.ts';
import type { NatsSubscription, OnMessage } from '../upstream/nats/nats-connection.ts';
import { NEAR_MISS_QUEUE, type Subjects } from '../upstream/nats/subjects.ts';
import type { BusConnection, BusParts } from './bus-parts.ts';

/** How long each change waits for the confirmation of its subscription; then it is answered without. */
export const CONFIRM_MS_MAX = 2_000;
/**
 * Names that are also listened to as they stand where they should be encoded: who forgets to encode one forgets it for
 * all, so a few are enough to notice.
 */
export const RAW_NAMES_MAX = 100;

type Watched = {
  readonly name: string;
  readonly subscription: NatsSubscription;
  /** To the name as it stands; null: there is none. */
  readonly raw: NatsSubscription | null;
  /** null: the server has confirmed the subscription, or will make it with the next connection. */
  confirmed: Promise<void> | null;
};

export class NatsSubscriptions implements Subscriptions {
  readonly #connector: BusConnection;
  readonly #subjects: Subjects;
  readonly #clock: Clock;
  readonly #onVerb: OnMessage;
  readonly #onNearMiss: OnMessage;
  #rawNames = 0;
  /** By the subject that is subscribed. */
  readonly #watched = new Map<string, Watched>();
  #confirming: Promise<void> | null = null;

  /** @param onNearMiss Called with what was published to a name that was not encoded. */
  constructor({ connector, subjects, clock }: BusParts, onVerb: OnMessage, onNearMiss: OnMessage) {
    this.#connector = connector;
    this.#subjects = subjects;
    this.#clock = clock;
    this.#onVerb = onVerb;
    this.#onNearMiss = onNearMiss;
  }

  add(kind: SubscriptionKind, name: string): Promise<void> | null {
    const subject = this.#subjects.everyVerb(kind, name);
    const known = this.#watched.get(subject);
    if (known !== undefined) return this.#waitFor(known);
    const subscription = this.#connector.subscribe(subject, this.#onVerb);
    const raw = this.#subscribeRaw(kind, name);
    const watched: Watched = { name, subscription, raw, confirmed: null };
    this.#watched.set(subject, watched);
    if (!this.#connector.up) return null;
    watched.confirmed = this.#confirm().then(() => {
      watched.confirmed = null;
    });
    return this.#waitFor(watched);
  }

  #subscribeRaw(kind: SubscriptionKind, name: string): NatsSubscription | null {
    if (this.#rawNames >= RAW_NAMES_MAX) return null;
    const subject = this.#subjects.everyVerbRaw(kind, name);
    if (subject === null) return null;
    this.#rawNames++;
    return this.#connector.subscribe(subject, this.#onNearMiss, NEAR_MISS_QUEUE);
  }

  /** However long the server takes, nobody waits for it longer than CONFIRM_MS_MAX. */
  #waitFor({ confirmed }: Watched): Promise<void> | null {
    if (confirmed === null || !this.#connector.up) return null;
    return within(this.#clock, CONFIRM_MS_MAX, confirmed, undefined);
  }

  remove(kind: SubscriptionKind, name: string): void {
    const subject = this.#subjects.everyVerb(kind, name);
    const watched = this.#watched.get(subject);
    if (watched === undefined) return;
    this.#watched.delete(subject);
    watched.subscription.unsubscribe();
    if (watched.raw === null) return;
    watched.raw.unsubscribe();
    this.#rawNames--;
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
