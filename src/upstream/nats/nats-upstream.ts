/**
 * Backends on NATS: one publish per message, answers to one subscription of our own, the call's number in the
 * subject. What a turn of the event loop gathers is published together.
 */
import { inBackground } from '../../background.ts';
import {
  readClose,
  readFailure,
  readPatch,
  sessionHeaders,
  traceHeaders,
} from '../../contract/headers.ts';
import { connectJson, readConnectResponse } from '../../contract/json-shapes.ts';
import { isPubAck } from '../../contract/pub-ack.ts';
import { type Failure, failure } from '../../errors.ts';
import type { Lane, Peer } from '../../session/lane.ts';
import type { TimerWheel } from '../../timer-wheel.ts';
import type { BackendReport } from '../backend-report.ts';
import type { Call, PendingCall } from '../call.ts';
import type { ClientSpan } from '../client-span.ts';
import { CallTable } from '../call-table.ts';
import { ConnectCall } from '../connect-call.ts';
import { FactsCache } from '../facts-cache.ts';
import { CALL_BYTES, Waiting } from '../waiting.ts';
import type { ConnectAsk, Upstream, UpstreamInfo } from '../upstream.ts';
import {
  NATS_AHEAD_BYTES_MAX,
  type ConnectionListener,
  NATS_UNSENT_BYTES_MAX,
  type NatsConnector,
  type OnMessage,
} from './connection.ts';
import { hasHeaders, HeaderBlock, linesOf, readHeaders, saysNobody } from './header-block.ts';
import type { NatsReport } from './nats-report.ts';
import { type Outgoing, send } from './outgoing.ts';
import { SUBJECT_BYTES_MAX, type Subjects } from './subjects.ts';
import type { Accepted, Reply } from '../../contract/commands.ts';
import { ShapeError } from '../../contract/json.ts';

/** A backend that answered within this time has a subscriber, though nobody may listen to one of its subjects. */
const HEALTHY_MS = 10_000;

type Received = Parameters<OnMessage>[1];

/** Knows which subjects a stream captures. */
export interface CapturedSubjects {
  /** True when a stream captures the subject, or may. Never rejects. */
  captures(subject: string): boolean | Promise<boolean>;
}

export type NatsAnswersParts = {
  readonly connector: NatsConnector;
  readonly subjects: Subjects;
  readonly streams: CapturedSubjects;
  readonly report: NatsReport;
};

/** All answers from NATS, for every NATS backend of the gateway. */
export class NatsAnswers implements ConnectionListener {
  readonly calls = new CallTable(Number.MAX_SAFE_INTEGER);
  /** What NATS cannot take yet, of all backends, in its order. */
  readonly held = new Waiting(NATS_UNSENT_BYTES_MAX);
  readonly #connector: NatsConnector;
  readonly #subjects: Subjects;
  readonly #streams: CapturedSubjects;
  readonly #report: NatsReport;

  constructor({ connector, subjects, streams, report }: NatsAnswersParts) {
    this.#connector = connector;
    this.#subjects = subjects;
    this.#streams = streams;
    this.#report = report;
    connector.always(subjects.answers, this.#onAnswer);
    connector.listen(this);
  }

  /** The connection broke: what was sent may have arrived, so it is answered and not sent again. */
  onDown(): void {
    for (const call of this.calls.takeAll()) call.fail(failure('BUS_AWAY'));
    for (let call = this.held.take(); call !== null; call = this.held.take())
      call.fail(failure('BUS_AWAY'));
  }

  /** Bytes that wait, here and on the connection. */
  get unsentBytes(): number {
    return this.held.bytes + this.#connector.unsentBytes;
  }

  /** What comes now need not wait. */
  get hasRoom(): boolean {
    return this.held.isEmpty && this.#connector.unsentBytes < NATS_AHEAD_BYTES_MAX;
  }

  /** Keeps a call until there is room: what is with the client library cannot be taken back. */
  hold(call: Call, pending: PendingCall): void {
    if (this.unsentBytes + CALL_BYTES + call.body.length > NATS_UNSENT_BYTES_MAX) {
      call.fail(failure('OVERLOADED', 'NATS does not take what it is given'));
      return;
    }
    // A small view may hold a large buffer.
    call.body = Buffer.from(call.body);
    this.held.add(call, pending);
  }

  /** NATS has taken what it was given. */
  onRoom(): void {
    while (this.#connector.unsentBytes < NATS_AHEAD_BYTES_MAX) {
      const call = this.held.take();
      if (call === null) return;
      (call.upstream as NatsUpstream).publish(call);
    }
  }

  readonly #onAnswer: OnMessage = (error, message) => {
    if (error !== null) return;
    const call = this.calls.find(this.#subjects.answerId(message.subject));
    if (call === null) {
      this.#report.lateReply('nats');
      return;
    }
    const body = message.data;
    if (hasHeaders(message)) {
      this.calls.remove(call);
      const upstream = call.upstream as NatsUpstream;
      if (saysNobody(message)) upstream.onNobody(call);
      else upstream.onAnswerWithHeaders(call, message);
    } else if (isPubAck(body)) {
      this.#doubt(call, message);
    } else {
      this.calls.remove(call);
      (call.upstream as NatsUpstream).onAnswer(call, body);
    }
  };

  /** It looks like an acknowledgement, and is one only if there is a stream to give it. */
  #doubt(call: Call, { subject: reply, data }: Received): void {
    const { route } = call;
    const subject = (call.upstream as NatsUpstream).subjectOf(call);
    const captured = this.#streams.captures(subject);
    if (captured === true) {
      this.#report.pubAck(route, subject);
      return;
    }
    const body = Buffer.from(data);
    const settle = async (): Promise<void> => {
      if (await captured) this.#report.pubAck(route, subject);
      else this.#believe(this.#subjects.answerId(reply), body);
    };
    inBackground(settle(), () => {
      this.#report.pubAck(route, subject);
    });
  }

  /** It was an answer. The call may have ended meanwhile; its number is not used again. */
  #believe(id: number, body: Buffer): void {
    const call = this.calls.take(id);
    if (call === null) this.#report.lateReply('nats');
    else (call.upstream as NatsUpstream).onAnswer(call, body);
  }
}

/** One session: whoever subscribes gets its messages, and is told of no end. */
class NatsPeer implements Peer {
  readonly lines = new FactsCache((session, forward) => linesOf(sessionHeaders(session, forward)));

  forget(): void {}
}

export type NatsUpstreamOptions = {
  readonly connector: NatsConnector;
  readonly subjects: Subjects;
  readonly answers: NatsAnswers;
  /** Bytes of an answer to Connect, which is parsed: `limits.convert`. */
  readonly convertBytesMax: number;
  readonly wheel: TimerWheel;
};

export class NatsUpstream implements Upstream, PendingCall {
  readonly oneAtATime = false;
  readonly #connector: NatsConnector;
  readonly #subjects: Subjects;
  readonly #answers: NatsAnswers;
  readonly #wheel: TimerWheel;
  readonly #convertBytesMax: number;
  readonly #report: BackendReport;
  /** To be published at the end of this turn. */
  #turn: (Call | null)[] = [];
  /** When the backend last answered, and when the server last said that nobody listens. */
  #answeredAt = -Infinity;
  #nobodyAt = -Infinity;

  constructor(options: NatsUpstreamOptions, report: BackendReport) {
    this.#connector = options.connector;
    this.#subjects = options.subjects;
    this.#answers = options.answers;
    this.#wheel = options.wheel;
    this.#convertBytesMax = options.convertBytesMax;
    this.#report = report;
  }

  start(): Promise<void> {
    return Promise.resolve();
  }

  send(call: Call): void {
    if (!this.#connector.up) {
      call.fail(failure('BUS_AWAY'));
      return;
    }
    call.pending = this;
    this.#turn.push(call);
    if (this.#turn.length === 1) setImmediate(this.#publishTurn);
  }

  cancel(call: Call): void {
    if (this.#answers.calls.remove(call)) {
      if (call.deadline <= this.#wheel.now()) {
        call.reported = true;
        this.#trouble('late', this.subjectOf(call), 'the backend did not answer in time');
      }
      return;
    }
    if (this.#answers.held.remove(call)) return;
    const at = this.#turn.lastIndexOf(call);
    if (at >= 0) this.#turn[at] = null;
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
    this.#ask(call, {
      subject: call.route,
      payload: Buffer.from(JSON.stringify(connectJson(ask))),
      headers: new HeaderBlock(`Pith-Timeout-Ms: ${call.leftMs(this.#wheel.now())}\r\n`),
    });
  }

  /** False: it has not left, and the call has failed. */
  #ask(call: Call, what: Omit<Outgoing, 'reply'>): boolean {
    const reply = call.wantsAnswer
      ? { reply: this.#subjects.answer(this.#answers.calls.add(call, this)) }
      : {};
    const unsent = send(this.#connector, { ...what, ...reply });
    if (unsent === null) return true;
    this.#answers.calls.remove(call);
    if (unsent.reason === 'TOO_LARGE') this.#trouble('size', what.subject, unsent.message);
    call.fail(unsent);
    return false;
  }

  /** Where the call is published. */
  subjectOf(call: Call): string {
    if (call instanceof ConnectCall) return call.route;
    return call.instance === ''
      ? this.#subjects.rpc(call.route)
      : this.#subjects.rpcTo(call.instance, call.route);
  }

  /** No backend listens; the server says so at once, so nobody has seen the message. */
  onNobody(call: Call): void {
    if (call.instance !== '' && call.target.otherwise === 'any') {
      call.instance = '';
      this.send(call);
      return;
    }
    this.#nobodyAt = this.#wheel.now();
    call.reported = true;
    this.#trouble('nobody', this.subjectOf(call), 'nobody subscribes to this subject');
    call.fail(failure('BACKEND_AWAY'));
  }

  onAnswer(call: Call, body: Uint8Array): void {
    this.#answeredAt = this.#wheel.now();
    call.succeed(body);
  }

  onAnswerWithHeaders(call: Call, message: Received): void {
    this.#answeredAt = this.#wheel.now();
    const body = message.data;
    let reply: Reply;
    try {
      const headers = readHeaders(message);
      reply = {
        failure: readFailure(headers, body),
        body,
        patch: readPatch(headers),
        pushes: [],
        close: readClose(headers),
      };
    } catch (error) {
      if (!(error instanceof ShapeError)) throw error;
      call.reported = true;
      this.#trouble('answer', this.subjectOf(call), error.message);
      call.fail(failure('BAD_REPLY', error.message));
      return;
    }
    call.answer(reply);
  }

  /** Healthy is who has answered, unless the server says since then that nobody listens. */
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
        'messaging.system': 'nats',
        'messaging.operation.name': operation,
        'messaging.operation.type': 'send',
        'messaging.destination.template': template,
      },
    };
  }

  info(): UpstreamInfo {
    const isNew = this.#answeredAt > this.#wheel.now() - HEALTHY_MS;
    const isHealthy = this.#connector.up && (isNew || this.#answeredAt > this.#nobodyAt);
    return { kind: 'nats', addresses: 1, healthy: isHealthy ? 1 : 0 };
  }

  close(): Promise<void> {
    return Promise.resolve();
  }

  #trouble(kind: string, subject: string, why: string): void {
    this.#report.trouble(kind, { subject }, why);
  }

  readonly #publishTurn = (): void => {
    const turn = this.#turn;
    this.#turn = [];
    for (const call of turn) {
      if (call === null) continue;
      if (this.#answers.hasRoom) this.publish(call);
      else this.#answers.hold(call, this);
    }
  };

  /** Sends it now. */
  publish(call: Call): void {
    const subject = this.subjectOf(call);
    if (subject.length > SUBJECT_BYTES_MAX) {
      call.fail(failure('BAD_ROUTE', 'the subject for this route and instance is too long'));
      return;
    }
    const isSent = this.#ask(call, {
      subject,
      payload: call.body,
      headers: this.#headers(call),
    });
    if (isSent && !call.wantsAnswer) call.sent();
  }

  #headers(call: Call): HeaderBlock {
    const left = call.leftMs(this.#wheel.now());
    let lines = `${peerOf(call.lane).lines.of(call)}Pith-Seq: ${call.seq}\r\nPith-Route: ${call.route}\r\nPith-Timeout-Ms: ${left}\r\n`;
    if (call.wantsAnswer) lines += `Pith-Id: ${call.session.wire.idOf(call.rawId)}\r\n`;
    if (call.trace !== null) lines += linesOf(traceHeaders(call.trace));
    return new HeaderBlock(lines);
  }
}

function peerOf(lane: Lane): NatsPeer {
  return lane.peer instanceof NatsPeer ? lane.peer : (lane.peer = new NatsPeer());
}
