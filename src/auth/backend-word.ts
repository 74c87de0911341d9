/** What the backend of `auth.backend` says of a session: it is asked at the handshake, and again before its answer expires. */
import { inBackground } from '../background.ts';
import type { SessionCommands } from '../bus/session-commands.ts';
import type { Accepted, JsonObject } from '../contract/commands.ts';
import type { SessionFacts } from '../contract/facts.ts';
import { type Failure, isFailure } from '../errors.ts';
import { isObject } from '../protocol/exact-json.ts';
import type { HandshakeRequest } from '../protocol/handshake.ts';
import type { FrozenWord } from '../session/frozen.ts';
import type { Session } from '../session/session.ts';
import type { Log } from '../telemetry/log.ts';
import { Timeout, type TimerWheel } from '../timer-wheel.ts';
import type { Upstream } from '../upstream/upstream.ts';
import { applied, isClosed } from './applied.ts';

/** Share of the time for which an answer holds after which the backend is asked again. */
const REFRESH_AT = 0.8;
/** Likewise, between one attempt and the next while the backend is unreachable. */
const RETRY_AFTER = 0.05;
const RETRY_AFTER_MS_MIN = 1_000;
/** How long the backend may take to extend a session's time. */
const REFRESH_TIMEOUT_MS = 5_000;

/** Reasons that say nothing about the client: it may try again. */
export const AWAY: ReadonlySet<string> = new Set([
  'BACKEND_AWAY',
  'BUS_AWAY',
  'NO_KEYS',
  'OVERLOADED',
  'TIMEOUT',
  'DRAINING',
]);

/** Where no backend is asked. */
const LET_IN: Accepted = { patch: null, user: null, expiresInMs: 0 };

export type BackendWordOptions = {
  /** The backend that is asked; null: none is, and everyone comes in. */
  readonly asked: { readonly upstream: Upstream; readonly ordinal: number } | null;
  readonly sessionCommands: SessionCommands;
  readonly log: Log;
  readonly wheel: TimerWheel;
};

/** A session about which the backend is asked, or will be again. */
export type PendingAuth = {
  readonly request: HandshakeRequest;
  readonly controller: AbortController;
  /** Asks again. */
  readonly refresh: Timeout;
  /** When the backend's answer expires, on the monotonic clock. */
  expiresAt: number;
  /** Milliseconds between attempts while the backend is unreachable. */
  retryAfterMs: number;
};

export type Question = {
  readonly refresh: boolean;
  readonly resumed: boolean;
  /** On the monotonic clock. */
  readonly deadline: number;
  /** The session as it is, or as it will be. */
  readonly facts: SessionFacts;
};

export class BackendWord {
  readonly #options: BackendWordOptions;
  readonly #pending = new Map<Session, PendingAuth>();

  constructor(options: BackendWordOptions) {
    this.#options = options;
  }

  /** Sessions that the backend is asked about, or will be asked about again; with their handshakes. */
  get pending(): number {
    return this.#pending.size;
  }

  /** From now on the session is waited for. */
  begin(session: Session, request: HandshakeRequest): PendingAuth {
    const pending: PendingAuth = {
      request,
      controller: new AbortController(),
      refresh: new Timeout(() => {
        inBackground(this.#refresh(session, pending), (error) => {
          logFault(this.#options.log, session, error);
          session.close('auth_expired');
        });
      }),
      expiresAt: Infinity,
      retryAfterMs: 0,
    };
    this.#pending.set(session, pending);
    return pending;
  }

  /** A question about it has not been answered. */
  isAsking(session: Session): boolean {
    const pending = this.#pending.get(session);
    return pending !== undefined && pending.refresh.wheelTick < 0;
  }

  /** For another process, while it is not asking; null: its backend will not be asked again. */
  freeze(session: Session): FrozenWord | null {
    const pending = this.#pending.get(session);
    if (pending === undefined) return null;
    const { wheel } = this.#options;
    const { request, expiresAt, retryAfterMs, refresh } = pending;
    const expiresMs = expiresAt - wheel.now();
    return { request, expiresMs, retryAfterMs, refreshMs: wheel.leftMs(refresh) };
  }

  thaw(session: Session, { request, expiresMs, retryAfterMs, refreshMs }: FrozenWord): void {
    const { wheel } = this.#options;
    const pending = this.begin(session, request);
    pending.expiresAt = wheel.now() + expiresMs;
    pending.retryAfterMs = retryAfterMs;
    wheel.set(pending.refresh, refreshMs);
  }

  /** The session has ended: no answer is wanted any more. */
  forget(session: Session): void {
    const pending = this.#pending.get(session);
    if (pending === undefined) return;
    this.#pending.delete(session);
    pending.controller.abort();
    this.#options.wheel.cancel(pending.refresh);
  }

  ask(session: Session, pending: PendingAuth, question: Question): Promise<Accepted | Failure> {
    const { asked } = this.#options;
    if (asked === null) return Promise.resolve(LET_IN);
    const { request, controller } = pending;
    const { facts, ...rest } = question;
    return asked.upstream.connect({
      ...rest,
      session: facts,
      client: session,
      lane: session.lane(asked.ordinal),
      user: objectOf(request.user),
      sys: request.sys as JsonObject,
      headers: {},
      signal: controller.signal,
    });
  }

  /** It was let in. */
  granted(session: Session, pending: PendingAuth, { expiresInMs }: Accepted): void {
    const { wheel } = this.#options;
    if (expiresInMs === 0) {
      this.#pending.delete(session);
      return;
    }
    pending.expiresAt = wheel.now() + expiresInMs;
    session.resuming?.grantedUntil(pending.expiresAt);
    pending.retryAfterMs = Math.max(RETRY_AFTER_MS_MIN, expiresInMs * RETRY_AFTER);
    wheel.set(pending.refresh, expiresInMs * REFRESH_AT);
  }

  async #refresh(session: Session, pending: PendingAuth): Promise<void> {
    const { sessionCommands, wheel, log } = this.#options;
    const leftMs = pending.expiresAt - wheel.now();
    if (leftMs <= 0) {
      session.close('auth_expired');
      return;
    }
    const deadline = wheel.now() + Math.min(leftMs, REFRESH_TIMEOUT_MS);
    const question = { refresh: true, resumed: false, deadline, facts: session };
    const outcome = await this.ask(session, pending, question);
    if (isClosed(session)) return;
    if (isFailure(outcome) && AWAY.has(outcome.reason)) {
      const ms = Math.min(pending.retryAfterMs, pending.expiresAt - wheel.now());
      wheel.set(pending.refresh, Math.max(1, ms));
      return;
    }
    const refused = isFailure(outcome)
      ? outcome
      : outcome.patch && (await applied(sessionCommands, session, outcome.patch));
    if (isClosed(session)) return;
    if (refused === null) {
      this.granted(session, pending, outcome as Accepted);
      return;
    }
    const { reason, message } = refused;
    log.info({ sid: session.sid, reason, why: message }, 're-authentication rejected');
    session.close('auth_expired');
  }
}

/** No one is let in, or stays, by a fault of ours. */
export function logFault(log: Log, { sid, remoteIp }: Session, error: unknown): void {
  log.error({ sid, remoteIp, err: error }, 'handshake failed');
}

/** The application's block as the contract has it: an object. */
function objectOf(user: unknown): JsonObject {
  return isObject(user) ? (user as JsonObject) : {};
}
