/**
 * The gateways of the fleet as their signs of life tell of them, this one among them. How old something is is told, not
 * when it began, so nobody's wall clock counts.
 */
import type { MemberFields } from '../bus/gateway-events.ts';
import type { Clock } from '../clock.ts';

/** Gateways that are known here. */
const MEMBERS_MAX = 1_000;
/** Who was not heard for longer says nothing about where newcomers should go. */
export const HEARD_MS = 3_000;
/** A generation of which no gateway was heard for longer is a new one when it comes again. */
export const GENERATION_KEPT_MS = 60_000;
/** Generations that are remembered. */
const GENERATIONS_MAX = 16;

/** Times are those of this gateway's clock. */
export type Member = {
  readonly gateway: string;
  /** '': it has none. */
  readonly generation: string;
  readonly startedAt: number;
  /** When the first gateway of its generation was started. */
  readonly generationAt: number;
  readonly sessions: number;
  /** How many sessions it takes in all; 0: it takes no clients now. */
  readonly room: number;
  readonly isOwn: boolean;
};

/** When sessions were moved, from the first to the last time that counts; times of the clock. */
export type Moved = { readonly since: number; readonly until: number };

export type MembersParts = {
  readonly gatewayId: string;
  readonly clock: Clock;
  /** `generation`. */
  readonly generation: string;
  /** Of this gateway, now. */
  readonly sessions: () => number;
  /** How many it can hold. */
  readonly room: () => number;
};

type Heard = { readonly one: Omit<Member, 'generationAt' | 'isOwn'>; readonly heardAt: number };
type Generation = { startedAt: number; heardAt: number };

export class FleetMembers {
  readonly #parts: MembersParts;
  readonly #startedAt: number;
  readonly #others = new Map<string, Heard>();
  readonly #generations = new Map<string, Generation>();
  #isReady = false;
  #moved: Moved | null = null;

  constructor(parts: MembersParts) {
    this.#parts = parts;
    this.#startedAt = parts.clock.now();
  }

  /** Whether this gateway takes clients: it listens, and does not drain. */
  setReady(isReady: boolean): void {
    this.#isReady = isReady;
  }

  /** Sessions of this gateway are being moved. @param forgetMs After this long it does not count any more. */
  movedNow(forgetMs: number): void {
    const now = this.#parts.clock.now();
    this.#moved = { since: this.moved(forgetMs)?.since ?? now, until: now };
  }

  /** When sessions of any gateway were moved; null: not within `forgetMs`. */
  moved(forgetMs: number): Moved | null {
    const { clock } = this.#parts;
    if (this.#moved !== null && clock.now() - this.#moved.until >= forgetMs) this.#moved = null;
    return this.#moved;
  }

  /** What this gateway's sign of life has besides; AliveEvent in `event.proto`. */
  facts(): object {
    const { clock, generation, room } = this.#parts;
    const now = clock.now();
    const age = (at: number): string => String(Math.max(0, Math.round(now - at)));
    this.#forgetGenerations(now);
    return {
      generation,
      age_ms: age(this.#startedAt),
      generations: [...this.#generations].map(([label, { startedAt }]) => {
        return { generation: label, age_ms: age(startedAt) };
      }),
      room: this.#isReady ? Math.max(0, Math.floor(room())) : 0,
      ...(this.#moved !== null && {
        moved: { since_ms: age(this.#moved.since), until_ms: age(this.#moved.until) },
      }),
    };
  }

  heard(alive: MemberFields): void {
    const { gatewayId, clock } = this.#parts;
    const { gateway, generation, ageMs, sessions, room } = alive;
    if (gateway === gatewayId) return;
    if (!this.#others.has(gateway)) this.#makeRoom();
    const now = clock.now();
    // The sign that was under way for the shortest time says it best.
    const startedAt = Math.min(this.#others.get(gateway)?.one.startedAt ?? Infinity, now - ageMs);
    if (this.#others.size < MEMBERS_MAX || this.#others.has(gateway))
      this.#others.set(gateway, {
        one: { gateway, generation, startedAt, sessions, room },
        heardAt: now,
      });
    this.#learn(generation, startedAt, now);
    for (const one of alive.generations) {
      // Of others it is hearsay: whoever has heard them tells it as long as it counts.
      const isOwn = one.generation === this.#parts.generation;
      if (one.generation === generation || isOwn) this.#learn(one.generation, now - one.ageMs, now);
    }
    this.#hearMoved(alive, now);
  }

  #hearMoved({ moved }: MemberFields, now: number): void {
    if (moved === null) return;
    const [since, until] = [now - moved.sinceMs, now - moved.untilMs];
    const own = this.#moved ?? { since, until };
    this.#moved = { since: Math.min(own.since, since), until: Math.max(own.until, until) };
  }

  /** It has stopped, or is lost. */
  left(gateway: string): void {
    this.#others.delete(gateway);
  }

  /** This gateway, and those that were heard lately. */
  all(): Member[] {
    const { gatewayId, clock, generation, sessions, room } = this.#parts;
    const now = clock.now();
    const own: Member = {
      ...{ gateway: gatewayId, generation, startedAt: this.#startedAt, sessions: sessions() },
      ...{ room: this.#isReady ? room() : 0, isOwn: true },
      generationAt: Math.min(this.#startedAt, this.#startOf(generation)),
    };
    const others = [...this.#others.values()]
      .filter(({ heardAt }) => now - heardAt < HEARD_MS)
      .map(({ one }) => {
        const generationAt = Math.min(one.startedAt, this.#startOf(one.generation));
        return { ...one, generationAt, isOwn: false };
      });
    return [own, ...others];
  }

  #startOf(generation: string): number {
    return this.#generations.get(generation)?.startedAt ?? Infinity;
  }

  #learn(generation: string, startedAt: number, heardAt: number): void {
    if (generation === '') return;
    this.#forgetGenerations(heardAt);
    const known = this.#generations.get(generation);
    if (known === undefined && this.#generations.size >= GENERATIONS_MAX) return;
    const first = Math.min(known?.startedAt ?? Infinity, startedAt);
    this.#generations.set(generation, { startedAt: first, heardAt });
  }

  #forgetGenerations(now: number): void {
    const { generation: own } = this.#parts;
    for (const [generation, { heardAt }] of this.#generations)
      if (generation !== own && now - heardAt >= GENERATION_KEPT_MS)
        this.#generations.delete(generation);
    if (own !== '' && !this.#generations.has(own))
      this.#generations.set(own, { startedAt: this.#startedAt, heardAt: now });
  }

  #makeRoom(): void {
    if (this.#others.size < MEMBERS_MAX) return;
    const now = this.#parts.clock.now();
    for (const [gateway, { heardAt }] of this.#others)
      if (now - heardAt >= HEARD_MS) this.#others.delete(gateway);
  }
}
