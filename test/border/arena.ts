/** What an attack has at hand: clients, its own backends' answers by plan, and a tally of what became of it all. */
import type { Chance } from './chance.ts';
import { Client, type Outcome, reasonOf, type Dialect, type Transport } from './client.ts';
import { ANSWER_TIMEOUT_MS, LISTENERS } from './config.ts';
import type { Shape } from '../support/grpc-shapes.ts';
import type { NatsWire } from './nats-wire.ts';
import type { DialSay, HttpSay, IpcSay, LinkSay, MethodSay, NatsSay, UnarySay } from './servers.ts';

/** How a hostile backend answers one case. */
export type Plans = {
  link: (say: LinkSay & UnarySay) => void;
  handle: (say: LinkSay & UnarySay) => void;
  dial: (say: LinkSay & UnarySay) => void;
  method: (say: MethodSay) => void;
  nats: (say: NatsSay) => void;
  http: (say: HttpSay) => void;
  ipc: (say: IpcSay) => void;
  dialws: (say: DialSay) => void;
};

/** Long enough for the route's own time, and for a machine that does much else. */
const PATIENCE_MS = ANSWER_TIMEOUT_MS + 30_000;
/** A carrier that was ended is made again within this. */
const BACK_MS = 30_000;

export type Tally = {
  sent: number;
  bytes: number;
  largest: number;
  answered: number;
  /** By the reason in the answer's body. */
  refused: Record<string, number>;
  closed: number;
  faults: string[];
  /** What it expects to be added to the gateway's counters, series by series. */
  counted: Record<string, number>;
};

/** Where the gateway listens, and the one beside it; `gateways`: their ids. */
export type Ports = {
  clients: number[];
  control: number;
  admin: number;
  health: number;
  nats: number;
  /** 0: there is no other gateway. */
  door: number;
  gateways: string[];
};

const CLIENTS: readonly (readonly [Dialect, Transport])[] = [
  ['pomelo', 'ws'],
  ['pomelo', 'tcp'],
  ['pitaya', 'tcp'],
  ['nano', 'ws'],
  ['json', 'ws'],
];

export class Arena {
  readonly chance: Chance;
  readonly ports: Ports;
  readonly nats: NatsWire;
  /** Largest message that this run makes, bytes. */
  readonly largest: number;
  /** There is time for what is dear, until `until`. */
  readonly isLong: boolean;
  readonly until: number;
  readonly plans: Map<number, unknown>;
  readonly tally: Tally = {
    sent: 0,
    bytes: 0,
    largest: 0,
    answered: 0,
    refused: {},
    closed: 0,
    faults: [],
    counted: {},
  };
  /** Sends a message on every Link that is open to the hostile backend. */
  readonly links: ((message: Buffer | Shape) => void)[];
  static nextCase = 1;
  readonly #clients = new Map<string, Client>();

  constructor(parts: {
    chance: Chance;
    ports: Ports;
    nats: NatsWire;
    largest: number;
    isLong: boolean;
    until: number;
    plans: Map<number, unknown>;
    links: ((message: Buffer | Shape) => void)[];
  }) {
    this.chance = parts.chance;
    this.ports = parts.ports;
    this.nats = parts.nats;
    this.largest = parts.largest;
    this.isLong = parts.isLong;
    this.until = parts.until;
    this.plans = parts.plans;
    this.links = parts.links;
  }

  /** Whether there is time for a dear case now. */
  get hasTime(): boolean {
    return this.isLong && performance.now() < this.until;
  }

  port(dialect: Dialect): number {
    return this.ports.clients[LISTENERS.indexOf(dialect)]!;
  }

  /** A client of this kind that has shaken hands, kept until it is closed. */
  async client(dialect: Dialect, transport: Transport): Promise<Client> {
    const key = `${dialect}/${transport}`;
    const known = this.#clients.get(key);
    if (known?.isOpen) return known;
    const client = await Client.join(this.port(dialect), transport, dialect);
    this.#clients.set(key, client);
    return client;
  }

  anyClient(): Promise<Client> {
    return this.client(...this.chance.pick(CLIENTS));
  }

  /** Counts what is about to go out. */
  sends(bytes: number): void {
    this.tally.sent++;
    this.tally.bytes += bytes;
    this.tally.largest = Math.max(this.tally.largest, bytes);
  }

  /**
   * A client asks the hostile backend of this kind, which answers by `plan`; `whole`: with something that can be
   * read as an answer, so that a timeout is a fault.
   */
  async ask<K extends keyof Plans>(
    kind: K,
    plan: Plans[K],
    bytes: number,
    { from, whole = false }: { from?: readonly [Dialect, Transport]; whole?: boolean } = {},
  ): Promise<Outcome> {
    const number = this.plan(plan);
    const client = await (from === undefined ? this.anyClient() : this.client(...from));
    this.sends(bytes);
    const route = `x${kind}.echo.${whole ? 'whole' : 'case'}`;
    const outcome = await client.ask(route, `{"case":${number}}`, PATIENCE_MS);
    this.plans.delete(number);
    this.settle(outcome, `${client.dialect}/${client.transport}`);
    const reason = outcome.kind === 'answer' ? reasonOf(outcome.body) : '';
    if (reason === 'TIMEOUT' && whole)
      this.fault(`x${kind}: an answer (case ${number}, ${bytes} bytes) got lost`);
    if (reason === 'BACKEND_AWAY') await this.back(kind);
    return outcome;
  }

  /** Waits until the hostile backend of this kind is reached again: the next case is to come to the gateway. */
  async back(kind: keyof Plans): Promise<void> {
    const client = await this.client('pomelo', 'tcp');
    for (const until = performance.now() + BACK_MS; performance.now() < until;) {
      const outcome = await client.ask(`x${kind}.echo.back`, '{}', PATIENCE_MS);
      // Any other refusal is the backend's own: it is there.
      if (outcome.kind === 'answer' && reasonOf(outcome.body) !== 'BACKEND_AWAY') return;
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
    this.fault(`x${kind} is still away after ${BACK_MS} ms, though it is there`);
  }

  /** Keeps what is to become of the next request with the number that this returns. */
  plan(plan: unknown): number {
    const number = Arena.nextCase++;
    this.plans.set(number, plan);
    return number;
  }

  refuse(reason: string): void {
    this.tally.refused[reason] = (this.tally.refused[reason] ?? 0) + 1;
  }

  /** Counts an outcome; silence is a fault. */
  settle(outcome: Outcome, of: string): void {
    if (outcome.kind === 'silent') this.fault(`${of}: never answered`);
    else if (outcome.kind === 'closed') this.tally.closed++;
    else {
      const reason = reasonOf(outcome.body);
      if (reason === '') this.tally.answered++;
      else this.refuse(reason);
    }
  }

  fault(what: string): void {
    if (this.tally.faults.length < 20) this.tally.faults.push(what);
  }

  expect(series: string, by = 1): void {
    this.tally.counted[series] = (this.tally.counted[series] ?? 0) + by;
  }

  /** Closes every client; what came for no open request is a fault. */
  async end(): Promise<Tally> {
    for (const client of this.#clients.values()) {
      if (client.strays > 0) this.fault(`${client.strays} answers to no request`);
      await client.close();
    }
    return this.tally;
  }
}
