/**
 * One way to a backend: a connection to one of its addresses, which keeps a Link open, or calls Handle where
 * there is no Link, and is tried again when it is lost. An address has as many ways as `links` says.
 */
import { errorText } from '../../errors.ts';
import { Timeout } from '../../timer-wheel.ts';
import type { Call } from '../call.ts';
import type { ConnectCall } from '../connect-call.ts';
import type { Liveness } from '../liveness.ts';
import { Reconnect } from '../reconnect.ts';
import { Channel } from '../grpc/channel.ts';
import { type RequestFields, writeClosed } from '../../contract/gateway-frames.ts';
import { Leaving, type Left } from './leaving.ts';
import { Link, type LinkEvents } from '../link/link.ts';
import { LinkAge } from '../link/link-age.ts';
import { hint } from '../grpc-client/status.ts';
import { UnaryCalls } from '../grpc/unary-calls.ts';
import type { EndpointEvents, EndpointOptions, EndpointState } from './endpoint-parts.ts';
import { EndpointSessions } from './endpoint-sessions.ts';
import type { PooledSession } from './pooled-session.ts';
import { EndpointHealth } from './endpoint-health.ts';

/** How long a new link may take to say hello. */
const HELLO_WAIT_MS = 5_000;

export class Endpoint implements Left {
  readonly name: string;
  /** Distinguishes the ways to one address; the same for the one that replaces it. */
  readonly label: string;
  readonly index: number;
  weight: number;
  readonly sessions = new EndpointSessions<Endpoint>();
  /** As the backend said in its hello; '' where it did not. */
  instance = '';
  /** Owned by the balancer. */
  turn = 0;
  #state: EndpointState = 'connecting';
  #link: Link | null = null;
  /** What was last said of it; owned by whoever says it. */
  told = '';
  readonly #reconnect: Reconnect;
  readonly #liveness: Liveness;
  readonly #helloLate: Timeout;
  /** The backend asked for new work to go elsewhere, or the way is given up. */
  readonly #leaving: Leaving;
  readonly #age: LinkAge;
  readonly #wellbeing: EndpointHealth;
  readonly #options: EndpointOptions;
  readonly #events: EndpointEvents;
  readonly #channel: Channel;
  readonly #unary: UnaryCalls;
  #onEnded: () => void = () => {};
  #settle: () => void = () => {};
  /** Resolves when the first attempt has ended, either way. */
  readonly settled: Promise<void>;

  constructor(options: EndpointOptions, events: EndpointEvents) {
    this.name = options.address;
    this.index = options.index;
    this.label = `${options.address}#${options.index}`;
    this.weight = options.weight;
    this.#options = options;
    this.#events = events;
    this.#channel = new Channel(options);
    this.#channel.connection.onGoaway = this.#onServerGoing;
    this.#wellbeing = new EndpointHealth(
      options.health,
      this.#channel,
      options.wheel,
      this.#onHealth,
    );
    this.#unary = this.#makeUnary();
    this.#reconnect = new Reconnect(options.wheel, this.#connect);
    this.#liveness = this.#channel.connection.liveness(options.deadAfterMs, options.wheel, {
      isAwaited: () => this.inFlight > 0,
      giveUp: this.#onDead,
    });
    this.#helloLate = new Timeout(this.#onHelloLate);
    this.#leaving = new Leaving(options.wheel, this);
    this.#age = new LinkAge(options.linkAgeMs, options.wheel, () => {
      events.onOld(this);
    });
    this.settled = new Promise((resolve) => {
      this.#settle = resolve;
    });
    this.#connect();
  }

  get state(): EndpointState {
    return this.#state;
  }

  /** As in the log: the state, or what keeps new sessions away from one that serves. */
  get condition(): EndpointState | 'unhealthy' | 'ejected' {
    return (this.serves ? this.#wellbeing.complaint : null) ?? this.#state;
  }

  /** Serves requests of sessions that are here already. */
  get serves(): boolean {
    return this.#state === 'link' || this.#state === 'handle';
  }

  /** Takes new sessions, if there is no better. */
  get isOpen(): boolean {
    return this.serves && !this.#leaving.isLeaving;
  }

  /** Takes new sessions too. */
  get welcomes(): boolean {
    return this.isOpen && this.#wellbeing.admits;
  }

  /** It does as it should: sessions may be brought here, not only come. */
  get isWell(): boolean {
    return this.isOpen && this.#wellbeing.isWell;
  }

  /** Its server takes no more calls on this connection. */
  get isGoing(): boolean {
    return this.#age.isGoing;
  }

  /** Calls that wait for an answer. */
  get inFlight(): number {
    return (this.#link?.inFlight ?? 0) + this.#unary.inFlight;
  }

  send(call: Call, fields: RequestFields): void {
    this.#liveness.begin();
    if (this.#link !== null && this.#state === 'link') this.#link.request(call, fields);
    else this.#unary.handle(call, fields);
  }

  /** Asks about a handshake. @param request A ConnectRequest. */
  connect(call: ConnectCall, request: Buffer): void {
    this.#liveness.begin();
    if (this.#link !== null && this.#state === 'link') this.#link.connect(call, request);
    else this.#unary.connect(call, request);
  }

  // ---- its sessions -------------------------------------------------------------------------------------

  /** The session keeps to this way from now on. */
  take(session: PooledSession<Endpoint>): void {
    session.endpoint = this;
    this.sessions.add(session);
    this.#wellbeing.tried();
  }

  /** The session may go elsewhere; it has nothing in flight. */
  release(session: PooledSession<Endpoint>): void {
    this.sessions.release(session, !this.#leaving.isLeaving);
  }

  #shed(heir: Endpoint | null = null): void {
    this.sessions.shed(
      () => !this.#leaving.isLeaving,
      (session) => heir?.take(session),
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
    this.#events.onState(this, this.#wellbeing.eject());
    this.#shed();
  }

  readonly #onFault = (): void => {
    if (this.#link !== null) this.#link.faulty = true;
    if (this.#wellbeing.failed()) this.#events.onFaulty(this);
  };

  readonly #onAnswered = (): void => {
    if (this.#link !== null) this.#link.faulty = false;
    if (this.#wellbeing.answered()) this.#events.onState(this, 'it answers again');
  };

  readonly #onHealth = (): void => {
    if (!this.serves) return;
    this.#events.onState(this, `health: ${this.#wellbeing.words}`);
    if (!this.#wellbeing.isHealthy) this.#shed();
  };

  // ---- leaving ------------------------------------------------------------------------------------------

  /** New sessions go elsewhere, and those here move when they have nothing in flight. */
  leave(heir: Endpoint | null = null): void {
    this.#leaving.begin();
    this.#shed(heir);
  }

  /** The same, for good: resolves when nothing is in flight. @param heir Gets the sessions; null: any way does. */
  async idle(heir: Endpoint | null): Promise<void> {
    this.#age.stop();
    await this.#leaving.idle(() => {
      this.leave(heir);
    });
  }

  /** Its replacement could not be opened: it goes on, and is old again after `ms`. */
  oldAgainIn(ms: number): void {
    if (this.#state === 'link' && !this.#leaving.isForGood) this.#age.again(ms);
  }

  get isIdle(): boolean {
    return this.inFlight === 0 && this.sessions.size === 0;
  }

  get hasLink(): boolean {
    return this.#state === 'link';
  }

  /** Ends the link of a backend that asked for it; everything there has been answered. */
  endLink(): void {
    this.#link?.close('moved');
  }

  /** Asks the backend to finish; resolves when its side of the link has ended, and it has heard of all ends. */
  async close(reason: string): Promise<void> {
    const link = this.#link;
    this.#stop(reason);
    const ended = new Promise<void>((resolve) => {
      this.#onEnded = resolve;
      link?.close(reason);
      if (link === null || link.ended) resolve();
    });
    await Promise.all([ended, this.#unary.told()]);
  }

  destroy(): void {
    this.#stop('stopped');
    this.#link?.destroy('the gateway stopped');
    this.#channel.close();
    this.#onEnded();
  }

  #stop(reason: string): void {
    this.#become('stopped', reason);
    this.#wellbeing.lost();
    this.#reconnect.stop();
    this.#liveness.stop();
    this.#age.ended();
    this.#leaving.stop();
    this.#options.wheel.cancel(this.#helloLate);
  }

  // ---- connecting ---------------------------------------------------------------------------------------

  readonly #connect = (): void => {
    if (this.#state === 'stopped') return;
    this.#leaving.beginAgain();
    this.#unary.startAgain();
    // Handle goes on serving while a Link is tried again.
    if (this.#state !== 'handle') this.#state = 'connecting';
    if (this.#options.mode === 'handle') this.#connectWithoutLink();
    else this.#openLink();
  };

  #connectWithoutLink(): void {
    this.#channel.ready(this.#options.clock.wallNow() + HELLO_WAIT_MS).then(
      () => {
        this.#wellbeing.connected();
        this.#become('handle', 'connected');
      },
      (error: unknown) => {
        this.#channel.connection.renew();
        this.#lost(hint({ details: '', message: errorText(error) }));
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
    return {
      ...this.#events,
      onFault: this.#onFault,
      onAnswered: this.#onAnswered,
      onHello: (hello) => {
        this.#options.wheel.cancel(this.#helloLate);
        this.#leaving.stop();
        this.instance = hello.instance;
        this.#wellbeing.connected();
        this.#age.opened();
        this.#become(
          'link',
          hello.instance === '' ? 'connected' : `connected to instance ${hello.instance}`,
        );
      },
      onGoaway: (reason) => {
        if (this.#leaving.isLeaving) return;
        this.leave();
        this.#events.onState(this, `goaway: ${reason || 'no reason given'}`);
      },
    };
  }

  readonly #onHelloLate = (): void => {
    this.#link?.destroy(
      `no hello within ${HELLO_WAIT_MS} ms; a Link's first frame must be BackendHello`,
    );
    // The connection may be one that goes nowhere.
    this.#channel.connection.renew();
  };

  /** HTTP/2's own goaway: of a server that limits the age of connections, of a proxy that drains. */
  readonly #onServerGoing = (why: string): void => {
    if (this.serves)
      this.#events.onState(this, `the server wants a new connection${why && `: ${why}`}`);
    // Of calls to Handle the next one opens another connection, and those that are there are still answered.
    if (this.#link === null) return;
    this.#wellbeing.rest();
    this.#age.serverGoes();
  };

  readonly #onDead = (why: string): void => {
    if (this.#link === null) this.#lost(why);
    else this.#link.destroy(why);
    this.#channel.connection.renew();
  };

  #onLinkEnd(unimplemented: boolean, text: string): void {
    this.#options.wheel.cancel(this.#helloLate);
    this.#leaving.stop();
    this.#age.ended();
    this.#link = null;
    this.#onEnded();
    if (unimplemented) this.#withoutLink();
    else this.#lost(text);
  }

  /** A backend that has no Link may have one when it is started again. */
  #withoutLink(): void {
    if (this.#state !== 'handle') {
      this.#wellbeing.connected();
      this.#become('handle', 'the backend has no Link; Handle is called instead');
    }
    this.#channel.connection.watch(() => {
      if (this.#state === 'handle') this.#reconnect.soon();
    });
  }

  #lost(why: string): void {
    if (this.#state === 'stopped') return;
    this.#wellbeing.lost();
    this.#liveness.stop();
    this.#become('away', why);
    this.sessions.clear();
    if (this.#leaving.isForGood) this.#leaving.look();
    else this.#reconnect.later();
  }

  #become(state: EndpointState, why: string): void {
    if (this.#state === 'stopped') return;
    this.#state = state;
    if (this.serves) this.#reconnect.up();
    if (state !== 'link') this.instance = '';
    this.#events.onState(this, why);
    this.#settle();
  }

  #makeUnary(): UnaryCalls {
    return new UnaryCalls(this.#channel, this.#options.clock, {
      ...this.#events,
      onAnswered: this.#onAnswered,
      onFault: this.#onFault,
      // The address is away, or has changed: begin again with a Link.
      onGone: (why) => {
        if (this.#state === 'handle') this.#lost(why);
      },
      onNoConnect: () => {
        this.#events.onState(
          this,
          'Connect is UNIMPLEMENTED: the backend that auth.backend names must serve pith.v1.Backend/Connect',
        );
      },
    });
  }
}
