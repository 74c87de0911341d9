/** What backends are told: about a session, a handshake, a session's end, and where a message belongs in a trace. */
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
  readonly data: JsonObject;
  readonly groups: ReadonlySet<string>;
  /** Grows with every change of uid, data or groups. */
  readonly version: number;
  readonly connection: { readonly transport: string };
  readonly dialect: string;
};

/** What a ConnectRequest says. */
export type ConnectFacts = {
  readonly session: SessionFacts;
  /** The client's own block of the handshake. */
  readonly user: JsonObject;
  /** What the client library says about itself. */
  readonly sys: JsonObject;
  readonly headers: Readonly<Record<string, string>>;
  /** The session's uid, data and groups come from a valid resume token. */
  readonly resumed: boolean;
  /** Accepted earlier, expires soon. */
  readonly refresh: boolean;
};

/** A closed session, as its backends hear of it. */
export type ClosedSession = {
  readonly session: SessionFacts;
  readonly reason: string;
  readonly code: number;
  readonly lastedMs: number;
};

/** Where a message belongs in a trace, as W3C Trace Context writes it. [w3.org/TR/trace-context] */
export type Trace = {
  readonly traceparent: string;
  /** '' for none. */
  readonly tracestate: string;
};

/** The keys of a session's data that a route forwards; null: it forwards none. */
export function forwarded(data: JsonObject, forward: readonly string[]): JsonObject | null {
  if (forward.length === 0) return null;
  if (forward.includes('*')) return data;
  const chosen = Object.create(null) as JsonObject;
  for (const key of forward) if (Object.hasOwn(data, key)) chosen[key] = data[key]!;
  return chosen;
}
