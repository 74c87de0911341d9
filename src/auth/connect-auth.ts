/**
 * Who comes in: what a client says in its handshake is looked at, and where `auth.mode` is `connect` the backend
 * is asked, once at the handshake and again before its word expires.
 */
import { inBackground } from '../background.ts';
import type { SessionCommands } from '../bus/session-commands.ts';
import { mayConnect } from '../config/client-rules.ts';
import { readPublicKey } from '../dialect/signature.ts';
import { type Failure, isFailure } from '../errors.ts';
import type { HandshakeRequest } from '../protocol/handshake.ts';
import type { Accepted, JsonObject } from '../contract/commands.ts';
import type { Session } from '../session/session.ts';
import type { Log } from '../telemetry/log.ts';
import { Timeout, type TimerWheel } from '../timer-wheel.ts';
import type { Upstream } from '../upstream/upstream.ts';
import type { ListenerDialect } from '../wiring/dialects.ts';
import type { LogThrottle } from '../telemetry/log-throttle.ts';

/** Share of the time for which a backend's word holds after which it is asked again. */
const REFRESH_AT = 0.8;
/** Likewise, between one try and the next while the backend is away. */
const REFRESH_AGAIN = 0.05;
const REFRESH_AGAIN_MS_MIN = 1_000;
/** How long an answer may take when a session's time is to be extended. */
const REFRESH_TIMEOUT_MS = 5_000;

/** Reasons that say nothing about the client: it may try again. */
const AWAY = new Set(['BACKEND_AWAY', 'BUS_AWAY', 'OVERLOADED', 'TIMEOUT', 'DRAINING']);

const NO_HANDSHAKE =
  'what came as a handshake is not one: {"sys":{"type":"…","version":"…"},"user":{}} is expected, in JSON, or more than limits.convert allows';
const NO_KEY =
  'use_crypto is on, and the handshake has no RSA key to check signatures with (sys.rsa, rsa_n of 512 to 4096 bits)';

export type DoorParts = {
  readonly sessionCommands: SessionCommands;
  readonly log: Log;
  readonly throttle: LogThrottle;
  readonly wheel: TimerWheel;
  /** Milliseconds from the connection to the answer of the handshake. */
  readonly handshakeMs: number;
  /** Who is asked; null: nobody, and everybody comes in. */
  readonly asked: { readonly upstream: Upstream; readonly ordinal: number } | null;
};

export class ConnectAuth {
  readonly #parts: DoorParts;
  /** Sessions about which a backend is asked, or will be again. */
  readonly #guests = new Map<Session, Guest>();

  constructor(parts: DoorParts) {
    this.#parts = parts;
  }

  /** A client has said its handshake; null: it was none. */
  knock(session: Session, request: HandshakeRequest | null, speech: ListenerDialect): void {
    const { server } = session;
    if (request === null) {
      session.refuse(server.refuse(500), NO_HANDSHAKE);
      return;
    }
    session.clientType = request.clientType;
    session.clientVersion = request.clientVersion;
    if (!mayConnect(speech.clientRules, request.clientType, request.clientVersion)) {
      session.refuse(server.refuse(501), stranger(request));
      return;
    }
    session.wire = server.wireFor(request);
    if (speech.needsKey) {
      session.publicKey = readPublicKey(request.sys);
      if (session.publicKey === null) {
        session.refuse(server.refuse(500), NO_KEY);
        return;
      }
    }
    if (this.#parts.asked !== null) {
      this.#invite(session, request);
      return;
    }
    const answer = server.accept(request, undefined);
    if (!isFailure(answer)) session.accept(answer);
    else this.#refuse(session, answer);
  }

  /** The session has ended: nobody waits for an answer any more. */
  left(session: Session): void {
    const guest = this.#guests.get(session);
    if (guest === undefined) return;
    this.#guests.delete(session);
    guest.controller.abort();
    this.#parts.wheel.cancel(guest.alarm);
  }

  #invite(session: Session, request: HandshakeRequest): void {
    const guest: Guest = {
      request,
      controller: new AbortController(),
      alarm: new Timeout(() => {
        inBackground(this.#refresh(session, guest), (error) => {
          this.#fail(session, error);
          session.close('auth_expired');
        });
      }),
      expiresAt: Infinity,
    };
    this.#guests.set(session, guest);
    inBackground(this.#admit(session, guest), (error) => {
      this.#fail(session, error);
      session.refuse(session.server.refuse(500), 'a fault of the gateway: see the line above');
    });
  }

  /** Nobody is let in, or stays, by a fault of ours. */
  #fail({ sid, remoteIp }: Session, error: unknown): void {
    this.#parts.log.error({ sid, remoteIp, err: error }, 'the handshake failed');
  }

  async #admit(session: Session, guest: Guest): Promise<void> {
    const { request } = guest;
    const deadline = session.openedAt + this.#parts.handshakeMs;
    const outcome = await this.#ask(session, guest, { refresh: false, deadline });
    if (session.state === 'closed') return;
    if (isFailure(outcome)) {
      this.#refuse(session, outcome);
      return;
    }
    // Before anything of it is in force: an answer that fits in no packet lets nobody in.
    const answer = session.server.accept(request, outcome.user ?? undefined);
    if (isFailure(answer)) {
      this.#refuse(session, answer);
      return;
    }
    const refused = await this.#apply(session, outcome);
    // The client may have gone while the bus confirmed.
    if ((session.state as string) === 'closed') return;
    if (refused !== null) {
      this.#refuse(session, refused);
      return;
    }
    this.#setExpiry(session, guest, outcome.expiresInMs);
    session.accept(answer);
  }

  #ask(
    session: Session,
    { request, controller }: Guest,
    { refresh, deadline }: { refresh: boolean; deadline: number },
  ): Promise<Accepted | Failure> {
    const { upstream, ordinal } = this.#parts.asked!;
    return upstream.connect({
      session,
      lane: session.lane(ordinal),
      user: objectOf(request.user),
      sys: request.sys as JsonObject,
      headers: {},
      resumed: false,
      refresh,
      deadline,
      signal: controller.signal,
    });
  }

  /** Null when the backend's changes are in force, and pushes by them arrive. */
  async #apply(session: Session, { patch }: Accepted): Promise<Failure | null> {
    if (patch === null) return null;
    const changed = this.#parts.sessionCommands.patch(session, patch);
    if (isFailure(changed)) return changed;
    await changed.confirmed;
    return null;
  }

  #refuse(session: Session, why: Failure): void {
    const { sid, remoteIp } = session;
    const isAway = AWAY.has(why.reason);
    const { reason, detail, message } = why;
    const isTrouble = isAway || reason === 'BAD_REPLY';
    // A backend that is away turns everybody away; one that refuses somebody means that one.
    const left = isTrouble ? this.#parts.throttle.allow(reason) : {};
    const fields = { sid, remoteIp, reason, why: detail || message };
    if (left !== null)
      this.#parts.log[isTrouble ? 'warn' : 'info']({ ...fields, ...left }, 'handshake rejected');
    session.refuse(session.server.refuse(isAway ? 503 : 500, why), `${why.reason}: ${why.message}`);
  }

  // ---- a word that expires ----------------------------------------------------------------------------

  #setExpiry(session: Session, guest: Guest, expiresInMs: number): void {
    const { wheel } = this.#parts;
    if (expiresInMs === 0) {
      this.#guests.delete(session);
      return;
    }
    guest.expiresAt = wheel.now() + expiresInMs;
    guest.tryAgainMs = Math.max(REFRESH_AGAIN_MS_MIN, expiresInMs * REFRESH_AGAIN);
    wheel.set(guest.alarm, expiresInMs * REFRESH_AT);
  }

  async #refresh(session: Session, guest: Guest): Promise<void> {
    const { wheel, log } = this.#parts;
    const left = guest.expiresAt - wheel.now();
    if (left <= 0) {
      session.close('auth_expired');
      return;
    }
    const deadline = wheel.now() + Math.min(left, REFRESH_TIMEOUT_MS);
    const outcome = await this.#ask(session, guest, { refresh: true, deadline });
    if (session.state === 'closed') return;
    if (isFailure(outcome) && AWAY.has(outcome.reason)) {
      wheel.set(
        guest.alarm,
        Math.max(1, Math.min(guest.tryAgainMs!, guest.expiresAt - wheel.now())),
      );
      return;
    }
    const refused = isFailure(outcome) ? outcome : await this.#apply(session, outcome);
    if ((session.state as string) === 'closed') return;
    if (refused === null) {
      this.#setExpiry(session, guest, (outcome as Accepted).expiresInMs);
      return;
    }
    log.info(
      { sid: session.sid, reason: refused.reason, why: refused.message },
      're-authentication rejected',
    );
    session.close('auth_expired');
  }
}

type Guest = {
  readonly request: HandshakeRequest;
  readonly controller: AbortController;
  readonly alarm: Timeout;
  /** On the monotonic clock. */
  expiresAt: number;
  tryAgainMs?: number;
};

/** It shows what the client said, which is cut where it was read. */
function stranger({ clientType, clientVersion }: HandshakeRequest): string {
  return `pomelo.client_types does not let in type "${clientType}" in version "${clientVersion}"`;
}

/** The application's block as the contract has it: an object. */
function objectOf(user: unknown): JsonObject {
  const isObject = typeof user === 'object' && user !== null && !Array.isArray(user);
  return isObject ? (user as JsonObject) : {};
}
