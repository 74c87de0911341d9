/**
 * What gateways tell on the bus, as the servers take it: numbered without holes, and when it is calm it says who is there.
 * This is the presence of proto/README.md, with no connection of its own that could miss anything.
 */
import type { Packet } from './nats-wire.ts';
import { zeros } from './records.ts';
import type { World } from './world.ts';

const PREFIX = 'pith.event.';
const NUMBERS = 'events are numbered without holes';
const ENDS = 'events end what they have begun, once';
const FAIR = 'in fair weather no gateway is lost';
const DEAD = 'of a gateway that died, every session is told to be over';
const TRUTH = 'when it is calm, events say who is there';
/** A gateway that lived beside another for so long has heard of it, unless both were apart all the time. */
const BESIDE_MS = 30_000;
/** Longer than anything can hold back what a gateway has told. */
const GONE_MS = 1_200_000;
/** One that is heard is alive. */
const ALIVE_MS = 3_000;

type Event = {
  readonly gateway?: string;
  readonly session?: { readonly sid: string; readonly gateway: string };
  readonly seq: string;
  readonly from?: string;
  readonly term?: number;
  readonly again?: boolean;
};

class Told {
  seq = 0;
  term = 0;
  firstMs: number;
  aliveMs: number;
  /** It was said to be lost or to have returned: what was told before is out of date. */
  isReset = false;
  readonly here = new Set<string>();
  readonly ended = new Set<string>();

  constructor(nowMs: number) {
    this.firstMs = nowMs;
    this.aliveMs = nowMs;
  }
}

export class EventLog {
  readonly checks = zeros([NUMBERS, ENDS, FAIR, DEAD, TRUTH]);
  readonly #world: World;
  readonly #isFair: (gateway: string) => boolean;
  readonly #told = new Map<string, Told>();

  /** @param isFair Whether it is fair weather, and this gateway is running. */
  constructor(world: World, isFair: (gateway: string) => boolean) {
    this.#world = world;
    this.#isFair = isFair;
  }

  /** A server has taken a message. */
  take({ subject, bytes, hdr }: Packet): void {
    if (!subject.startsWith(PREFIX)) return;
    const name = subject.slice(PREFIX.length);
    const event = JSON.parse(Buffer.from(bytes.subarray(Math.max(hdr, 0))).toString()) as Event;
    const told = this.#of(event.gateway ?? event.session!.gateway);
    if (name === 'gateway.alive') told.aliveMs = this.#world.nowMs;
    else if (name === 'gateway.lost') this.#lost(told, event);
    else if (this.#isNew(told, event)) this.#apply(told, name, event);
  }

  #of(gateway: string): Told {
    const known = this.#told.get(gateway) ?? new Told(this.#world.nowMs);
    this.#told.set(gateway, known);
    return known;
  }

  /** `what` is asked for only where it is not held: most of what happens is. */
  #check(rule: keyof EventLog['checks'], isHeld: boolean, what: () => string): void {
    this.checks[rule]++;
    if (!isHeld) this.#world.violate(rule, what());
  }

  /** False: it was published again. */
  #isNew(told: Told, event: Event): boolean {
    const seq = Number(event.seq);
    if (seq <= told.seq) return false;
    const from = Number(event.from ?? event.seq);
    this.#check(NUMBERS, from === told.seq + 1, () => `${JSON.stringify(event)} after ${told.seq}`);
    told.seq = seq;
    return true;
  }

  #apply(told: Told, name: string, { session, term = 0, again }: Event): void {
    const sid = session?.sid ?? '';
    if (name === 'session.opened') {
      this.#check(ENDS, !told.ended.has(sid), () => `${sid} has ended, and is announced`);
      this.#check(ENDS, again === true || !told.here.has(sid), () => `${sid} is announced twice`);
      told.here.add(sid);
    } else if (name === 'session.closed') {
      this.#check(ENDS, told.here.has(sid) || told.isReset, () => `${sid} ends, and never began`);
      this.#check(ENDS, !told.ended.has(sid), () => `${sid} ends twice`);
      told.here.delete(sid);
      told.ended.add(sid);
    } else if (name === 'gateway.returned') {
      told.term = term;
      told.isReset = true;
      told.here.clear();
    } else if (name === 'gateway.gap') told.isReset = true;
  }

  #lost(told: Told, { gateway, term = 0 }: Event): void {
    if (term < told.term) return;
    this.#check(FAIR, !this.#isFair(gateway!), () => `${gateway} is said to be lost`);
    told.term = term;
    told.isReset = true;
    told.here.clear();
  }

  /** @param running The sids of each gateway that runs. */
  expectTruth(running: ReadonlyMap<string, ReadonlySet<string>>): void {
    for (const [gateway, { here, ended, aliveMs }] of this.#told) {
      const there = running.get(gateway);
      if (there === undefined) {
        // Nothing comes of it any more; a day has many of them.
        if (this.#world.nowMs - aliveMs > GONE_MS) ended.clear();
        if (this.#hasWitness(gateway, running))
          this.#check(
            DEAD,
            here.size === 0,
            () => `${gateway}: ${[...here].slice(0, 5).join(', ')}`,
          );
        continue;
      }
      const wrong = [...here].filter((sid) => !there.has(sid));
      const missing = [...there].filter((sid) => !here.has(sid));
      this.#check(
        TRUTH,
        wrong.length === 0 && missing.length === 0,
        () =>
          `${gateway}: too many ${wrong.slice(0, 5).join(', ')}; too few ${missing.slice(0, 5).join(', ')}`,
      );
    }
  }

  /** Another one lived beside it, and lives now. */
  #hasWitness(gateway: string, running: ReadonlyMap<string, unknown>): boolean {
    const { aliveMs, firstMs } = this.#told.get(gateway)!;
    return [...running.keys()].some((other) => {
      const told = this.#told.get(other);
      if (told === undefined || this.#world.nowMs - told.aliveMs > ALIVE_MS) return false;
      return aliveMs - Math.max(firstMs, told.firstMs) > BESIDE_MS;
    });
  }
}
