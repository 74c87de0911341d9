/**
 * Gateways watch each other: each says every second that it is alive, and when one is not heard any more, the oldest of
 * the others announces that it is lost, with all its sessions. One that was only cut off says so when it is back, and
 * announces its sessions again. `proto/pith/v1/event.proto` has the shapes.
 */
import { inBackground } from '../background.ts';
import { asBuffer } from '../bytes.ts';
import { lostJson } from '../contract/event-json.ts';
import type { LostGateway } from '../contract/facts.ts';
import { errorText } from '../errors.ts';
import { ShapeError } from '../contract/json.ts';
import { readObject } from '../contract/json-shapes.ts';
import type { Registry } from '../session/registry.ts';
import { Timeout } from '../timer-wheel.ts';
import { HeaderBlock } from '../upstream/nats/header-block.ts';
import type { OnMessage } from '../upstream/nats/nats-connection.ts';
import { send } from '../upstream/nats/outgoing.ts';
import type { BusParts } from './bus-parts.ts';
import type { NatsEvents } from './events.ts';
import type { GatewayPeers } from './gateway-peers.ts';
import {
  type AliveFields,
  lostId,
  type MemberFields,
  readAlive,
  readLost,
  TERM_AHEAD_MAX,
} from './gateway-events.ts';
import { Restatement } from './restatement.ts';
import { type WatchedGateway, WatchedGateways } from './watched-gateways.ts';

/** Between two looks at the others. */
const LOOK_MS = 500;
/** Between two signs of life, and between one and another for a gateway that has not heard any yet. */
const ALIVE_MS = 1_000;
const ALIVE_TO_NEW_MS = 100;
/** A gateway of which NATS has taken no sign of life for this long may have been taken for lost. */
const RETURN_MS = 7_000;
/** While NATS has not confirmed a sign of life for this long, a gateway says nothing about others. */
const DEAF_MS = 2_500;
/** Between two times that this gateway announces all its sessions, whoever says that it was lost. */
const RETURN_EVERY_MS = 5_000;

/** Told of gateways that are lost. */
export interface LostListener {
  /** @param isSpeaker This gateway has announced it. */
  gatewayLost(lost: LostGateway, isSpeaker: boolean): void;
}

/** Where newcomers go: what is told of it with signs of life, and heard of others. */
export interface MemberListener {
  facts(): object;
  heard(alive: MemberFields): void;
  left(gateway: string): void;
}

const NO_MEMBERS: MemberListener = { facts: () => ({}), heard() {}, left() {} };

const NOBODY: LostListener = { gatewayLost() {} };

const DEAF =
  'it is not noticed when another gateway is lost: allow gateways the subscriptions of deploy/nats/permissions.conf';

export class GatewayWatch {
  readonly #parts: BusParts;
  readonly #events: NatsEvents;
  readonly #others: WatchedGateways;
  #startedAtWall: number;
  readonly #lookAgain: Timeout;
  readonly #peers: Pick<GatewayPeers, 'greet' | 'lost'>;
  readonly #onBack: () => void;
  #listener: LostListener = NOBODY;
  #members: MemberListener = NO_MEMBERS;
  #restatement: Restatement | null = null;
  /** Grows whenever this gateway has returned. */
  #term = 1;
  #lookedAt: number;
  /** Times of the clock: when it last gave a sign of life, and when NATS last confirmed one. */
  #aliveAt = -Infinity;
  #confirmedAt = Number.NaN;
  #returnedAt = -Infinity;
  /** Others may take this gateway for lost, or do not know what has become of its sessions. */
  #mustReturn = false;
  #isRunning = false;
  /** Since the last look. */
  #isSomeoneBack = false;
  /** It may not listen to the others, and that was reported. */
  #isDeaf = false;

  /** @param onBack A gateway is heard again that was silent: it was stopped, or a network was cut. */
  constructor(
    parts: BusParts,
    events: NatsEvents,
    peers: Pick<GatewayPeers, 'greet' | 'lost'>,
    onBack: () => void,
  ) {
    this.#peers = peers;
    this.#onBack = onBack;
    const { gatewayId, clock, connector, subjects } = parts;
    this.#parts = parts;
    this.#events = events;
    this.#startedAtWall = clock.wallNow();
    this.#others = new WatchedGateways(gatewayId, this.#startedAtWall);
    this.#lookedAt = clock.now();
    this.#lookAgain = new Timeout(() => {
      this.#look();
    });
    connector.always(subjects.gatewayEvents, this.#onEvent);
  }

  /** Completes the construction: the registry is made after the bus. */
  attach(registry: Registry): void {
    this.#restatement = new Restatement(this.#parts, this.#events, registry);
  }

  /** It tells those that are not on the bus. */
  listen(listener: LostListener): void {
    this.#listener = listener;
  }

  /** With it each sign of life tells of this gateway's place in the fleet. */
  tellOf(members: MemberListener): void {
    this.#members = members;
  }

  /** What others know this gateway by; another process was it until now, where it is set. */
  get self(): { readonly term: number; readonly startedAtWall: number } {
    return { term: this.#term, startedAtWall: this.#startedAtWall };
  }

  set self({ term, startedAtWall }) {
    this.#term = term;
    this.#startedAtWall = startedAtWall;
  }

  /** There is a connection. The others must be silent on this one before they count as lost. */
  start(): void {
    this.#isRunning = true;
    this.#lookedAt = this.#parts.clock.now();
    this.#others.heardNothing();
    this.#look();
  }

  stop(): void {
    this.#isRunning = false;
    this.#parts.wheel.cancel(this.#lookAgain);
    this.#restatement?.stop();
  }

  /** The process of another gateway has ended, as whoever has started it says: it is lost. */
  gone(gateway: string, sessions: number): void {
    const lost = this.#others.gone(gateway, sessions, this.#parts.clock.wallNow());
    if (lost !== null && this.#parts.connector.up) this.#announce(lost);
  }

  /** Others that are alive as far as is known. */
  get size(): number {
    return this.#others.size;
  }

  #look(): void {
    const { clock, connector, wheel } = this.#parts;
    wheel.set(this.#lookAgain, LOOK_MS);
    const now = clock.now();
    const passed = now - this.#lookedAt;
    this.#lookedAt = now;
    if (!connector.up) return;
    this.#live(now);
    if (this.#isSomeoneBack) {
      this.#peers.greet();
      this.#onBack();
    }
    this.#isSomeoneBack = false;
    // Without that, the others could not be heard either.
    if (this.#isDeaf || !(now - this.#confirmedAt < DEAF_MS)) return;
    for (const lost of this.#others.look(passed)) this.#announce(lost);
  }

  // ---- this gateway -------------------------------------------------------------------------------------

  #live(now: number): void {
    const { hasGap } = this.#events;
    if (hasGap || this.#restatement?.isBroken === true) this.#mustReturn = true;
    if (this.#mustReturn && now - this.#returnedAt >= RETURN_EVERY_MS) this.#return(now);
    else if (now - this.#aliveAt >= ALIVE_MS) this.#sayAlive(now);
  }

  #return(now: number): void {
    this.#mustReturn = false;
    this.#returnedAt = now;
    this.#events.hasGap = false;
    this.#term++;
    const { sessions } = this.#events;
    this.#parts.report.returned(sessions);
    this.#events.ofGateway('returned', { sessions, term: this.#term });
    this.#sayAlive(now);
    this.#restatement?.begin();
  }

  #sayAlive(now: number): void {
    this.#aliveAt = now;
    const { seq, sessions } = this.#events;
    const alive = {
      gateway: this.#parts.gatewayId,
      seq: String(seq),
      sessions,
      term: this.#term,
      started_at: new Date(this.#startedAtWall).toISOString(),
      ...this.#members.facts(),
    };
    this.#say('alive', '', alive, () => {
      const at = this.#parts.clock.now();
      // Others have heard nothing for about as long: this process was stalled, or cut off.
      if (at - this.#confirmedAt >= RETURN_MS) this.#mustReturn = true;
      this.#confirmedAt = at;
    });
  }

  /** Lets a gateway that is new know of this one at once: if this one dies within a second, it is the one to say so. */
  #greet(now: number): void {
    // After its stop it must not look alive.
    if (!this.#isRunning) return;
    if (now - this.#aliveAt >= ALIVE_TO_NEW_MS) this.#sayAlive(now);
    else {
      this.#aliveAt = -Infinity;
      this.#parts.wheel.set(this.#lookAgain, ALIVE_TO_NEW_MS);
    }
  }

  // ---- the others ---------------------------------------------------------------------------------------

  #announce({ gateway, sessions, term, seq, heardAtWall }: WatchedGateway): void {
    const lost: LostGateway = {
      ...{ id: lostId(gateway, term), gateway, sessions, lastHeardWall: heardAtWall },
      ...{ lastSeq: seq, term, by: this.#parts.gatewayId, seq: this.#events.seq },
    };
    this.#say('lost', lost.id, lostJson(lost), () => {
      this.#heardLost(lost);
    });
  }

  /**
   * Says what is not counted. @param id The same from whichever gateway, '': none. By it JetStream keeps one.
   * @param taken Called when NATS has confirmed it.
   */
  #say(name: string, id: string, json: object, taken: () => void): void {
    const { connector, report, subjects } = this.#parts;
    report.event(`gateway.${name}`);
    const subject = subjects.event(`gateway.${name}`);
    const payload = Buffer.from(JSON.stringify(json));
    const headers = id !== '' && { headers: new HeaderBlock(`Nats-Msg-Id: ${id}\r\n`) };
    if (send(connector, { subject, payload, ...headers }) !== null) return;
    // Where the connection breaks before, it was not said.
    inBackground(connector.flush().then(taken), () => {});
  }

  readonly #onEvent: OnMessage = (error, { subject, data }) => {
    const { report } = this.#parts;
    if (error !== null) {
      if (!this.#isDeaf) report.refused('GATEWAY_EVENTS', '', `${DEAF}: ${error.message}`);
      this.#isDeaf = true;
      return;
    }
    try {
      this.#hear(subject.slice(subject.lastIndexOf('.') + 1), data);
    } catch (problem) {
      if (!(problem instanceof ShapeError)) throw problem;
      report.refused('BAD_EVENT', subject, errorText(problem));
    }
  };

  #hear(name: string, data: Uint8Array): void {
    if (name !== 'alive' && name !== 'stopped' && name !== 'lost') return;
    const fields = readObject(asBuffer(data));
    if (name === 'lost') {
      const lost = readLost(fields);
      // Its own is known when NATS has confirmed it.
      if (lost.by !== this.#parts.gatewayId) this.#heardLost(lost);
    } else if (name === 'stopped') {
      const { gateway } = fields;
      this.#others.left(gateway);
      if (typeof gateway === 'string') this.#members.left(gateway);
    } else this.#heardAlive(readAlive(fields));
  }

  #heardAlive(alive: AliveFields & MemberFields): void {
    const { clock, report } = this.#parts;
    const heard = this.#others.heard(alive, clock.wallNow());
    if (heard !== 'refused') this.#members.heard(alive);
    this.#isSomeoneBack ||= heard === 'back' || heard === 'returned';
    if (heard === 'returned') report.gatewayReturned(alive.gateway);
    else if (heard === 'new') this.#greet(clock.now());
    else if (heard === 'refused')
      report.refused('GATEWAYS', alive.gateway, 'too many gateways: this one is not watched');
  }

  #heardLost(lost: LostGateway): void {
    const { gatewayId, report } = this.#parts;
    if (lost.gateway === gatewayId) {
      // Else it is of a time before this gateway has returned.
      if (lost.term < this.#term || lost.term > this.#term + TERM_AHEAD_MAX) return;
      this.#mustReturn = true;
      // A forged one names a term that was never said. Only a later one is believed after it.
      this.#term = lost.term;
      return;
    }
    const isSpeaker = lost.by === gatewayId;
    const isUnknown = !this.#others.has(lost.gateway);
    const isNew = this.#others.lost(lost);
    // One that has begun since has never heard it, but others may have told it of that gateway.
    if (isNew || isUnknown) this.#peers.lost(lost.gateway);
    if (isNew) report.gatewayLost(lost);
    if (isNew || isSpeaker) this.#listener.gatewayLost(lost, isSpeaker);
  }
}
