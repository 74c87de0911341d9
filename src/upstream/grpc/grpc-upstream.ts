/**
 * A backend that serves `pith.v1.Backend`: its addresses, and which session goes where. A session keeps to one
 * address while that serves, and moves only with nothing in flight, so an instance sees its messages in order.
 */
import { type Clock, within } from '../../clock.ts';
import { errorText, type Failure, failure } from '../../errors.ts';
import type { Push } from '../../session/commands.ts';
import type { Lane } from '../../session/lane.ts';
import { Alarm, type TimerWheel } from '../../timer-wheel.ts';
import type { Call } from '../call.ts';
import { ConnectCall } from '../connect-call.ts';
import {
  type Accepted,
  type ClosedSession,
  type ConnectAsk,
  forwarded,
  type Upstream,
  type UpstreamInfo,
} from '../upstream.ts';
import { Address, type AddressEvents, type Slot } from './address.ts';
import type { SessionVerb } from './backend-frames.ts';
import {
  type DoneFields,
  encodeClosed,
  encodeConnect,
  encodeSession,
  type PushedFields,
  writeDone,
  writePushed,
} from './gateway-frames.ts';
import type { Link } from './link.ts';
import { RESOLVE_EVERY_MS, resolverOf } from './resolve.ts';

/** How long the gateway waits at its start for the first attempts, before it listens. */
const FIRST_ATTEMPT_MS = 2_000;
/** How long an address that is no longer listed may take to answer what it has. */
const RETIRE_MS = 30_000;
/** A backend may ask for more time once, by at most this. */
const EXTEND_MS_MAX = 300_000;

export type GrpcUpstreamOptions = {
  readonly name: string;
  readonly url: string;
  readonly mode: 'link' | 'handle';
  readonly metadata: Readonly<Record<string, string>>;
  readonly gatewayId: string;
  readonly version: string;
  readonly clock: Clock;
  readonly wheel: TimerWheel;
};

/** What a backend asks for by itself over its Link. */
export interface Downlink {
  /** `counted`: the backend wants to know what became of it. */
  push(push: Push, counted: boolean): Promise<PushedFields> | null;
  verb(verb: SessionVerb): Promise<DoneFields>;
}

export type GrpcUpstreamEvents = {
  onState(address: string, state: string, why: string): void;
  onLateReply(): void;
};

/** What a session's messages have in common, encoded, while it does not change. */
type Facts = { readonly version: number; readonly ordinal: number; readonly bytes: Buffer };

export class GrpcUpstream implements Upstream {
  readonly #options: GrpcUpstreamOptions;
  readonly #downlink: Downlink;
  readonly #events: GrpcUpstreamEvents;
  readonly #resolver: ReturnType<typeof resolverOf>;
  readonly #resolveAgain: Alarm;
  #addresses: Address[] = [];
  #turn = 0;
  #closed = false;

  constructor(options: GrpcUpstreamOptions, downlink: Downlink, events: GrpcUpstreamEvents) {
    this.#options = options;
    this.#downlink = downlink;
    this.#events = events;
    this.#resolver = resolverOf(options.url);
    this.#resolveAgain = new Alarm(() => {
      void this.#resolve();
    });
  }

  /** Handle calls have no order among themselves. */
  get oneAtATime(): boolean {
    return this.#addresses.some((address) => address.state === 'handle');
  }

  async start(): Promise<void> {
    await this.#resolve();
    const settled = Promise.all(this.#addresses.map((address) => address.settled));
    await within(this.#options.clock, FIRST_ATTEMPT_MS, settled, []);
  }

  send(call: Call): void {
    const address = this.#addressFor(call);
    if (address === null) {
      call.fail(failure('BACKEND_AWAY'));
      return;
    }
    address.send(call, {
      session: this.#sessionBytes(call),
      route: call.route,
      notify: !call.wantsAnswer,
      body: call.body,
      seq: call.seq,
      timeoutMs: Math.max(1, Math.round(call.deadline - this.#options.wheel.now())),
      to: call.instance,
      trace: call.trace,
    });
  }

  cancel(call: Call): void {
    // Wherever it was sent: the address may have been given up since.
    (call.slot as Slot | null)?.cancel(call);
  }

  async connect(ask: ConnectAsk): Promise<Accepted | Failure> {
    const call = new ConnectCall(ask, this, this.#options.wheel, notAReply);
    const address = call.ended ? null : this.#addressFor(call);
    if (address === null) call.fail(failure('BACKEND_AWAY'));
    else address.connect(call, encodeConnect(ask));
    const outcome = await call.outcome;
    // A session that a backend has refused was never its own: it does not hear of the end.
    if (call.refused && !ask.refresh) {
      address?.forget(ask.lane);
      ask.lane.place = null;
    }
    return outcome;
  }

  onSessionClosed(closed: ClosedSession, lane: Lane): void {
    const place = lane.place as Address | null;
    lane.place = null;
    // The place may be given up already, and no longer listed.
    const told = new Set(place === null ? this.#addresses : [...this.#addresses, place]);
    const { session, reason, code, lastedMs } = closed;
    let event: Buffer | null = null;
    for (const address of told) {
      if (!address.forget(lane)) continue;
      event ??= encodeClosed({ session: encodeSession(session, null), reason, code, lastedMs });
      address.sessionClosed(event);
    }
  }

  info(): UpstreamInfo {
    const healthy = this.#addresses.filter((address) => address.serves).length;
    return { kind: 'grpc', addresses: this.#addresses.length, healthy };
  }

  async close(ms: number): Promise<void> {
    this.#closed = true;
    this.#options.wheel.cancel(this.#resolveAgain);
    const ended = this.#addresses.map((address) => address.close('the gateway is stopping'));
    await within(this.#options.clock, ms, Promise.all(ended), []);
    for (const address of this.#addresses) address.destroy();
  }

  // ---- where to -----------------------------------------------------------------------------------------

  #addressFor(call: Call): Address | null {
    const { lane } = call;
    if (call.instance !== '') {
      const named = this.#addresses.find(
        (address) => address.welcomes && address.instance === call.instance,
      );
      if (named !== undefined) return this.#visit(named, call);
      if (call.target.otherwise === 'error') return null;
    }
    const place = lane.place as Address | null;
    if (place !== null && place.serves) {
      // What needs no order heeds a goaway at once; the rest moves when nothing is in flight.
      const elsewhere = call.unordered && !place.welcomes ? this.#next() : null;
      return elsewhere === null ? place : this.#visit(elsewhere, call);
    }
    const next = this.#next();
    // A notify may outlive its session, which nobody will forget a second time.
    if (next === null || call.session.state === 'closed') return next;
    place?.lanes.delete(lane);
    lane.place = next;
    next.lanes.add(lane);
    return next;
  }

  /** For this message only; but the address will hear of the session's end. */
  #visit(address: Address, call: Call): Address {
    if (call.session.state !== 'closed') address.visitors.add(call.lane);
    return address;
  }

  /** Round robin over the addresses that take new sessions. */
  #next(): Address | null {
    const addresses = this.#addresses;
    for (let i = 0; i < addresses.length; i++) {
      const address = addresses[(this.#turn + i) % addresses.length]!;
      if (!address.welcomes) continue;
      this.#turn = (this.#turn + i + 1) % addresses.length;
      return address;
    }
    return null;
  }

  #sessionBytes(call: Call): Buffer {
    const { lane, session, target } = call;
    const known = lane.facts as Facts | null;
    if (known !== null && known.version === session.version && known.ordinal === target.ordinal)
      return known.bytes;
    const bytes = encodeSession(session, forwarded(session.data, target.forward));
    const facts: Facts = { version: session.version, ordinal: target.ordinal, bytes };
    lane.facts = facts;
    return bytes;
  }

  // ---- addresses ----------------------------------------------------------------------------------------

  async #resolve(): Promise<void> {
    try {
      this.#adopt(await this.#resolver.resolve());
    } catch (error) {
      this.#events.onState(this.#options.url, 'unresolved', errorText(error));
    }
    if (this.#resolver.changes && !this.#closed)
      this.#options.wheel.set(this.#resolveAgain, RESOLVE_EVERY_MS);
  }

  #adopt(names: readonly string[]): void {
    if (this.#closed) return;
    for (const name of names) {
      if (!this.#addresses.some((address) => address.name === name))
        this.#addresses.push(this.#open(name));
    }
    for (const address of this.#addresses.filter(({ name }) => !names.includes(name))) {
      this.#addresses.splice(this.#addresses.indexOf(address), 1);
      // What is in flight there is still answered; the backend ends the link when it is done.
      address.leave();
      void this.#retire(address);
    }
  }

  async #retire(address: Address): Promise<void> {
    await within(this.#options.clock, RETIRE_MS, address.close('no longer listed'), undefined);
    address.destroy();
  }

  #open(name: string): Address {
    const { mode, metadata, gatewayId, version, clock, wheel } = this.#options;
    return new Address(
      { address: name, mode, metadata, gatewayId, version, clock, wheel },
      this.#addressEvents(),
    );
  }

  #addressEvents(): AddressEvents {
    return {
      onState: (address, why) => {
        this.#events.onState(address.name, address.state, why);
      },
      onLateReply: () => {
        this.#events.onLateReply();
      },
      onExtend: (call, timeoutMs) => {
        if (call.extended) return;
        call.extended = true;
        this.#options.wheel.set(call, Math.min(timeoutMs, EXTEND_MS_MAX));
      },
      onPush: (link, id, push) => {
        this.#onPush(link, id, push);
      },
      onVerb: (link, id, verb) => {
        this.#onVerb(link, id, verb);
      },
    };
  }

  #onPush(link: Link, id: number, push: Push): void {
    void this.#downlink.push(push, id !== 0)?.then((pushed) => {
      link.send((writer) => {
        writePushed(writer, id, pushed);
      });
    });
  }

  #onVerb(link: Link, id: number, verb: SessionVerb): void {
    void this.#downlink.verb(verb).then((done) => {
      if (id === 0) return;
      link.send((writer) => {
        writeDone(writer, id, done);
      });
    });
  }
}

/** On a Link the answer to Connect is a frame of its own. */
function notAReply(): Failure {
  return failure('BAD_REPLY', 'the backend answered Connect as if it were a request');
}
