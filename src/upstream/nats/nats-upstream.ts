/**
 * Backends on NATS: one publish per message, answers to one subscription of our own, the call's number in the
 * subject. What a turn of the event loop gathers is published together.
 */
import type { MsgHdrs } from 'nats';

import { connectJson, readConnectResponse } from '../../contract/json-shapes.ts';
import { isPubAck } from '../../contract/pub-ack.ts';
import { errorText, type Failure, failure } from '../../errors.ts';
import type { Lane } from '../../session/lane.ts';
import type { TimerWheel } from '../../timer-wheel.ts';
import type { Call } from '../call.ts';
import { CallTable } from '../call-table.ts';
import { ConnectCall } from '../connect-call.ts';
import type {
  Accepted,
  ClosedSession,
  ConnectAsk,
  Reply,
  Upstream,
  UpstreamInfo,
} from '../upstream.ts';
import type { NatsConnector, OnMessage } from './connection.ts';
import {
  HeaderBlock,
  HeaderError,
  readClose,
  readFailure,
  readHeaders,
  readPatch,
  sessionLines,
  traceLines,
} from './headers.ts';
import { SUBJECT_BYTES_MAX, type Subjects } from './subjects.ts';

const NO_RESPONDERS = 503;

export type NatsUpstreamEvents = {
  /** An answer nobody waits for any more. */
  onLateReply(): void;
  onPubAck(subject: string): void;
};

/** All answers from NATS, for every NATS backend of the gateway. */
export class NatsAnswers {
  readonly calls = new CallTable(Number.MAX_SAFE_INTEGER);
  readonly #subjects: Subjects;
  readonly #events: NatsUpstreamEvents;

  constructor(connector: NatsConnector, subjects: Subjects, events: NatsUpstreamEvents) {
    this.#subjects = subjects;
    this.#events = events;
    connector.always(subjects.answers, this.#onAnswer);
  }

  /** The connection broke: what was sent may have arrived, so it is answered and not sent again. */
  onDown(): void {
    for (const call of this.calls.takeAll()) call.fail(failure('BUS_AWAY'));
  }

  readonly #onAnswer: OnMessage = (error, message) => {
    if (error !== null) return;
    const call = this.calls.find(this.#subjects.answerId(message.subject));
    if (call === null) {
      this.#events.onLateReply();
      return;
    }
    const body = message.data;
    if (isPubAck(body)) {
      this.#events.onPubAck(call.route);
      return;
    }
    this.calls.remove(call);
    const headers = headersOf(message);
    if (headers === undefined) call.succeed(body);
    else if (headers === null) call.fail(failure('BAD_REPLY', 'its headers could not be read'));
    else if (headers.code === NO_RESPONDERS && body.length === 0)
      (call.upstream as NatsUpstream).onNobody(call);
    else answerWithHeaders(call, readHeaders(headers), body);
  };
}

/** null: there are some, and they cannot be read. */
function headersOf(message: Parameters<OnMessage>[1]): MsgHdrs | undefined | null {
  try {
    return message.headers;
  } catch {
    return null;
  }
}

function answerWithHeaders(
  call: Call,
  headers: ReturnType<typeof readHeaders>,
  body: Uint8Array,
): void {
  let reply: Reply;
  try {
    reply = {
      failure: readFailure(headers, body),
      body,
      patch: readPatch(headers),
      pushes: [],
      close: readClose(headers),
    };
  } catch (error) {
    call.fail(failure('BAD_REPLY', error instanceof HeaderError ? error.message : undefined));
    return;
  }
  call.answer(reply);
}

/** What a session's messages have in common, kept while it does not change. */
type Facts = { readonly version: number; readonly ordinal: number; readonly lines: string };

export class NatsUpstream implements Upstream {
  readonly oneAtATime = false;
  readonly #connector: NatsConnector;
  readonly #subjects: Subjects;
  readonly #answers: NatsAnswers;
  readonly #wheel: TimerWheel;
  /** To be published at the end of this turn. */
  #turn: (Call | null)[] = [];

  constructor(
    connector: NatsConnector,
    subjects: Subjects,
    answers: NatsAnswers,
    wheel: TimerWheel,
  ) {
    this.#wheel = wheel;
    this.#connector = connector;
    this.#subjects = subjects;
    this.#answers = answers;
  }

  start(): Promise<void> {
    return Promise.resolve();
  }

  send(call: Call): void {
    if (!this.#connector.up) {
      call.fail(failure('BUS_AWAY'));
      return;
    }
    this.#turn.push(call);
    if (this.#turn.length === 1) setImmediate(this.#publishTurn);
  }

  cancel(call: Call): void {
    if (call.slot === this.#answers.calls) {
      this.#answers.calls.remove(call);
      return;
    }
    const at = this.#turn.lastIndexOf(call);
    if (at >= 0) this.#turn[at] = null;
  }

  connect(ask: ConnectAsk): Promise<Accepted | Failure> {
    const call = new ConnectCall(ask, this, this.#wheel, readConnectResponse);
    call.route = this.#subjects.connect;
    if (!this.#connector.up) call.fail(failure('BUS_AWAY'));
    else if (!call.ended) this.#publishConnect(call, ask);
    return call.outcome;
  }

  #publishConnect(call: ConnectCall, ask: ConnectAsk): void {
    const reply = this.#subjects.answer(this.#answers.calls.add(call));
    const headers = new HeaderBlock(`Pith-Timeout-Ms: ${call.leftMs}\r\n`).asHeaders();
    try {
      this.#connector.publish(call.route, JSON.stringify(connectJson(ask)), { reply, headers });
    } catch (error) {
      // Too large for the server; the text says so.
      this.#answers.calls.remove(call);
      call.fail(failure('BAD_BODY', errorText(error)));
    }
  }

  onSessionClosed(_closed: ClosedSession, _lane: Lane): void {}

  /** No backend listens; the server says so at once, so nobody has seen the message. */
  onNobody(call: Call): void {
    if (call.instance !== '' && call.target.otherwise === 'any') {
      call.instance = '';
      this.send(call);
    } else {
      call.fail(failure('BACKEND_AWAY'));
    }
  }

  info(): UpstreamInfo {
    return { kind: 'nats', addresses: 1, healthy: this.#connector.up ? 1 : 0 };
  }

  close(): Promise<void> {
    return Promise.resolve();
  }

  readonly #publishTurn = (): void => {
    const turn = this.#turn;
    this.#turn = [];
    for (const call of turn) if (call !== null) this.#publish(call);
  };

  #publish(call: Call): void {
    const subject =
      call.instance === ''
        ? this.#subjects.rpc(call.route)
        : this.#subjects.rpcTo(call.instance, call.route);
    if (!this.#connector.up) {
      call.fail(failure('BUS_AWAY'));
      return;
    }
    if (subject.length > SUBJECT_BYTES_MAX) {
      call.fail(failure('BAD_ROUTE', 'the subject for this route and instance is too long'));
      return;
    }
    const headers = this.#headers(call);
    try {
      if (call.wantsAnswer) {
        const reply = this.#subjects.answer(this.#answers.calls.add(call));
        this.#connector.publish(subject, call.body, { reply, headers });
      } else {
        this.#connector.publish(subject, call.body, { headers });
      }
    } catch (error) {
      // Too large for the server, as far as anybody knows; the text says so.
      this.#answers.calls.remove(call);
      call.fail(failure('BAD_BODY', errorText(error)));
      return;
    }
    if (!call.wantsAnswer) call.sent();
  }

  #headers(call: Call): ReturnType<HeaderBlock['asHeaders']> {
    const left = Math.max(1, Math.round(call.deadline - this.#wheel.now()));
    let lines = `${this.#sessionLines(call)}Pith-Seq: ${call.seq}\r\nPith-Route: ${call.route}\r\nPith-Timeout-Ms: ${left}\r\n`;
    if (call.wantsAnswer) lines += `Pith-Id: ${call.session.wire.idOf(call.rawId)}\r\n`;
    if (call.trace !== null) lines += traceLines(call.trace);
    return new HeaderBlock(lines).asHeaders();
  }

  #sessionLines(call: Call): string {
    const { lane, session, target } = call;
    const known = lane.facts as Facts | null;
    if (known !== null && known.version === session.version && known.ordinal === target.ordinal)
      return known.lines;
    const facts: Facts = {
      version: session.version,
      ordinal: target.ordinal,
      lines: sessionLines(session, target.forward),
    };
    lane.facts = facts;
    return facts.lines;
  }
}
