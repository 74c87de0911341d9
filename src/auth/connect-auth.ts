/**
 * Who may come in at one listener: what a client says in its handshake is checked, and where `auth.mode` is `connect`
 * the backend is asked. Where it is `jwt`, its token must hold, and after that the backend may be asked, too.
 */
import { inBackground } from '../background.ts';
import type { SessionCommands } from '../bus/session-commands.ts';
import type { Accepted } from '../contract/commands.ts';
import type { SessionFacts } from '../contract/facts.ts';
import { readPublicKey } from '../dialect/signature.ts';
import { type Failure, failure, isFailure } from '../errors.ts';
import type { HandshakeRequest } from '../protocol/handshake.ts';
import type { Encoded } from '../protocol/packet.ts';
import { refOf } from '../ref.ts';
import type { Resume, Returning } from '../resume/resume.ts';
import type { CloseReason } from '../session/close-reason.ts';
import type { FrozenAuth } from '../session/frozen.ts';
import type { Session } from '../session/session.ts';
import type { SnapshotJoins } from '../session/snapshot-joins.ts';
import type { Log } from '../telemetry/log.ts';
import type { LogThrottle } from '../telemetry/log-throttle.ts';
import type { TimerWheel } from '../timer-wheel.ts';
import type { Upstream } from '../upstream/upstream.ts';
import { applied, isClosed } from './applied.ts';
import { AWAY, BackendWord, logFault, type PendingAuth } from './backend-word.ts';
import type { EntryRefusal, EntryRules } from './entry-rules.ts';
import type { HeldTokens } from './held-tokens.ts';
import { type Granted, patchOf } from './jwt/claims.ts';
import { lineKindOf, type TokenCheck } from './jwt/token-check.ts';

const NO_HANDSHAKE =
  'not a valid handshake: expected JSON such as {"sys":{"type":"…","version":"…"},"user":{}}, within';
const NO_KEY =
  'use_crypto is on, but the handshake has no RSA key to verify signatures with (sys.rsa, rsa_n of 512 to 4096 bits)';

/** `auth.mode: jwt`, for all listeners together. */
export type Tokens = { readonly check: TokenCheck; readonly held: HeldTokens };

export type ConnectAuthOptions = {
  readonly entry: EntryRules;
  /** A client without a key in its handshake is refused. */
  readonly needsKey: boolean;
  /** Of a handshake, for the log: numbers and the keys that set them. */
  readonly bounds: string;
  /** The backend that is asked; null: none is, and everyone comes in. */
  readonly asked: { readonly upstream: Upstream; readonly ordinal: number } | null;
  /** null: clients need no tokens. */
  readonly tokens: Tokens | null;
  /** null: clients get no tokens to come back with. */
  readonly resume: Resume | null;
  /** Milliseconds from the connection to the answer of the handshake. */
  readonly handshakeMs: number;
  readonly sessionCommands: SessionCommands;
  readonly joins: Pick<SnapshotJoins, 'tellGaps'>;
  readonly log: Log;
  readonly throttle: LogThrottle;
  readonly wheel: TimerWheel;
  /** `telemetry.refs` */
  readonly tellsRefs: () => boolean;
  /** What was last wrong with the backend that is asked; '': nothing. */
  readonly troubleOf: () => string;
};

export class ConnectAuth {
  readonly #options: ConnectAuthOptions;
  readonly #word: BackendWord;

  constructor(options: ConnectAuthOptions) {
    this.#options = options;
    this.#word = new BackendWord(options);
  }

  /** Sessions that are waited for, or whose backend will be asked again; with their handshakes. */
  get pending(): number {
    return this.#word.pending;
  }

  /** Answers the handshake of a client, now or later. null: what it sent is no handshake. */
  onHandshake(session: Session, request: HandshakeRequest | null): void {
    const { listenerDialect } = session;
    const { entry, needsKey, asked, tokens, joins } = this.#options;
    if (request === null) {
      session.refuse(listenerDialect.refuse(500), `${NO_HANDSHAKE} ${this.#options.bounds}`);
      return;
    }
    session.clientType = request.clientType;
    session.clientVersion = request.clientVersion;
    const proves = asked !== null || tokens !== null || this.#resumeTokenOf(request) !== null;
    const refused = entry.atHandshake(request, proves);
    if (refused !== null) {
      this.#turnAway(session, refused);
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
    if (proves) {
      this.#begin(session, request);
      return;
    }
    const answer = listenerDialect.accept(request, undefined);
    if (!isFailure(answer)) session.accept(answer);
    else this.#reject(session, answer);
  }

  /** The session has ended: no answer is wanted any more. */
  onClosed(session: Session, reason: CloseReason): void {
    const { resume, tokens } = this.#options;
    resume?.onClosed(session, reason);
    tokens?.held.forget(session);
    this.#word.forget(session);
  }

  // ---- another process ------------------------------------------------------------------------------------

  isAsking(session: Session): boolean {
    return this.#word.isAsking(session);
  }

  freeze(session: Session): FrozenAuth | null {
    const token = this.#options.tokens?.held.freeze(session) ?? null;
    const backend = this.#word.freeze(session);
    return token === null && backend === null ? null : { token, backend };
  }

  thaw(session: Session, { token, backend }: FrozenAuth): void {
    if (token !== null) this.#options.tokens?.held.thaw(session, token);
    if (backend !== null) this.#word.thaw(session, backend);
  }

  // ---- the handshake --------------------------------------------------------------------------------------

  #begin(session: Session, request: HandshakeRequest): void {
    const pending = this.#word.begin(session, request);
    inBackground(this.#authenticate(session, pending), (error) => {
      logFault(this.#options.log, session, error);
      session.refuse(session.listenerDialect.refuse(500), 'internal error: see the line above');
    });
  }

  async #authenticate(session: Session, pending: PendingAuth): Promise<void> {
    const { request } = pending;
    const deadline = session.openedAt + this.#options.handshakeMs;
    const { tokens } = this.#options;
    const granted = tokens && (await grantedBy(tokens, session, request, deadline));
    if (isClosed(session)) return;
    if (granted !== null && isFailure(granted)) {
      this.#reject(session, granted, 'token');
      return;
    }
    const token = this.#resumeTokenOf(request);
    const uid = granted === null || granted.uid === '' ? null : granted.uid;
    const from = token === null ? null : await this.#options.resume!.find(session, token, uid);
    if (isClosed(session)) return;
    const facts = this.#factsOf(session, from, granted);
    const question = { refresh: false, resumed: from !== null, deadline, facts };
    const said = await this.#word.ask(session, pending, question);
    if (isClosed(session)) return;
    const outcome = isFailure(said) || granted === null ? said : together(granted, said);
    if (isFailure(outcome)) {
      this.#reject(session, outcome);
      return;
    }
    const closed = this.#options.entry.whenKnown(outcome.patch?.uid ?? from?.state.uid ?? '');
    if (closed !== null) {
      this.#turnAway(session, closed);
      return;
    }
    // Before anything of it is in force: an answer that fits in no packet lets no one in.
    const answer = session.listenerDialect.accept(request, outcome.user ?? undefined);
    if (isFailure(answer)) {
      this.#reject(session, answer);
      return;
    }
    const refused =
      (from === null ? null : await this.#goOn(session, pending, from, outcome)) ??
      (outcome.patch && (await applied(this.#options.sessionCommands, session, outcome.patch)));
    // The client may have gone while the bus confirmed.
    if (isClosed(session)) return;
    if (refused !== null) {
      this.#reject(session, refused);
      return;
    }
    if (granted !== null) tokens?.held.hold(session, granted, tokens.check.rules.skewMs);
    this.#word.granted(session, pending, outcome);
    session.accept(token === null ? answer : this.#withToken(session, pending, outcome));
  }

  #turnAway(session: Session, { code, why, cause }: EntryRefusal): void {
    session.refuse(session.listenerDialect.refuse(code, why && this.#named(session, why)), cause);
  }

  /** The token that a client wants to come back with, '' if it has none yet; null: it does not want any. */
  #resumeTokenOf({ pith }: HandshakeRequest): string | null {
    const { resume } = pith;
    return this.#options.resume !== null && typeof resume === 'string' ? resume : null;
  }

  /** The session as it will be if the backend lets it in. */
  #factsOf(session: Session, from: Returning | null, granted: Granted | null): SessionFacts {
    const facts = from === null ? session : this.#options.resume!.factsOf(session, from);
    return granted === null ? facts : withGranted(facts, granted);
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

  #named({ sid }: Session, why: Failure): Failure {
    return this.#options.tellsRefs() ? { ...why, ref: refOf(sid, 0) } : why;
  }

  /** @param kind Of which refusals only some are logged: anyone can send bad tokens. */
  #reject(session: Session, why: Failure, kind = ''): void {
    const { log, throttle, troubleOf } = this.#options;
    const { sid, remoteIp } = session;
    const { reason, message } = why;
    const isAway = AWAY.has(reason);
    const detail = why.detail || (isAway ? troubleOf() : '');
    const isTrouble = isAway || reason === 'BAD_REPLY';
    // An unreachable backend affects every client; a refusal is about this one.
    const left = isTrouble || kind !== '' ? throttle.allow(`${kind} ${lineKindOf(why)}`) : {};
    const fields = { ref: refOf(sid, 0), sid, remoteIp, reason, why: detail || message };
    if (left !== null)
      log[isTrouble ? 'warn' : 'info']({ ...fields, ...left }, 'handshake rejected');
    session.refuse(
      session.listenerDialect.refuse(isAway ? 503 : 500, this.#named(session, why)),
      `${reason}: ${detail || message}`,
    );
  }
}

/** What the token of the handshake grants. */
function grantedBy(
  { check }: Tokens,
  session: Session,
  request: HandshakeRequest,
  deadline: number,
): Promise<Granted | Failure> {
  const isWanted = (): boolean => !isClosed(session);
  return check.check(check.tokenIn(request), { use: 'handshake', deadline, isWanted });
}

/** What the backend says on top of what the token says. */
function together(granted: Granted, said: Accepted): Accepted | Failure {
  const own = patchOf(granted);
  const { patch } = said;
  if (patch === null) return { ...said, patch: own };
  if (own.uid !== undefined && patch.uid !== undefined && patch.uid !== own.uid)
    return failure(
      'CONFLICT',
      'the backend binds another uid than the token has; for that set auth.jwt.uid to ""',
    );
  const set = own.set || patch.set ? { set: { ...own.set, ...patch.set } } : {};
  return { ...said, patch: { ...own, ...patch, ...set } };
}

function withGranted(facts: SessionFacts, { uid, set }: Granted): SessionFacts {
  const { sid, gatewayId, remoteIp, clientType, clientVersion, openedAtWall } = facts;
  const { boundAtWall, groups, version, connection, dialect } = facts;
  const data = Object.assign(Object.create(null), facts.data) as typeof facts.data;
  for (const [key, value] of Object.entries(set))
    if (value === null) delete data[key];
    else data[key] = value;
  return {
    ...{ sid, gatewayId, remoteIp, clientType, clientVersion, openedAtWall },
    ...{ boundAtWall, groups, version, connection, dialect, data, uid: uid || facts.uid },
  };
}
