/** Requests on `pith.refresh`: a client brings a newer token before the one that it came with lapses. */
import { inBackground } from '../background.ts';
import type { SessionCommands } from '../bus/session-commands.ts';
import { type Failure, failure, isFailure } from '../errors.ts';
import { isObject, parseAsWritten } from '../protocol/exact-json.ts';
import type { Message } from '../protocol/message.ts';
import { textFromClient } from '../protocol/text.ts';
import type { InFlight } from '../session/in-flight.ts';
import type { Session } from '../session/session.ts';
import type { Log } from '../telemetry/log.ts';
import type { LogThrottle } from '../telemetry/log-throttle.ts';
import type { TimerWheel } from '../timer-wheel.ts';
import { applied, isClosed } from './applied.ts';
import type { HeldTokens } from './held-tokens.ts';
import type { Granted } from './jwt/claims.ts';
import { refused, type Refused, TOKEN_CHARS_MAX } from './jwt/token.ts';
import { lineKindOf, type TokenCheck } from './jwt/token-check.ts';

/** Milliseconds until a request is answered. */
const REFRESH_MS = 10_000;
/** Bytes of its body: a token, and some JSON around it. */
const BODY_BYTES_MAX = TOKEN_CHARS_MAX + 1_024;

const ONE_AT_A_TIME: Failure = {
  ...failure('TOO_MANY', 'another token is being verified; wait for its answer'),
  retryAfterMs: 1_000,
};

/** Keeps what was refused, for those who ask why; and names it. */
export interface RefusalReport {
  kept(
    session: Session,
    message: { readonly seq: number; readonly route: string; readonly wantsAnswer: boolean },
    why: Failure,
  ): void;
  named(why: Failure, sid: string, seq: number): Failure;
}

export type TokenRefreshParts = {
  readonly report: RefusalReport;
  readonly check: TokenCheck;
  readonly held: HeldTokens;
  readonly sessionCommands: SessionCommands;
  readonly wheel: TimerWheel;
  readonly log: Log;
  readonly throttle: LogThrottle;
};

/** A request that waits for its answer. */
class Refresh implements InFlight {
  readonly rawId: number;
  readonly wantsAnswer: boolean;
  inFlightBefore: InFlight | null = null;
  inFlightAfter: InFlight | null = null;
  readonly #session: Session;
  readonly #route: string;
  readonly #seq: number;
  readonly #report: RefusalReport;
  #isAnswered = false;

  constructor(session: Session, { rawId, wantsAnswer, route }: Message, report: RefusalReport) {
    this.#session = session;
    this.#seq = ++session.seq;
    this.#report = report;
    this.rawId = rawId;
    this.wantsAnswer = wantsAnswer;
    this.#route = route;
  }

  get isOver(): boolean {
    return this.#isAnswered || this.#session.state === 'closed';
  }

  answer(body: Record<string, unknown>): void {
    this.#end(() => {
      const json = Buffer.from(JSON.stringify(body));
      const encoded = this.#session.wire.answer(this.rawId, this.#route, json, 'auto');
      return isFailure(encoded) ? null : encoded;
    });
  }

  giveUp(why: Failure): void {
    const session = this.#session;
    const message = { seq: this.#seq, route: this.#route, wantsAnswer: this.wantsAnswer };
    if (!this.#isAnswered) this.#report.kept(session, message, why);
    const named = this.#report.named(why, session.sid, this.#seq);
    this.#end(() => session.wire.failure(this.rawId, this.#route, named));
  }

  abandon(): void {
    this.#end(() => null);
  }

  #end(encode: () => Buffer | null): void {
    if (this.#isAnswered) return;
    this.#isAnswered = true;
    const session = this.#session;
    const encoded = this.wantsAnswer && session.state !== 'closed' ? encode() : null;
    if (encoded !== null) session.send(encoded);
    session.untrack(this);
  }
}

export class TokenRefresh {
  readonly #parts: TokenRefreshParts;
  /** One token of a session at a time. */
  readonly #running = new WeakSet<Session>();

  constructor(parts: TokenRefreshParts) {
    this.#parts = parts;
  }

  /** A message on `pith.refresh`; answers it now or later. @param body Its body, read. */
  receive(session: Session, message: Message, body: Buffer): void {
    const refresh = new Refresh(session, message, this.#parts.report);
    session.track(refresh);
    const token = tokenIn(body);
    if (this.#running.has(session)) refresh.giveUp(ONE_AT_A_TIME);
    else if (isFailure(token)) refresh.giveUp(token);
    else {
      this.#running.add(session);
      inBackground(this.#run(session, refresh, token.token), (error) => {
        this.#running.delete(session);
        const { sid, uid, remoteIp } = session;
        this.#parts.log.error({ sid, uid, remoteIp, err: error }, 'token not refreshed');
        refresh.giveUp(failure('INTERNAL'));
      });
    }
  }

  async #run(session: Session, refresh: Refresh, token: unknown): Promise<void> {
    const { check, wheel } = this.#parts;
    const outcome = await check.check(token, {
      use: 'refresh',
      deadline: wheel.now() + REFRESH_MS,
      isWanted: () => !isClosed(session),
      refusal: (granted) => this.#refusal(session, granted),
    });
    const why = isFailure(outcome) ? outcome : await this.#apply(session, outcome);
    this.#running.delete(session);
    if (isClosed(session)) return;
    if (why !== null) {
      this.#tell(session, why);
      refresh.giveUp(why);
    } else
      refresh.answer({ code: 200, expires_in: this.#parts.held.secondsLeft(outcome as Granted) });
  }

  #refusal(session: Session, { holder }: Granted): Refused | null {
    const own = this.#parts.held.holderOf(session);
    return holder === own ? null : refused('other_uid', 'it is the token of another user');
  }

  /** What it says of data and roles holds from now on; a uid that its backend has taken away does not come back. */
  async #apply(session: Session, granted: Granted): Promise<Failure | null> {
    const { check, held, sessionCommands } = this.#parts;
    if (isClosed(session)) return null;
    const { set } = granted;
    const why =
      Object.keys(set).length === 0 ? null : await applied(sessionCommands, session, { set });
    if (why !== null || isClosed(session)) return why;
    held.hold(session, granted, check.rules.skewMs);
    return null;
  }

  #tell({ sid, uid, remoteIp }: Session, why: Failure): void {
    const { reason, detail, message } = why;
    const { log, throttle } = this.#parts;
    const left = throttle.allow(`refresh ${lineKindOf(why)}`);
    if (left === null) return;
    log.info(
      { sid, uid, remoteIp, reason, why: detail || message, ...left },
      'token not refreshed',
    );
  }
}

function tokenIn(body: Buffer): { token: unknown } | Failure {
  if (body.length > BODY_BYTES_MAX) return failure('BAD_BODY', 'the body is too long for a token');
  try {
    const value = parseAsWritten(textFromClient(body));
    if (isObject(value)) return { token: value['token'] };
  } catch {
    // Said below.
  }
  return failure('BAD_BODY', 'expected {"token":"…"}');
}
