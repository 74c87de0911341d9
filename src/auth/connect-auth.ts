/**
 * Who may come in at one listener: what a client says in its handshake is checked, and where `auth.mode` is `connect`
 * the backend is asked, once at the handshake and again before its answer expires.
 */
import { inBackground } from '../background.ts';
import type { SessionCommands } from '../bus/session-commands.ts';
import { type ClientRule, mayConnect } from '../config/client-rules.ts';
import type { Accepted, JsonObject } from '../contract/commands.ts';
import { readPublicKey } from '../dialect/signature.ts';
import { type Failure, isFailure } from '../errors.ts';
import type { HandshakeRequest } from '../protocol/handshake.ts';
import type { Encoded } from '../protocol/packet.ts';
import type { Resume, Returning } from '../resume/resume.ts';
import type { CloseReason } from '../session/close-reason.ts';
import type { Session } from '../session/session.ts';
import type { SnapshotJoins } from '../session/snapshot-joins.ts';
import type { Log } from '../telemetry/log.ts';
import type { LogThrottle } from '../telemetry/log-throttle.ts';
import { Timeout, type TimerWheel } from '../timer-wheel.ts';
import type { Upstream } from '../upstream/upstream.ts';
import { isObject } from '../protocol/exact-json.ts';

/** Share of the time for which an answer holds after which the backend is asked again. */
const REFRESH_AT = 0.8;
/** Likewise, between one attempt and the next while the backend is unreachable. */
const RETRY_AFTER = 0.05;
const RETRY_AFTER_MS_MIN = 1_000;
/** How long the backend may take to extend a session's time. */
const REFRESH_TIMEOUT_MS = 5_000;

/** Reasons that say nothing about the client: it may try again. */
const AWAY: ReadonlySet<string> = new Set([
  'BACKEND_AWAY',
  'BUS_AWAY',
  'OVERLOADED',
  'TIMEOUT',
  'DRAINING',
]);

/** Where no backend is asked. */
const LET_IN: Accepted = { patch: null, user: null, expiresInMs: 0 };

const NO_HANDSHAKE =
  'not a valid handshake: expected JSON such as {"sys":{"type":"…","version":"…"},"user":{}}, within';
const NO_KEY =
  'use_crypto is on, but the handshake has no RSA key to verify signatures with (sys.rsa, rsa_n of 512 to 4096 bits)';

export type ConnectAuthOptions = {
  /** Which clients may come in; empty: all. */
  readonly clientRules: readonly ClientRule[];
  /** A client without a key in its handshake is refused. */
  readonly needsKey: boolean;
  /** Of a handshake, for the log: numbers and the keys that set them. */
  readonly bounds: string;
  /** The backend that is asked; null: none is, and everyone comes in. */
  readonly asked: { readonly upstream: Upstream; readonly ordinal: number } | null;
  /** null: clients get no tokens to come back with. */
  readonly resume: Resume | null;
  /** Milliseconds from the connection to the answer of the handshake. */
  readonly handshakeMs: number;
  readonly sessionCommands: SessionCommands;
  readonly joins: Pick<SnapshotJoins, 'tellGaps'>;
  readonly log: Log;
  readonly throttle: LogThrottle;
  readonly wheel: TimerWheel;
};

/** A session about which the backend is asked, or will be again. */
type PendingAuth = {
  readonly request: HandshakeRequest;
  readonly controller: AbortController;
  /** Asks again. */
  readonly refresh: Timeout;
  /** When the backend's answer expires, on the monotonic clock. */
  expiresAt: number;
  /** Milliseconds between attempts while the backend is unreachable. */
  retryAfterMs: number;
};

export class ConnectAuth {
  readonly #options: ConnectAuthOptions;
  readonly #pending = new Map<Session, PendingAuth>();

  constructor(options: ConnectAuthOptions) {
    this.#options = options;
  }

  /** Sessions that the backend is asked about, or will be asked about again; with their handshakes. */
  get pending(): number {
    return this.#pending.size;
  }

  /** Answers the handshake of a client, now or later. null: what it sent is no handshake. */
  onHandshake(session: Session, request: HandshakeRequest | null): void {
    const { listenerDialect } = session;
    const { clientRules, needsKey, asked, joins } = this.#options;
    if (request === null) {
      session.refuse(listenerDialect.refuse(500), `${NO_HANDSHAKE} ${this.#options.bounds}`);
      return;
    }
    session.clientType = request.clientType;
    session.clientVersion = request.clientVersion;
    if (!mayConnect(clientRules, request.clientType, request.clientVersion)) {
      session.refuse(listenerDialect.refuse(501), noSuchClient(request));
      return;
    }
    session.wire = listenerDialect.wireFor(request);
    if (needsKey) {
      session.publicKey = readPublicKey(request.sys);
      if (session.publicKey === null) {
        session.refuse(listenerDialect.refuse(500), NO_KEY);
        return;
      }
    }
    if (request.pith['gap'] === true) joins.tellGaps(session);
    if (asked !== null || this.#tokenOf(request) !== null) {
      this.#begin(session, request);
      return;
    }
    const answer = listenerDialect.accept(request, undefined);
    if (!isFailure(answer)) session.accept(answer);
    else this.#reject(session, answer);
  }

  /** The session has ended: no answer is wanted any more. */
  onClosed(session: Session, reason: CloseReason): void {
    this.#options.resume?.onClosed(session, reason);
    const pending = this.#pending.get(session);
    if (pending === undefined) return;
    this.#pending.delete(session);
    pending.controller.abort();
    this.#options.wheel.cancel(pending.refresh);
  }

  // ---- the handshake --------------------------------------------------------------------------------------

  #begin(session: Session, request: HandshakeRequest): void {
    const pending: PendingAuth = {
      request,
      controller: new AbortController(),
      refresh: new Timeout(() => {
        inBackground(this.#refresh(session, pending), (error) => {
          this.#logFault(session, error);
          session.close('auth_expired');
        });
      }),
      expiresAt: Infinity,
      retryAfterMs: 0,
    };
    this.#pending.set(session, pending);
    inBackground(this.#authenticate(session, pending), (error) => {
      this.#logFault(session, error);
      session.refuse(session.listenerDialect.refuse(500), 'internal error: see the line above');
    });
  }

  async #authenticate(session: Session, pending: PendingAuth): Promise<void> {
    const { asked, resume } = this.#options;
    const token = this.#tokenOf(pending.request);
    const from = token === null ? null : await resume!.find(session, token);
    if (isClosed(session)) return;
    const deadline = session.openedAt + this.#options.handshakeMs;
    const ask = { refresh: false, deadline, from };
    const outcome = asked === null ? LET_IN : await this.#ask(session, pending, ask);
    if (isClosed(session)) return;
    if (isFailure(outcome)) {
      this.#reject(session, outcome);
      return;
    }
    // Before anything of it is in force: an answer that fits in no packet lets no one in.
    const answer = session.listenerDialect.accept(pending.request, outcome.user ?? undefined);
    if (isFailure(answer)) {
      this.#reject(session, answer);
      return;
    }
    const refused =
      (from === null ? null : await this.#goOn(session, pending, from, outcome)) ??
      (await this.#apply(session, outcome));
    // The client may have gone while the bus confirmed.
    if (isClosed(session)) return;
    if (refused !== null) {
      this.#reject(session, refused);
      return;
    }
    this.#setExpiry(session, pending, outcome.expiresInMs);
    session.accept(token === null ? answer : this.#withToken(session, pending, outcome));
  }

  /** The token that a client comes with, '' if it has none yet; null: it does not want any. */
  #tokenOf({ pith }: HandshakeRequest): string | null {
    const { resume } = pith;
    return this.#options.resume !== null && typeof resume === 'string' ? resume : null;
  }

  /** Null where the session has what its token says. One that nobody was asked about comes in without it, too. */
  async #goOn(
    session: Session,
    { request }: PendingAuth,
    from: Returning,
    { patch }: Accepted,
  ): Promise<Failure | null> {
    const { asked, resume } = this.#options;
    const refused = await resume!.goOn(session, from, { pith: request.pith, uid: patch?.uid });
    return asked === null ? null : refused;
  }

  /** The answer with what its client needs to come back. */
  #withToken(session: Session, { request, expiresAt }: PendingAuth, { user }: Accepted): Encoded {
    const { resume } = this.#options;
    const { listenerDialect } = session;
    const pith = resume!.begin(session, { ...request, grantedUntil: expiresAt });
    const answer = listenerDialect.accept(request, { ...user, pith });
    // It was found to fit without the token.
    return isFailure(answer)
      ? (listenerDialect.accept(request, user ?? undefined) as Encoded)
      : answer;
  }

  #ask(
    session: Session,
    { request, controller }: PendingAuth,
    { refresh, deadline, from }: { refresh: boolean; deadline: number; from: Returning | null },
  ): Promise<Accepted | Failure> {
    const { upstream, ordinal } = this.#options.asked!;
    return upstream.connect({
      session: from === null ? session : this.#options.resume!.factsOf(session, from),
      client: session,
      lane: session.lane(ordinal),
      user: objectOf(request.user),
      sys: request.sys as JsonObject,
      headers: {},
      resumed: from !== null,
      refresh,
      deadline,
      signal: controller.signal,
    });
  }

  /** Null when the backend's changes are in force, and pushes by them arrive. */
  async #apply(session: Session, { patch }: Accepted): Promise<Failure | null> {
    if (patch === null) return null;
    const { sessionCommands } = this.#options;
    const asked = sessionCommands.patchAsked(session, patch, () => !isClosed(session));
    const changed = asked === null ? sessionCommands.patch(session, patch) : await asked;
    if (isFailure(changed)) return changed;
    await changed.confirmed;
    return null;
  }

  #reject(session: Session, why: Failure): void {
    const { log, throttle } = this.#options;
    const { sid, remoteIp } = session;
    const { reason, detail, message } = why;
    const isAway = AWAY.has(reason);
    const isTrouble = isAway || reason === 'BAD_REPLY';
    // An unreachable backend affects every client; a refusal is about this one.
    const left = isTrouble ? throttle.allow(reason) : {};
    const fields = { sid, remoteIp, reason, why: detail || message };
    if (left !== null)
      log[isTrouble ? 'warn' : 'info']({ ...fields, ...left }, 'handshake rejected');
    session.refuse(
      session.listenerDialect.refuse(isAway ? 503 : 500, why),
      `${reason}: ${message}`,
    );
  }

  /** No one is let in, or stays, by a fault of ours. */
  #logFault({ sid, remoteIp }: Session, error: unknown): void {
    this.#options.log.error({ sid, remoteIp, err: error }, 'handshake failed');
  }

  // ---- an answer that expires -----------------------------------------------------------------------------

  #setExpiry(session: Session, pending: PendingAuth, expiresInMs: number): void {
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
    const { wheel, log } = this.#options;
    const leftMs = pending.expiresAt - wheel.now();
    if (leftMs <= 0) {
      session.close('auth_expired');
      return;
    }
    const deadline = wheel.now() + Math.min(leftMs, REFRESH_TIMEOUT_MS);
    const outcome = await this.#ask(session, pending, { refresh: true, deadline, from: null });
    if (isClosed(session)) return;
    if (isFailure(outcome) && AWAY.has(outcome.reason)) {
      const ms = Math.min(pending.retryAfterMs, pending.expiresAt - wheel.now());
      wheel.set(pending.refresh, Math.max(1, ms));
      return;
    }
    const refused = isFailure(outcome) ? outcome : await this.#apply(session, outcome);
    if (isClosed(session)) return;
    if (refused === null) {
      this.#setExpiry(session, pending, (outcome as Accepted).expiresInMs);
      return;
    }
    const { reason, message } = refused;
    log.info({ sid: session.sid, reason, why: message }, 're-authentication rejected');
    session.close('auth_expired');
  }
}

/** Anew each time: a session ends while its backend is awaited. */
function isClosed({ state }: Session): boolean {
  return state === 'closed';
}

/** Shows the client's own values, which were cut when they were read. */
function noSuchClient({ clientType, clientVersion }: HandshakeRequest): string {
  return `pomelo.client_types does not allow type "${clientType}" in version "${clientVersion}"`;
}

/** The application's block as the contract has it: an object. */
function objectOf(user: unknown): JsonObject {
  return isObject(user) ? (user as JsonObject) : {};
}
