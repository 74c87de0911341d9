/**
 * Virtual time: one queue of events for all processes of a simulation. An event is run, and all that its promises
 * bring, before the next one. Nothing else moves time, so that one seed is one history.
 */
import { createHash, type Hash } from 'node:crypto';

import type { CancelTimer, Clock } from '../../src/clock.ts';
import { SeededRandom } from './random.ts';

/** 2026-01-01T00:00:00Z. */
const EPOCH_MS = Date.UTC(2026, 0, 1);
/** As it was before anybody watched who uses it. */
const nextTurn = setImmediate;
/**
 * Runs all that promises and `process.nextTick` bring, as Node does between two immediates, at a fraction of the cost of
 * one. [node, lib/internal/process/task_queues.js]
 */
const runPromises = (process as unknown as { _tickCallback: () => void })._tickCallback;
/** Events between two rounds of Node's own event loop. */
const BATCH = 256;
/** How long a turn of a process's event loop takes, in microseconds. */
const TURN_US = { from: 5, to: 60 } as const;
/** Events at one moment; beyond it something goes round in circles. */
const EVENTS_PER_MOMENT_MAX = 1_000_000;

export type Violation = {
  /** The rule that was broken. */
  readonly rule: string;
  readonly what: string;
  readonly atMs: number;
};

/** null: of the network, which no process can stop. */
type Owner = Node | null;

class Event {
  readonly atUs: number;
  readonly n: number;
  readonly owner: Owner;
  /** null: cancelled. */
  fn: (() => void) | null;
  /** A process that was stopped reads what has come before it looks at the time. */
  readonly isTimer: boolean;

  constructor(atUs: number, n: number, owner: Owner, fn: () => void, isTimer: boolean) {
    this.atUs = atUs;
    this.n = n;
    this.owner = owner;
    this.fn = fn;
    this.isTimer = isTimer;
  }
}

export class World {
  readonly seed: string;
  /** Microseconds since the beginning. */
  nowUs = 0;
  /** Events that were run. */
  steps = 0;
  readonly violations: Violation[] = [];
  /** Looks at the world after each event; cheap. */
  onStep: () => void = () => {};
  /** Each line of the trace, also. */
  onTrace: ((line: string) => void) | null = null;
  /** The run ends at the first violation. */
  stopsAtViolation = true;
  readonly #heap: Event[] = [];
  readonly #digest: Hash = createHash('sha256');
  #lines: string[] = [];
  #n = 0;
  #atThisMoment = 0;
  #isStopped = false;

  constructor(seed: string) {
    this.seed = seed;
  }

  /** Milliseconds since the beginning. */
  get nowMs(): number {
    return this.nowUs / 1_000;
  }

  /** A stream of random numbers that depends on the seed and the name alone. */
  random(name: string): SeededRandom {
    return new SeededRandom(`${this.seed}/${name}`);
  }

  /** Calls `fn` `ms` from now, whatever becomes of any process. */
  after(ms: number, fn: () => void): CancelTimer {
    return this.at(this.nowUs + usOf(ms), null, fn, false);
  }

  /** @param atUs Not before now. */
  at(atUs: number, owner: Owner, fn: () => void, isTimer: boolean): CancelTimer {
    const event = this.put(atUs, owner, fn, isTimer);
    return () => {
      event.fn = null;
    };
  }

  put(atUs: number, owner: Owner, fn: () => void, isTimer: boolean): Event {
    const event = new Event(atUs, this.#n++, owner, fn, isTimer);
    const heap = this.#heap;
    let i = heap.length;
    while (i > 0) {
      const parent = (i - 1) >> 1;
      const other = heap[parent]!;
      if (other.atUs <= atUs) break;
      heap[i] = other;
      i = parent;
    }
    heap[i] = event;
    return event;
  }

  /** Something happened that the outside can see. Part of the digest; keep it short. */
  trace(line: string): void {
    const text = `${this.nowUs} ${line}`;
    this.#lines.push(text);
    if (this.#lines.length >= 1_024) this.#hashLines();
    this.onTrace?.(text);
  }

  /** Of all lines of the trace so far. */
  digest(): string {
    this.#hashLines();
    return this.#digest.copy().digest('hex').slice(0, 16);
  }

  #hashLines(): void {
    this.#digest.update(`${this.#lines.join('\n')}\n`);
    this.#lines = [];
  }

  violate(rule: string, what: string): void {
    this.violations.push({ rule, what, atMs: this.nowMs });
    this.trace(`VIOLATION ${rule}: ${what}`);
  }

  /** Ends the run after this event. */
  stop(): void {
    this.#isStopped = true;
  }

  /** Runs all events up to `untilMs`, or until the first violation. */
  run(untilMs: number): Promise<void> {
    const untilUs = usOf(untilMs);
    const onRejection = (reason: unknown): void => {
      this.violate('no unhandled rejection', stackOf(reason));
    };
    // Out of what an event has left for later in its turn.
    const onException = (error: unknown): void => {
      this.violate('no exception', stackOf(error));
    };
    process.on('unhandledRejection', onRejection);
    process.on('uncaughtException', onException);
    return new Promise<void>((resolve) => {
      const batch = (): void => {
        for (let i = 0; i < BATCH; i++) {
          if (this.#step(untilUs)) {
            runPromises();
            continue;
          }
          process.off('unhandledRejection', onRejection);
          process.off('uncaughtException', onException);
          if (this.violations.length === 0 && !this.#isStopped)
            this.nowUs = Math.max(this.nowUs, untilUs);
          resolve();
          return;
        }
        nextTurn(batch);
      };
      nextTurn(batch);
    });
  }

  /** False: there is nothing more to do. */
  #step(untilUs: number): boolean {
    if (this.#isStopped || (this.stopsAtViolation && this.violations.length > 0)) return false;
    for (;;) {
      const event = this.#heap[0];
      if (event === undefined || event.atUs > untilUs) return false;
      this.#removeFirst();
      const { fn, owner } = event;
      if (fn === null || owner?.isDead) continue;
      this.#moveTo(event.atUs);
      if (owner?.isPaused) {
        owner.hold(event);
        continue;
      }
      event.fn = null;
      this.steps++;
      try {
        fn();
        this.onStep();
      } catch (error) {
        this.violate('no exception', `${owner?.name ?? 'network'}: ${stackOf(error)}`);
      }
      return true;
    }
  }

  #moveTo(atUs: number): void {
    if (atUs > this.nowUs) {
      this.nowUs = atUs;
      this.#atThisMoment = 0;
    } else if (++this.#atThisMoment > EVENTS_PER_MOMENT_MAX) {
      this.violate('time goes on', `${EVENTS_PER_MOMENT_MAX} events at one moment`);
    }
  }

  #removeFirst(): void {
    const heap = this.#heap;
    const last = heap.pop()!;
    const { length } = heap;
    if (length === 0) return;
    let i = 0;
    for (;;) {
      let child = 2 * i + 1;
      if (child >= length) break;
      if (child + 1 < length && isBefore(heap[child + 1]!, heap[child]!)) child++;
      const other = heap[child]!;
      if (isBefore(last, other)) break;
      heap[i] = other;
      i = child;
    }
    heap[i] = last;
  }
}

/** A process: its clock, its random numbers, and what can befall it. */
export class Node {
  readonly world: World;
  readonly name: string;
  /** Where it runs; a process that takes its place after it has the same. */
  readonly place: string;
  readonly clock: Clock;
  readonly random: SeededRandom;
  /** Ended by `kill -9`, or with its machine. */
  isDead = false;
  /** Stopped by SIGSTOP: nothing of it runs, and its time goes on. */
  isPaused = false;
  readonly #turns: SeededRandom;
  readonly #held: Event[] = [];
  /** When the next turn of its event loop begins. */
  #turnUs = -1;
  #wallAheadMs = 0;

  /** @param name Of one process: its place, `#`, and which one it is there. */
  constructor(world: World, name: string) {
    this.world = world;
    this.name = name;
    this.place = name.replace(/#.*/, '');
    this.random = world.random(`${name}/random`);
    this.#turns = world.random(`${name}/turns`);
    this.clock = {
      now: () => world.nowUs / 1_000,
      wallNow: () => Math.floor(EPOCH_MS + world.nowUs / 1_000 + this.#wallAheadMs),
      // As Node's own timers: not at once, and never early.
      setTimer: (ms, fn) => this.after(Math.max(ms, 1), fn),
      soon: (fn) => {
        this.soon(fn);
      },
    };
  }

  after(ms: number, fn: () => void): CancelTimer {
    return this.world.at(this.world.nowUs + usOf(ms), this, fn, true);
  }

  /** In the next turn of its event loop, in the order of the calls. */
  soon(fn: () => void): void {
    const { nowUs } = this.world;
    if (this.#turnUs <= nowUs) this.#turnUs = nowUs + this.#turns.int(TURN_US.from, TURN_US.to);
    this.world.put(this.#turnUs, this, fn, false);
  }

  /** What comes from outside, at `atUs`. */
  input(atUs: number, fn: () => void): void {
    this.world.put(atUs, this, fn, false);
  }

  pause(): void {
    this.isPaused = true;
  }

  resume(): void {
    if (!this.isPaused) return;
    this.isPaused = false;
    const held = this.#held.splice(0);
    for (const isTimer of [false, true])
      for (const event of held)
        if (event.isTimer === isTimer && event.fn !== null) this.#again(event);
  }

  #again(event: Event): void {
    // The event that was handed out stays the one that can be cancelled.
    const run = (): void => {
      const { fn } = event;
      event.fn = null;
      fn?.();
    };
    this.world.put(this.world.nowUs, this, run, event.isTimer);
  }

  hold(event: Event): void {
    this.#held.push(event);
  }

  /** Nothing of it runs any more. What its connections tell their other ends is the network's. */
  crash(): void {
    this.isDead = true;
    this.#held.length = 0;
  }

  /** Its wall clock is set forward, or back. */
  jumpWall(ms: number): void {
    this.#wallAheadMs += ms;
  }
}

function isBefore(a: Event, b: Event): boolean {
  return a.atUs < b.atUs || (a.atUs === b.atUs && a.n < b.n);
}

/** Whole microseconds, never fewer. */
export function usOf(ms: number): number {
  return Math.ceil(ms * 1_000);
}

function stackOf(error: unknown): string {
  return error instanceof Error ? (error.stack ?? error.message) : String(error);
}
