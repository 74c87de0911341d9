/** What the gateway needs of a bus: messages for its own sessions, and a way to the other gateways. */
import type { SessionJson } from '../contract/json-shapes.ts';
import type { Failure } from '../errors.ts';
import type { FailureRecord } from '../failures/failure-record.ts';
import type { Close, Patch, Push, Target } from '../contract/commands.ts';
import type { BusEvents, GatewayState } from './events.ts';
import type { PendingRequest } from './request-many.ts';
import type { ServiceFacts } from './micro-service.ts';
import type { Changes } from './change-outcome.ts';
import type { EndedLineage, EndedPage } from '../resume/ended-lineages.ts';
import type { LineagePlace } from '../resume/lineages.ts';
import type { WatchAnswer } from './watch-words.ts';
import type { Subscriptions } from '../session/registry.ts';

/** What became of a push on one gateway, or on all. */
export type PushOutcome = {
  delivered: number;
  dropped: number;
  refused: number;
  /** How many gateways answered. */
  gateways: number;
  /** Users for whom it was kept. */
  kept: number;
  /** Of the users and sessions asked for: those found nowhere. At most 1,000 of each are named. */
  unknownUids: string[];
  unknownSids: string[];
  /** Gateways that are known and did not answer in time. */
  silentGateways: string[];
};

/** A page of a list: at most `limit` sessions or groups, those that follow `after`, a sid or a name ('': the first). */
export type Page = {
  readonly limit: number;
  readonly after: string;
  /** Only sessions that have this in their sid or uid, or at the beginning of their address; absent: all. */
  readonly search?: string;
  /** With what they are doing. */
  readonly stats?: boolean;
};

/** What a gateway tells of itself: what it is, its backends, what its rules and its last hour have counted, its log. */
export const STATUS_KINDS = ['gateway', 'backends', 'routes', 'history', 'log'] as const;
export type StatusKind = (typeof STATUS_KINDS)[number];

/** What one gateway answers to a call to all gateways. */
export type PeerReply = {
  gateway: string;
  delivered?: number;
  dropped?: number;
  refused?: number;
  closed?: number;
  /** Of the users and sessions asked for: those that are there. */
  uids?: string[];
  sids?: string[];
  /** To a greeting: gateways of which it has heard something a moment ago. */
  knows?: string[];
  sessions?: SessionJson[];
  /** There is more than `sessions` or `groups` holds. */
  more?: boolean;
  /** The name of the call that it has carried out; absent for calls that every release knows. */
  did?: string;
  /** Sessions that have joined or left. `refused` is how many could not. */
  changed?: number;
  /** Of the uids asked for, by their place in the question: those that are there. */
  presence?: readonly PresenceHere[];
  groups?: readonly GroupCount[];
  /** What it tells of itself, as JSON. */
  status?: readonly unknown[];
  failures?: readonly FailureRecord[];
  /** A part of what has ended, and where the next part begins. */
  ended?: EndedPage['ended'];
  next?: EndedPage['next'];
  /** To what its copy of the orders comes, and entries of it; `order-words.ts` reads them. */
  sums?: string;
  orders?: readonly unknown[];
  /** Why it did nothing, and gives nothing. */
  failure?: Failure;
};

/** The sessions of one uid on one gateway: all are counted, and the first are named. */
export type PresenceHere = {
  /** Which of the uids asked for. */
  readonly index: number;
  readonly sessions: number;
  /** The number in the sid, and when the uid was bound, in milliseconds since the epoch. */
  readonly entries: readonly (readonly [n: number, boundAtWall: number])[];
};

export type GroupCount = readonly [name: string, sessions: number];

/** Sessions that join groups or leave them. */
export type GroupChange = {
  readonly verb: 'join' | 'leave';
  readonly target: Target;
  readonly groups: readonly string[];
  /** For `join`: how long it lasts, in milliseconds; 0: to the end; absent: `sessions.group_ttl` of each gateway. */
  readonly ttlMs?: number | undefined;
};

export type PeerReplies = {
  readonly answers: readonly PeerReply[];
  /** Those that did not answer in time, or run a release that does not know the call. */
  readonly silentGateways: readonly string[];
};

/** The replies when they are complete, or the time is up. A Failure: the call was not sent to any gateway. */
export type PeerCall = Promise<PeerReplies> | Failure;

/** All other gateways. `waitMs` is how long to wait for the slow ones; 0: not at all. */
export interface Peers {
  /** Pushes without counting. A Failure: the push was not sent to any gateway. */
  push(target: Target, push: Push): Failure | null;
  pushCounted(target: Target, push: Push, waitMs: number): PeerCall;
  kick(target: Target, close: Close, waitMs: number): PeerCall;
  list(target: Target, page: Page, waitMs: number): PeerCall;
  changeGroups(change: GroupChange, waitMs: number): PeerCall;
  presence(uids: readonly string[], waitMs: number): PeerCall;
  groups(prefix: string, page: Page, waitMs: number): PeerCall;
  /** What they know of failures. @param about A ref, a sid or a uid. */
  why(about: string, waitMs: number): PeerCall;
  /** Whether a session may go on from an older one, which the others close then; `refused` of a reply is 1: no. */
  mayResume(place: LineagePlace, waitMs: number): PeerCall;
  /** What has ended, as this gateway knows it ('': each), after a place in its list (0: from the beginning). */
  ended(gateway: string, after: number, waitMs: number): PeerCall;
  /** What they tell of themselves. @param fields As the kind has them. */
  status(kind: StatusKind, fields: object, waitMs: number): PeerCall;
  /** Tells them of orders, or asks for theirs. */
  orders(fields: object, waitMs: number): PeerCall;
}

/** Where this gateway says which lineages have ended. */
export interface LineageNews {
  /** What the others know of it is known here, too. */
  readonly isReady: boolean;
  /** Resolves when that holds. */
  readonly ready: Promise<void>;
  tellEnded(ended: EndedLineage): void;
}

/** Sessions that another gateway holds, by sid. A Failure at once: the request was not sent. */
export interface RequestsBySid {
  patch(sid: string, patch: Patch, waitMs: number): Promise<Changes | Failure> | Failure;
  /** @param stats With what it is doing. */
  get(sid: string, waitMs: number, stats?: boolean): Promise<SessionJson | Failure> | Failure;
}

/** `control`: methods for the whole fleet, which any one gateway answers · `gateway`: those that act on this one. */
export type ControlScope = 'control' | 'gateway';

/** A gateway's answer to a question about a uid. */
export type HeldBy = {
  readonly gateway: string;
  readonly fields: Readonly<Record<string, unknown>>;
};

/** What gateways that limit the sessions of a uid say to the others that hold it, or are about to. */
export interface ClaimChannel {
  /** False: this gateway decides alone. */
  readonly up: boolean;
  publish(uid: string, json: object): void;
  /** Asks those that hold the uid. `take` as of RequestMany. A Failure: nobody was asked. */
  ask(
    uid: string,
    json: object,
    waitMs: number,
    take: (answer: HeldBy) => boolean,
  ): PendingRequest | Failure;
}

/** Pushes that are kept for users who are away for a moment. */
export interface KeepChannel {
  /** For how many of the users in its target the push was kept; a Failure: for none. Faults are reported, too. */
  keep(push: Push): Promise<number | Failure>;
}

/** Questions to the other gateways about what they see of sessions. */
export interface WatchChannel {
  /**
   * Hears what they answer until it is ended, or `waitMs` are over. null: there is no way to the others now.
   *
   * @param fields Of `watch-words.ts`.
   */
  ask(fields: object, waitMs: number, take: (answer: WatchAnswer) => void): PendingRequest | null;
  /** Tells them that nobody wants to know any more. */
  leave(fields: object): void;
  /** Known gateways, and those that were lost a moment ago. */
  names(): readonly string[];
}

/** Control, as it is called over the bus. */
export interface ControlApi {
  /**
   * The answer as JSON, or why there is none. Never rejects.
   *
   * @param payload The request as JSON; empty: no fields.
   * @param replyTo Where the answer goes, for the audit log; '': nowhere.
   */
  call(
    scope: ControlScope,
    method: string,
    payload: Buffer,
    replyTo: string,
  ): Promise<object | Failure>;
  /** What this gateway tells of itself, as JSON. */
  status(kind: StatusKind, fields: Readonly<Record<string, unknown>>): readonly object[];
}

export interface Bus {
  /** `embedded`, or the server that it is connected to. */
  readonly name: string;
  /** False: only this gateway's sessions can be reached now. */
  readonly up: boolean;
  /** Why the gateway should get no clients yet, once it has had a connection and what it needs of the others; '': it should. */
  readonly notReady: string;
  /** Resolves when it is ready, which it stays. */
  readonly ready: Promise<void>;
  readonly subscriptions: Subscriptions;
  /** Told to whoever listens. */
  readonly events: BusEvents;
  readonly peers: Peers;
  readonly bySid: RequestsBySid;
  readonly claims: ClaimChannel;
  readonly lineages: LineageNews;
  readonly keeping: KeepChannel;
  readonly watching: WatchChannel;
  /** Called once, before the start. @param facts What NATS tools are told of the gateway. */
  serve(api: ControlApi, facts: () => ServiceFacts): void;
  start(): void;
  /** What has become of this gateway, for whoever listens. */
  tell(state: GatewayState): void;
  /** Says goodbye to the other gateways, and sends what is still to be sent. */
  close(): Promise<void>;
}
