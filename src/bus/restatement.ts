/** Announces all sessions of this gateway again, a few at a time. */
import type { Registry } from '../session/registry.ts';
import type { Session } from '../session/session.ts';
import { Timeout } from '../timer-wheel.ts';
import type { BusParts } from './bus-parts.ts';
import { EVENTS_WAITING_MAX } from './event-queue.ts';
import type { NatsEvents } from './events.ts';

/** Sessions between two turns: a few milliseconds. */
const SESSIONS_PER_TURN = 256;
const TURN_MS = 20;
/** While more events are not confirmed, the next sessions wait: what happens meanwhile needs room, too. */
const WAITING_MAX = EVENTS_WAITING_MAX / 4;

export class Restatement {
  readonly #parts: BusParts;
  readonly #events: NatsEvents;
  readonly #registry: Registry;
  readonly #again: Timeout;
  #sessions: readonly Session[] = [];
  #next = 0;
  /** The bus was lost before the end: others do not know which sessions there are. */
  isBroken = false;

  constructor(parts: BusParts, events: NatsEvents, registry: Registry) {
    this.#parts = parts;
    this.#events = events;
    this.#registry = registry;
    this.#again = new Timeout(() => {
      this.#goOn();
    });
  }

  begin(): void {
    this.isBroken = false;
    this.#sessions = [...this.#registry.all()].filter(({ isAnnounced }) => isAnnounced);
    this.#next = 0;
    this.#goOn();
  }

  stop(): void {
    this.#parts.wheel.cancel(this.#again);
    this.#sessions = [];
  }

  #goOn(): void {
    if (!this.#parts.connector.up) {
      this.isBroken = true;
      this.stop();
      return;
    }
    const end = this.#next + SESSIONS_PER_TURN;
    while (this.#next < this.#sessions.length && this.#next < end) {
      if (this.#events.queue.size >= WAITING_MAX) break;
      const session = this.#sessions[this.#next++]!;
      if (session.state !== 'closed') this.#events.openedAgain(session);
    }
    if (this.#next < this.#sessions.length) this.#parts.wheel.set(this.#again, TURN_MS);
    else this.#sessions = [];
  }
}
