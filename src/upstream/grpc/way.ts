/**
 * One way to a backend: a connection to one of its addresses, which keeps a Link open, or calls Handle where
 * there is no Link, and is tried again when it is lost. An address has as many ways as `links` says.
 */
import { errorText } from '../../errors.ts';
import type { Lane } from '../../session/lane.ts';
import { Alarm } from '../../timer-wheel.ts';
import type { Call } from '../call.ts';
import type { ConnectCall } from '../connect-call.ts';
import { Channel } from './channel.ts';
import { Ejection } from './ejection.ts';
import { type RequestFields, writeClosed } from './gateway-frames.ts';
import { HealthWatch } from './health-watch.ts';
import { Link, type LinkEvents } from './link.ts';
import { UnaryCalls } from './unary-calls.ts';
import type { WayEvents, WayOptions, WayState } from './way-parts.ts';
import { WaySessions } from './way-sessions.ts';

const RETRY_MS_MIN = 100;
const RETRY_MS_MAX = 5_000;
/** How long a new link may take to say hello. */
const HELLO_WAIT_MS = 5_000;
/** How often a way that is being left is looked at. */
const IDLE_LOOK_MS = 20;
/** How far from `link_age` a link's own age may be, so that they are not all replaced at once. */
const AGE_JITTER = 0.2;

export class Way {
  readonly name: string;
  /** Distinguishes the ways to one address; the same for the one that replaces it. */
  readonly label: string;
  readonly index: number;
  weight: number;
  readonly sessions = new WaySessions();
  /** As the backend said in its hello; '' where it did not. */
  instance = '';
  /** Owned by the balancer. */
  turn = 0;
  #state: WayState = 'connecting';
  /** The backend asked for new work to go elsewhere, or the way is given up. */
  #leaving = false;
  #onIdle: (() => void) | null = null;
  #link: Link | null = null;
  #retryMs = RETRY_MS_MIN;
  #noConnectTold = false;
  readonly #retry: Alarm;
  readonly #helloLate: Alarm;
  readonly #idleLook: Alarm;
  readonly #old: Alarm;
  readonly #ejection = new Ejection();
  readonly #health: HealthWatch;
  readonly #options: WayOptions;
  readonly #events: WayEvents;
  readonly #channel: Channel;
  readonly #unary: UnaryCalls;
  #onEnded: () => void = () => {};
  #settle: () => void = () => {};
  /** Resolves when the first attempt has ended, either way. */
  readonly settled: Promise<void>;

  constructor(options: WayOptions, events: WayEvents) {
    this.name = options.address;
    this.index = options.index;
    this.label = `${options.address}#${options.index}`;
    this.weight = options.weight;
    this.#options = options;
    this.#events = events;
    this.#channel = new Channel(options);
    this.#health = new HealthWatch(options.health, this.#channel, options.wheel, () => {
      this.#onHealth();
    });
    this.#unary = this.#makeUnary();
    this.#retry = new Alarm(() => {
      this.#connect();
    });
    this.#helloLate = new Alarm(() => {
      this.#link?.destroy(
        `no hello within ${HELLO_WAIT_MS} ms; a Link's first frame must be BackendHello`,
      );
    });
    this.#idleLook = new Alarm(() => {
      this.#endWhenIdle();
    });
    this.#old = new Alarm(() => {
      events.onOld(this);
    });
    this.settled = new Promise((resolve) => {
      this.#settle = resolve;
    });
    this.#connect();
  }

  get state(): WayState {
    return this.#state;
  }

  /** As in the log: the state, or what keeps new sessions away from one that serves. */
  get condition(): WayState | 'unhealthy' | 'ejected' {
    if (!this.serves) return this.#state;
    if (!this.#health.well && this.#health.words !== '') return 'unhealthy';
    return this.#ejection.ejected ? 'ejected' : this.#state;
  }

  /** Serves requests of sessions that are here already. */
  get serves(): boolean {
    return this.#state === 'link' || this.#state === 'handle';
  }

  /** Takes new sessions, if there is no better. */
  get isOpen(): boolean {
    return this.serves && !this.#leaving;
  }

  /** Takes new sessions too. */
  get welcomes(): boolean {
    if (!this.isOpen || !this.#health.well) return false;
    return !this.#ejection.ejected || this.#ejection.admits(this.#options.wheel.now());
  }

  /** It does as it should: sessions may be brought here, not only come. */
  get isWell(): boolean {
    return this.isOpen && this.#health.well && !this.#ejection.ejected;
  }

  /** Calls that wait for an answer. */
  get inFlight(): number {
    return (this.#link?.inFlight ?? 0) + this.#unary.inFlight;
  }

  send(call: Call, fields: RequestFields): void {
    if (this.#link !== null && this.#state === 'link') this.#link.request(call, fields);
    else this.#unary.handle(call, fields);
  }

  /** Asks about a handshake. @param request A ConnectRequest. */
  connect(call: ConnectCall, request: Buffer): void {
    if (this.#link !== null && this.#state === 'link') this.#link.connect(call, request);
    else this.#unary.connect(call, request);
  }

  // ---- its sessions -------------------------------------------------------------------------------------

  /** The session keeps to this way from now on. */
  take(lane: Lane): void {
    lane.place = this;
    this.sessions.add(lane);
    this.#ejection.tried(this.#options.wheel.now());
  }

  /** The session may go elsewhere; it has nothing in flight. */
  release(lane: Lane): void {
    this.sessions.release(lane, !this.#leaving);
  }

  #shed(heir: Way | null = null): void {
    this.sessions.shed(
      () => !this.#leaving,
      (lane) => heir?.take(lane),
    );
  }

  /** Tells the backend that a session ended. */
  sessionClosed(event: Buffer): void {
    if (this.#link !== null && this.#state === 'link') {
      this.#link.send((writer) => {
        writeClosed(writer, event);
      });
    } else if (this.#state === 'handle') {
      this.#unary.closed(event);
    }
  }

  // ---- how it does --------------------------------------------------------------------------------------

  /** Left alone for a while; its sessions go elsewhere. */
  eject(): void {
    const { failures, ms } = this.#ejection;
    this.#ejection.eject(this.#options.wheel.now());
    this.#events.onState(this, `${failures} failures in a row; left alone for ${ms} ms`);
    this.#shed();
  }

  #onFault(): void {
    if (this.#link !== null) this.#link.faulty = true;
    if (this.#ejection.failed(this.#options.wheel.now())) this.#events.onFaulty(this);
  }

  #onAnswered(): void {
    if (this.#link !== null) this.#link.faulty = false;
    if (this.#ejection.answered()) this.#events.onState(this, 'it answers again');
  }

  #onHealth(): void {
    if (!this.serves) return;
    this.#events.onState(this, `health: ${this.#health.words}`);
    if (!this.#health.well) this.#shed();
  }

  // ---- leaving ------------------------------------------------------------------------------------------

  /** New sessions go elsewhere, and those here move when they have nothing in flight. */
  leave(heir: Way | null = null): void {
    this.#leaving = true;
    this.#endWhenIdle();
    this.#shed(heir);
  }

  /** The same, for good: resolves when nothing is in flight. @param heir Gets the sessions; null: any way does. */
  async idle(heir: Way | null): Promise<void> {
    await new Promise<void>((resolve) => {
      this.#onIdle = resolve;
      this.#options.wheel.cancel(this.#old);
      this.leave(heir);
    });
  }

  /** Its replacement could not be opened: it goes on, and is old again after `ms`. */
  oldAgainIn(ms: number): void {
    if (this.#state === 'link' && this.#onIdle === null) this.#options.wheel.set(this.#old, ms);
  }

  /** Ends the link of a backend that asked for it, once everything there has been answered. */
  #endWhenIdle(): void {
    const isIdle = this.inFlight === 0 && this.sessions.size === 0;
    if (this.#onIdle !== null && (isIdle || !this.serves)) {
      const onIdle = this.#onIdle;
      this.#onIdle = null;
      onIdle();
      return;
    }
    if (this.#onIdle === null && this.#state !== 'link') return;
    if (isIdle) this.#link?.close('moved');
    else this.#options.wheel.set(this.#idleLook, IDLE_LOOK_MS);
  }

  /** Asks the backend to finish; resolves when its side of the link has ended, and it has heard of all ends. */
  async close(reason: string): Promise<void> {
    this.#stop(reason);
    await Promise.all([this.#closeLink(reason), this.#unary.told()]);
  }

  async #closeLink(reason: string): Promise<void> {
    const link = this.#link;
    if (link === null) return;
    await new Promise<void>((resolve) => {
      this.#onEnded = resolve;
      link.close(reason);
      if (link.ended) resolve();
    });
  }

  destroy(): void {
    this.#stop('stopped');
    this.#link?.destroy('the gateway stopped');
    this.#channel.close();
    this.#onEnded();
  }

  #stop(reason: string): void {
    this.#become('stopped', reason);
    this.#health.stop();
    const { wheel } = this.#options;
    for (const alarm of [this.#retry, this.#helloLate, this.#idleLook, this.#old])
      wheel.cancel(alarm);
  }

  // ---- connecting ---------------------------------------------------------------------------------------

  #connect(): void {
    if (this.#state === 'stopped') return;
    if (this.#onIdle === null) this.#leaving = false;
    this.#unary.startAgain();
    this.#noConnectTold = false;
    // Handle goes on serving while a Link is tried again.
    if (this.#state !== 'handle') this.#state = 'connecting';
    if (this.#options.mode === 'handle') this.#connectWithoutLink();
    else this.#openLink();
  }

  #connectWithoutLink(): void {
    this.#channel.ready(this.#options.clock.wallNow() + HELLO_WAIT_MS).then(
      () => {
        this.#health.start();
        this.#become('handle', 'connected');
      },
      (error: unknown) => {
        this.#lost(errorText(error));
      },
    );
  }

  #openLink(): void {
    const before = this.#link;
    this.#link = null;
    before?.destroy('tried again');
    this.#options.wheel.set(this.#helloLate, HELLO_WAIT_MS);
    const link: Link = new Link(this.#channel.openLink(), () => this.#options.wheel.now(), {
      ...this.#linkEvents(),
      onEnd: ({ unimplemented, text }) => {
        if (this.#link === link) this.#onLinkEnd(unimplemented, text);
      },
    });
    this.#link = link;
    link.hello(this.#options.gatewayId, this.#options.version);
  }

  #linkEvents(): Omit<LinkEvents, 'onEnd'> {
    const { wheel, linkAgeMs } = this.#options;
    return {
      ...this.#events,
      onFault: () => {
        this.#onFault();
      },
      onAnswered: () => {
        this.#onAnswered();
      },
      onHello: (hello) => {
        for (const alarm of [this.#helloLate, this.#idleLook, this.#retry]) wheel.cancel(alarm);
        this.instance = hello.instance;
        this.#health.start();
        if (linkAgeMs > 0)
          wheel.set(this.#old, linkAgeMs * (1 - AGE_JITTER * (2 * Math.random() - 1)));
        this.#become(
          'link',
          hello.instance === '' ? 'connected' : `connected to instance ${hello.instance}`,
        );
      },
      onGoaway: (reason) => {
        this.leave();
        this.#events.onState(this, `goaway: ${reason || 'no reason given'}`);
      },
    };
  }

  #onLinkEnd(unimplemented: boolean, text: string): void {
    const { wheel } = this.#options;
    for (const alarm of [this.#helloLate, this.#idleLook, this.#old]) wheel.cancel(alarm);
    this.#link = null;
    this.#onEnded();
    if (unimplemented) this.#withoutLink();
    else this.#lost(text);
  }

  /** A backend that has no Link may have one when it is started again. */
  #withoutLink(): void {
    if (this.#state !== 'handle') {
      this.#health.start();
      this.#become('handle', 'the backend has no Link; Handle is called instead');
    }
    this.#channel.watch(() => {
      if (this.#state === 'handle') this.#options.wheel.set(this.#retry, RETRY_MS_MIN);
    });
  }

  #lost(why: string): void {
    if (this.#state === 'stopped') return;
    this.#health.stop();
    this.#become('away', why);
    this.sessions.clear();
    if (this.#onIdle !== null) {
      this.#endWhenIdle();
      return;
    }
    this.#options.wheel.set(this.#retry, this.#retryMs * (0.75 + 0.5 * Math.random()));
    this.#retryMs = Math.min(this.#retryMs * 2, RETRY_MS_MAX);
  }

  #become(state: WayState, why: string): void {
    if (this.#state === 'stopped') return;
    this.#state = state;
    if (this.serves) this.#retryMs = RETRY_MS_MIN;
    if (state !== 'link') this.instance = '';
    this.#events.onState(this, why);
    this.#settle();
  }

  #makeUnary(): UnaryCalls {
    return new UnaryCalls(this.#channel, this.#options.clock, {
      convertBytesMax: this.#events.convertBytesMax,
      onAnswered: () => {
        this.#onAnswered();
      },
      onFault: () => {
        this.#onFault();
      },
      // The address is away, or has changed: begin again with a Link.
      onGone: (why) => {
        if (this.#state === 'handle') this.#lost(why);
      },
      onNoConnect: () => {
        if (this.#noConnectTold) return;
        this.#noConnectTold = true;
        this.#events.onState(
          this,
          'Connect is UNIMPLEMENTED: the backend that auth.backend names must serve pith.v1.Backend/Connect',
        );
      },
    });
  }
}
