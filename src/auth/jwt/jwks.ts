/**
 * The keys behind one URL, `auth.jwt.jwks_url`: fetched now and then, and for a name that is not known. While the URL is
 * away, the keys that were seen last serve for a day.
 */
import { Backoff } from '../../backoff.ts';
import { inBackground } from '../../background.ts';
import type { CancelTimer, Clock } from '../../clock.ts';
import { errorText } from '../../errors.ts';
import type { Random } from '../../random.ts';
import type { Log } from '../../telemetry/log.ts';
import type { LogThrottle } from '../../telemetry/log-throttle.ts';
import type { Metrics } from '../../telemetry/metrics.ts';
import type { FetchJwks } from './jwks-fetch.ts';
import { type KeyRing, readServedJwks, type VerifyKey } from './verify-keys.ts';

/** Milliseconds from one fetch to the next: so long a key may be used that was withdrawn. */
export const JWKS_EVERY_MS = 10 * 60_000;
/** The least from one to the next for the sake of a token whose key is not known; and the most after one that has failed. */
export const JWKS_AGAIN_MS = 10_000;
/** The pause after the first fetch that has failed: the next ones are longer, up to that. */
const AGAIN_MS_MIN = 1_000;
/** The part of a pause by which gateways differ. */
const SPREAD = 0.1;
/** So long the keys that were seen last are used while the URL is away. */
export const JWKS_STALE_MS = 24 * 60 * 60_000;

export type JwksParts = {
  readonly url: string;
  /** Algorithms that are allowed. */
  readonly algorithms: readonly string[];
  readonly fetch: FetchJwks;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  readonly throttle: LogThrottle;
  readonly metrics: Metrics;
};

export class Jwks {
  readonly #parts: JwksParts;
  #ring: KeyRing | null = null;
  /** When the keys were last seen, on the monotonic clock. */
  #seenAt = -Infinity;
  /** The same in milliseconds since the epoch; 0: never. */
  seenAtWall = 0;
  /** When a fetch last began. */
  #triedAt = -Infinity;
  /** One at a time: whoever needs one meanwhile waits for the same. Never rejects. */
  #fetching: Promise<string> | null = null;
  #cancelNext: CancelTimer = () => {};
  #isStopped = false;
  readonly #seen = Promise.withResolvers<void>();

  readonly #backoff: Backoff;

  constructor(parts: JwksParts) {
    this.#parts = parts;
    this.#backoff = new Backoff(AGAIN_MS_MIN, JWKS_AGAIN_MS, parts.random);
  }

  /** Fetches them, and goes on doing so. Resolves after the first time; '': they are there, or else why not. */
  start(): Promise<string> {
    return this.#fetch();
  }

  stop(): void {
    this.#isStopped = true;
    this.#cancelNext();
  }

  /** Resolves when the keys have been seen for the first time. */
  get seen(): Promise<void> {
    return this.#seen.promise;
  }

  /** Why no token can be verified; '': some can. */
  get away(): string {
    if (this.#ring === null) return 'auth.jwt.jwks_url: no keys have been fetched yet';
    if (this.#parts.clock.now() < this.#seenAt + JWKS_STALE_MS) return '';
    return 'auth.jwt.jwks_url: the keys are older than a day';
  }

  /**
   * The keys that may have signed a token; empty: it is not known here. Fetches them anew for one that is not known, unless
   * that was done, or tried, a moment ago. Never rejects.
   */
  async find(algorithm: string, kid: string | null): Promise<readonly VerifyKey[]> {
    const known = this.#known(algorithm, kid);
    if (known.length > 0) return known;
    const isRecent = this.#parts.clock.now() < this.#triedAt + JWKS_AGAIN_MS;
    if (this.#fetching === null && isRecent) return known;
    await this.#fetch();
    return this.#known(algorithm, kid);
  }

  #known(algorithm: string, kid: string | null): readonly VerifyKey[] {
    return this.away === '' ? this.#ring!.find(algorithm, kid) : [];
  }

  #fetch(): Promise<string> {
    this.#fetching ??= this.#fetchOnce().then((fault) => {
      this.#fetching = null;
      this.#again(fault === '');
      return fault;
    });
    return this.#fetching;
  }

  #again(isThere: boolean): void {
    this.#cancelNext();
    if (this.#isStopped) return;
    const { clock, log, random } = this.#parts;
    if (isThere) this.#backoff.reset();
    const ms = isThere ? JWKS_EVERY_MS * (1 - SPREAD * random.number()) : this.#backoff.next();
    this.#cancelNext = clock.setTimer(ms, () => {
      inBackground(this.#fetch(), (error) => {
        log.error({ err: error }, 'JWKS not fetched');
      });
    });
  }

  async #fetchOnce(): Promise<string> {
    const { clock, fetch, algorithms, metrics } = this.#parts;
    this.#triedAt = clock.now();
    try {
      const ring = readServedJwks(await fetch(), algorithms);
      this.#seenAt = clock.now();
      this.seenAtWall = clock.wallNow();
      metrics.add('pith_jwks_fetches_total', ['ok']);
      this.#tell(ring);
      this.#ring = ring;
      this.#seen.resolve();
      return '';
    } catch (error) {
      metrics.add('pith_jwks_fetches_total', ['failed']);
      const { log, throttle, url } = this.#parts;
      const left = throttle.allow('jwks');
      const why = errorText(error);
      const keysOf =
        this.#ring === null ? {} : { keysSeen: new Date(this.seenAtWall).toISOString() };
      if (left !== null) log.warn({ url, why, ...keysOf, ...left }, 'JWKS not fetched');
      return why;
    }
  }

  /** The keys as they are now, if they are others. */
  #tell(ring: KeyRing): void {
    const names = namesOf(ring);
    if (this.#ring !== null && namesOf(this.#ring) === names) return;
    const { log, url } = this.#parts;
    const { keys, faults } = ring;
    const others = faults.length === 0 ? {} : { unusable: faults.length, why: faults[0] };
    const kids = names.slice(0, NAMES_CHARS_MAX);
    log.info({ url, keys: keys.length, kids, ...others }, 'JWKS fetched');
  }
}

/** Characters of the names of keys in a line of the log. */
const NAMES_CHARS_MAX = 1_000;

function namesOf({ keys }: KeyRing): string {
  return keys.map(({ kid }) => kid ?? '-').join(' ');
}
