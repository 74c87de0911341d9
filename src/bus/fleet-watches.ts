/** Watches on the sessions of the whole fleet: on those of this gateway, and through the bus on those of the others. */
import type { CancelTimer, Clock } from '../clock.ts';
import { type Failure, failure } from '../errors.ts';
import type { Random } from '../random.ts';
import type { Watch, WatchSpec } from '../watch/watch.ts';
import { encodeWatchEvent, type WatchEvent } from '../watch/watch-event.ts';
import { WatchStream } from '../watch/watch-stream.ts';
import type { Watches } from '../watch/watches.ts';
import type { WatchChannel } from './bus.ts';
import { FLEET_WAIT_MS } from './fleet-commands.ts';
import { WATCH_LEASE_MS } from './peer-watches.ts';
import type { PendingRequest } from './request-many.ts';
import { askJson, type WatchAnswer } from './watch-words.ts';

/** Callers that watch through this gateway at once. */
export const WATCHERS_MAX = 8;
/** How often the other gateways are asked again: one that comes is found, and one that goes is missed. */
const ASK_EVERY_MS = 5_000;
/** How often the stream says at least that it lives. */
const TELL_EVERY_MS = 10_000;
const ID_BYTES = 12;

export type FleetWatchesParts = {
  readonly gatewayId: string;
  readonly clock: Clock;
  readonly random: Random;
  readonly watches: Watches;
  readonly channel: WatchChannel;
};

export class FleetWatches {
  readonly #parts: FleetWatchesParts;
  readonly #open = new Set<FleetWatch>();

  constructor(parts: FleetWatchesParts) {
    this.#parts = parts;
  }

  get size(): number {
    return this.#open.size;
  }

  /** Its first event waits already. A Failure: there are enough. */
  begin(spec: WatchSpec): FleetWatch | Failure {
    if (this.#open.size >= WATCHERS_MAX)
      return failure('OVERLOADED', `${WATCHERS_MAX} watches are open already; end one of them`);
    const watch = new FleetWatch(spec, this.#parts, () => this.#open.delete(watch));
    this.#open.add(watch);
    const refused = watch.begin();
    if (refused === null) return watch;
    watch.end('');
    return refused;
  }

  /** The gateway stops. */
  stop(): void {
    for (const watch of [...this.#open]) watch.end('the gateway is stopping');
  }
}

export class FleetWatch {
  readonly #spec: WatchSpec;
  readonly #parts: FleetWatchesParts;
  readonly #id: string;
  readonly #onEnd: () => void;
  readonly #stream: WatchStream;
  #own: Watch | null = null;
  /** Questions whose answers are still heard. */
  #asked: PendingRequest[] = [];
  /** By gateway: how many sessions it sees; those that have answered the last question. */
  #others = new Map<string, number>();
  #elsewhere = 0;
  #toldAt = 0;
  /** What was told last of the gateways. */
  #told = '';
  #cancelTimer: CancelTimer = () => {};

  constructor(spec: WatchSpec, parts: FleetWatchesParts, onEnd: () => void) {
    this.#spec = spec;
    this.#parts = parts;
    this.#onEnd = onEnd;
    this.#id = parts.random.bytes(ID_BYTES).toString('base64url');
    this.#stream = new WatchStream((unread) => this.#event({ kind: 'skipped', unread }));
  }

  /** Why it cannot be; null: it is. */
  begin(): Failure | null {
    const { watches } = this.#parts;
    // Before anything that it sees.
    this.#tell();
    this.#own = watches.begin(this.#spec, (event) => {
      this.#stream.put(event);
    });
    if (this.#own === null)
      return failure('OVERLOADED', 'this gateway has enough watches; end one of them');
    this.#ask();
    return null;
  }

  /** For one reader. */
  read(): AsyncGenerator<Buffer> {
    return this.#stream.read();
  }

  /** How many events were read. */
  get given(): number {
    return this.#stream.given;
  }

  /** @param why '': nobody reads what it would say. */
  end(why: string): void {
    this.#cancelTimer();
    this.#cancelTimer = () => {};
    if (this.#own !== null) {
      this.#own.tellSkipped();
      this.#parts.watches.end(this.#own);
    }
    for (const asked of this.#asked) asked.end();
    if (this.#asked.length > 0) this.#parts.channel.leave(askJson(this.#id, null));
    this.#asked = [];
    this.#stream.end(why === '' ? null : this.#event({ kind: 'ended', note: why }));
    this.#onEnd();
  }

  #ask(): void {
    const { channel, clock } = this.#parts;
    this.#others = new Map();
    const asked = channel.ask(askJson(this.#id, this.#spec), WATCH_LEASE_MS, this.#onAnswer);
    if (asked !== null) {
      this.#asked.push(asked);
      // The others are long over.
      if (this.#asked.length > WATCH_LEASE_MS / ASK_EVERY_MS) this.#asked.shift()!.end();
    }
    this.#cancelTimer = clock.setTimer(FLEET_WAIT_MS, this.#onAnswered);
  }

  readonly #onAnswered = (): void => {
    this.#elsewhere = [...this.#others.values()].reduce((sum, sessions) => sum + sessions, 0);
    this.#own!.tellSkipped();
    const { clock } = this.#parts;
    const isDue = clock.now() - this.#toldAt >= TELL_EVERY_MS - ASK_EVERY_MS / 2;
    if (isDue || this.#gateways !== this.#told) this.#tell();
    this.#cancelTimer = clock.setTimer(ASK_EVERY_MS - FLEET_WAIT_MS, () => {
      this.#ask();
    });
  };

  readonly #onAnswer = ({ gateway, isOn, sessions, events }: WatchAnswer): void => {
    if (isOn) this.#others.set(gateway, sessions);
    for (const event of events) this.#stream.put(event);
  };

  get #silent(): string[] {
    return this.#parts.channel.names().filter((name) => !this.#others.has(name));
  }

  get #gateways(): string {
    return JSON.stringify([[...this.#others.keys()].toSorted(), this.#silent.toSorted()]);
  }

  #tell(): void {
    const { clock, gatewayId } = this.#parts;
    this.#toldAt = clock.now();
    this.#told = this.#gateways;
    const isFirst = this.#own === null;
    this.#stream.put(
      this.#event({
        kind: 'watching',
        sessions: (this.#own?.sessions ?? 0) + this.#elsewhere,
        gateways: [gatewayId, ...this.#others.keys()],
        // Nobody was asked yet.
        silentGateways: isFirst ? [] : this.#silent,
      }),
    );
  }

  #event(event: Omit<WatchEvent, 'gateway' | 'atWall'>): Buffer {
    const { gatewayId: gateway, clock } = this.#parts;
    return encodeWatchEvent({ gateway, atWall: clock.wallNow(), ...event });
  }
}
