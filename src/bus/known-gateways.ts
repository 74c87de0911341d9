/**
 * Which other gateways there are, as far as is known. Anybody who may publish on the bus can say a name, so names
 * are bounded; whoever has answered us goes before whoever has only said so.
 */
import type { Clock } from '../clock.ts';

/** Names that are kept, of gateways that are here and of those that may come back. */
export const GATEWAYS_MAX = 1_000;
/** A gateway that was silent this often in a row is not waited for any more. */
const SILENCES_MAX = 3;
/** So long it may come back: a cut between NATS servers heals, and nobody is told. */
const LOST_MS = 600_000;
/** So long a goodbye is doubted: whoever is still there greets again within that time. */
const LEFT_MS = 20_000;
/** A configured id, `-`, and ten characters. */
const GATEWAY_ID = /^[A-Za-z0-9_-]{1,64}$/;

type Known = { silences: number; answered: boolean };

export class KnownGateways {
  readonly #own: string;
  readonly #clock: Clock;
  readonly #known = new Map<string, Known>();
  /** By when they are given up. */
  readonly #lost = new Map<string, number>();

  constructor(own: string, clock: Clock) {
    this.#own = own;
    this.#clock = clock;
  }

  get size(): number {
    return this.#known.size;
  }

  names(): IterableIterator<string> {
    return this.#known.keys();
  }

  /** True when one may be there that is not among the names. */
  get mayBeMore(): boolean {
    const now = this.#clock.now();
    for (const [gateway, until] of this.#lost) if (until <= now) this.#lost.delete(gateway);
    return this.#known.size === 0 || this.#lost.size > 0;
  }

  /** A gateway is there. False: no room for its name, or it is none. */
  heard(gateway: string, answered: boolean): boolean {
    if (gateway === this.#own) return true;
    if (!GATEWAY_ID.test(gateway)) return false;
    const known = this.#known.get(gateway);
    if (known === undefined && this.#known.size >= GATEWAYS_MAX && !(answered && this.#makeRoom()))
      return false;
    this.#lost.delete(gateway);
    this.#known.set(gateway, { silences: 0, answered: answered || known?.answered === true });
    return true;
  }

  /** It did not answer in time. */
  silent(gateway: string): void {
    const known = this.#known.get(gateway);
    if (known === undefined || ++known.silences < SILENCES_MAX) return;
    this.#forget(gateway, LOST_MS);
  }

  /** It said goodbye. */
  left(gateway: string): void {
    this.#forget(gateway, LEFT_MS);
  }

  #forget(gateway: string, ms: number): void {
    const known = this.#known.get(gateway);
    this.#known.delete(gateway);
    if (known === undefined || !known.answered) return;
    this.#lost.delete(gateway);
    if (this.#lost.size >= GATEWAYS_MAX) this.#lost.delete([...this.#lost.keys()][0]!);
    this.#lost.set(gateway, this.#clock.now() + ms);
  }

  /** Puts out one that has never answered. */
  #makeRoom(): boolean {
    for (const [gateway, { answered }] of this.#known)
      if (!answered) return this.#known.delete(gateway);
    return false;
  }
}
