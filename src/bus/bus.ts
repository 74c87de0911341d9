/** What the gateway needs of a bus: to hear what backends say to sessions, and to reach the other gateways. */
import type { ErrorJson, SessionJson } from '../contract/json-shapes.ts';
import type { Failure } from '../errors.ts';
import type { Close, Patch, Push, Target } from '../contract/commands.ts';
import type { Changes } from './session-commands.ts';
import type { Subscriptions } from '../session/registry.ts';

/** What became of a push on one gateway, or on all. */
export type PushOutcome = {
  delivered: number;
  dropped: number;
  refused: number;
  /** How many gateways answered. */
  gateways: number;
  /** Of those asked for: who is nowhere. At most 1,000 of each are named. */
  unknownUids: string[];
  unknownSids: string[];
  /** Gateways that are known and did not answer in time. */
  silentGateways: string[];
};

/** A page of a list: at most `limit` sessions, those that come behind the sid `after` ('' for the first page). */
export type Page = { readonly limit: number; readonly after: string };

/** What one gateway answers to a call that concerns the whole fleet. */
export type PeerReply = {
  gateway: string;
  delivered?: number;
  dropped?: number;
  refused?: number;
  closed?: number;
  /** Of those asked for: who is here. */
  uids?: string[];
  sids?: string[];
  sessions?: SessionJson[];
  /** There are more sessions than `sessions` holds. */
  more?: boolean;
  /** Why it did nothing, and gives nothing. */
  error?: ErrorJson['error'];
};

export type PeerReplies = {
  readonly answers: readonly PeerReply[];
  readonly silentGateways: readonly string[];
};

/** Replies to come; a Failure: the call has gone to nobody. */
export type PeerCall = Promise<PeerReplies> | Failure;

export interface Bus extends Subscriptions {
  /** `embedded`, or the server that it is connected to. */
  readonly name: string;
  /** False: only this gateway's sessions can be reached now. */
  readonly up: boolean;
  /** False until the first connection; the gateway is not ready before. */
  readonly everUp: boolean;
  start(): void;

  /** Sends a push to the sessions of other gateways; nobody counts them. A Failure: it has gone to nobody. */
  push(target: Target, push: Push): Failure | null;
  /** The same on all other gateways, with their counts. `waitMs`: how long for those that are slow; 0: not. */
  pushCounted(target: Target, push: Push, waitMs: number): PeerCall;
  kick(target: Target, close: Close, waitMs: number): PeerCall;
  list(target: Target, page: Page, waitMs: number): PeerCall;
  /** Changes one session of another gateway. A Failure at once: the change has gone to nobody. */
  patchSession(sid: string, patch: Patch, waitMs: number): Promise<Changes | Failure> | Failure;
  getSession(sid: string, waitMs: number): Promise<SessionJson | Failure> | Failure;

  /** Leaves in an orderly way. */
  close(): Promise<void>;
}
