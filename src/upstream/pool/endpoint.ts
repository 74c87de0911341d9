/**
 * One address of a backend, or one of several connections to it, or one backend that has attached: whether it
 * serves and is well, and which sessions keep to it. How calls get there is its transport's.
 */
import { Timeout, type TimerWheel } from '../../timer-wheel.ts';
import { Reconnect } from '../reconnect.ts';
import { Ejection } from './ejection.ts';
import { EndpointAge } from './endpoint-age.ts';
import type { EndpointPool } from './endpoint-pool.ts';
import { EndpointSessions } from './endpoint-sessions.ts';
import type { PooledSession } from './pooled-session.ts';
import type { Transport, TransportOwner } from './transport.ts';

/** How often an endpoint that is being drained is checked. */
const IDLE_POLL_MS = 20;

/** connecting · up: it serves · away: waits for the next attempt · stopped. */
type State = 'connecting' | 'up' | 'away' | 'stopped';

export type EndpointSpec<T extends Transport> = {
  /** Its address, or where an attached backend comes from. */
  readonly name: string;
  /** From 0, among those of the same name. */
  readonly index: number;
  /** Its share of the sessions, relative to the others'. */
  readonly weight: number;
  /** It is connected to by us, so again when it is lost; else it is gone then. */
  readonly isDialled: boolean;
  readonly makeTransport: (owner: TransportOwner) => T;
};

export class Endpoint<T extends Transport = Transport> {
  readonly name: string;
  readonly index: number;
  /** What it was made from: so is its successor. */
  readonly spec: EndpointSpec<T>;
  /** Distinguishes the endpoints of a pool, on every gateway alike; the same for the one that replaces it. */
  label: string;
  weight: number;
  readonly sessions = new EndpointSessions<T>();
  /** The backend's name in its hello; '': it gave none. */
  instance = '';
  /** Owned by the balancer. */
  turn = 0;
  readonly transport: T;
  /** Resolves when the first attempt to connect has ended, either way. */
  readonly settled: Promise<void>;
  readonly #pool: EndpointPool<T>;
  readonly #wheel: TimerWheel;
  #state: State = 'connecting';
  /** In which way it serves, for the log. */
  #how = '';
  /** What was last reported. */
  #reported = '';
  /** Why it is in its condition, for operators. */
  why = '';
  readonly #ejection = new Ejection();
  readonly #reconnect: Reconnect;
  readonly #age: EndpointAge;
  /** New work goes elsewhere: the backend has asked for that, or the endpoint is given up. */
  #isLeaving = false;
  /** Its server has ended the connection that its calls went by, and there is no other yet. */
  #isReconnecting = false;
  readonly #idlePoll: Timeout;
  /** Set when it is left for good: called when it is idle, or lost. */
  #onIdle: (() => void) | null = null;
  #settle: () => void = () => {};

  constructor(spec: EndpointSpec<T>, pool: EndpointPool<T>) {
    this.spec = spec;
    this.name = spec.name;
    this.index = spec.index;
    this.label = `${spec.name}#${spec.index}`;
    this.weight = spec.weight;
    this.#pool = pool;
    this.#wheel = pool.wheel;
    this.#reconnect = new Reconnect(pool.wheel, pool.random, () => {
      this.#connect();
    });
    this.#age = new EndpointAge(pool.ageMs, pool.wheel, pool.random, () => {
      pool.replace(this);
    });
    this.#idlePoll = new Timeout(() => {
      this.#checkIdle();
    });
    this.settled = new Promise((resolve) => {
      this.#settle = resolve;
    });
    this.transport = spec.makeTransport(this);
    this.#connect();
  }

  /** For the log: in which way it serves, or what keeps new sessions away. */
  get condition(): string {
    if (this.#state !== 'up') return this.#state;
    const { health } = this.transport;
    if (health !== null && !health.well && health.message !== '') return 'unhealthy';
    if (this.#ejection.ejected) return 'ejected';
    return this.#isLeaving ? 'leaving' : this.#how;
  }

  /** Serves requests of sessions that are here already. */
  get serves(): boolean {
    return this.#state === 'up';
  }

  /** A last resort for new sessions: it may be unhealthy or ejected. */
  get isOpen(): boolean {
    return this.#state === 'up' && !this.#isLeaving;
  }

  /** Takes new sessions; ejected, it takes one now and then, to see whether it answers again. */
  get welcomes(): boolean {
    const isSound = this.isOpen && this.#isHealthy && !this.#isReconnecting;
    return isSound && this.#ejection.admits(this.#wheel.now());
  }

  /** Healthy and not ejected: existing sessions may be moved here as well. */
  get isWell(): boolean {
    return this.isOpen && this.#isHealthy && !this.#isReconnecting && !this.#ejection.ejected;
  }

  /** It has failed too often. */
  get isEjected(): boolean {
    return this.#ejection.ejected;
  }

  /** Ejected, but a session may try it now. */
  get admitsTrial(): boolean {
    return this.isEjected && this.welcomes;
  }

  /** Calls would wait for its next connection, and others need not. */
  get isAvoided(): boolean {
    return this.#isReconnecting && this.#pool.hasOther(this);
  }

  /** Its server has sent HTTP/2's GOAWAY: no more calls on this connection. (`goaway` is Pith's own, on a Link.) */
  get isConnectionClosing(): boolean {
    return this.#age.isConnectionClosing;
  }

  get inFlight(): number {
    return this.transport.inFlight;
  }

  get #isHealthy(): boolean {
    return this.transport.health?.well ?? true;
  }

  // ---- its sessions -------------------------------------------------------------------------------------

  /** The session keeps to this endpoint from now on. */
  take(session: PooledSession<T>): void {
    session.endpoint = this;
    this.sessions.add(session);
    this.#ejection.tried(this.#wheel.now());
  }

  /** The session may go elsewhere; it has nothing in flight. */
  release(session: PooledSession<T>): void {
    this.sessions.release(session, !this.#isLeaving);
  }

  #shed(heir: Endpoint<T> | null = null): void {
    this.sessions.shed(
      () => !this.#isLeaving,
      (session) => {
        // Not if that is being left itself by now, or lost: nothing would make it let go of the session.
        if (heir?.isOpen) heir.take(session);
      },
    );
  }

  // ---- what its transport says --------------------------------------------------------------------------

  /**
   * It serves.
   *
   * @param how For the log: by a link, …
   * @param more.ages It is replaced when it is as old as the pool lets it get.
   */
  up(how: string, why: string, more: { instance?: string; ages?: boolean } = {}): void {
    if (this.#state === 'stopped') return;
    this.#wheel.cancel(this.#idlePoll);
    this.#isReconnecting = false;
    this.instance = more.instance ?? '';
    this.#how = how;
    if (more.ages === true) this.#age.opened();
    else this.#age.ended();
    this.#reconnect.up();
    this.#become('up', why);
    if (this.#isLeaving) this.#checkIdle();
  }

  /** It does not serve, or no longer does. Its transport fails what is in flight after this, and sessions go elsewhere. */
  lost(why: string): void {
    this.#wheel.cancel(this.#idlePoll);
    this.#isReconnecting = false;
    this.#age.ended();
    if (this.#state === 'stopped') return;
    this.instance = '';
    this.#become('away', why);
    this.sessions.clear();
    if (this.#onIdle !== null) this.#checkIdle();
    else if (this.spec.isDialled) this.#reconnect.later();
    else this.#pool.remove(this);
  }

  /** It serves, but may serve better after another attempt: by a Link instead of Handle. */
  retrySoon(): void {
    if (this.#state === 'up') this.#reconnect.soon();
  }

  /** The backend wants new work to go elsewhere. */
  goaway(reason: string): void {
    if (this.#isLeaving) return;
    this.leave();
    this.#report(`goaway: ${reason || 'no reason given'}`);
  }

  /** The server takes no more calls on this connection. @param isBound Calls go by this connection alone. */
  http2Goaway(why: string, isBound: boolean): void {
    if (isBound) this.#age.http2Goaway();
    else this.#isReconnecting = this.serves;
    if (this.serves) this.#report(`the server asked for a new connection${why && `: ${why}`}`);
  }

  /** `transport.health` has changed. */
  healthChanged(): void {
    if (!this.serves) return;
    this.#report(`health: ${this.transport.health?.message ?? ''}`);
    if (!this.#isHealthy) this.#shed();
  }

  /** A call was answered, whatever the answer, even if late. */
  answered(): void {
    if (this.#ejection.failures === 0) return;
    if (this.#ejection.answered()) this.#report('it answers again');
  }

  /** A call had no answer, or none that can be read. */
  failed(): void {
    const now = this.#wheel.now();
    if (!this.#ejection.failed(now) || !this.#pool.hasOther(this)) return;
    const { failures, ms } = this.#ejection;
    this.#ejection.eject(now);
    this.#report(`${failures} failures in a row; no sessions for ${ms} ms`);
    this.#shed();
  }

  // ---- leaving ------------------------------------------------------------------------------------------

  /** New sessions go elsewhere, and those here move when they have nothing in flight. */
  leave(heir: Endpoint<T> | null = null): void {
    this.#isLeaving = true;
    this.#checkIdle();
    this.#shed(heir);
  }

  /** The same, for good: resolves when nothing is in flight. @param heir Gets the sessions; null: any does. */
  idle(heir: Endpoint<T> | null): Promise<void> {
    this.#age.stop();
    return new Promise((resolve) => {
      this.#onIdle = resolve;
      this.leave(heir);
    });
  }

  /** Its replacement could not be opened: it goes on, and the next attempt follows after `ms`. */
  retryReplacementIn(ms: number): void {
    if (this.serves && this.#onIdle === null) this.#age.again(ms);
  }

  /** Asks the backend to finish; resolves when it has. */
  close(reason: string): Promise<void> {
    this.#stop(reason);
    return this.transport.close(reason);
  }

  destroy(): void {
    this.#stop('stopped');
    this.transport.destroy();
  }

  #checkIdle(): void {
    const isIdle = this.inFlight === 0 && this.sessions.size === 0;
    if (!isIdle && this.serves) {
      this.#wheel.set(this.#idlePoll, IDLE_POLL_MS);
    } else if (this.#onIdle !== null) {
      this.#onIdle();
    } else if (this.serves) {
      this.transport.endIdle();
    }
  }

  #stop(reason: string): void {
    this.#become('stopped', reason);
    this.#reconnect.stop();
    this.#age.ended();
    this.#wheel.cancel(this.#idlePoll);
  }

  // ---- its state ----------------------------------------------------------------------------------------

  #connect(): void {
    if (this.#state === 'stopped') return;
    // The backend may be another one by now.
    if (this.#onIdle === null) this.#isLeaving = false;
    // What a server has said of an earlier connection, even if a Link was tried on it in vain, is over.
    this.#age.ended();
    // What serves goes on serving while a better way is tried.
    if (this.#state !== 'up') this.#state = 'connecting';
    this.transport.connect();
  }

  #become(state: State, why: string): void {
    if (this.#state === 'stopped') return;
    this.#state = state;
    this.#report(why);
    this.#settle();
  }

  /** Attempts usually fail for the same reason, which is reported once. */
  #report(why: string): void {
    this.why = why;
    const summary = `${this.condition} ${why}`;
    if (summary !== this.#reported) this.#pool.report.state(this.name, this.condition, why);
    this.#reported = summary;
    this.#pool.changed(this);
  }
}
