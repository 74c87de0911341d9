/** What the relay needs of a backend, whichever way it is reached. */
import type { Accepted, ConnectFacts } from '../contract/shapes.ts';
import type { Failure } from '../errors.ts';
import type { Close, JsonObject, Patch, Push } from '../contract/commands.ts';
import type { Lane } from '../session/lane.ts';
import type { Session } from '../session/session.ts';
import type { Call } from './call.ts';

export type { Accepted } from '../contract/shapes.ts';

/** Everything that a backend may say in answer to one message. */
export type Reply = {
  /** null or empty: the client gets `{}`. */
  body: Uint8Array | null;
  failure: Failure | null;
  patch: Patch | null;
  pushes: readonly Push[];
  close: Close | null;
};

/** A handshake that waits for a backend's word. */
export type ConnectAsk = ConnectFacts & {
  /** The session's lane at this backend: it goes to where the session's messages will go. */
  readonly lane: Lane;
  /** On the monotonic clock, milliseconds. */
  readonly deadline: number;
  /** Aborted when nobody waits for the answer any more: the client has left. */
  readonly signal?: AbortSignal;
};

/** A closed session, as its backends hear of it. */
export type ClosedSession = {
  readonly session: Session;
  readonly reason: string;
  readonly code: number;
  readonly lastedMs: number;
};

export type UpstreamInfo = {
  readonly kind: 'grpc' | 'nats' | 'http' | 'ipc' | 'reply' | 'dial_in';
  readonly addresses: number;
  readonly healthy: number;
};

export interface Upstream {
  /** True when one message of a session must be done before the next starts, to keep their order. */
  readonly oneAtATime: boolean;
  /** Resolves when it is as ready as it can be now; never rejects. The gateway listens after that. */
  start(): Promise<void>;
  /**
   * Sends `call`, and ends it exactly once: `answer`, `succeed`, `fail`, or `sent` for a notify that needs no
   * more. May end it before returning; until it does, `call.pending` says who cancels it. Never throws.
   */
  send(call: Call): void;
  /**
   * Asks the backend whether a client may come in; a failure is a refusal, or the reason why there is no answer.
   * Never rejects.
   */
  connect(ask: ConnectAsk): Promise<Accepted | Failure>;
  /** The session has ended; `lane` is the one that it used here. */
  onSessionClosed(closed: ClosedSession, lane: Lane): void;
  /** For the log: by what the call goes to its backend, as a subject, a method or a path. */
  whereTo?(call: Call): Readonly<Record<string, string>>;
  info(): UpstreamInfo;
  /** Ends in an orderly way, within `ms`. */
  close(ms: number): Promise<void>;
}

/** The keys of a session's data that a route forwards; null: it forwards none. */
export function forwarded(data: JsonObject, forward: readonly string[]): JsonObject | null {
  if (forward.length === 0) return null;
  if (forward.includes('*')) return data;
  const chosen = Object.create(null) as JsonObject;
  for (const key of forward) if (Object.hasOwn(data, key)) chosen[key] = data[key]!;
  return chosen;
}
