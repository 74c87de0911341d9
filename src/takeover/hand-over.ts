/**
 * The old process's part: everything that it serves goes on in a new one, or nothing does.
 *
 * Descriptors, and what is known of each client, are sent while clients are served as ever, so that what follows is short: it
 * reads no more from anyone, waits until all that was read is answered and sent, and sends what has changed since. Until the new process has said that
 * it has made all of it there, the old one can read on as if nothing had been; after its `go` it never touches them again.
 */
import { type Clock, nextTurn, sleep, within } from '../clock.ts';
import { errorText, failure } from '../errors.ts';
import type { FrozenSession } from '../session/frozen.ts';
import { leaveSession, whyNotMovable } from '../session/life.ts';
import type { Registry } from '../session/registry.ts';
import type { Session } from '../session/session.ts';
import type { Log } from '../telemetry/log.ts';
import type { TimerWheel } from '../timer-wheel.ts';
import type { OldBus } from './bus-passage.ts';
import type { GatewayState } from './gateway-state.ts';
import { Awaited, type FromNew, type FromOld, type Line } from './line.ts';
import { changesOf, type Sent, sentOf, STATE_VERSION, writeSession } from './session-state.ts';

/** How long the new process may take for each step, in milliseconds. */
const STEP_MS = {
  hello: 30_000,
  prepared: 60_000,
  holding: 30_000,
  restored: 10_000,
  marked: 5_000,
} as const;
/** How long those with a slow request are waited for while all others are served. */
export const SLOW_MS = 5_000;
/** A request that has been in flight for this long is a slow one. */
const SLOW_AFTER_MS = 100;
/** How long nobody is read from until the last answer is out; who is not done by then is closed, as in a drain. */
export const SETTLE_MS = 500;
/** How long connections that are no sessions yet may take to become some; the rest is closed. */
const NEWCOMERS_MS = 1_000;
/** Between two looks. */
const LOOK_MS = 5;
/** Sessions in one message. */
const BATCH = 100;

export type HandOverParts = {
  readonly clock: Clock;
  readonly wheel: TimerWheel;
  readonly log: Log;
  readonly registry: Registry;
  /** What each listener speaks; both processes must speak the same. */
  readonly listeners: readonly string[];
  /** null: there is no bus but the process itself. */
  readonly bus: OldBus | null;
  /** What backends and operators order: it waits, is carried out here after all, or is passed on. */
  readonly commands: {
    hold(): void;
    goOn(): void;
    pass(tell: (command: string) => void): void;
  };
  /** Ends the connections to backends once all that they have sent is read. */
  readonly leaveBackends: () => Promise<void>;
  /** Connections that are no sessions yet. */
  readonly newcomers: {
    /** Resolves when no more come. */
    hold(): Promise<void>;
    waiting(): number;
  };
  /** The end of this process. */
  readonly shutdown: {
    /** Not null: it drains, and nothing is handed over. */
    readonly state: string | null;
    /** It is decided, in this turn. */
    handOver(): void;
  };
  /** If more clients than these cannot move, none does: `drain.per_second`. */
  readonly closedAtOnceMax: number;
  readonly freeze: (session: Session) => FrozenSession;
  readonly state: () => Omit<GatewayState, 'version' | 'sessions' | 'bus'>;
};

/** `why`: nothing has changed hands. */
export type HandedOver =
  | { readonly moved: number; readonly drained: number; readonly pausedMs: number }
  | { readonly why: string };

export class HandOver {
  readonly #parts: HandOverParts;
  readonly #line: Line<FromOld, FromNew>;
  readonly #awaited = new Awaited<FromNew>();
  /** Whose descriptors are with the new process, and what it was told of them then. */
  readonly #sent = new Map<Session, Sent>();

  constructor(parts: HandOverParts, line: Line<FromOld, FromNew>) {
    this.#parts = parts;
    this.#line = line;
    line.listen((message) => {
      this.#awaited.take(message);
    });
  }

  /** Never rejects. */
  async run(): Promise<HandedOver> {
    const { log } = this.#parts;
    try {
      const done = await this.#run();
      if ('why' in done) log.warn(done, 'the new process does not take over');
      else log.info(done, 'the new process has taken over');
      return done;
    } catch (error) {
      log.error({ err: error }, 'the new process does not take over');
      return { why: errorText(error) };
    }
  }

  async #run(): Promise<HandedOver> {
    const hello = await this.#next('hello', 'failed');
    if (hello?.say !== 'hello') return { why: hello?.why ?? 'it did not begin' };
    const why = this.#refusal(hello);
    if (why !== null) {
      this.#line.say({ say: 'refused', why });
      return { why };
    }
    this.#line.say({ say: 'gateway', id: this.#parts.state().id });
    const prepared = await this.#next('prepared', 'failed');
    if (prepared?.say !== 'prepared') return { why: prepared?.why ?? 'it was not ready in time' };
    if (!(await this.#sendSockets())) return { why: 'it did not take the sockets' };
    await this.#waitForSlow();
    await this.#waitForNewcomers();
    return this.#isStopping ? { why: 'the gateway drains' } : this.#freeze();
  }

  #refusal({ version, listeners }: FromNew & { say: 'hello' }): string | null {
    const { bus, listeners: own } = this.#parts;
    if (version !== STATE_VERSION)
      return `it reads version ${version} of the state, and this process writes ${STATE_VERSION}`;
    const at = own.findIndex((print, i) => listeners[i] !== print);
    if (at >= 0 || own.length !== listeners.length)
      return `listen[${at < 0 ? own.length : at}]: the new configuration speaks to clients in another way`;
    if (bus?.isUp === false) return 'NATS is away';
    return this.#whyTooMany([...this.#parts.registry.all()].filter(cannotMove).length);
  }

  #whyTooMany(closed: number): string | null {
    const { closedAtOnceMax: max } = this.#parts;
    if (closed <= max) return null;
    return `${closed} clients cannot move, and would be closed at once, which is more than drain.per_second (${max})`;
  }

  get #isStopping(): boolean {
    return this.#parts.shutdown.state !== null;
  }

  /**
   * In parts, each of which is waited for: all else that this process has to say waits behind its sockets, and so would
   * the signs of life that its parent expects. Returns false where the new process does not take them.
   */
  async #sendSockets(): Promise<boolean> {
    let sent = 0;
    for (const session of [...this.#parts.registry.all()]) {
      this.#sendSocket(session);
      if (++sent % BATCH === 0 && !(await this.#areHeld())) return false;
    }
    return this.#areHeld();
  }

  async #areHeld(): Promise<boolean> {
    const held = this.#next('holding', 'failed');
    this.#line.say({ say: 'sockets' });
    return (await held)?.say === 'holding';
  }

  #sendSocket(session: Session): void {
    const handle = session.connection.movable?.handle;
    if (!handle || this.#sent.has(session)) return;
    const written = writeSession(this.#parts.freeze(session));
    this.#sent.set(session, sentOf(written));
    this.#line.say({ say: 'socket', session: written }, handle);
  }

  // ---- until nothing is on its way ----------------------------------------------------------------------

  /** Whoever has a slow request is not read from until it is answered; all others are served. */
  async #waitForSlow(): Promise<void> {
    const { clock, registry } = this.#parts;
    const since = new Map<Session, number>();
    const stopped = new Set<Session>();
    const begun = clock.now();
    const until = begun + SLOW_MS;
    for (;;) {
      const now = clock.now();
      let slow = 0;
      let waiting = 0;
      for (const session of registry.all()) {
        if (session.inFlight === 0) {
          since.delete(session);
          continue;
        }
        waiting++;
        if (!since.has(session)) since.set(session, now);
        if (now - since.get(session)! < SLOW_AFTER_MS) continue;
        slow++;
        if (session.connection.movable?.stop()) stopped.add(session);
      }
      // Before, nobody has been seen for long enough to be slow.
      const isKnown = waiting === 0 || now - begun > SLOW_AFTER_MS;
      if ((isKnown && slow === 0) || now >= until) break;
      await sleep(clock, LOOK_MS);
    }
    for (const { connection } of stopped) connection.movable?.goOn();
  }

  /** Connections that the listeners have taken become sessions, or have not sent what they should. */
  async #waitForNewcomers(): Promise<void> {
    const { clock, newcomers } = this.#parts;
    await newcomers.hold();
    const until = clock.now() + NEWCOMERS_MS;
    while (newcomers.waiting() > 0 && clock.now() < until) await sleep(clock, LOOK_MS);
  }

  async #freeze(): Promise<HandedOver> {
    const { clock, wheel, registry, bus, commands, shutdown } = this.#parts;
    const pausedAt = clock.now();
    bus?.hold();
    let drained = 0;
    let moving: readonly Session[] = [];
    let failed: string | null;
    try {
      drained = await this.#settle();
      commands.hold();
      // Those that have come meanwhile, too.
      for (const session of registry.all()) this.#sendSocket(session);
      wheel.pause();
      moving = [...registry.all()];
      failed = await this.#tellAll(moving);
      if (this.#isStopping) failed = 'the gateway drains';
    } catch (error) {
      // Whatever it is, clients are not to wait for ever.
      failed = errorText(error);
    }
    if (failed !== null) {
      wheel.resume();
      bus?.goOn();
      commands.goOn();
      for (const { connection } of registry.all()) connection.movable?.goOn();
      return { why: failed };
    }
    this.#line.say({ say: 'go' });
    shutdown.handOver();
    for (const session of moving) session.life = { state: 'closed', greeted: true };
    const pausedMs = Math.round(clock.now() - pausedAt);
    const passed = bus?.pass(
      (message) => {
        this.#line.say({ say: 'message', ...message });
      },
      () => this.#next('marked'),
    );
    commands.pass((command) => {
      this.#line.say({ say: 'command', command });
    });
    await this.#leave(moving);
    // A refusal is written before its connection is closed.
    await nextTurn(clock);
    await Promise.all([passed, this.#parts.leaveBackends()]);
    this.#line.say({ say: 'done' });
    return { moved: moving.length, drained, pausedMs };
  }

  /** In parts: the new process is what clients wait for now. */
  async #leave(moving: readonly Session[]): Promise<void> {
    const { clock, wheel } = this.#parts;
    for (const [i, session] of moving.entries()) {
      leaveSession(session);
      if (i % BATCH === BATCH - 1) await nextTurn(clock);
    }
    wheel.resume();
  }

  /**
   * Reads from nobody, until all can move; who cannot in time is closed. Returns how many. Who was paused reads again by
   * itself once it has its answers, so all are stopped anew at each look.
   */
  async #settle(): Promise<number> {
    const { clock, registry, commands, log } = this.#parts;
    const until = clock.now() + SETTLE_MS;
    for (;;) {
      // What a backend has sent before an answer comes before it: nothing waits while answers are due.
      const isLate = clock.now() >= until;
      if (isLate || [...registry.all()].every(({ inFlight }) => inFlight === 0)) commands.hold();
      else commands.goOn();
      // What was put into outboxes in this turn is written by the next.
      await nextTurn(clock);
      const busy = [...registry.all()].filter((session) => {
        const isStopped = session.connection.movable?.stop() === true;
        return !isStopped || whyNotMovable(session) !== null;
      });
      if (busy.length === 0) return 0;
      if (!isLate) {
        await sleep(clock, LOOK_MS);
        continue;
      }
      for (const session of busy) {
        const { sid } = session;
        log.debug({ sid, why: whyNotMovable(session) }, 'the session does not move');
        session.giveUp(failure('DRAINING'));
        session.resuming?.renew();
        session.close('draining');
        if (this.#sent.has(session)) this.#line.say({ say: 'gone', n: session.n });
      }
      return busy.length;
    }
  }

  /** Returns why it was for nothing; null: all of them are there. */
  async #tellAll(moving: readonly Session[]): Promise<string | null> {
    const { clock, freeze, state, bus, registry } = this.#parts;
    const there = new Set(registry.all());
    for (const session of this.#sent.keys())
      if (!there.has(session)) this.#line.say({ say: 'gone', n: session.n });
    const rest: GatewayState = {
      ...{ version: STATE_VERSION, sessions: moving.length },
      ...{ ...state(), bus: bus?.state() ?? null },
    };
    const answered = this.#next('restored', 'failed');
    this.#line.say({ say: 'rest', rest: JSON.stringify(rest) });
    // In parts, so that three processes work on them at a time.
    for (let at = 0; at < moving.length; at += BATCH) {
      const sessions = moving
        .slice(at, at + BATCH)
        .map((session) => changesOf(writeSession(freeze(session)), this.#sent.get(session) ?? {}));
      this.#line.say({ say: 'sessions', sessions });
      await nextTurn(clock);
    }
    const answer = await answered;
    if (answer?.say === 'restored' && answer.sessions === moving.length) return null;
    return answer?.say === 'failed' ? answer.why : 'it has not gone on in time';
  }

  /** null: not in time, or the new process is gone. */
  #next<Say extends FromNew['say']>(...says: readonly Say[]) {
    const [first] = says;
    const ms = STEP_MS[first as keyof typeof STEP_MS];
    return within(this.#parts.clock, ms, this.#awaited.next(...says), null);
  }
}

/** As far as is known: TLS is this process's alone. */
function cannotMove({ connection }: Session): boolean {
  return !connection.movable;
}
