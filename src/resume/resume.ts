/**
 * `sessions.resume`: clients that ask for it get tokens, and whoever comes back with one goes on from the session that
 * it was made for, on any gateway, without a login. Nothing is kept for that but what the token says; gateways only ask
 * each other whether a session of its lineage is still there, and tell each other which lineages have ended.
 */
import type { LineageNews, Peers } from '../bus/bus.ts';
import type { Replay } from '../bus/replay.ts';
import type { SessionCommands } from '../bus/session-commands.ts';
import type { Clock } from '../clock.ts';
import type { SessionFacts } from '../contract/facts.ts';
import { type Failure, failure, isFailure } from '../errors.ts';
import type { Random } from '../random.ts';
import type { CloseReason } from '../session/close-reason.ts';
import type { Registry } from '../session/registry.ts';
import type { FrozenResuming } from '../session/frozen.ts';
import type { Session } from '../session/session.ts';
import type { Log } from '../telemetry/log.ts';
import { LogThrottle } from '../telemetry/log-throttle.ts';
import type { Metrics } from '../telemetry/metrics.ts';
import type { TimerWheel } from '../timer-wheel.ts';
import { type EndedLineage, EndedLineages } from './ended-lineages.ts';
import { type Coming, Lineages } from './lineages.ts';
import { type ResumeState, readState } from './resume-state.ts';
import { ResumingSession, type TokenOwner, type TokenParts } from './resuming-session.ts';
import { TOKEN_CHARS_MAX, TokenBox } from './token-box.ts';
import { TokenQueue } from './token-queue.ts';

/** How long other gateways may take to say whether they hold a session of the lineage. */
export const RESUME_WAIT_MS = 250;

/** Ends of a session after which its backend, or the rule of its uid, does not want it back. */
const FINAL: ReadonlySet<CloseReason> = new Set<CloseReason>([
  'kick',
  'closed',
  'logged_in_elsewhere',
  'blocked',
  'auth_expired',
]);

/**
 * Why a token is of no use. unreadable: it is no token of a key that is known · expired · ended: its lineage has ended ·
 * older: a session with an equal or newer token is there · begun: the session is in use already · in_use: its uid is
 * taken · blocked: its uid is · limits: it holds more than is allowed here · not_ready: this gateway does not know yet what has ended · other_uid: it is
 * another user's than the one who has come.
 */
export type Refusal =
  | 'unreadable'
  | 'expired'
  | 'ended'
  | 'older'
  | 'begun'
  | 'in_use'
  | 'blocked'
  | 'limits'
  | 'not_ready'
  | 'other_uid';

/** By why its session could not be made as it was. */
const REFUSED_AS: ReadonlyMap<string, Refusal> = new Map([
  ['UID_IN_USE', 'in_use'],
  ['FORBIDDEN', 'blocked'],
]);

/** A session that has come with a token that counts. */
export type Returning = { readonly state: ResumeState; readonly coming: Coming };

/** A client that has asked for tokens. */
export type Asked = {
  /** What it says of itself to the gateway: `user.pith`. */
  readonly pith: Readonly<Record<string, unknown>>;
  /** When what its backend has granted ends, on the monotonic clock; Infinity: never. */
  readonly grantedUntil: number;
};

export type ResumeParts = {
  readonly gatewayId: string;
  /** `sessions.resume.window`, in milliseconds. */
  readonly windowMs: number;
  /** 32 bytes each, at least one. */
  readonly keys: readonly Buffer[];
  readonly registry: Registry;
  readonly sessionCommands: SessionCommands;
  readonly peers: Pick<Peers, 'mayResume'>;
  readonly news: LineageNews;
  /** Absent: pushes are not kept. */
  readonly replay?: Pick<Replay, 'begin'> | undefined;
  readonly clock: Clock;
  readonly wheel: TimerWheel;
  readonly random: Random;
  readonly log: Log;
  readonly metrics: Metrics;
};

export class Resume implements TokenOwner {
  readonly lineages = new Lineages();
  readonly ended: EndedLineages;
  readonly #parts: ResumeParts;
  readonly #tokens: TokenParts;
  readonly #throttle: LogThrottle;
  /** Sessions that want to go on. */
  readonly #coming = new Map<Session, Coming>();
  #saidTooLarge = false;

  constructor(parts: ResumeParts) {
    const { clock, wheel, log, metrics, windowMs } = parts;
    this.#parts = parts;
    this.#throttle = new LogThrottle(clock);
    this.ended = new EndedLineages(clock, windowMs, () => {
      const left = this.#throttle.allow('forgotten');
      if (left !== null) log.warn(left, 'too many ended sessions to remember; tokens of the oldest count again'); // prettier-ignore
    });
    this.#tokens = {
      ...parts,
      box: new TokenBox(parts.keys, parts.gatewayId),
      queue: new TokenQueue(wheel),
      owner: this,
    };
    metrics.watch('pith_resume_ended', [], () => this.ended.size);
  }

  /** Other keys of tokens: the first seals from now on, all open. At least one, 32 bytes each. */
  setKeys(keys: readonly Buffer[]): void {
    this.#tokens.box.setKeys(keys);
  }

  // ---- a handshake --------------------------------------------------------------------------------------

  /**
   * What a token says, if it counts, and no newer session of its lineage is there.
   *
   * @param uid Whose it must be; null: anybody's.
   */
  async find(
    session: Session,
    token: string,
    uid: string | null = null,
  ): Promise<Returning | null> {
    if (token === '') return null;
    const state = this.#read(session, token, uid);
    if (typeof state === 'string') return this.#refuse(session, state);
    const coming = this.lineages.come({ ...state, sid: session.sid });
    if (coming === null) return this.#refuse(session, 'older');
    this.#coming.set(session, coming);
    const isFree = await this.#isFreeElsewhere(coming);
    const why = isFree ? this.#whyNot(state, coming) : 'older';
    if (why === null) return { state, coming };
    this.#forget(session);
    return this.#refuse(session, why);
  }

  #read(session: Session, token: string, uid: string | null): ResumeState | Refusal {
    const opened = this.#tokens.box.open(token);
    const state = opened === null ? null : readState(opened);
    if (state === null) return 'unreadable';
    const { clock, news } = this.#parts;
    if (!news.isReady) return 'not_ready';
    if (state.expiresAtWall <= clock.wallNow()) return 'expired';
    if (this.ended.has(state.lineage, state.counter)) return 'ended';
    if (uid !== null && uid !== state.uid) return 'other_uid';
    return session.version > 0 ? 'begun' : state;
  }

  async #isFreeElsewhere({ lineage, counter, sid }: Coming): Promise<boolean> {
    const call = this.#parts.peers.mayResume({ lineage, counter, sid }, RESUME_WAIT_MS);
    // Nobody was asked: whoever is here comes first.
    if (isFailure(call)) return true;
    const { answers } = await call;
    return answers.every(({ refused = 0 }) => refused === 0);
  }

  /** Anew after each wait. */
  #whyNot({ lineage, counter }: ResumeState, { isBeaten }: Coming): Refusal | null {
    if (this.ended.has(lineage, counter)) return 'ended';
    return isBeaten ? 'older' : null;
  }

  /** The session as it will be, for the backend that decides whether it may go on. */
  factsOf(session: Session, { state }: Returning): SessionFacts {
    const { sid, gatewayId, remoteIp, clientType, clientVersion } = session;
    const { openedAtWall, version, connection, dialect } = session;
    const wallNow = this.#parts.clock.wallNow();
    return {
      ...{ sid, gatewayId, remoteIp, clientType, clientVersion, openedAtWall, version },
      ...{ connection, dialect, uid: state.uid, boundAtWall: state.boundAtWall, data: state.data },
      groups: new Set(groupsLeft(state, wallNow).map(({ name }) => name)),
    };
  }

  /**
   * Gives the session what the token says, and closes the one before. A Failure: it has got nothing.
   *
   * @param asked.uid What its backend says; undefined: it is as the token says.
   */
  async goOn(
    session: Session,
    { state, coming }: Returning,
    { pith, uid }: { pith: Asked['pith']; uid: string | undefined },
  ): Promise<Failure | null> {
    const { clock, sessionCommands, registry, replay } = this.#parts;
    const wasAnnounced = session.isAnnounced;
    const why = this.#whyNot(state, coming);
    if (why !== null || !this.lineages.goOn(coming, session)) {
      this.#forget(session);
      this.#refuse(session, why ?? 'older');
      return failure('CONFLICT', 'another session has the place of the one that was lost');
    }
    this.#coming.delete(session);
    this.#add(session, state);
    const wallNow = clock.wallNow();
    const isSame = uid === undefined || uid === state.uid;
    const restored = await sessionCommands.restore(session, {
      uid: isSame ? state.uid : uid,
      boundAtWall: isSame ? state.boundAtWall : wallNow,
      data: state.data,
      groups: groupsLeft(state, wallNow),
    });
    if (isFailure(restored)) {
      this.#refuse(session, REFUSED_AS.get(restored.reason) ?? 'limits');
      this.#forget(session);
      return restored;
    }
    const { kept, issuedAtWall } = state;
    replay?.begin(session, { cursor: pith['cursor'], kept, issuedAtWall }, restored.confirmed);
    await restored.confirmed;
    if (wasAnnounced) registry.events.resumed(session);
    return null;
  }

  /** The session has asked for tokens. Returns what its handshake's answer says in `user.pith`. */
  begin(session: Session, { pith, grantedUntil }: Asked): { resume: string; resumed?: true } {
    const { log, metrics, replay } = this.#parts;
    const goesOn = resumingOf(session);
    const hasResumed = goesOn !== null;
    const resuming = goesOn ?? this.#add(session, null);
    resuming.grantedUntil(grantedUntil);
    if (!hasResumed)
      replay?.begin(session, { cursor: pith['cursor'], kept: null, issuedAtWall: 0 }, null);
    else {
      const { sid, uid, remoteIp } = session;
      metrics.add('pith_resumes_total', []);
      log.debug({ sid, uid, remoteIp, resumedFrom: resuming.resumedFrom }, 'session resumed');
    }
    return { resume: resuming.next()?.token ?? '', ...(hasResumed && { resumed: true }) };
  }

  #add(session: Session, from: ResumeState | null): ResumingSession {
    const resuming = new ResumingSession(this.#tokens, session, from);
    session.resuming = resuming;
    const { lineage, counter } = resuming;
    if (from === null) this.lineages.add({ lineage, counter, sid: session.sid, session });
    return resuming;
  }

  // ---- another process ----------------------------------------------------------------------------------

  /** null: its client has not asked for tokens. */
  freeze(session: Session): FrozenResuming | null {
    const resuming = resumingOf(session);
    if (resuming === null) return null;
    return { ...resuming.freeze(), cameWith: this.lineages.counterOf(resuming.lineage) };
  }

  thaw(session: Session, frozen: FrozenResuming): void {
    const { lineage, cameWith, counter, resumedFrom } = frozen;
    const resuming = new ResumingSession(this.#tokens, session, { lineage, counter, sid: resumedFrom }); // prettier-ignore
    session.resuming = resuming;
    resuming.thaw(frozen);
    this.lineages.add({ lineage, counter: cameWith, sid: session.sid, session });
  }

  // ---- an end -------------------------------------------------------------------------------------------

  onClosed(session: Session, reason: CloseReason): void {
    const lineage = resumingOf(session)?.lineage;
    this.#forget(session);
    if (lineage !== undefined && FINAL.has(reason)) this.#end(lineage, null);
  }

  /** Nothing of the session is left here. */
  #forget(session: Session): void {
    const coming = this.#coming.get(session);
    if (coming !== undefined) this.lineages.giveUp(coming);
    this.#coming.delete(session);
    const resuming = resumingOf(session);
    if (resuming === null) return;
    resuming.end();
    session.resuming = null;
    this.lineages.remove(resuming.lineage, session);
  }

  /** Its tokens up to this one count no more; null: none does. */
  #end(lineage: string, upTo: number | null): void {
    const ended: EndedLineage = { lineage, upTo, leftMs: this.#parts.windowMs };
    this.ended.add(ended);
    this.#parts.news.tellEnded(ended);
  }

  /** Another gateway says so. */
  hearEnded(ended: EndedLineage): void {
    if (this.ended.add(ended)) this.lineages.end(ended.lineage, ended.upTo);
  }

  revoke({ lineage, counter }: ResumingSession): void {
    this.#end(lineage, counter);
  }

  counted(resuming: ResumingSession, outcome: 'made' | 'too_large'): void {
    const { log, metrics } = this.#parts;
    metrics.add('pith_resume_tokens_total', [outcome]);
    if (outcome === 'made' || resuming.isTooLarge) return;
    // With an older one it would come back as it was.
    this.revoke(resuming);
    if (this.#saidTooLarge) return;
    this.#saidTooLarge = true;
    const { sid, uid } = resuming.session;
    log.warn(
      { sid, uid, charactersMax: TOKEN_CHARS_MAX },
      'no resume token for sessions with this much in uid, data and groups; see pith_resume_tokens_total',
    );
  }

  #refuse({ sid, remoteIp }: Session, reason: Refusal): null {
    const { log, metrics } = this.#parts;
    metrics.add('pith_resumes_refused_total', [reason]);
    const left = this.#throttle.allow(reason);
    if (left !== null) log.info({ sid, remoteIp, reason, ...left }, 'resume token refused');
    return null;
  }
}

/** Without those that it would have left by now. */
function groupsLeft({ groups }: ResumeState, wallNow: number): { name: string; ttlMs: number }[] {
  return groups
    .filter(({ endsAtWall }) => endsAtWall === 0 || endsAtWall > wallNow)
    .map(({ name, endsAtWall }) => ({ name, ttlMs: endsAtWall && endsAtWall - wallNow }));
}

/** Only `Resume` makes them. */
function resumingOf({ resuming }: Session): ResumingSession | null {
  return resuming as ResumingSession | null;
}
