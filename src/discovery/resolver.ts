/** The addresses of a backend that Consul knows, for a gRPC upstream. */
import { Backoff } from '../backoff.ts';
import { inBackground } from '../background.ts';
import type { CancelTimer, Clock } from '../clock.ts';
import { parseConsulService } from '../config/consul-service.ts';
import { errorText } from '../errors.ts';
import type { Log } from '../telemetry/log.ts';
import { AGAIN_MS_MAX, AGAIN_MS_MIN, type ConsulAgent } from './agent.ts';
import type { Instance, Instances } from './instances.ts';
import { ServiceQuery } from './service-query.ts';

/** How long the first `resolve` waits for Consul. */
export const FIRST_ANSWER_MS = 2_000;
/** A list that has become empty is believed after this, if it still is: a check that flaps, or servers that were restarted, must not take a working backend away. */
export const EMPTY_HOLD_MS = 15_000;
/** Between an answer and the next query, twice this at most: an index that moves on and on must not become a loop. */
export const PAUSE_MS = 100;

export type ConsulResolverParts = {
  readonly agent: ConsulAgent;
  readonly clock: Clock;
  readonly log: Log;
  /** Whose addresses they are. */
  readonly backend: string;
  /** `consul:///service`, as `backends.<backend>.grpc` has it. */
  readonly url: string;
};

/** As the resolvers of `upstream/pool/resolver.ts`; beyond them it says by itself when something has changed. */
export class ConsulResolver {
  /** `resolve` may be asked again; it costs nothing, since it asks nobody. */
  readonly changes = true;
  /** Addresses that Consul lists have no name that a certificate would bear. */
  readonly authority = '';
  /** Called when addresses or weights have changed. Set by the upstream that uses it. */
  onChange: () => void = () => {};
  readonly #parts: ConsulResolverParts;
  readonly #query: ServiceQuery;
  readonly #backoff = new Backoff(AGAIN_MS_MIN, AGAIN_MS_MAX);
  readonly #stop = new AbortController();
  readonly #waiting = new Set<() => void>();
  /** null: Consul has not answered yet. */
  #instances: readonly Instance[] | null = null;
  #leftOut = 0;
  #cancelNext: CancelTimer = () => {};
  #cancelHold: CancelTimer | null = null;
  /** Why Consul cannot be asked; '': it can. */
  #trouble = '';
  #started = false;

  constructor(parts: ConsulResolverParts) {
    this.#parts = parts;
    this.#query = new ServiceQuery(parts.agent, parseConsulService(parts.url));
  }

  /**
   * The last known addresses. The first call begins to follow the service and waits for its first answer.
   *
   * @throws {Error} when Consul has never answered.
   */
  async resolve(): Promise<readonly string[]> {
    if (!this.#started) {
      this.#started = true;
      const first = this.#firstAnswer();
      this.#ask();
      await first;
    }
    if (this.#instances === null) throw new Error(this.#trouble || 'Consul has not answered yet');
    return this.#instances.map(({ address }) => address);
  }

  /** By address, as `resolve` gives it: what Consul says a healthy instance is worth, 1 to 65535. */
  weights(): ReadonlyMap<string, number> {
    return new Map((this.#instances ?? []).map(({ address, weight }) => [address, weight]));
  }

  close(): void {
    this.#stop.abort();
    this.#cancelNext();
    this.#endHold();
    this.#release();
  }

  #firstAnswer(): Promise<void> {
    return new Promise((resolve) => {
      const cancelTimer = this.#parts.clock.setTimer(FIRST_ANSWER_MS, resolve);
      this.#waiting.add(() => {
        cancelTimer();
        resolve();
      });
    });
  }

  #release(): void {
    for (const go of this.#waiting) go();
    this.#waiting.clear();
  }

  // ---- what Consul says -----------------------------------------------------------------------------------

  /** One query, and then the next: it goes on until it is closed, whatever an answer is. */
  #ask(): void {
    const next = async (): Promise<void> => {
      this.#take(await this.#query.next(this.#stop.signal));
      this.#askIn(PAUSE_MS * (1 + Math.random()));
    };
    inBackground(next(), (error) => {
      if (this.#stop.signal.aborted) return;
      this.#failed(errorText(error));
      this.#askIn(this.#backoff.next());
    });
  }

  #askIn(ms: number): void {
    if (this.#stop.signal.aborted) return;
    this.#cancelNext = this.#parts.clock.setTimer(ms, () => {
      this.#ask();
    });
  }

  #failed(why: string): void {
    const { log, backend } = this.#parts;
    // What was said last cannot be confirmed: the first answer after this decides.
    this.#endHold();
    if (why !== this.#trouble)
      log.warn({ backend, why }, 'consul cannot be asked; the last known addresses stay');
    this.#trouble = why;
    this.#release();
  }

  #take({ list, leftOut }: Instances): void {
    if (this.#stop.signal.aborted) return;
    const { log, backend, clock } = this.#parts;
    this.#backoff.reset();
    if (this.#trouble !== '') log.info({ backend }, 'consul answers again');
    this.#trouble = '';
    const isLoss = list.length === 0 && (this.#instances?.length ?? 0) > 0;
    if (isLoss) {
      if (this.#cancelHold !== null) return;
      log.warn(
        { backend, heldMs: EMPTY_HOLD_MS },
        'consul lists no healthy instance any more; the last ones are used if that was a moment only',
      );
      this.#cancelHold = clock.setTimer(EMPTY_HOLD_MS, () => {
        this.#cancelHold = null;
        this.#adopt([], leftOut);
      });
      return;
    }
    this.#endHold();
    this.#adopt(list, leftOut);
  }

  #endHold(): void {
    this.#cancelHold?.();
    this.#cancelHold = null;
  }

  #adopt(list: readonly Instance[], leftOut: number): void {
    const same = this.#instances !== null && isSame(this.#instances, list);
    if (!same || this.#leftOut !== leftOut) this.#log(list, leftOut);
    this.#instances = list;
    this.#leftOut = leftOut;
    this.#release();
    if (!same) this.onChange();
  }

  #log(list: readonly Instance[], leftOut: number): void {
    const { log, backend, url } = this.#parts;
    if (leftOut > 0)
      log.warn({ backend, leftOut }, 'consul lists instances without a port, or too many');
    const addresses = list.map(({ address }) => address);
    if (addresses.length > 0) log.info({ backend, addresses }, 'addresses from consul');
    else log.warn({ backend, service: url }, 'consul lists no healthy instance');
  }
}

function isSame(left: readonly Instance[], right: readonly Instance[]): boolean {
  return (
    left.length === right.length &&
    left.every(({ address, weight }, i) => {
      const other = right[i]!;
      return other.address === address && other.weight === weight;
    })
  );
}
