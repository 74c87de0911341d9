/**
 * Kept pushes: what a backend publishes to `pith.keep.user.<uid>` is stored by JetStream, which numbers it and sends it
 * on to the gateways that hold the user. A session that may be resumed follows these numbers, here or on the next
 * gateway, so that it gets each push once, in order, and whatever comes in between.
 *
 * The stream is the truth, not what is sent on: a number that does not follow makes the gateway read.
 */
import { inBackground } from '../background.ts';
import { errorText, isFailure } from '../errors.ts';
import type { KeptPlace } from '../session/kept-place.ts';
import type { Registry } from '../session/registry.ts';
import type { Session } from '../session/session.ts';
import type { NatsMessage } from '../upstream/nats/nats-connection.ts';
import type { BusParts } from './bus-parts.ts';
import { CatchUps } from './catch-ups.ts';
import { cursorPush } from './cursor-push.ts';
import { type KeptPush, readKept } from './kept-push.ts';
import { KeptStream } from './kept-stream.ts';
import type { RequestMany } from './request-many.ts';
import { filterOf } from './selection.ts';
import type { SessionCommands } from './session-commands.ts';

/** What a client says, and what its token says, when it begins. */
export type ReplayStart = {
  /** `user.pith.cursor`; undefined: the client does not want to be told. */
  readonly cursor: unknown;
  /** From its token; null: there is none, or it comes from a gateway without replay. */
  readonly kept: { readonly seq: number; readonly since: number } | null;
  /** When the token was made, in milliseconds since the epoch; 0: there is none. */
  readonly issuedAtWall: number;
};

export type ReplayOptions = {
  /** `sessions.resume.window`. */
  readonly windowMs: number;
  /** `limits.outbox`. */
  readonly outboxBytesMax: number;
};

export class Replay {
  readonly #parts: BusParts;
  readonly #options: ReplayOptions;
  readonly #stream: KeptStream;
  #registry!: Registry;
  #commands!: SessionCommands;
  #catchUps!: CatchUps;

  constructor(parts: BusParts, requests: RequestMany, options: ReplayOptions) {
    this.#parts = parts;
    this.#options = options;
    this.#stream = new KeptStream(parts, requests, options.windowMs);
  }

  attach(registry: Registry, commands: SessionCommands): void {
    const { outboxBytesMax } = this.#options;
    this.#registry = registry;
    this.#commands = commands;
    const stream = this.#stream;
    this.#catchUps = new CatchUps({ ...this.#parts, stream, commands, outboxBytesMax });
  }

  /** Why there is no replay yet; null: there is. */
  get problem(): string | null {
    return this.#stream.problem;
  }

  /** Sessions that lack kept pushes, or may. */
  get waiting(): number {
    return this.#catchUps.size;
  }

  onUp(first: boolean): void {
    this.#stream.find();
    if (!first) for (const session of this.#registry.all()) this.#look(session);
    this.#catchUps.hurry();
  }

  /** While there was no connection, anything may have been stored. */
  #look(session: Session): void {
    const { kept, uid } = session;
    if (kept !== null && uid !== '') this.#catchUps.look(session, kept);
  }

  /**
   * A session that may be resumed, or is: called once, in the turn in which its uid is bound, before it is accepted.
   *
   * @param confirmed When pushes to that uid reach it; null: they do.
   */
  begin(session: Session, start: ReplayStart, confirmed: Promise<void> | null): void {
    const { cursor, kept, issuedAtWall } = start;
    const isResumed = kept !== null || issuedAtWall > 0;
    const since = kept?.since ?? (issuedAtWall > 0 ? issuedAtWall : this.#parts.clock.wallNow());
    // The token came after the pushes that it counts, so its client has these.
    const seq = isResumed ? Math.max(kept?.seq ?? -1, cursorOf(cursor)) : -1;
    const tellsCursor = cursor !== undefined;
    const place = { seq, isOwn: seq > 0, since, tellsCursor, catchUp: null };
    session.kept = place;
    if (session.uid === '') return;
    if (isResumed) this.#catchUps.resume(session, place, confirmed);
    else this.#learnEnd(session, place);
  }

  /** The session has another user, or none. */
  bound(session: Session): void {
    const { kept } = session;
    if (kept === null) return;
    this.#catchUps.drop(session);
    const { tellsCursor } = kept;
    const since = this.#parts.clock.wallNow();
    const place = { seq: -1, isOwn: false, since, tellsCursor, catchUp: null };
    session.kept = place;
    if (session.uid !== '') this.#learnEnd(session, place);
  }

  /** What is in the stream now is not for this session. */
  #learnEnd(session: Session, place: KeptPlace): void {
    const learn = async (): Promise<void> => {
      const end = await this.#stream.end();
      if (end === null || place.seq >= 0 || session.kept !== place) return;
      place.seq = end;
      session.resuming?.changed();
    };
    inBackground(learn(), (error) => {
      this.#parts.report.error(`the end of the kept pushes: ${errorText(error)}`);
    });
  }

  /** A push that the stream has kept and sent on, to the sessions here of its user. */
  onKept(sessions: readonly Session[], message: NatsMessage): void {
    const { report } = this.#parts;
    const kept = readKept(message);
    const wrong = kept === null ? NOT_KEPT : this.#wrongIn(kept);
    if (wrong !== null) report.refused('BAD_ARGUMENT', message.subject, wrong);
    if (kept === null) return;
    const now = sessions.filter((session) => this.#isNext(session, kept));
    if (wrong !== null || isFailure(kept.push)) return;
    const { push } = kept;
    const filter = push.target === null ? null : filterOf(push.target);
    const receivers = filter === null ? now : now.filter(filter);
    this.#commands.push(push, receivers);
    this.#tell(receivers, kept.seq);
  }

  #wrongIn({ push }: KeptPush): string | null {
    if (isFailure(push)) return push.message;
    return this.#commands.check({ ...push, target: null })?.message ?? null;
  }

  /** It can be delivered to the session at once. */
  #isNext(session: Session, { seq, previous }: KeptPush): boolean {
    const { kept: place } = session;
    if (place === null) return true;
    if (this.#catchUps.has(session)) {
      this.#catchUps.start(session, place, seq);
      return false;
    }
    const lacks = place.seq >= 0 && previous > place.seq;
    // It has been read already; or the stream was made again, and counts anew.
    const isKnown = place.isOwn && seq <= place.seq;
    if (lacks || isKnown) {
      this.#catchUps.start(session, place, isKnown ? 0 : seq);
      return false;
    }
    place.seq = seq;
    place.isOwn = true;
    return true;
  }

  /** Right after the push, so that both leave in one write. */
  #tell(sessions: readonly Session[], seq: number): void {
    const told = sessions.filter(({ kept }) => kept?.tellsCursor === true);
    if (told.length > 0) this.#commands.push(cursorPush(seq), told);
    for (const { kept, resuming } of sessions)
      if (kept !== null && !kept.tellsCursor) resuming?.changed();
  }
}

const NOT_KEPT =
  'only a stream sends on what it has kept: publish to pith.keep.user.<uid>, or to pith.user.<uid>.push';

/** -1: the client has no cursor, or says nonsense. */
function cursorOf(cursor: unknown): number {
  const isText = typeof cursor === 'string' && /^[0-9]{1,16}$/.test(cursor);
  const seq = isText || typeof cursor === 'number' ? Number(cursor) : -1;
  return Number.isSafeInteger(seq) && seq > 0 ? seq : -1;
}
