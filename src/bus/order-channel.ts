/**
 * Orders over NATS: an order is told to all gateways at once; a gateway that gets a connection asks the others what it
 * lacks before it is ready; and every few seconds each says what its copy comes to, so that one that has missed a
 * message asks for it.
 */
import { inBackground } from '../background.ts';
import { within } from '../clock.ts';
import { errorText, isFailure } from '../errors.ts';
import type { OrderNews, Orders, Told } from '../orders/orders.ts';
import type { Entry } from '../orders/replica.ts';
import { Timeout } from '../timer-wheel.ts';
import { send } from '../upstream/nats/outgoing.ts';
import type { Peers } from './bus.ts';
import type { BusParts } from './bus-parts.ts';
import { FLEET_WAIT_MS } from './fleet-commands.ts';
import { GATEWAYS_MAX, isGatewayId } from './known-gateways.ts';
import {
  bucketsText,
  differing,
  entryRow,
  readBuckets,
  readEntries,
  readSums,
  sumsText,
} from './order-words.ts';

/** How long a gateway that gets a connection waits for what the others know, and for one answer of theirs. */
export const LEARN_MS = 2_000;
const LEARN_PART_MS = 500;
/** Between two times that a gateway says what its copy comes to, about. */
export const SUMS_EVERY_MS = 5_000;
/** Between two such times when there is news, at least. */
const SUMS_AGAIN_MS = 500;
/** Bytes of one answer with entries: no more are begun. A bucket comes whole. */
const PAGE_BYTES = 131_072;

/** `asks`: for the sums of everybody, or for the entries of one gateway in some buckets. */
type Fields = Readonly<Record<string, unknown>>;
/** What is answered, as JSON. */
export type OrdersTold = {
  did?: string;
  closed?: number;
  sums?: string;
  orders?: object[];
  next?: number;
};

export class NatsOrderChannel implements OrderNews {
  readonly #parts: BusParts;
  readonly #peers: Pick<Peers, 'orders'>;
  readonly #again: Timeout;
  readonly #ready = Promise.withResolvers<void>();
  #orders: Orders | null = null;
  /** What the others know is known here, or could not be had in time. */
  #isReady = false;
  #isLearning = false;
  /** All have to be asked: there was no connection. */
  #mustAskAll = false;
  /** Gateways whose copy comes to something else, and to what. */
  readonly #others = new Map<string, Uint32Array>();
  /**
   * By gateway: to what its copy and this one came when the two were last compared. As long as neither changes there is
   * nothing to ask, though they may differ: by what has ended on one clock and not on the other.
   */
  readonly #compared = new Map<string, string>();
  /** Times of the clock: when it last said what its copy comes to. */
  #saidAt = -Infinity;

  constructor(parts: BusParts, peers: Pick<Peers, 'orders'>) {
    this.#parts = parts;
    this.#peers = peers;
    this.#again = new Timeout(() => {
      this.#saySums();
    });
  }

  attach(orders: Orders): void {
    this.#orders = orders;
    orders.attach(this);
  }

  get isReady(): boolean {
    return this.#isReady;
  }

  /** Resolves when that holds for the first time. */
  get ready(): Promise<void> {
    return this.#ready.promise;
  }

  /** There is a connection, the first or another: others may know what this gateway has not heard. */
  onUp(): void {
    this.#isReady = false;
    this.#mustAskAll = true;
    this.#learn();
  }

  /** Another gateway is known, or heard again: the two may know different things. */
  onNew(): void {
    if (this.#orders !== null) this.#saySoon();
  }

  stop(): void {
    this.#parts.wheel.cancel(this.#again);
  }

  // ---- to the others ------------------------------------------------------------------------------------

  async tell(entries: readonly Entry[]): Promise<Told> {
    const call = this.#peers.orders({ entries: entries.map(entryRow) }, FLEET_WAIT_MS);
    if (isFailure(call)) {
      this.#parts.report.refused(call.reason, 'orders', call.message);
      return { closed: 0, gateways: 0, silentGateways: [] };
    }
    const { answers, silentGateways } = await call;
    const did = answers.filter((answer) => answer.did === 'orders');
    const closed = did.reduce((sum, answer) => sum + (answer.closed ?? 0), 0);
    return { closed, gateways: did.length, silentGateways };
  }

  #saySoon(): void {
    const { clock, wheel, random } = this.#parts;
    const soonest = this.#saidAt + SUMS_AGAIN_MS - clock.now();
    wheel.set(this.#again, Math.max(soonest, random.number() * SUMS_AGAIN_MS));
  }

  #saySums(): void {
    const { connector, clock, wheel, random, subjects, gatewayId } = this.#parts;
    // Not all at once.
    wheel.set(this.#again, SUMS_EVERY_MS * (0.75 + random.number() / 2));
    // A gateway without orders has none that the others lack.
    if (!connector.up || this.#orders === null || this.#orders.replica.size === 0) return;
    this.#saidAt = clock.now();
    const json = { gateway: gatewayId, sums: sumsText(this.#orders.replica.sums) };
    send(connector, {
      subject: subjects.fleet('orders'),
      payload: Buffer.from(JSON.stringify(json)),
    });
  }

  // ---- from the others ----------------------------------------------------------------------------------

  /** Returns what is answered. */
  onCall(fields: Fields): OrdersTold | Promise<OrdersTold> {
    const { gateway, entries, sums, asks } = fields;
    if (this.#orders === null || gateway === this.#parts.gatewayId) return {};
    if (asks === 'sums') return { did: 'orders', sums: sumsText(this.#orders.replica.sums) };
    if (asks === 'entries') return this.#onAsked(fields, this.#orders);
    if (sums !== undefined) {
      this.#compare(gateway, sums, this.#orders);
      return {};
    }
    const news = readEntries(entries);
    return this.#orders.merge(news).then((closed) => ({ did: 'orders', closed }));
  }

  #onAsked({ of, buckets, after }: Fields, { replica }: Orders): OrdersTold {
    if (of !== this.#parts.gatewayId) return { did: 'orders' };
    const from = typeof after === 'number' ? after : 0;
    const orders: object[] = [];
    let bytes = 0;
    for (const bucket of readBuckets(buckets)) {
      if (bucket < from) continue;
      if (bytes > PAGE_BYTES) return { did: 'orders', orders, next: bucket };
      for (const entry of replica.inBucket(bucket)) {
        const row = entryRow(entry);
        bytes += Buffer.byteLength(JSON.stringify(row));
        orders.push(row);
      }
    }
    return { did: 'orders', orders };
  }

  /** Is there anything in another gateway's copy that is not here? */
  #compare(gateway: unknown, text: unknown, { replica }: Orders): void {
    const sums = readSums(text);
    if (sums === null || typeof gateway !== 'string' || !isGatewayId(gateway)) return;
    const { sums: own } = replica;
    if (differing(own, sums).length === 0 || this.#compared.get(gateway) === pairOf(sums, own))
      return;
    if (this.#others.size < GATEWAYS_MAX) this.#others.set(gateway, sums);
    this.#learn();
  }

  // ---- what the others know -----------------------------------------------------------------------------

  #learn(): void {
    if (this.#orders === null) {
      this.#setReady();
      return;
    }
    if (this.#isLearning) return;
    this.#isLearning = true;
    inBackground(this.#learnInTime(this.#orders), (error) => {
      this.#parts.report.error(`orders of other gateways could not be read: ${errorText(error)}`);
    });
  }

  async #learnInTime(orders: Orders): Promise<void> {
    try {
      await within(this.#parts.clock, LEARN_MS, this.#learnAll(orders), undefined);
    } finally {
      this.#isLearning = false;
      this.#setReady();
    }
  }

  #setReady(): void {
    this.#isReady = true;
    this.#ready.resolve();
  }

  /** One after the other: mostly the first has all that the rest have. */
  async #learnAll(orders: Orders): Promise<void> {
    do {
      if (this.#mustAskAll) await this.#askAll();
      for (const [gateway, sums] of [...this.#others]) {
        this.#others.delete(gateway);
        await this.#learnFrom(gateway, sums, orders);
      }
    } while (this.#mustAskAll || this.#others.size > 0);
  }

  async #askAll(): Promise<void> {
    this.#mustAskAll = false;
    const call = this.#peers.orders({ asks: 'sums' }, LEARN_PART_MS);
    if (isFailure(call)) return;
    const { answers } = await call;
    for (const { gateway, sums: text } of answers) {
      const sums = readSums(text);
      if (sums !== null) this.#others.set(gateway, sums);
    }
    this.#saySoon();
  }

  async #learnFrom(gateway: string, sums: Uint32Array, { replica }: Orders): Promise<void> {
    const buckets = differing(replica.sums, sums);
    if (buckets.length === 0 || !(await this.#fetch(gateway, bucketsText(buckets)))) return;
    const own = replica.sums;
    this.#compared.delete(gateway);
    if (this.#compared.size >= GATEWAYS_MAX) this.#compared.clear();
    this.#compared.set(gateway, pairOf(sums, own));
    // It may lack what is known here.
    if (differing(own, sums).length > 0) this.#saySoon();
  }

  /** @returns Whether all of it came. */
  async #fetch(of: string, buckets: string): Promise<boolean> {
    let after = 0;
    do {
      const call = this.#peers.orders({ asks: 'entries', of, buckets, after }, LEARN_PART_MS);
      if (isFailure(call)) return false;
      const { answers } = await call;
      const answer = answers.find(({ gateway }) => gateway === of);
      if (answer?.orders === undefined) return false;
      await this.#orders!.merge(readEntries(answer.orders));
      after = answer.next ?? 0;
    } while (after > 0);
    return true;
  }
}

/** Short for the two. */
function pairOf(sums: Uint32Array, others: Uint32Array): string {
  const fold = (all: Uint32Array): number =>
    all.reduce((folded, sum) => Math.imul(folded ^ sum, 0x01000193), 0x811c9dc5);
  return `${fold(sums)} ${fold(others)}`;
}
