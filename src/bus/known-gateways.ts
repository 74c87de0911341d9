/**
 * The other gateways that this one knows of. Anyone who may publish on the bus can claim to be a gateway, so their
 * number is bounded, and one that has answered a request takes precedence over one that has only said its name.
 */
import type { Clock } from '../clock.ts';

/** Gateways that are known; and as many that may come back. */
export const GATEWAYS_MAX = 1_000;
/** Unanswered calls in a row after which calls no longer wait for a gateway. It is still named as silent. */
const SILENCES_MAX = 3;
/** How long it may still come back: a split between NATS servers heals without notice. */
const LOST_MS = 600_000;
/** How long calls still name it as silent, though they no longer wait for it: it may just be stopped for a moment. */
const NAMED_MS = 60_000;
/** How long a goodbye is doubted: a gateway that is still there greets again within that time. */
const LEFT_MS = 20_000;
/** A configured id, `-`, and ten characters. */
const GATEWAY_ID = /^[A-Za-z0-9_-]{1,64}$/;

export function isGatewayId(text: string): boolean {
  return GATEWAY_ID.test(text);
}

type Known = {
  silences: number;
  answered: boolean;
  /** A time of the clock; -Infinity: never, another gateway has told of it. */
  heardAt: number;
};
/** Times of the clock. */
type Lost = {
  readonly until: number;
  readonly namedUntil: number;
  readonly heardAt: number;
  /** It has said goodbye. */
  readonly hasLeft: boolean;
  readonly answered: boolean;
  /** All gateways were told that it is lost. */
  isAnnounced: boolean;
};

type Forgetting = {
  readonly ms: number;
  readonly namedMs: number;
  readonly hasLeft: boolean;
  /** Also where it has never answered. */
  readonly remembers: boolean;
};

export class KnownGateways {
  readonly #own: string;
  readonly #clock: Clock;
  readonly #known = new Map<string, Known>();
  /** Gateways that may come back. */
  readonly #lost = new Map<string, Lost>();

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

  /** True when there may be gateways beyond those that are known. */
  get mayBeMore(): boolean {
    const now = this.#clock.now();
    for (const [gateway, { until }] of this.#lost) if (until <= now) this.#lost.delete(gateway);
    return this.#known.size === 0 || this.#lost.size > 0;
  }

  /** Those that calls no longer wait for, although their sessions may still be there. */
  lostNames(): string[] {
    const now = this.#clock.now();
    return [...this.#lost].filter(([, { namedUntil }]) => namedUntil > now).map(([name]) => name);
  }

  /** Gateways that these sids name, and of which nothing has been heard; at most as many as can be known. */
  unheardOf(sids: readonly string[]): Set<string> {
    const unheard = new Set<string>();
    for (const sid of sids) {
      const gateway = sid.slice(0, Math.max(0, sid.lastIndexOf('.')));
      const isHeard = this.#known.has(gateway) || this.#lost.has(gateway);
      if (isHeard || gateway === this.#own || !GATEWAY_ID.test(gateway)) continue;
      unheard.add(gateway);
      if (unheard.size === GATEWAYS_MAX) break;
    }
    return unheard;
  }

  /** A gateway has spoken; `answered`: in reply to a request. False: not the id of a gateway, or no room for it. */
  heard(gateway: string, answered: boolean): boolean {
    if (gateway === this.#own) return true;
    if (!isGatewayId(gateway)) return false;
    const known = this.#known.get(gateway);
    if (known === undefined && this.#known.size >= GATEWAYS_MAX && !(answered && this.#makeRoom()))
      return false;
    // It has answered while it was leaving. If it is still there, it greets.
    if (answered && this.#lost.get(gateway)?.hasLeft === true) return true;
    const hasAnswered = (this.#lost.get(gateway) ?? known)?.answered === true;
    this.#lost.delete(gateway);
    const heardAt = this.#clock.now();
    this.#known.set(gateway, { silences: 0, answered: answered || hasAnswered, heardAt });
    return true;
  }

  /** Another gateway knows these: one of them may just be unable to answer, and is to be named as silent then. */
  toldOf(gateways: readonly string[]): void {
    for (const gateway of gateways) {
      const isNew = !this.#known.has(gateway) && !this.#lost.has(gateway) && gateway !== this.#own;
      if (!isNew || !isGatewayId(gateway) || this.#known.size >= GATEWAYS_MAX) continue;
      this.#known.set(gateway, { silences: 0, answered: true, heardAt: -Infinity });
    }
  }

  /**
   * Those of which something was heard within the last minute, for a gateway that is new. Not those that others have
   * told of: new gateways would tell each other of one that is long gone. Nor one that was announced to be lost: it is
   * most likely dead, and the new one would wait for it.
   */
  recentNames(): string[] {
    const since = this.#clock.now() - NAMED_MS;
    const names = this.lostNames().filter((gateway) => {
      const { heardAt, isAnnounced } = this.#lost.get(gateway)!;
      return heardAt > since && !isAnnounced;
    });
    for (const [gateway, { heardAt }] of this.#known) if (heardAt > since) names.push(gateway);
    return names.slice(0, GATEWAYS_MAX);
  }

  /** It did not answer in time. */
  silent(gateway: string): void {
    const known = this.#known.get(gateway);
    if (known === undefined || ++known.silences < SILENCES_MAX) return;
    this.#forget(gateway, { ms: LOST_MS, namedMs: NAMED_MS, hasLeft: false, remembers: false });
  }

  /** It has announced that it is leaving. */
  left(gateway: string): void {
    this.#forget(gateway, { ms: LEFT_MS, namedMs: 0, hasLeft: true, remembers: false });
  }

  /** It was announced to be lost: calls need not find out one by one. If it was only cut off, it greets when it is back. */
  lost(gateway: string): void {
    // Also one that never had to answer: others who have not heard of its loss may tell of it.
    this.#forget(gateway, { ms: LOST_MS, namedMs: NAMED_MS, hasLeft: false, remembers: true });
    const lost = this.#lost.get(gateway);
    if (lost !== undefined) lost.isAnnounced = true;
  }

  #forget(gateway: string, { ms, namedMs, hasLeft, remembers }: Forgetting): void {
    const known = this.#known.get(gateway);
    this.#known.delete(gateway);
    if (known === undefined || !(known.answered || remembers)) return;
    this.#lost.delete(gateway);
    if (this.#lost.size >= GATEWAYS_MAX) {
      // One that has only said its name takes nobody's place.
      if (!known.answered) return;
      this.#lost.delete([...this.#lost.keys()][0]!);
    }
    const now = this.#clock.now();
    this.#lost.set(gateway, {
      ...{ until: now + ms, namedUntil: now + namedMs, heardAt: known.heardAt },
      ...{ hasLeft, isAnnounced: false, answered: known.answered },
    });
  }

  /** Forgets one that has never answered. */
  #makeRoom(): boolean {
    for (const [gateway, { answered }] of this.#known)
      if (!answered) return this.#known.delete(gateway);
    return false;
  }
}
