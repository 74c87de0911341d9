/**
 * Watches of other gateways on the sessions of this one. What is seen goes back in answers to the question, a few at a
 * time; it ends when the other gateway says so, or does not ask again.
 */
import type { CancelTimer, Clock } from '../clock.ts';
import type { NatsMessage } from '../upstream/nats/nats-connection.ts';
import type { WatchSpec, Watch } from '../watch/watch.ts';
import type { Watches } from '../watch/watches.ts';
import type { Replies } from './replies.ts';
import { readWatchAsk } from './watch-words.ts';

/** How long a question holds. */
export const WATCH_LEASE_MS = 15_000;
/** Watches of other gateways at once: some places stay for this one's callers. */
export const PEER_WATCHES_MAX = 20;
/** How long an event waits for others that go in the same message. */
const GATHER_MS = 50;
/** Bytes of events that wait for that; more are counted as unread. */
const WAITING_BYTES_MAX = 262_144;

export type PeerWatchesParts = {
  readonly gatewayId: string;
  readonly clock: Clock;
  readonly replies: Pick<Replies, 'send' | 'bytesMax'>;
  readonly watches: Watches;
};

export class PeerWatches {
  readonly #parts: PeerWatchesParts;
  /** By gateway and id. */
  readonly #watches = new Map<string, PeerWatch>();

  constructor(parts: PeerWatchesParts) {
    this.#parts = parts;
  }

  get size(): number {
    return this.#watches.size;
  }

  /** Returns what is answered. @throws {ShapeError} It cannot be read. */
  onCall(fields: Readonly<Record<string, unknown>>, asked: NatsMessage): object {
    const ask = readWatchAsk(fields);
    if (ask === null || ask.gateway === this.#parts.gatewayId) return {};
    const key = `${ask.gateway} ${ask.id}`;
    const known = this.#watches.get(key);
    if (ask.spec === null) {
      known?.end();
      return { did: 'watch' };
    }
    if (known !== undefined) return known.renew(asked);
    if (this.#watches.size >= PEER_WATCHES_MAX) return { did: 'watch' };
    const watch = new PeerWatch(this.#parts, asked, () => {
      this.#watches.delete(key);
    });
    if (!watch.begin(ask.spec)) return { did: 'watch' };
    this.#watches.set(key, watch);
    return watch.renew(asked);
  }

  /** The gateway stops: what was seen last still goes. */
  stop(): void {
    for (const watch of [...this.#watches.values()]) watch.end();
  }
}

/** What of it outlives its delivery. */
type Question = Required<Pick<NatsMessage, 'subject' | 'reply'>>;

function questionOf({ subject, reply = '' }: NatsMessage): Question {
  return { subject, reply };
}

class PeerWatch {
  readonly #parts: PeerWatchesParts;
  readonly #onEnd: () => void;
  #watch: Watch | null = null;
  /** The last question: its answers are heard longest. */
  #asked: Question;
  #waiting: string[] = [];
  #waitingBytes = 0;
  #unread = 0;
  #cancelSend: CancelTimer | null = null;
  #cancelEnd: CancelTimer = () => {};

  constructor(parts: PeerWatchesParts, asked: NatsMessage, onEnd: () => void) {
    this.#parts = parts;
    this.#asked = questionOf(asked);
    this.#onEnd = onEnd;
  }

  /** False: there are enough watches. */
  begin(spec: WatchSpec): boolean {
    this.#watch = this.#parts.watches.begin(spec, (event) => {
      this.#put(event);
    });
    return this.#watch !== null;
  }

  renew(asked: NatsMessage): object {
    this.#asked = questionOf(asked);
    this.#cancelEnd();
    this.#cancelEnd = this.#parts.clock.setTimer(WATCH_LEASE_MS, () => {
      this.end();
    });
    this.#watch!.tellSkipped(this.#unread);
    this.#unread = 0;
    return { did: 'watch', watching: true, sessions: this.#watch!.sessions };
  }

  end(): void {
    this.#cancelEnd();
    this.#parts.watches.end(this.#watch!);
    this.#onEnd();
    this.#send();
  }

  #put(event: Buffer): void {
    const text = event.toString('base64');
    const bytesMax = Math.min(WAITING_BYTES_MAX, this.#parts.replies.bytesMax / 2);
    if (this.#waitingBytes + text.length > bytesMax) {
      this.#unread++;
      return;
    }
    this.#waiting.push(text);
    this.#waitingBytes += text.length + 3;
    this.#cancelSend ??= this.#parts.clock.setTimer(GATHER_MS, () => {
      this.#send();
    });
  }

  #send(): void {
    this.#cancelSend?.();
    this.#cancelSend = null;
    if (this.#waiting.length === 0) return;
    const events = this.#waiting;
    this.#waiting = [];
    this.#waitingBytes = 0;
    const { gatewayId: gateway, replies } = this.#parts;
    replies.send(this.#asked, true, { gateway, did: 'watch', events });
  }
}
