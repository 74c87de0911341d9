/** What an HTTP backend's answer means for the call that it answers: its status, its headers, its body. */
import type { Clock } from '../../clock.ts';
import { type Headers, readClose, readFrom, readPatch } from '../../contract/headers.ts';
import { ShapeError } from '../../contract/json.ts';
import type { Cursor } from '../../contract/cursor.ts';
import { failure } from '../../errors.ts';
import type { BackendReport } from '../backend-report.ts';
import type { Call } from '../call.ts';
import { ConnectCall } from '../connect-call.ts';
import { answerHeaders } from './answer-headers.ts';
import { NOT_SERVED } from './closed-events.ts';
import type { Exchange } from './exchange.ts';
import { HINTS, type Refusal, refusalOf } from './status.ts';
import { badReply, misledBy, type Trouble, type Where } from './trouble.ts';

export class HttpAnswers {
  readonly #where: Where;
  readonly #clock: Clock;
  readonly #report: BackendReport;

  constructor(where: Where, clock: Clock, report: BackendReport) {
    this.#where = where;
    this.#clock = clock;
    this.#report = report;
  }

  /** Ends `call` by the whole answer that came. @param path That was asked, for the log. */
  end(call: Call, exchange: Exchange, path: string): void {
    const { status, body } = exchange;
    const misled = misledBy(status, exchange.header('location'), body, this.#where);
    if (misled !== null) {
      this.fail(call, misled);
    } else if (call instanceof ConnectCall) {
      this.#endConnect(call, exchange, path);
    } else {
      const headers = answerHeaders(exchange.headers);
      const refused = status < 300 ? null : this.#refusal(call, exchange, headers, path);
      if (headers === null && refused === null) call.succeed(body);
      else this.#endInFull(call, { headers, refused, body });
    }
  }

  /** Ends `call` by the reason why there is no answer that can be used. */
  fail(call: Call, { kind, why, reason, message }: Trouble): void {
    this.#report.trouble(call, kind, { reason, route: call.route }, why);
    call.fail(failure(reason, message));
  }

  #endInFull(
    call: Call,
    answer: { headers: Headers | null; refused: Refusal | null; body: Buffer },
  ): void {
    const { headers, refused, body } = answer;
    let patch: ReturnType<typeof readPatch> = null;
    let from: Cursor | undefined;
    try {
      if (headers !== null) {
        patch = readPatch(headers);
        from = readFrom(headers);
      }
    } catch (error) {
      if (!(error instanceof ShapeError)) throw error;
      this.fail(call, badReply('header', error.message, error.message));
      return;
    }
    const close = headers === null ? null : readClose(headers);
    // Nothing but a status: it may be sent again where its route says so.
    if (refused !== null && !refused.spoken && patch === null && close === null)
      call.fail(refused.failure);
    else {
      const why = refused?.failure ?? null;
      call.answer({ body, failure: why, patch, pushes: [], close, ...(from && { from }) });
    }
  }

  #endConnect(call: ConnectCall, exchange: Exchange, path: string): void {
    const { status } = exchange;
    if (status < 300) {
      call.succeed(exchange.body);
    } else if (NOT_SERVED.has(status)) {
      const why = `POST ${this.#where.url}${path} answered ${status}: the backend that auth.backend names must serve it`;
      const { route } = call;
      this.#report.trouble(call, 'no-connect', { reason: 'BACKEND_ERROR', route }, why);
      call.fail(failure('BACKEND_ERROR', 'the backend has no Connect'));
    } else {
      const headers = answerHeaders(exchange.headers);
      const { failure: refused } = this.#refusal(call, exchange, headers, path);
      // A status of 500 or more means that no decision was made.
      if (status < 500) call.answered(refused);
      else call.fail(refused);
    }
  }

  #refusal(call: Call, exchange: Exchange, headers: Headers | null, path: string): Refusal {
    const { status, body } = exchange;
    const refusal = refusalOf({
      status,
      body,
      reason: headers?.get('pith-error-reason') ?? '',
      retryAfter: exchange.header('retry-after'),
      wallNow: this.#clock.wallNow(),
    });
    const hint = HINTS.get(status) ?? '';
    if (status >= 500 || (!refusal.spoken && hint !== '')) {
      const why = `POST ${this.#where.url}${path} answered ${status}${hint}`;
      const { reason } = refusal.failure;
      this.#report.trouble(call, `status ${status}`, { reason, route: call.route }, why);
    }
    return refusal;
  }
}
