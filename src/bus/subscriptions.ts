/** The subscriptions of this gateway's users and groups, and when the server has confirmed them. */
import { type Clock, nextTurn, within } from '../clock.ts';
import type { Subscriptions, SubscriptionKind } from '../session/registry.ts';
import type { TurnShare } from '../turn-share.ts';
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

/** What these cost, compared to a message: to subscribe, and to go on with what has waited for its confirmation. */
const SUBSCRIPTION_COST = 1 / 3;
const CHANGE_COST = 1 / 4;

type Watched = {
  readonly name: string;
  readonly subscription: NatsSubscription;
  /** To the name as it stands; null: there is none. */
  readonly raw: NatsSubscription | null;
  /** null: the server has confirmed the subscription, or will make it with the next connection. */
  confirmation: Confirmation | null;
};

/** One round trip, for all subscriptions of a turn. */
class Confirmation {
  readonly #watched: Watched[] = [];
  readonly #clock: Clock;
  readonly #trip: Promise<void>;
  /** For all who begin to wait in one turn. */
  #bounded: Promise<void> | null = null;
  /** How often it was waited for. */
  waits = 0;

  /** @param trip Never rejects. */
  constructor(clock: Clock, trip: (confirmation: Confirmation) => Promise<void>) {
    this.#clock = clock;
    this.#trip = trip(this).then(() => {
      for (const watched of this.#watched) watched.confirmation = null;
    });
  }

  add(watched: Watched): void {
    this.#watched.push(watched);
    watched.confirmation = this;
  }

  /** However long the server takes, nobody waits for it longer than CONFIRM_MS_MAX. */
  wait(): Promise<void> {
    this.waits++;
    if (this.#bounded === null) {
      this.#bounded = within(this.#clock, CONFIRM_MS_MAX, this.#trip, undefined);
      this.#clock.soon(() => {
        this.#bounded = null;
      });
    }
    return this.#bounded;
  }
}

export class NatsSubscriptions implements Subscriptions {
  readonly #connector: BusConnection;
  readonly #subjects: Subjects;
  readonly #clock: Clock;
  readonly #onVerb: OnMessage;
  readonly #onNearMiss: OnMessage;
  #rawNames = 0;
  /** By the subject that is subscribed. */
  readonly #watched = new Map<string, Watched>();
  readonly #share: TurnShare;
  /** Of this turn. */
  #confirming: Confirmation | null = null;

  /** @param onNearMiss Called with what was published to a name that was not encoded. */
  constructor(
    { connector, subjects, clock, share }: BusParts,
    onVerb: OnMessage,
    onNearMiss: OnMessage,
  ) {
    this.#connector = connector;
    this.#subjects = subjects;
    this.#clock = clock;
    this.#share = share;
    this.#onVerb = onVerb;
    this.#onNearMiss = onNearMiss;
  }

  add(kind: SubscriptionKind, name: string): Promise<void> | null {
    const subject = this.#subjects.everyVerb(kind, name);
    const known = this.#watched.get(subject);
    if (known !== undefined) return this.#waitFor(known);
    this.#share.spend(SUBSCRIPTION_COST);
    const subscription = this.#connector.subscribe(subject, this.#onVerb);
    const raw = this.#subscribeRaw(kind, name);
    const watched: Watched = { name, subscription, raw, confirmation: null };
    this.#watched.set(subject, watched);
    if (this.#connector.canConfirm) this.#confirm().add(watched);
    return this.#waitFor(watched);
  }

  #subscribeRaw(kind: SubscriptionKind, name: string): NatsSubscription | null {
    if (this.#rawNames >= RAW_NAMES_MAX) return null;
    const subject = this.#subjects.everyVerbRaw(kind, name);
    if (subject === null) return null;
    this.#rawNames++;
    return this.#connector.subscribe(subject, this.#onNearMiss, NEAR_MISS_QUEUE);
  }

  #waitFor({ confirmation }: Watched): Promise<void> | null {
    if (confirmation === null || !this.#connector.canConfirm) return null;
    return confirmation.wait();
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

  #confirm(): Confirmation {
    this.#confirming ??= new Confirmation(this.#clock, (made) => this.#flushTurn(made));
    return this.#confirming;
  }

  async #flushTurn(confirmation: Confirmation): Promise<void> {
    await nextTurn(this.#clock);
    this.#confirming = null;
    // A connection that breaks in the meantime subscribes again once it is back: there is no point in waiting for it.
    await this.#connector.flush().catch(() => {});
    // After a burst the answers to many such trips come together.
    const cost = confirmation.waits * CHANGE_COST;
    if (this.#share.isSpent) await this.#share.turn(cost);
    else this.#share.spend(cost);
  }
}
