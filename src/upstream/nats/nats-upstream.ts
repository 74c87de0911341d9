/**
 * Backends on NATS: one publish per message, answers to one subscription of our own, the call's number in the
 * subject. What a turn of the event loop gathers is published together.
 */
import {
  readClose,
  readFailure,
  readFrom,
  readPatch,
  sessionHeaders,
  traceHeaders,
} from '../../contract/headers.ts';
import { connectJson, readConnectResponse } from '../../contract/json-shapes.ts';
import { type Failure, failure, type Reason } from '../../errors.ts';
import type { Lane, BackendSession } from '../../session/lane.ts';
import type { TimerWheel } from '../../timer-wheel.ts';
import type { BackendReport } from '../backend-report.ts';
import type { Call, PendingCall } from '../call.ts';
import type { ClientSpan } from '../client-span.ts';
import { ConnectCall } from '../connect-call.ts';
import { FactsCache } from '../facts-cache.ts';
import { type ConnectAsk, oneAddress, type Upstream, type UpstreamInfo } from '../upstream.ts';
import { HeaderBlock, linesOf, readHeaders } from './header-block.ts';
import type { NatsAnswers } from './nats-answers.ts';
import type { NatsMessage } from './nats-connection.ts';
import type { NatsConnector } from './nats-connector.ts';
import { send, type SendConnection } from './outgoing.ts';
import { SUBJECT_BYTES_MAX, type Subjects } from './subjects.ts';
import { Unserved } from './unserved.ts';
import type { Accepted, Reply } from '../../contract/commands.ts';
import { ShapeError } from '../../contract/json.ts';

/** A backend that answered within this time has subscribers, though perhaps not on each of its subjects. */
const HEALTHY_MS = 10_000;

/** One session: any subscriber gets its messages, and none is notified of its end. */
class NatsSession implements BackendSession {
  readonly lines = new FactsCache((session, forward) => linesOf(sessionHeaders(session, forward)));

  readonly places = [];

  forget(): void {}
}

export type NatsUpstreamOptions = {
  readonly connector: SendConnection & Pick<NatsConnector, 'mayBeBack'>;
  readonly subjects: Subjects;
  readonly answers: NatsAnswers;
  /** Bytes of an answer to Connect, which is parsed: `limits.convert`. */
  readonly convertBytesMax: number;
  readonly wheel: TimerWheel;
};

export class NatsUpstream implements Upstream, PendingCall {
  readonly oneAtATime = false;
  readonly #connector: NatsUpstreamOptions['connector'];
  readonly #subjects: Subjects;
  readonly #answers: NatsAnswers;
  readonly #wheel: TimerWheel;
  readonly #convertBytesMax: number;
  readonly #report: BackendReport;
  readonly #unserved: Unserved;
  /** The subject of the route that was called last, which is often the next one's too. */
  #route = '';
  #subject = '';
  /** To be published at the end of this turn. */
  #turn: (Call | null)[] = [];
  /** What is left of the turn that is being published: one that fails may end others of it. */
  #publishing: (Call | null)[] = [];
  /** When the backend last answered, and when the server last reported no subscribers. */
  #answeredAt = -Infinity;
  #nobodyAt = -Infinity;

  constructor(options: NatsUpstreamOptions, report: BackendReport) {
    this.#connector = options.connector;
    this.#subjects = options.subjects;
    this.#answers = options.answers;
    this.#wheel = options.wheel;
    this.#convertBytesMax = options.convertBytesMax;
    this.#report = report;
    this.#unserved = new Unserved(options.wheel, report.waits('subscriber'));
  }

  start(): Promise<void> {
    return Promise.resolve();
  }

  send(call: Call): void {
    if (!this.#connector.up && !this.#connector.mayBeBack) {
      call.fail(failure('BUS_AWAY'));
      return;
    }
    call.pending = this;
    this.#turn.push(call);
    if (this.#turn.length === 1) this.#wheel.soon(this.#publishTurn);
  }

  cancel(call: Call): void {
    if (this.#answers.calls.remove(call)) {
      if (call.deadline <= this.#wheel.now())
        this.#trouble(call, 'TIMEOUT', 'the backend did not answer in time');
      return;
    }
    if (this.#answers.held.remove(call)) return;
    for (const turn of [this.#turn, this.#publishing]) {
      const at = turn.lastIndexOf(call);
      if (at >= 0) turn[at] = null;
    }
  }

  unsentBecause(call: Call): Failure | null {
    // A server that is there, and does not read, is late.
    return this.#connector.up || !this.#answers.held.has(call) ? null : failure('BUS_AWAY');
  }

  connect(ask: ConnectAsk): Promise<Accepted | Failure> {
    const call = new ConnectCall(ask, this, this.#wheel, (body) =>
      readConnectResponse(body, this.#convertBytesMax),
    );
    call.route = this.#subjects.connect;
    if (!this.#connector.up) call.fail(failure('BUS_AWAY'));
    else if (!call.ended) this.#publishConnect(call, ask);
    return call.outcome;
  }

  #publishConnect(call: ConnectCall, ask: ConnectAsk): void {
    this.#ask(
      call,
      call.route,
      Buffer.from(JSON.stringify(connectJson(ask))),
      new HeaderBlock(`Pith-Timeout-Ms: ${call.leftMs(this.#wheel.now())}\r\n`),
    );
  }

  /** False: it has not left, and the call has failed. */
  #ask(call: Call, subject: string, payload: Uint8Array, headers: HeaderBlock): boolean {
    const reply = call.wantsAnswer
      ? this.#subjects.answer(this.#answers.calls.add(call, this))
      : '';
    const unsent = send(this.#connector, { subject, payload, reply, headers });
    if (unsent === null) return true;
    this.#answers.calls.remove(call);
    if (unsent.reason === 'TOO_LARGE') this.#trouble(call, 'TOO_LARGE', unsent.message);
    call.fail(unsent);
    return false;
  }

  /** Where the call is published. */
  subjectOf(call: Call): string {
    if (call instanceof ConnectCall) return call.route;
    if (call.instance !== '') return this.#subjects.rpcTo(call.instance, call.route);
    if (call.route !== this.#route) {
      this.#route = call.route;
      this.#subject = this.#subjects.rpc(call.route);
    }
    return this.#subject;
  }

  /** There are no subscribers; the server reports that immediately, so no backend has seen the message. */
  onNobody(call: Call): void {
    if (call.instance !== '' && call.target.otherwise === 'any') {
      call.instance = '';
      this.send(call);
      return;
    }
    const mayWait = call.instance === '' && !(call instanceof ConnectCall);
    const again = (): void => {
      this.send(call);
    };
    if (mayWait && this.#unserved.waits(call, again)) return;
    this.#nobodyAt = this.#wheel.now();
    this.#trouble(call, 'BACKEND_AWAY', 'no subscribers on this subject');
    call.fail(failure('BACKEND_AWAY'));
  }

  onAnswer(call: Call, body: Uint8Array): void {
    this.#answered(call);
    call.succeed(body);
  }

  #answered(call: Call): void {
    const now = this.#wheel.now();
    this.#answeredAt = now;
    this.#unserved.answered(call, now);
  }

  onAnswerWithHeaders(call: Call, message: NatsMessage): void {
    this.#answered(call);
    const body = message.data;
    let reply: Reply;
    try {
      const headers = readHeaders(message);
      const from = readFrom(headers);
      reply = {
        failure: readFailure(headers, body),
        body,
        patch: readPatch(headers),
        pushes: [],
        close: readClose(headers),
        ...(from && { from }),
      };
    } catch (error) {
      if (!(error instanceof ShapeError)) throw error;
      this.#trouble(call, 'BAD_REPLY', error.message);
      call.fail(failure('BAD_REPLY', error.message));
      return;
    }
    call.answer(reply);
  }

  whereTo({ route, instance }: Call): Readonly<Record<string, string>> {
    const subject =
      instance === '' ? this.#subjects.rpc(route) : this.#subjects.rpcTo(instance, route);
    return { subject };
  }

  /** [OpenTelemetry: messaging; there is no page for NATS.] */
  clientSpan({ instance, wantsAnswer }: Call): ClientSpan {
    const template = this.#subjects.template(instance !== '');
    const operation = wantsAnswer ? 'request' : 'publish';
    return {
      name: `${operation} ${template}`,
      attributes: {
        'messaging.system.name': 'nats',
        'messaging.operation.name': operation,
        'messaging.operation.type': 'send',
        'messaging.destination.template': template,
      },
    };
  }

  /** A backend is healthy if it has answered, unless the server has said since then that no one listens. */
  info(): UpstreamInfo {
    const isNew = this.#answeredAt > this.#wheel.now() - HEALTHY_MS;
    const isHealthy = this.#connector.up && (isNew || this.#answeredAt > this.#nobodyAt);
    const why = isHealthy ? '' : this.#connector.up ? 'no answer lately' : 'NATS is away';
    const address = this.#subjects.template(false);
    const state = isHealthy ? 'up' : 'away';
    return { kind: 'nats', ...oneAddress({ address, state, why, isHealthy }) };
  }

  close(): Promise<void> {
    return Promise.resolve();
  }

  #trouble(call: Call, reason: Reason, why: string): void {
    this.#report.trouble(call, reason, { reason, subject: this.subjectOf(call) }, why);
  }

  readonly #publishTurn = (): void => {
    const turn = this.#turn;
    this.#turn = [];
    this.#publishing = turn;
    const isFirst = this.#wheel.beginMoment();
    try {
      this.#publishAll(turn);
    } finally {
      if (isFirst) this.#wheel.endMoment();
      this.#publishing = [];
    }
  };

  #publishAll(turn: (Call | null)[]): void {
    for (let i = 0; i < turn.length; i++) {
      const call = turn[i]!;
      if (call === null) continue;
      turn[i] = null;
      if (this.#answers.hasRoom) this.publish(call);
      else this.#answers.hold(call, this);
    }
  }

  /** Sends it now. */
  publish(call: Call): void {
    const subject = this.subjectOf(call);
    if (subject.length > SUBJECT_BYTES_MAX) {
      call.fail(failure('BAD_ROUTE', 'the subject for this route and instance is too long'));
      return;
    }
    const isSent = this.#ask(call, subject, call.body, this.#headers(call));
    if (isSent && !call.wantsAnswer) call.sent();
  }

  #headers(call: Call): HeaderBlock {
    const left = call.leftMs(this.#wheel.now());
    let lines = `${sessionOf(call.lane).lines.of(call)}Pith-Seq: ${call.seq}\r\nPith-Route: ${call.route}\r\nPith-Timeout-Ms: ${left}\r\n`;
    if (call.wantsAnswer) lines += `Pith-Id: ${call.session.wire.idOf(call.rawId)}\r\n`;
    if (call.trace !== null) lines += linesOf(traceHeaders(call.trace));
    return new HeaderBlock(lines);
  }
}

function sessionOf(lane: Lane): NatsSession {
  return lane.backendSession instanceof NatsSession
    ? lane.backendSession
    : (lane.backendSession = new NatsSession());
}
