/** All answers from NATS, for every NATS backend of the gateway, and the calls that wait until NATS takes them. */
import { inBackground } from '../../background.ts';
import type { Clock } from '../../clock.ts';
import { isPubAck } from '../../contract/pub-ack.ts';
import { failure } from '../../errors.ts';
import type { Call, PendingCall } from '../call.ts';
import { CallTable } from '../call-table.ts';
import { CALL_BYTES, CallQueue } from '../call-queue.ts';
import type { ConnectionListener } from './connection-state.ts';
import { NATS_UNSENT_BYTES_MAX, type NatsConnector } from './nats-connector.ts';
import { hasHeaders, saysNobody } from './header-block.ts';
import type { NatsMessage, OnMessage } from './nats-connection.ts';
import type { NatsReport } from './nats-report.ts';
import type { NatsUpstream } from './nats-upstream.ts';
import type { Subjects } from './subjects.ts';

/** Knows which subjects a stream captures. */
export interface CapturedSubjects {
  /** True when a stream captures the subject, or may. Never rejects. */
  captures(subject: string): boolean | Promise<boolean>;
}

/** The connection, as far as answers need it. */
type AnswersConnection = Pick<
  NatsConnector,
  'hasRoom' | 'mayBeBack' | 'unsentBytes' | 'always' | 'listen'
>;

export type NatsAnswersParts = {
  readonly clock: Pick<Clock, 'soon'>;
  readonly connector: AnswersConnection;
  readonly subjects: Subjects;
  readonly streams: CapturedSubjects;
  readonly report: NatsReport;
};

export class NatsAnswers implements ConnectionListener {
  readonly calls = new CallTable(Number.MAX_SAFE_INTEGER);
  /** What NATS cannot take yet, of all backends, in its order. */
  readonly held: CallQueue;
  readonly #clock: Pick<Clock, 'soon'>;
  readonly #connector: AnswersConnection;
  readonly #subjects: Subjects;
  readonly #streams: CapturedSubjects;
  readonly #report: NatsReport;
  #willLook = false;

  constructor({ clock, connector, subjects, streams, report }: NatsAnswersParts) {
    this.#clock = clock;
    this.#connector = connector;
    this.#subjects = subjects;
    this.#streams = streams;
    this.#report = report;
    this.held = new CallQueue(NATS_UNSENT_BYTES_MAX, Infinity, report.waits());
    connector.always(subjects.answers, this.#onAnswer, { mayRepeat: true });
    connector.listen(this);
  }

  /** The connection broke: what was sent may have been carried out, so only the relay decides whether it is sent again. */
  onDown(): void {
    for (const call of this.calls.takeAll()) call.fail(failure('BUS_AWAY'));
    if (!this.#connector.mayBeBack) this.onAway();
  }

  onUp(): void {
    this.onRoom();
  }

  /** What was not sent has waited long enough. */
  onAway(): void {
    for (let one = this.held.take(); one !== null; one = this.held.take())
      one.call.fail(failure('BUS_AWAY'));
  }

  /** Bytes that wait, here and on the connection. */
  get unsentBytes(): number {
    return this.held.bytes + this.#connector.unsentBytes;
  }

  /** What comes now need not wait. */
  get hasRoom(): boolean {
    return this.held.size === 0 && this.#connector.hasRoom;
  }

  /** Keeps a call until there is room: what is with the client library cannot be taken back. */
  hold(call: Call, pending: PendingCall): void {
    if (this.unsentBytes + CALL_BYTES + call.body.length > NATS_UNSENT_BYTES_MAX) {
      call.fail(failure('OVERLOADED', 'NATS does not read what it is sent'));
      return;
    }
    // A small view may hold a large buffer.
    call.body = Buffer.from(call.body);
    this.held.add(call, pending, null);
    this.#lookSoon();
  }

  /** NATS has taken what it was given. */
  onRoom(): void {
    while (this.#connector.hasRoom) {
      const call = this.held.take()?.call;
      if (call === undefined) return;
      (call.upstream as NatsUpstream).publish(call);
    }
    this.#lookSoon();
  }

  /**
   * What one turn publishes is given to the operating system at its end. Often that takes all of it at once, however
   * much it is, and then no one says that there is room. If it does not, `onRoom` follows.
   * Guarded by test/integration/nats-connection.test.ts.
   */
  #lookSoon(): void {
    if (this.#willLook) return;
    this.#willLook = true;
    this.#clock.soon(this.#look);
  }

  readonly #look = (): void => {
    this.#willLook = false;
    if (this.held.size > 0 && this.#connector.hasRoom) this.onRoom();
  };

  readonly #onAnswer: OnMessage = (error, message) => {
    if (error !== null) return;
    // The library would make a string of it for each message.
    const { subject = message.subject } = message._msg;
    const call = this.calls.find(this.#subjects.answerId(subject));
    if (call === null) this.#report.lateReply('nats');
    else this.#onAnswerTo(call, message);
  };

  #onAnswerTo(call: Call, message: NatsMessage): void {
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
  }

  /** It looks like an acknowledgement, and is one only if there is a stream to give it. */
  #doubt(call: Call, { subject: reply, data }: NatsMessage): void {
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
