/**
 * A session as one process leaves it to another. Plain values, so that it can be written as JSON; times are how many
 * milliseconds ago something was, or in how many it is due, because each process has its own clock.
 */
import type { JsonObject } from '../contract/commands.ts';
import type { Cursor } from '../contract/cursor.ts';
import type { HandshakeRequest } from '../protocol/handshake.ts';
import type { Gap } from './group-view.ts';
import type { State } from './state.ts';

export type FrozenSession = {
  readonly n: number;
  /** The index of its entry in `listen`. */
  readonly listener: number;
  readonly transport: 'ws' | 'tcp';
  readonly remoteIp: string;
  readonly openedAtWall: number;
  readonly state: Exclude<State, 'closed'>;
  /** Its handshake has come. */
  readonly greeted: boolean;
  /** What its client can read: a wire of the listener's dialect. */
  readonly profile: string;
  /** SPKI in base64; '': it does not sign. */
  readonly publicKey: string;
  readonly clientType: string;
  readonly clientVersion: string;
  readonly uid: string;
  readonly boundAtWall: number;
  readonly data: JsonObject;
  /** `leftMs`: until the membership ends; null: with the session. */
  readonly groups: readonly { readonly name: string; readonly leftMs: number | null }[];
  readonly version: number;
  readonly kept: FrozenKept | null;
  readonly deltas: FrozenDeltas | null;
  readonly resuming: FrozenResuming | null;
  readonly roundTripMs: number;
  readonly isAnnounced: boolean;
  readonly seq: number;
  readonly malformed: number;
  /** Of its rate; null: it is full. */
  readonly bucket: FrozenBucket | null;
  /** By `match` of their route. */
  readonly buckets: readonly (FrozenBucket & { readonly match: string })[];
  readonly lanes: readonly FrozenLane[];
  readonly deadlines: FrozenDeadlines;
  readonly auth: FrozenAuth | null;
  /** Messages that were put into its outbox. */
  readonly sent: number;
  readonly readBytes: number;
  readonly sentBytes: number;
  /** Bytes of a packet that is not whole, in base64. */
  readonly held: string;
};

/** What does not change of it. */
export type FrozenClient = Pick<FrozenSession, 'n' | 'listener' | 'transport' | 'remoteIp' | 'openedAtWall'>; // prettier-ignore

export type FrozenBucket = { readonly tokens: number; readonly agoMs: number };

export type FrozenKept = {
  readonly seq: number;
  readonly isOwn: boolean;
  readonly since: number;
  readonly tellsCursor: boolean;
};

export type FrozenDeltas = {
  readonly tellsGaps: boolean;
  readonly views: readonly FrozenView[];
};

export type FrozenView = {
  readonly group: string;
  readonly from: Cursor | null;
  readonly seen: Cursor | null;
  readonly missed: Gap | null;
  /** Until nobody has to know of it any more; null: never. */
  readonly forgetMs: number | null;
};

export type FrozenResuming = {
  readonly lineage: string;
  readonly resumedFrom: string;
  readonly counter: number;
  /** Of the token that it came with; 0: it is the first. */
  readonly cameWith: number;
  readonly isTooLarge: boolean;
  /** Until what its backend has granted ends; null: never. */
  readonly grantedMs: number | null;
  /** Since the last token; null: there was none. */
  readonly madeMs: number | null;
  readonly isStale: boolean;
  /** Until the next token. */
  readonly dueMs: number;
};

/** What a backend knows of it. */
export type FrozenLane = {
  readonly backend: string;
  /** Addresses that have had messages of it, first the one that it keeps to; '' where they are all one. */
  readonly places: readonly string[];
};

export type FrozenAuth = {
  /** Its token; null: it has none. */
  readonly token: { readonly holder: string; readonly leftMs: number } | null;
  /** Its backend will be asked again; null: it will not. */
  readonly backend: FrozenWord | null;
};

export type FrozenWord = {
  readonly request: HandshakeRequest;
  readonly expiresMs: number;
  readonly retryAfterMs: number;
  readonly refreshMs: number;
};

/** For another process, whose clock is another: how long ago it was, in milliseconds; null: not. */
export type FrozenDeadlines = {
  readonly openedMs: number;
  readonly heardMs: number;
  readonly spokeMs: number;
  readonly handshakenMs: number | null;
  readonly pingedMs: number | null;
  readonly incompleteMs: number | null;
  /** In how long. */
  readonly lookMs: number;
  readonly endsMs: number | null;
  readonly tickMs: number | null;
  readonly openingMs: number;
  readonly hadUid: boolean;
};
