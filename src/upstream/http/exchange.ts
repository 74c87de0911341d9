/** One POST and its answer, as the HTTP client hands it over. */
import type { Dispatcher } from 'undici';

import { Gathered } from '../../gathered.ts';
import { badReply, type Trouble, troubleOf, type Where } from './trouble.ts';

/** unsent: there is no connection for it yet · sent · begun: a byte of the answer has come · headed: its head has. */
export type Phase = 'unsent' | 'sent' | 'begun' | 'headed';

/** Headers of an answer, names in lower case; values in latin1. */
export type AnswerHeaders = Readonly<Record<string, string | string[] | undefined>>;

/** Bytes of unfinished answers, over all exchanges of a backend. */
export class ByteBudget {
  readonly bytesMax: number;
  bytes = 0;

  constructor(bytesMax: number) {
    this.bytesMax = bytesMax;
  }
}

export type ExchangeLimits = {
  /** Bytes of one answer's body. */
  readonly answerBytesMax: number;
  readonly held: ByteBudget;
};

/** Answers before the answer. More are no progress that somebody reports, but a loop. */
export const INTERIMS_MAX = 1_000;

/** Ends a cancelled request; never shown. */
const CANCELLED = new Error('cancelled');
const GIVEN_UP = badReply('cancelled', 'no one is waiting for it');
const NO_HEADERS: AnswerHeaders = {};

/** Ends once, as `answered` or `failed`. */
export abstract class Exchange implements Dispatcher.DispatchHandler {
  status = 0;
  headers: AnswerHeaders = NO_HEADERS;
  /** How far it has come, for explaining why there is no answer. */
  phase: Phase = 'unsent';
  cancelled = false;
  readonly #where: Where;
  readonly #limits: ExchangeLimits;
  readonly #body = new Gathered();
  #interims = 0;
  #controller: Dispatcher.DispatchController | null = null;
  #refused: Trouble | null = null;
  #ended = false;

  constructor(where: Where, limits: ExchangeLimits) {
    this.#where = where;
    this.#limits = limits;
  }

  /** All of the answer is here. */
  protected abstract answered(): void;

  /** There is no answer. Also called for a cancelled request. */
  protected abstract failed(trouble: Trouble): void;

  /** The body of the answer. */
  get body(): Buffer {
    return this.#body.all();
  }

  /** A byte of the answer has come. */
  get began(): boolean {
    return this.phase === 'begun' || this.phase === 'headed';
  }

  /** A header of the answer, '' for none; the first of several. */
  header(name: string): string {
    const value = this.headers[name];
    return (typeof value === 'string' ? value : value?.[0]) ?? '';
  }

  /** Nobody waits any more. A connection that is at work on it is closed, which tells the backend. */
  abort(): void {
    this.cancelled = true;
    this.#controller?.abort(CANCELLED);
  }

  onRequestStart(controller: Dispatcher.DispatchController): void {
    // Thrown, the connection stays as it is; an abort would close it.
    if (this.cancelled) throw CANCELLED;
    this.#controller = controller;
    this.phase = 'sent';
  }

  onResponseStarted(): void {
    this.phase = 'begun';
  }

  onResponseStart(
    _controller: Dispatcher.DispatchController,
    status: number,
    headers: AnswerHeaders,
  ): void {
    // [RFC 9110 section 15.2] An answer before the answer.
    if (status < 200) {
      if (++this.#interims > INTERIMS_MAX) this.#refuse(this.#tooManyInterims());
      return;
    }
    this.phase = 'headed';
    this.status = status;
    this.headers = headers;
    const refused = this.#refusal();
    if (refused !== null) this.#refuse(refused);
  }

  onResponseData(_controller: Dispatcher.DispatchController, chunk: Buffer): void {
    const { answerBytesMax, held } = this.#limits;
    if (this.#body.bytes + chunk.length > answerBytesMax) {
      this.#refuse(this.#tooLong());
      return;
    }
    if (held.bytes + chunk.length > held.bytesMax) {
      const why = `answers of ${held.bytesMax} bytes together are unfinished: ${this.#where.url} answers with too much, too slowly`;
      this.#refuse(badReply('held', why));
      return;
    }
    held.bytes += chunk.length;
    this.#body.add(chunk);
  }

  onResponseEnd(): void {
    if (!this.#finish()) return;
    this.answered();
  }

  onResponseError(_controller: Dispatcher.DispatchController | null, error: Error): void {
    if (!this.#finish()) return;
    const why = error === CANCELLED ? GIVEN_UP : troubleOf(error, this.#where, this.began);
    this.failed(this.#refused ?? why);
  }

  #finish(): boolean {
    if (this.#ended) return false;
    this.#ended = true;
    this.#controller = null;
    this.#limits.held.bytes -= this.#body.bytes;
    return true;
  }

  #refuse(why: Trouble): void {
    this.#refused = why;
    this.#controller?.abort(CANCELLED);
  }

  /** What in the head alone says that this is no answer; null: nothing. */
  #refusal(): Trouble | null {
    const { url } = this.#where;
    const type = this.header('content-type');
    if (/^text\/event-stream\b/i.test(type)) {
      const message = 'the backend answered with an event stream';
      return badReply(
        'event-stream',
        `${url} answered with an event stream: one body is needed`,
        message,
      );
    }
    const encoding = this.header('content-encoding');
    if (encoding !== '' && encoding.toLowerCase() !== 'identity') {
      return badReply(
        'encoding',
        `${url} compressed its answer (${encoding.slice(0, 64)}), which was not asked for: switch that off`,
      );
    }
    return Number(this.header('content-length')) > this.#limits.answerBytesMax
      ? this.#tooLong()
      : null;
  }

  #tooManyInterims(): Trouble {
    const why = `${this.#where.url} sent more than ${INTERIMS_MAX} answers of 1xx, and no answer after them`;
    return badReply('interims', why, 'the backend kept sending interim answers');
  }

  #tooLong(): Trouble {
    const why = `${this.#where.url} answered with more than the ${this.#limits.answerBytesMax} bytes that a packet holds`;
    return badReply('too-long', why, "the backend's answer does not fit into a packet");
  }
}
