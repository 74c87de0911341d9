/** The new process's part: it becomes the gateway that another process was. `line.ts` has the order of things. */
import { inBackground } from '../background.ts';
import { type Clock, sleep, within } from '../clock.ts';
import { errorText } from '../errors.ts';
import type { FrozenClient, FrozenSession } from '../session/frozen.ts';
import type { Session } from '../session/session.ts';
import type { Log } from '../telemetry/log.ts';
import type { RawHandle } from '../transport/raw-handle.ts';
import type { Adopted } from '../transport/transport.ts';
import type { NewBus } from './bus-passage.ts';
import { type GatewayState, readGateway } from './gateway-state.ts';
import { Awaited, type FromNew, type FromOld, type Line } from './line.ts';
import { numberOf, readChanges, readSession, STATE_VERSION } from './session-state.ts';

/** How long the old process may take, in milliseconds: all sockets and what is slow come before the rest. */
const STEP_MS = { gateway: 30_000, rest: 120_000, go: 30_000 } as const;
/** How long the bus may take to take this process's subscriptions. */
const BUS_MS = 5_000;
const LOOK_MS = 2;

/** What it needs of the gateway that is made by then. */
export type TakeOverParts = {
  readonly clock: Clock;
  readonly log: Log;
  /** null: there is no bus but the process itself. */
  readonly bus: {
    /** There is a connection, which nothing was subscribed on. */
    isDialled(): boolean;
    /** It is the gateway's from now on: subscribes to everything. */
    open(): void;
    isUp(): boolean;
    /** Taps it. */
    cross(onMarked: () => void): NewBus;
  } | null;
  /** What backends and operators order here, which waits for what the old process passes on. */
  readonly commands: {
    carryOut(command: string): void;
    goOn(): void;
  };
  /** Takes what the gateway had beside its sessions; before these. */
  readonly restore: (state: GatewayState) => void;
  /** Makes the session of a client that the old process still serves. @throws {Error} when it cannot be here. */
  readonly adopt: (handle: RawHandle, client: FrozenClient) => Made;
  /** The old process's client has gone. */
  readonly drop: (session: Session) => void;
  /** Makes it what it was. @throws {Error} when it cannot be here. */
  readonly thaw: (frozen: FrozenSession, made: Made) => void;
};

/** A session that is not read from yet, and what the old process will have read and written. */
type Made = { readonly session: Session; readonly counts: Adopted };
/** And what it was when its descriptor came. */
type Ahead = { readonly made: Made; readonly frozen: FrozenSession };

export class TakeOver {
  readonly #clock: Clock;
  readonly #line: Line<FromNew, FromOld>;
  readonly #awaited = new Awaited<FromOld>();
  #parts: TakeOverParts | null = null;
  /** Of clients that are still served by the old process. */
  readonly #made = new Map<number, Ahead>();
  readonly #sessions: Session[] = [];
  /** How many sessions are to come; NaN: it has not said yet. */
  #expected = Number.NaN;
  /** Resolves when all are there; with null when the old process is gone. Rejects when one cannot be here. */
  readonly #whole = Promise.withResolvers<true | null>();
  #bus: NewBus | null = null;
  #isOver = false;
  #isTaken = false;

  constructor(clock: Clock, line: Line<FromNew, FromOld>) {
    this.#clock = clock;
    this.#line = line;
    line.listen((message, handle) => {
      this.#take(message, handle);
    });
  }

  /** The clients are this process's. */
  get isTaken(): boolean {
    return this.#isTaken;
  }

  /** It comes to nothing. */
  fail(why: string): void {
    this.#line.say({ say: 'failed', why });
  }

  /** Resolves with the id of the gateway. @param listeners What each speaks. @throws {Error} The old one has refused. */
  async begin(listeners: readonly string[]): Promise<string> {
    this.#line.say({ say: 'hello', version: STATE_VERSION, listeners });
    const said = await this.#next('gateway', 'refused');
    if (said?.say === 'gateway') return said.id;
    throw new Error(said?.say === 'refused' ? said.why : 'the old process does not answer');
  }

  /**
   * Resolves when the clients are this process's. @throws {Error} It has come to nothing, and the old process goes on: this
   * one is to end without a word.
   */
  async goOn(parts: TakeOverParts): Promise<void> {
    try {
      await this.#goOn(parts);
    } catch (error) {
      this.fail(errorText(error));
      throw error;
    }
  }

  async #goOn(parts: TakeOverParts): Promise<void> {
    const { bus, clock, log } = parts;
    this.#parts = parts;
    // It is waited for later.
    inBackground(this.#whole.promise, () => {});
    if (bus !== null && !(await until(clock, BUS_MS, () => bus.isDialled())))
      throw new Error('the new process has no connection to NATS');
    this.#line.say({ say: 'prepared' });
    if ((await within(clock, STEP_MS.rest, this.#whole.promise, null)) === null)
      throw new Error('the old process is gone, or has not told all in time');
    if (bus !== null) {
      this.#bus = bus.cross(() => {
        this.#line.say({ say: 'marked' });
      });
      bus.open();
      if (!(await until(clock, BUS_MS, () => bus.isUp())))
        throw new Error('NATS does not take the subscriptions of the new process');
    }
    const go = this.#next('go');
    this.#line.say({ say: 'restored', sessions: this.#sessions.length });
    if ((await go) === null) throw new Error('the old process is gone');
    for (const { connection } of this.#sessions) connection.movable!.goOn();
    for (const { made } of this.#made.values()) parts.drop(made.session);
    this.#made.clear();
    log.info({ sessions: this.#sessions.length }, 'taken over from the process before');
  }

  #adopt(written: unknown, handle: RawHandle | undefined): void {
    if (handle === undefined) return;
    const frozen = readSession(written);
    this.#made.set(frozen.n, { frozen, made: this.#parts!.adopt(handle, frozen) });
  }

  #gone(n: number): void {
    const ahead = this.#made.get(n);
    if (ahead === undefined) return;
    this.#made.delete(n);
    this.#parts!.drop(ahead.made.session);
  }

  #restore(rest: string): void {
    const state = readGateway(rest);
    this.#parts!.restore(state);
    this.#expected = state.sessions;
    this.#thaw([]);
  }

  #thaw(sessions: readonly unknown[]): void {
    for (const written of sessions) {
      const n = numberOf(written);
      const ahead = this.#made.get(n);
      if (ahead === undefined) throw new Error(`the socket of session ${n} has not come`);
      this.#made.delete(n);
      this.#parts!.thaw(readChanges(written, ahead.frozen), ahead.made);
      this.#sessions.push(ahead.made.session);
    }
    if (this.#sessions.length === this.#expected) this.#whole.resolve(true);
  }

  /** A fault is told when the rest is waited for. */
  #orFail(work: () => void): void {
    try {
      work();
    } catch (error) {
      this.#whole.reject(error);
    }
  }

  #take(message: FromOld | null, handle: RawHandle | undefined): void {
    switch (message?.say) {
      case 'socket':
        this.#orFail(() => this.#adopt(message.session, handle));
        return;
      case 'gone':
        this.#gone(message.n);
        return;
      case 'sockets':
        this.#line.say({ say: 'holding' });
        return;
      case 'rest':
        this.#orFail(() => this.#restore(message.rest));
        return;
      case 'sessions':
        this.#orFail(() => this.#thaw(message.sessions));
        return;
      case 'message':
        this.#bus?.passed(message);
        return;
      case 'command':
        this.#parts?.commands.carryOut(message.command);
        return;
      case 'go':
        // At once: who is told to drain in the same turn has clients.
        this.#isTaken = true;
        this.#awaited.take(message);
        return;
      case 'done':
        this.#oldLeft();
        return;
      default:
        this.#awaited.take(message ?? null);
        if (message !== null) return;
        this.#whole.resolve(null);
        this.#oldLeft();
    }
  }

  /** The old process has left the bus and its backends, or is gone. */
  #oldLeft(): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#bus?.end();
    this.#parts?.commands.goOn();
  }

  #next<Say extends FromOld['say']>(...says: readonly Say[]) {
    const ms = STEP_MS[says[0] as keyof typeof STEP_MS];
    return within(this.#clock, ms, this.#awaited.next(...says), null);
  }
}

/** Whether it holds in time. */
async function until(clock: Clock, ms: number, holds: () => boolean): Promise<boolean> {
  const end = clock.now() + ms;
  while (!holds()) {
    if (clock.now() >= end) return false;
    await sleep(clock, LOOK_MS);
  }
  return true;
}
