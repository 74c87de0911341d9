/** What is known of one client, and what others keep with it. */
import type { KeyObject } from 'node:crypto';

import type { Dialect, Wire } from '../dialect/wire.ts';
import type { Connection } from '../transport/transport.ts';
import type { JsonObject } from '../contract/commands.ts';
import type { Deltas } from './deltas.ts';
import type { GroupEnds } from './group-ends.ts';
import type { KeptPlace } from './kept-place.ts';
import { Lane } from './lane.ts';
import type { PacketWatch } from './packet-watch.ts';
import type { SessionParts } from './session-parts.ts';
import type { Traffic } from './traffic.ts';

/** A session whose client has asked for tokens to come back with. */
export interface Resuming {
  /** The session that it goes on from; '': it is the first. */
  readonly resumedFrom: string;
  /** The sid of the first session of those that it goes on from, or its own. */
  readonly lineage: string;
  /** What a token says of the session has changed: the client gets a new one soon. */
  changed(): void;
  /** Its uid was taken from it. */
  unbound(): void;
  /** Its backend wants to be asked again by then. @param at On the monotonic clock; Infinity: never. */
  grantedUntil(at: number): void;
  /** The client gets a new token at once: the session is about to be closed, and it may come back. */
  renew(): void;
}

/** Of all that are in none. */
export const NO_GROUPS: ReadonlySet<string> = new Set();

export class SessionRecord {
  readonly n: number;
  /** `<gateway id>.<n>`: never used again. */
  readonly sid: string;
  readonly gatewayId: string;
  readonly remoteIp: string;
  /** Milliseconds since the epoch. */
  readonly openedAtWall: number;
  /** Milliseconds of the monotonic clock; set once more in a process that goes on with it. */
  openedAt: number;
  readonly connection: Connection;
  readonly watching: PacketWatch;
  protected readonly traffic: Traffic;
  /** What the client was written for. */
  readonly listenerDialect: Dialect;
  /** How this client is spoken to; known better after its handshake. */
  wire: Wire;
  publicKey: KeyObject | null = null;
  clientType = '';
  clientVersion = '';
  /** '' until bound. */
  uid = '';
  /** When the uid was bound, in milliseconds since the epoch; 0: not bound. */
  boundAtWall = 0;
  /** No prototype: keys are the application's. */
  readonly data: JsonObject = Object.create(null) as JsonObject;
  /** Written by the registry alone. */
  groups: ReadonlySet<string> = NO_GROUPS;
  /** null: no membership ends by itself. */
  groupEnds: GroupEnds | null = null;
  /** null: it does not follow the pushes that are kept for its user. */
  kept: KeptPlace | null = null;
  /** null: it has no group whose pushes have to follow an answer, and is told of no gaps. */
  deltas: Deltas | null = null;
  /** Grows with every change of uid, data or groups. */
  version = 0;
  /** null: its client has not asked for tokens. */
  resuming: Resuming | null = null;
  /** The last time that it took for the client to answer what it answers at once, in milliseconds; -1: none is known. */
  roundTripMs = -1;
  /** Those who listen on the bus know of it. */
  isAnnounced = false;
  /** The gateway's own count of its messages, those that it refused included: the last one's number. */
  seq = 0;
  /** A bit for each watch that shows its packets; 0: none does. Owned by `PacketWatch`. */
  watchers = 0;
  /** Its messages that could not be decoded. */
  malformed = 0;
  /** Of all its messages; owned by the admission, like the next. */
  tokens = Number.NaN;
  tokensAt = 0;
  /** By `match` of the routes that have a rate; null: it has asked for none of them. */
  rates: Map<string, { tokens: number; tokensAt: number }> | null = null;
  /** One per backend, by the backend's ordinal. */
  readonly lanes: Lane[] = [];

  constructor(parts: SessionParts, connection: Connection, n: number, openedAtWall: number) {
    this.n = n;
    this.gatewayId = parts.gatewayId;
    this.sid = `${parts.gatewayId}.${n}`;
    this.connection = connection;
    this.traffic = parts.report.traffic;
    this.remoteIp = connection.remoteAddress;
    this.openedAtWall = openedAtWall;
    this.openedAt = parts.wheel.now();
    this.listenerDialect = parts.dialect;
    this.wire = parts.dialect.wire;
    this.watching = parts.report.watching;
  }

  /** Its uid, data or groups are different now. */
  changed(): void {
    this.version++;
    this.resuming?.changed();
  }

  /** Sessions of its user that have ended lately. */
  get reconnects(): number {
    return this.traffic.reconnects.of(this.uid);
  }

  /** So long took what the client answers at once, in milliseconds. */
  tookRoundTrip(ms: number): void {
    this.roundTripMs = ms;
    this.traffic.roundTrip(this.connection.transport, ms);
  }

  get dialect(): Dialect['name'] {
    return this.listenerDialect.name;
  }

  lane(backendOrdinal: number): Lane {
    return (this.lanes[backendOrdinal] ??= new Lane());
  }
}
