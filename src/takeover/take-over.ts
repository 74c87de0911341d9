/** The new process's part: it becomes the gateway that another process was. `line.ts` has the order of things. */
import { type Clock, sleep, within } from '../clock.ts';
import { errorText } from '../errors.ts';
import type { FrozenSession } from '../session/frozen.ts';
import type { Session } from '../session/session.ts';
import type { Log } from '../telemetry/log.ts';
import type { RawHandle } from '../transport/raw-handle.ts';
import type { NewBus } from './bus-passage.ts';
import { type GatewayState, readGateway } from './gateway-state.ts';
import { Awaited, type FromNew, type FromOld, type Line } from './line.ts';
import { readSession, STATE_VERSION } from './session-state.ts';

/** How long the old process may take for each step, in milliseconds; it waits for slow requests before the last. */
const STEP_MS = { gateway: 30_000, sockets: 60_000, rest: 30_000, go: 30_000 } as const;
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
  /** Takes what the gateway had beside its sessions; before these. */
  readonly restore: (state: GatewayState) => void;
  /** Makes the session, which is not read from yet. @throws {Error} when it cannot be here. */
  readonly thaw: (frozen: FrozenSession, handle: RawHandle) => Session;
};

export class TakeOver {
  readonly #clock: Clock;
  readonly #line: Line<FromNew, FromOld>;
  readonly #awaited = new Awaited<FromOld>();
  /** Of clients that are still served by the old process. */
  readonly #handles = new Map<number, RawHandle>();
  readonly #frozen: string[] = [];
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
    if (bus !== null && !(await until(clock, BUS_MS, () => bus.isDialled())))
      throw new Error('the new process has no connection to NATS');
    this.#line.say({ say: 'prepared' });
    if ((await this.#next('sockets')) === null) throw new Error('the old process is gone');
    this.#line.say({ say: 'holding' });
    const rest = await this.#next('rest');
    if (rest === null) throw new Error('the old process is gone');
    const state = readGateway(rest.rest);
    const frozen = this.#frozen.map(readSession);
    if (frozen.length !== state.sessions)
      throw new Error(`${frozen.length} sessions have come, and not ${state.sessions}`);
    parts.restore(state);
    const sessions = frozen.map((one) => parts.thaw(one, this.#handleOf(one)));
    if (bus !== null) {
      this.#bus = bus.cross(() => {
        this.#line.say({ say: 'marked' });
      });
      bus.open();
      if (!(await until(clock, BUS_MS, () => bus.isUp())))
        throw new Error('NATS does not take the subscriptions of the new process');
    }
    const go = this.#next('go');
    this.#line.say({ say: 'restored', sessions: sessions.length });
    if ((await go) === null) throw new Error('the old process is gone');
    for (const { connection } of sessions) connection.resume();
    for (const handle of this.#handles.values()) handle.close();
    this.#handles.clear();
    log.info({ sessions: sessions.length }, 'taken over from the process before');
  }

  #handleOf({ n }: FrozenSession): RawHandle {
    const handle = this.#handles.get(n);
    if (handle === undefined) throw new Error(`the socket of session ${n} has not come`);
    this.#handles.delete(n);
    return handle;
  }

  #take(message: FromOld | null, handle: RawHandle | undefined): void {
    switch (message?.say) {
      case 'socket':
        if (handle !== undefined) this.#handles.set(message.n, handle);
        return;
      case 'gone':
        this.#handles.get(message.n)?.close();
        this.#handles.delete(message.n);
        return;
      case 'sessions':
        this.#frozen.push(...message.sessions);
        return;
      case 'message':
        this.#bus?.passed(message);
        return;
      case 'go':
        // At once: who is told to drain in the same turn has clients.
        this.#isTaken = true;
        this.#awaited.take(message);
        return;
      case 'done':
        this.#endBus();
        return;
      default:
        this.#awaited.take(message ?? null);
        if (message === null) this.#endBus();
    }
  }

  /** The old process has left the bus, or is gone. */
  #endBus(): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#bus?.end();
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
