/** The addresses of a backend that Consul knows, for a gRPC upstream. */
import { Backoff } from '../backoff.ts';
import { inBackground } from '../background.ts';
import type { CancelTimer, Clock } from '../clock.ts';
import { parseConsulService } from '../config/consul-service.ts';
import { errorText } from '../errors.ts';
import type { Random } from '../random.ts';
import type { Log } from '../telemetry/log.ts';
import { AGAIN_MS_MAX, AGAIN_MS_MIN, type ConsulAgent } from './agent.ts';
import type { Instance, Instances } from './instances.ts';
import { ServiceQuery } from './service-query.ts';

/** How long the first `resolve` waits for Consul. */
export const FIRST_ANSWER_MS = 2_000;
/**
 * An empty list counts only if it still is empty after this: flapping checks, or restarted Consul servers, must not take
 * a working backend out.
 */
export const EMPTY_HOLD_MS = 15_000;
/** Pause between an answer and the next query, at most doubled: an index that keeps changing must not cause a busy loop. */
export const PAUSE_MS = 100;

export type ConsulResolverParts = {
  readonly agent: ConsulAgent;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  /** The backend that the addresses belong to. */
  readonly backend: string;
  /** `consul:///service`, the value of `backends.<backend>.grpc`. */
  readonly url: string;
};

/** Like the resolvers of `upstream/pool/resolver.ts`; in addition, it reports changes on its own. */
export class ConsulResolver {
  /** `resolve` may be called again: it costs nothing, since it uses what is known. */
  readonly changes = true;
  /** Consul lists addresses, which have no name that a certificate could match. */
  readonly authority = '';
  /** Called when addresses or weights have changed. Set by the upstream. */
  onChange: () => void = () => {};
  readonly #parts: ConsulResolverParts;
  readonly #query: ServiceQuery;
  readonly #backoff: Backoff;
  readonly #stop = new AbortController();
  readonly #waiting = new Set<() => void>();
  /** null: Consul has not answered yet. */
  #instances: readonly Instance[] | null = null;
  #leftOut = 0;
  #cancelNext: CancelTimer = () => {};
  #cancelHold: CancelTimer | null = null;
  /** Why the last query failed; '': it did not. */
  #trouble = '';
  #started = false;

  constructor(parts: ConsulResolverParts) {
    this.#parts = parts;
    this.#backoff = new Backoff(AGAIN_MS_MIN, AGAIN_MS_MAX, parts.random);
    this.#query = new ServiceQuery(parts.agent, parseConsulService(parts.url));
  }

  /**
   * The last known addresses. The first call starts watching the service and waits for the first answer.
   *
   * @throws {Error} Consul has never answered.
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

  /** By address, as in `resolve`: Consul's weight of the healthy instance, 1 to 65535. */
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

  // ---- answers of Consul ----------------------------------------------------------------------------------

  /** One query after another, until it is closed, whatever the answers are. */
  #ask(): void {
    const next = async (): Promise<void> => {
      this.#take(await this.#query.next(this.#stop.signal));
      this.#askIn(PAUSE_MS * (1 + this.#parts.random.number()));
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
    // The last answer cannot be confirmed: the first one after this decides.
    this.#endHold();
    if (why !== this.#trouble)
      log.warn({ backend, why }, 'Consul query failed; keeping the last known addresses');
    this.#trouble = why;
    this.#release();
  }

  #take({ list, leftOut }: Instances): void {
    if (this.#stop.signal.aborted) return;
    const { log, backend, clock } = this.#parts;
    this.#backoff.reset();
    if (this.#trouble !== '') log.info({ backend }, 'Consul answers again');
    this.#trouble = '';
    const isLoss = list.length === 0 && (this.#instances?.length ?? 0) > 0;
    if (isLoss) {
      if (this.#cancelHold !== null) return;
      log.warn(
        { backend, heldMs: EMPTY_HOLD_MS },
        'Consul no longer lists a healthy instance; keeping the last ones in case it is brief',
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
      log.warn({ backend, leftOut }, 'Consul lists instances without a port, or too many');
    const addresses = list.map(({ address }) => address);
    if (addresses.length > 0) log.info({ backend, addresses }, 'addresses from Consul');
    else log.warn({ backend, service: url }, 'Consul lists no healthy instance');
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
