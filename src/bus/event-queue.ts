/**
 * Events on their way to the bus, in order. Each is kept until NATS has confirmed it by a round trip, and published
 * again on the next connection if this one breaks before: so it arrives at least once. What comes while the bus is away
 * waits here, up to a bound; a gap stands in for what is dropped beyond it.
 */
import { inBackground } from '../background.ts';
import { NOTHING } from '../bytes.ts';
import type { Failure } from '../errors.ts';
import { HeaderBlock } from '../upstream/nats/header-block.ts';
import { send } from '../upstream/nats/outgoing.ts';
import type { BusConnection } from './bus-parts.ts';

/** Events that wait for the bus or for their confirmation; beyond it the oldest are dropped. */
export const EVENTS_WAITING_MAX = 10_000;
/** Bytes of them; likewise. */
export const EVENTS_WAITING_BYTES_MAX = 16 * 1024 * 1024;

/** Places of what has gone are cut off once they are this many. */
const CUT_AT = 1_024;

export type QueuedEvent = {
  /** One more than that of the event before it. */
  readonly seq: number;
  readonly subject: string;
  readonly payload: Buffer;
};

const GONE: QueuedEvent = { seq: 0, subject: '', payload: NOTHING };

export type EventQueueParts = {
  readonly connector: BusConnection;
  readonly gatewayId: string;
  /** Makes the event that stands in for those from `from` to `to`, with the number of the last. */
  readonly gap: (from: number, to: number) => QueuedEvent;
  /** An event cannot be published at all. */
  readonly refused: (subject: string, why: Failure) => void;
};

export class EventQueue {
  readonly #parts: EventQueueParts;
  #events: QueuedEvent[] = [];
  /** The first that is kept. */
  #head = 0;
  /** The first that this connection has not been given. */
  #next = 0;
  #bytes = 0;
  /** The number of the last that NATS has confirmed, and of the last that this connection has been given. */
  #confirmed = 0;
  #sent = 0;
  #isConfirming = false;

  constructor(parts: EventQueueParts) {
    this.#parts = parts;
  }

  /** Those that are not confirmed. */
  get size(): number {
    return this.#events.length - this.#head;
  }

  /** Events up to this one were published by another process. */
  goOn(seq: number): void {
    this.#confirmed = seq;
    this.#sent = seq;
  }

  add(event: QueuedEvent): void {
    this.#events.push(event);
    this.#bytes += event.payload.length;
    while (this.size > EVENTS_WAITING_MAX || this.#bytes > EVENTS_WAITING_BYTES_MAX) this.#drop();
    this.pump();
  }

  /** There is a new connection: what the last one may have lost is published again. */
  restart(): void {
    this.#next = this.#head;
    this.#sent = this.#confirmed;
    this.pump();
  }

  /** Publishes what NATS takes now. */
  pump(): void {
    const { connector, gatewayId, refused } = this.#parts;
    let replaced = 0;
    // Not between two connections: on the next one they would overtake those on the last.
    while (connector.hasRoom && this.#next < this.#events.length) {
      const { seq, subject, payload } = this.#nextEvent();
      // By this header JetStream knows repeats.
      const headers = new HeaderBlock(`Nats-Msg-Id: ${gatewayId}.${seq}\r\n`);
      const why = send(connector, { subject, payload, headers });
      if (why?.reason === 'TOO_LARGE' && seq !== replaced) {
        // By the limit of the server before, it was not.
        refused(subject, why);
        this.#put(this.#parts.gap(seq, seq), 1);
        replaced = seq;
        continue;
      }
      if (why !== null && why.reason !== 'TOO_LARGE') break;
      this.#sent = seq;
      this.#next++;
    }
    this.#confirm();
  }

  /** A gap comes first if events before it were dropped. */
  #nextEvent(): QueuedEvent {
    const event = this.#events[this.#next]!;
    if (event.seq === this.#sent + 1) return event;
    const gap = this.#parts.gap(this.#sent + 1, event.seq - 1);
    this.#put(gap, 0);
    return gap;
  }

  /** Makes `event` the next, before the others or instead of the first of them. */
  #put(event: QueuedEvent, instead: 0 | 1): void {
    const [before] = this.#events.splice(this.#next, instead, event);
    this.#bytes += event.payload.length - (before?.payload.length ?? 0);
  }

  /** One round trip at a time, for all that was sent before it. */
  #confirm(): void {
    if (this.#isConfirming || this.#next === this.#head || !this.#parts.connector.up) return;
    this.#isConfirming = true;
    inBackground(this.#roundTrip(this.#sent), () => {
      // The connection has broken: the next one begins with what was not confirmed.
      this.#isConfirming = false;
    });
  }

  async #roundTrip(sent: number): Promise<void> {
    await this.#parts.connector.flush();
    this.#isConfirming = false;
    this.#confirmed = Math.max(this.#confirmed, sent);
    while (this.#head < this.#next && this.#events[this.#head]!.seq <= sent) this.#drop();
    this.#confirm();
  }

  /** The oldest goes: it is confirmed, or there is no room for it. */
  #drop(): void {
    this.#bytes -= this.#events[this.#head]!.payload.length;
    this.#events[this.#head++] = GONE;
    this.#next = Math.max(this.#next, this.#head);
    if (this.#head < CUT_AT && this.#head < this.#events.length) return;
    this.#events = this.#events.slice(this.#head);
    this.#next -= this.#head;
    this.#head = 0;
  }
}
