/** What backends learn: about a session, a handshake, a session's end, and the trace that a message belongs to. */
import type { JsonObject } from './commands.ts';

/** A session as backends know it. */
export type SessionFacts = {
  readonly sid: string;
  /** '' until bound. */
  readonly uid: string;
  readonly gatewayId: string;
  readonly remoteIp: string;
  readonly clientType: string;
  readonly clientVersion: string;
  /** Milliseconds since the epoch. */
  readonly openedAtWall: number;
  /** When the uid was bound, in milliseconds since the epoch; 0: not bound. */
  readonly boundAtWall: number;
  readonly data: JsonObject;
  readonly groups: ReadonlySet<string>;
  /** Grows with every change of uid, data or groups. */
  readonly version: number;
  readonly connection: { readonly transport: string };
  readonly dialect: string;
};

/** The fields of a ConnectRequest. */
export type ConnectFacts = {
  readonly session: SessionFacts;
  /** The client's own block of the handshake. */
  readonly user: JsonObject;
  /** What the client library reports about itself. */
  readonly sys: JsonObject;
  readonly headers: Readonly<Record<string, string>>;
  /** The session's uid, data and groups come from a valid resume token. */
  readonly resumed: boolean;
  /** The client was accepted earlier, and what was granted expires soon. */
  readonly refresh: boolean;
};

/** A closed session, as its backends learn of it. */
export type ClosedSession = {
  readonly session: SessionFacts;
  readonly reason: string;
  /** The gateway's own word for it. */
  readonly closeReason: string;
  readonly code: number;
  readonly lastedMs: number;
};

/** A gateway that is gone without a word, with all its sessions, as another one says it. */
export type LostGateway = {
  /** The same whichever gateway says it. */
  readonly id: string;
  readonly gateway: string;
  /** When it was last heard. */
  readonly sessions: number;
  /** Milliseconds since the epoch. */
  readonly lastHeardWall: number;
  /** Of its last event. */
  readonly lastSeq: number;
  /** Grows whenever it has returned. */
  readonly term: number;
  /** The gateway that says it, and the number of that one's last event. */
  readonly by: string;
  readonly seq: number;
};

/** The trace that a message belongs to, as W3C Trace Context writes it. [w3.org/TR/trace-context] */
export type Trace = {
  readonly traceparent: string;
  /** '' for none. */
  readonly tracestate: string;
};

/** `traceparent` as W3C writes it, of version 00; undefined: it is none. [w3.org/TR/trace-context] */
export function traceparentOf(text: string | undefined): string | undefined {
  return text !== undefined && TRACEPARENT.test(text) ? text : undefined;
}

/** An id that is all zeros is invalid. [W3C Trace Context section 3.2.2] */
const TRACEPARENT = /^00-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}$/;

/** The part of a session's data that a route forwards; null: none. */
export function forwarded(data: JsonObject, forward: readonly string[]): JsonObject | null {
  if (forward.length === 0) return null;
  if (forward.includes('*')) return data;
  const chosen = Object.create(null) as JsonObject;
  for (const key of forward) if (Object.hasOwn(data, key)) chosen[key] = data[key]!;
  return chosen;
}
