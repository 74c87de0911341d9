/**
 * One address of a backend: keeps a Link open, or calls Handle where there is no Link, and tries again when it
 * is lost.
 */
import { type ClientUnaryCall, type ServiceError, status } from '@grpc/grpc-js';

import type { Clock } from '../../clock.ts';
import { type Accepted, decodeConnectResponse } from '../../contract/shapes.ts';
import { WireError, WireReader } from '../../contract/wire.ts';
import { errorText, type Failure, failure } from '../../errors.ts';
import type { Lane } from '../../session/lane.ts';
import { Alarm, type TimerWheel } from '../../timer-wheel.ts';
import type { Call } from '../call.ts';
import type { ConnectCall } from '../connect-call.ts';
import { decodeReply } from './backend-frames.ts';
import { Channel } from './channel.ts';
import { encodeRequest, type RequestFields, writeClosed } from './gateway-frames.ts';
import { Link, type LinkEvents } from './link.ts';
import { failureOfStatus, hint } from './status.ts';

const RETRY_MS_MIN = 100;
const RETRY_MS_MAX = 5_000;
/** How long a new link may take to say hello. */
const HELLO_WAIT_MS = 5_000;
/** How often a link that is being left is looked at. */
const IDLE_LOOK_MS = 20;
const CLOSED_TIMEOUT_MS = 2_000;

/** connecting · link, handle: it serves, in this way · away: waits for the next try · stopped. */
export type AddressState = 'connecting' | 'link' | 'handle' | 'away' | 'stopped';

export type AddressOptions = {
  readonly address: string;
  readonly mode: 'link' | 'handle';
  readonly metadata: Readonly<Record<string, string>>;
  readonly gatewayId: string;
  readonly version: string;
  readonly clock: Clock;
  readonly wheel: TimerWheel;
};

/** What an address tells its upstream: of its links' frames, and of its own coming and going. */
export interface AddressEvents extends Omit<LinkEvents, 'onHello' | 'onGoaway' | 'onEnd'> {
  onState(address: Address, why: string): void;
}

export class Address {
  readonly name: string;
  /** Sessions that keep to this address. */
  readonly lanes = new Set<Lane>();
  /** Sessions that keep to another, and of which it has had messages all the same. */
  readonly visitors = new Set<Lane>();
  /** As the backend said in its hello; '' where it did not. */
  instance = '';
  #state: AddressState = 'connecting';
  /** The backend asked for new work to go elsewhere, or the address is no longer listed. */
  #leaving = false;
  #link: Link | null = null;
  #retryMs = RETRY_MS_MIN;
  #closedUnimplemented = false;
  #noConnectTold = false;
  /** Closed calls in flight. */
  readonly #telling = new Set<Promise<void>>();
  readonly #retry: Alarm;
  readonly #helloLate: Alarm;
  readonly #idleLook: Alarm;
  readonly #options: AddressOptions;
  readonly #events: AddressEvents;
  readonly #channel: Channel;
  #onEnded: () => void = () => {};
  #settle: () => void = () => {};
  /** Resolves when the first attempt has ended, either way. */
  readonly settled: Promise<void>;

  constructor(options: AddressOptions, events: AddressEvents) {
    this.name = options.address;
    this.#options = options;
    this.#events = events;
    this.#channel = new Channel(options.address, options.metadata);
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
    this.settled = new Promise((resolve) => {
      this.#settle = resolve;
    });
    this.#connect();
  }

  get state(): AddressState {
    return this.#state;
  }

  /** Serves requests of sessions that are here already. */
  get serves(): boolean {
    return this.#state === 'link' || this.#state === 'handle';
  }

  /** Takes new sessions too. */
  get welcomes(): boolean {
    return this.serves && !this.#leaving;
  }

  send(call: Call, fields: RequestFields): void {
    if (this.#link !== null && this.#state === 'link') this.#link.request(call, fields);
    else this.#handle(call, fields);
  }

  /** Asks about a handshake. @param request A ConnectRequest. */
  connect(call: ConnectCall, request: Buffer): void {
    if (this.#link !== null && this.#state === 'link') this.#link.connect(call, request);
    else this.#connectUnary(call, request);
  }

  /** True when it has had messages of this session. */
  forget(lane: Lane): boolean {
    const kept = this.lanes.delete(lane);
    return this.visitors.delete(lane) || kept;
  }

  /** Tells the backend that a session ended. */
  sessionClosed(event: Buffer): void {
    if (this.#link !== null && this.#state === 'link') {
      this.#link.send((writer) => {
        writeClosed(writer, event);
      });
    } else if (this.#state === 'handle' && !this.#closedUnimplemented) {
      const deadline = this.#options.clock.wallNow() + CLOSED_TIMEOUT_MS;
      const told = new Promise<void>((resolve) => {
        this.#channel.closed(event, deadline, (error) => {
          if (error?.code === status.UNIMPLEMENTED) this.#closedUnimplemented = true;
          this.#telling.delete(told);
          resolve();
        });
      });
      this.#telling.add(told);
    }
  }

  /** Ends the link of a backend that asked for it, once everything there has been answered. */
  #endWhenIdle(): void {
    const link = this.#link;
    if (link === null || this.#state !== 'link') return;
    if (link.calls.size === 0 && this.lanes.size === 0) link.close('moved');
    else this.#options.wheel.set(this.#idleLook, IDLE_LOOK_MS);
  }

  /** New sessions go elsewhere, and those here move when they have nothing in flight. */
  leave(): void {
    this.#leaving = true;
    this.#endWhenIdle();
    for (const lane of [...this.lanes]) {
      lane.holdUntilEmpty(() => {
        this.lanes.delete(lane);
        lane.place = null;
      });
    }
  }

  /** Asks the backend to finish; resolves when its side of the link has ended, and it has heard of all ends. */
  async close(reason: string): Promise<void> {
    this.#become('stopped', reason);
    this.#options.wheel.cancel(this.#retry);
    this.#options.wheel.cancel(this.#helloLate);
    this.#options.wheel.cancel(this.#idleLook);
    await Promise.all([this.#closeLink(reason), ...this.#telling]);
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
    this.#become('stopped', 'stopped');
    this.#options.wheel.cancel(this.#retry);
    this.#options.wheel.cancel(this.#helloLate);
    this.#options.wheel.cancel(this.#idleLook);
    this.#link?.destroy('the gateway stopped');
    this.#channel.close();
    this.#onEnded();
  }

  // ---- connecting ---------------------------------------------------------------------------------------

  #connect(): void {
    if (this.#state === 'stopped') return;
    this.#leaving = false;
    // A backend that is started again may have what it had not.
    this.#closedUnimplemented = false;
    this.#noConnectTold = false;
    // Handle goes on serving while a Link is tried again.
    if (this.#state !== 'handle') this.#state = 'connecting';
    if (this.#options.mode === 'handle') {
      this.#channel.ready(this.#options.clock.wallNow() + HELLO_WAIT_MS).then(
        () => {
          this.#become('handle', 'connected');
        },
        (error: unknown) => {
          this.#lost(errorText(error));
        },
      );
      return;
    }
    const before = this.#link;
    this.#link = null;
    before?.destroy('tried again');
    this.#options.wheel.set(this.#helloLate, HELLO_WAIT_MS);
    const link: Link = new Link(this.#channel.openLink(), {
      ...this.#linkEvents(),
      onEnd: ({ unimplemented, text }) => {
        if (this.#link === link) this.#onLinkEnd(unimplemented, text);
      },
    });
    this.#link = link;
    link.hello(this.#options.gatewayId, this.#options.version);
  }

  #linkEvents(): Omit<LinkEvents, 'onEnd'> {
    const events = this.#events;
    return {
      onPush: (link, id, push) => {
        events.onPush(link, id, push);
      },
      onVerb: (link, id, verb) => {
        events.onVerb(link, id, verb);
      },
      onExtend: (call, timeoutMs) => {
        events.onExtend(call, timeoutMs);
      },
      onLateReply: () => {
        events.onLateReply();
      },
      onHello: (hello) => {
        this.#options.wheel.cancel(this.#helloLate);
        this.#options.wheel.cancel(this.#idleLook);
        this.#options.wheel.cancel(this.#retry);
        this.instance = hello.instance;
        this.#become(
          'link',
          hello.instance === '' ? 'connected' : `connected to instance ${hello.instance}`,
        );
      },
      onGoaway: (reason) => {
        this.leave();
        events.onState(this, `goaway: ${reason || 'no reason given'}`);
      },
    };
  }

  #onLinkEnd(unimplemented: boolean, text: string): void {
    this.#options.wheel.cancel(this.#helloLate);
    this.#options.wheel.cancel(this.#idleLook);
    this.#link = null;
    this.#onEnded();
    if (unimplemented) this.#withoutLink();
    else this.#lost(text);
  }

  /** A backend that has no Link may have one when it is started again. */
  #withoutLink(): void {
    if (this.#state !== 'handle')
      this.#become('handle', 'the backend has no Link; Handle is called instead');
    this.#channel.watch(() => {
      if (this.#state === 'handle') this.#options.wheel.set(this.#retry, RETRY_MS_MIN);
    });
  }

  #lost(why: string): void {
    if (this.#state === 'stopped') return;
    this.#become('away', why);
    for (const lane of this.lanes) lane.place = null;
    this.lanes.clear();
    this.visitors.clear();
    this.#options.wheel.set(this.#retry, this.#retryMs * (0.75 + 0.5 * Math.random()));
    this.#retryMs = Math.min(this.#retryMs * 2, RETRY_MS_MAX);
  }

  #become(state: AddressState, why: string): void {
    if (this.#state === 'stopped') return;
    this.#state = state;
    if (this.serves) this.#retryMs = RETRY_MS_MIN;
    if (state !== 'link') this.instance = '';
    this.#events.onState(this, why);
    this.#settle();
  }

  // ---- Handle and Connect, one call each ----------------------------------------------------------------

  #handle(call: Call, fields: RequestFields): void {
    const deadline = this.#options.clock.wallNow() + fields.timeoutMs;
    const { generation } = call;
    const unary = new UnaryCall();
    call.slot = unary;
    unary.call = this.#channel.handle(encodeRequest(fields), deadline, (error, bytes) => {
      // A cancelled call has been given back, and may be another one by now.
      if (call.generation !== generation || call.slot !== unary) return;
      call.slot = null;
      if (error === null) answerHandle(call, bytes ?? NOTHING);
      else this.#onUnaryError(call, error);
    });
  }

  #onUnaryError(call: Call, error: ServiceError): void {
    // The address is away, or has changed: begin again with a Link.
    const gone = error.code === status.UNAVAILABLE && this.#state === 'handle';
    call.fail(failureOfStatus(error));
    if (gone) this.#lost(hint(error));
  }

  #connectUnary(call: ConnectCall, request: Buffer): void {
    const deadline = this.#options.clock.wallNow() + call.leftMs;
    const unary = new UnaryCall();
    call.slot = unary;
    unary.call = this.#channel.connect(request, deadline, (error, bytes) => {
      if (call.ended) return;
      if (error === null) call.answered(readConnectResponse(bytes ?? NOTHING));
      else if (error.code === status.UNIMPLEMENTED) this.#onNoConnect(call);
      else this.#onUnaryError(call, error);
    });
  }

  #onNoConnect(call: ConnectCall): void {
    call.fail(failure('BACKEND_ERROR', 'the backend has no Connect'));
    if (this.#noConnectTold) return;
    this.#noConnectTold = true;
    this.#events.onState(
      this,
      'Connect is UNIMPLEMENTED: the backend that auth.backend names must serve pith.v1.Backend/Connect',
    );
  }
}

/** Where a call waits for its answer: a link's table, or a Handle call. */
export interface Slot {
  cancel(call: Call): void;
}

/** A Handle call in flight; what `call.slot` holds meanwhile. */
class UnaryCall implements Slot {
  call: ClientUnaryCall | null = null;

  cancel(): void {
    this.call?.cancel();
  }
}

function readConnectResponse(bytes: Buffer): Accepted | Failure {
  try {
    return decodeConnectResponse(new WireReader(bytes));
  } catch (error) {
    if (!(error instanceof WireError)) throw error;
    return failure('BAD_REPLY');
  }
}

function answerHandle(call: Call, bytes: Buffer): void {
  let reply: ReturnType<typeof decodeReply>;
  try {
    reply = decodeReply(new WireReader(bytes));
  } catch (error) {
    if (!(error instanceof WireError)) throw error;
    call.fail(failure('BAD_REPLY'));
    return;
  }
  if (reply instanceof Uint8Array) call.succeed(reply);
  else call.answer(reply);
}

const NOTHING = Buffer.alloc(0);
