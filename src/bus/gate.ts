/**
 * Where new clients are sent. Each gateway that has a gate tells the others once a second where it is reached and how
 * many clients it has and takes; of those that were heard lately, a client is sent to the less loaded of two.
 */
import type { Clock } from '../clock.ts';
import { ShapeError } from '../contract/json.ts';
import { isObject } from '../protocol/exact-json.ts';
import type { Random } from '../random.ts';
import { Timeout, type TimerWheel } from '../timer-wheel.ts';
import { GATEWAYS_MAX, isGatewayId } from './known-gateways.ts';

/** Between two announcements. */
export const ANNOUNCE_MS = 1_000;
/** Nobody is sent to a gateway that was not heard for this long. */
export const STALE_MS = 4_000;

const TRANSPORTS = ['ws', 'wss', 'tcp', 'tls'] as const;
/** [RFC 1035 2.3.4] */
const HOST = /^[A-Za-z0-9_.:-]{1,255}$/;

/** A place that clients connect to. IPv6 without brackets. */
export type HostPort = { readonly host: string; readonly port: number };
/** Where a gateway is reached, by the transport of the client that asks. */
export type GateAddresses = Readonly<Partial<Record<(typeof TRANSPORTS)[number], HostPort>>>;

/** What a gateway has and takes. */
export type GateLoad = {
  readonly sessions: number;
  /** How many more clients may come; less than 0: none. */
  readonly room: number;
};

export type GateParts = {
  readonly gatewayId: string;
  readonly clock: Clock;
  readonly wheel: TimerWheel;
  readonly random: Random;
  readonly addresses: GateAddresses;
  /** Of this gateway, now. */
  readonly load: () => GateLoad;
  /** Sends to the gates of the other gateways; what cannot be sent is lost. */
  readonly publish: (payload: Buffer) => void;
};

type Known = GateLoad & {
  readonly addresses: GateAddresses;
  readonly heardAt: number;
  /** Clients that were sent there since. */
  sent: number;
};

export class Gate {
  readonly #parts: GateParts;
  readonly #others = new Map<string, Known>();
  readonly #again: Timeout;
  #isReady = false;
  /** This gateway as it was last announced: seen as the others are, or those who were sent here would count twice. */
  #own: Known;

  constructor(parts: GateParts) {
    this.#parts = parts;
    this.#own = { sessions: 0, room: 0, addresses: parts.addresses, heardAt: 0, sent: 0 };
    this.#again = new Timeout(() => {
      this.#announce();
    });
  }

  /** This gateway takes new clients from now on, or no more; the others are told at once. */
  setReady(isReady: boolean): void {
    this.#isReady = isReady;
    this.#announce();
    if (!isReady) this.#parts.wheel.cancel(this.#again);
  }

  #announce(): void {
    const { gatewayId, addresses, clock, load, publish, wheel } = this.#parts;
    const { sessions, room: free } = load();
    const room = this.#isReady ? Math.max(0, free) : 0;
    this.#own = { sessions, room, addresses, heardAt: clock.now(), sent: 0 };
    publish(Buffer.from(JSON.stringify({ gateway: gatewayId, sessions, room, addresses })));
    wheel.set(this.#again, ANNOUNCE_MS);
  }

  /** What another gateway has announced. @throws {ShapeError} */
  hear(fields: Readonly<Record<string, unknown>>): void {
    const { gateway, sessions, room, addresses } = fields;
    if (gateway === this.#parts.gatewayId) return;
    if (typeof gateway !== 'string' || !isGatewayId(gateway))
      throw new ShapeError('gateway is not the id of a gateway');
    const known = { sessions: count(sessions, 'sessions'), room: count(room, 'room') };
    const places = readAddresses(addresses);
    if (!this.#others.has(gateway)) this.#makeRoom();
    const heardAt = this.#parts.clock.now();
    this.#others.set(gateway, { ...known, addresses: places, heardAt, sent: 0 });
  }

  /** A gateway has said goodbye. */
  left(gateway: string): void {
    this.#others.delete(gateway);
  }

  /** The place for the next client on this transport; null: no gateway is ready that is reached so. */
  choose(transport: keyof GateAddresses): HostPort | null {
    const { random } = this.#parts;
    this.#forgetStale();
    const open = [this.#own, ...this.#others.values()].filter(
      (one) => one.room > one.sent && one.addresses[transport] !== undefined,
    );
    if (open.length === 0) return null;
    const i = Math.floor(random.number() * open.length);
    // Another one, or the same one again if it is alone.
    const step = 1 + Math.floor(random.number() * (open.length - 1));
    const [one, other] = [open[i]!, open[(i + step) % open.length]!];
    const chosen = other.sessions + other.sent < one.sessions + one.sent ? other : one;
    chosen.sent++;
    return chosen.addresses[transport]!;
  }

  /** Gateways that were heard lately, this one among them, and those of them that take clients. */
  count(): { known: number; ready: number } {
    this.#forgetStale();
    const all = [this.#own, ...this.#others.values()];
    return { known: all.length, ready: all.filter(({ room }) => room > 0).length };
  }

  #makeRoom(): void {
    if (this.#others.size >= GATEWAYS_MAX) this.#forgetStale();
    if (this.#others.size >= GATEWAYS_MAX)
      throw new ShapeError(`more than ${GATEWAYS_MAX} gateways`);
  }

  #forgetStale(): void {
    const now = this.#parts.clock.now();
    for (const [gateway, { heardAt }] of this.#others)
      if (now - heardAt >= STALE_MS) this.#others.delete(gateway);
  }
}

function readAddresses(value: unknown): GateAddresses {
  if (!isObject(value)) throw new ShapeError('addresses is not a JSON object');
  const addresses: Partial<Record<keyof GateAddresses, HostPort>> = {};
  for (const transport of TRANSPORTS) {
    const place = value[transport];
    if (place === undefined) continue;
    const { host, port } = isObject(place) ? place : {};
    const number = count(port, `addresses.${transport}.port`);
    if (typeof host !== 'string' || !HOST.test(host) || number < 1 || number > 65_535)
      throw new ShapeError(`addresses.${transport} is not a host and a port`);
    addresses[transport] = { host, port: number };
  }
  return addresses;
}

function count(value: unknown, name: string): number {
  if (!Number.isSafeInteger(value) || (value as number) < 0)
    throw new ShapeError(`${name} is not a whole number`);
  return value as number;
}
