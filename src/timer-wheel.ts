/**
 * One coarse timer for everything that may be late: calls, heartbeats, handshakes, slow readers.
 *
 * A hashed wheel: an entry goes into the slot of its deadline and is found again by pointers, so setting and
 * cancelling cost nothing but a few stores, and no timer, closure or promise is made per message. An entry
 * fires up to one tick late, never early; where many are due at once, some turns of the event loop later, in their
 * order. Where no entry is due the process is not woken up.
 */
import type { CancelTimer, Clock } from './clock.ts';

/** Milliseconds between two checks of the wheel. */
export const WHEEL_TICK_MS = 20;
const SLOTS = 1024;
/** Entries that fire in one turn of the event loop: what each does may cost as much as a message. */
const FIRED_PER_TURN = 64;
/** How far the wheel looks ahead for its next entry, in ticks: it wakes the process up once a second at least. */
const AHEAD = 50;

/** Anything that can be late. Embed it: one object may be in the wheel once at a time. */
export abstract class WheelEntry {
  /** Owned by the wheel. */
  wheelTick = -1;
  /** Owned by the wheel. */
  wheelNext: WheelEntry | null = null;
  /** Owned by the wheel. */
  wheelPrevious: WheelEntry | null = null;

  /** Called once when the time has come; the entry is out of the wheel by then and may be set again. */
  abstract onLate(): void;
}

class Head extends WheelEntry {
  onLate(): void {}
}

/** An entry that calls a function; for the places where one closure per session is fine. */
export class Timeout extends WheelEntry {
  readonly #onTimeout: () => void;

  constructor(onTimeout: () => void) {
    super();
    this.#onTimeout = onTimeout;
  }

  onLate(): void {
    this.#onTimeout();
  }
}

export class TimerWheel {
  readonly #clock: Clock;
  readonly #slots: Head[] = [];
  /** The entries that are due, in their order, and have not fired. */
  readonly #late = emptySlot();
  #isTurnComing = false;
  #tick: number;
  #size = 0;
  #isPaused = false;
  #cancelTimer: CancelTimer | null = null;
  /** The time of what is being dealt with; -1: nothing is. */
  #moment = -1;
  /** For which the timer is armed: none is due between `#tick` and this. */
  #armedTick = 0;

  constructor(clock: Clock) {
    this.#clock = clock;
    this.#tick = this.#tickOf(clock.now());
    for (let i = 0; i < SLOTS; i++) this.#slots.push(emptySlot());
  }

  /** Pending entries; at 0, no timer is armed a second later. */
  get size(): number {
    return this.#size;
  }

  /** The clock's; within a moment, when that began. */
  now(): number {
    return this.#moment < 0 ? this.#clock.now() : this.#moment;
  }

  /**
   * What one read brings is dealt with in one moment, so that the clock is read once for it. Returns false if one has
   * begun already; else whoever began it ends it, before it returns.
   */
  beginMoment(): boolean {
    if (this.#moment >= 0) return false;
    this.#moment = this.#clock.now();
    return true;
  }

  endMoment(): void {
    this.#moment = -1;
  }

  /** As the clock's. */
  soon(fn: () => void): void {
    this.#clock.soon(fn);
  }

  /** Fires `entry` in `ms` milliseconds (0 or less: at the next tick). Moves it if it is already set. */
  set(entry: WheelEntry, ms: number): void {
    this.setAt(entry, this.now() + Math.max(ms, 0));
  }

  /** Fires `entry` at a time of the clock, in milliseconds. */
  setAt(entry: WheelEntry, at: number): void {
    if (entry.wheelTick >= 0) this.cancel(entry);
    const late = Math.ceil(at / WHEEL_TICK_MS);
    if (this.#size === 0) this.#tick = this.#tickOf(this.#clock.now());
    else if (this.#cancelTimer !== null && late < this.#armedTick) this.#catchUp();
    entry.wheelTick = Math.max(late, this.#tick + 1);
    const head = this.#slots[entry.wheelTick % SLOTS]!;
    const last = head.wheelPrevious!;
    last.wheelNext = entry;
    entry.wheelPrevious = last;
    entry.wheelNext = head;
    head.wheelPrevious = entry;
    this.#size++;
    if (this.#cancelTimer === null || entry.wheelTick < this.#armedTick) this.#arm();
  }

  /** Milliseconds until `entry` fires, up to a tick too many; 0: it is due, or not set. */
  leftMs(entry: WheelEntry): number {
    return entry.wheelTick < 0
      ? 0
      : Math.max(0, entry.wheelTick * WHEEL_TICK_MS - this.#clock.now());
  }

  /** Takes `entry` out; harmless if it is not set. */
  cancel(entry: WheelEntry): void {
    if (entry.wheelTick < 0) return;
    entry.wheelPrevious!.wheelNext = entry.wheelNext;
    entry.wheelNext!.wheelPrevious = entry.wheelPrevious;
    entry.wheelNext = null;
    entry.wheelPrevious = null;
    entry.wheelTick = -1;
    this.#size--;
  }

  /** Nothing fires until `resume`. */
  pause(): void {
    this.#isPaused = true;
  }

  /** What has become due meanwhile fires now. */
  resume(): void {
    this.#isPaused = false;
    this.#turn();
  }

  /** Drops all entries without firing them. */
  stop(): void {
    this.#cancelTimer?.();
    this.#cancelTimer = null;
    for (const head of [...this.#slots, this.#late]) {
      while (head.wheelNext !== head) this.cancel(head.wheelNext!);
    }
  }

  #tickOf(ms: number): number {
    return Math.floor(ms / WHEEL_TICK_MS);
  }

  /** Time has gone on, and no tick was looked at, because none was due. */
  #catchUp(): void {
    const tick = Math.min(this.#tickOf(this.#clock.now()), this.#armedTick - 1);
    this.#tick = Math.max(this.#tick, tick);
  }

  #arm(): void {
    this.#cancelTimer?.();
    let tick = this.#tick + 1;
    const last = this.#tick + AHEAD;
    while (tick < last && isEmpty(this.#slots[tick % SLOTS]!)) tick++;
    this.#armedTick = tick;
    // Exactly at the tick, not somewhere within it: otherwise an entry would be up to two ticks late.
    const ms = Math.max(0, Math.ceil(tick * WHEEL_TICK_MS - this.#clock.now()));
    this.#cancelTimer = this.#clock.setTimer(ms, () => {
      this.#cancelTimer = null;
      this.#turn();
      if (this.#size > 0 && this.#cancelTimer === null) this.#arm();
    });
  }

  #turn(): void {
    const until = this.#tickOf(this.#clock.now());
    if (this.#isPaused) return;
    // After a pause longer than a whole turn of the wheel, checking each slot once is enough.
    let tick = Math.max(this.#tick + 1, until - SLOTS + 1);
    // Set before anything fires: an entry that is set meanwhile must land after this check, or it waits a whole turn.
    this.#tick = Math.max(this.#tick, until);
    // Two passes: due entries are moved aside first, because firing may set and cancel entries of the same slot.
    for (; tick <= until; tick++) this.#moveDue(this.#slots[tick % SLOTS]!, until);
    if (!this.#isTurnComing) this.#fireLate();
  }

  #moveDue(head: Head, until: number): void {
    for (let entry = head.wheelNext!; entry !== head;) {
      const next = entry.wheelNext!;
      if (entry.wheelTick <= until) moveTo(this.#late, entry);
      entry = next;
    }
  }

  readonly #fireLate = (): void => {
    this.#isTurnComing = false;
    if (this.#isPaused) return;
    const late = this.#late;
    for (let left = FIRED_PER_TURN; left > 0 && !isEmpty(late); left--) {
      const entry = late.wheelNext!;
      this.cancel(entry);
      entry.onLate();
    }
    if (isEmpty(late)) return;
    this.#isTurnComing = true;
    this.#clock.soon(this.#fireLate);
  };
}

function emptySlot(): Head {
  const head = new Head();
  head.wheelNext = head;
  head.wheelPrevious = head;
  return head;
}

function isEmpty(head: Head): boolean {
  return head.wheelNext === head;
}

function moveTo(head: Head, entry: WheelEntry): void {
  entry.wheelPrevious!.wheelNext = entry.wheelNext;
  entry.wheelNext!.wheelPrevious = entry.wheelPrevious;
  const last = head.wheelPrevious!;
  last.wheelNext = entry;
  entry.wheelPrevious = last;
  entry.wheelNext = head;
  head.wheelPrevious = entry;
}
