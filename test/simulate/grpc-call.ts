/** A call, as its client has it: all three kinds, and the events of grpc-js in the order of grpc-js. */
import { EventEmitter } from 'node:events';
import { Metadata, status } from '@grpc/grpc-js';

import type { CancelTimer, Clock } from '../../src/clock.ts';
import type {
  CallError,
  CallStatus,
  OnAnswer,
} from '../../src/upstream/grpc-client/grpc-connection.ts';
import type { ClientTransport } from './grpc-transport.ts';
import { Flow, type FlowOwner, type Open, type Outgoing } from './grpc-wire.ts';

/**
 * What a call keeps of what it is given: to send it again while the server has not answered, and until the system has
 * taken it. What is kept counts as written. [grpc-js: grpc.per_rpc_retry_buffer_size]
 */
const KEPT_BYTES_MAX = 1024 * 1024;

export type CallSpec = {
  readonly path: string;
  readonly metadata: Metadata;
  /** Milliseconds since the epoch; Infinity: none. */
  readonly deadline: number;
  /** null: messages follow. */
  readonly message: Buffer | null;
  /** Of a unary call. */
  readonly onAnswer?: OnAnswer;
};

/** Its current holder: a channel in which it waits, or a connection. */
export interface CallHolder {
  /** It has ended. */
  done(call: ClientCall): void;
}

export class ClientCall implements FlowOwner {
  id = 0;
  readonly spec: CallSpec;
  holder: CallHolder;
  readonly #clock: Clock;
  readonly #events = new EventEmitter();
  #flow = new Flow(this);
  #transport: ClientTransport | null = null;
  readonly #writes: { readonly message: Buffer; readonly done: () => void }[] = [];
  #isWriting = false;
  /** Written so far; null: the server has begun to answer, or it is too much to be sent again. */
  #again: Buffer[] | null = [];
  #keptBytes = 0;
  /** Of those, what the system has taken. */
  #takenBytes = 0;
  #isHalfClosed = false;
  #wasRefused = false;
  /** Something has come. */
  #hasAnswer = false;
  isEnded = false;
  /** No server has been told of it, or the last one has refused it unread. */
  isUnsent = true;
  /** Of a unary call. */
  #answer: Buffer | null = null;
  #deadline: CancelTimer = () => {};

  constructor(spec: CallSpec, clock: Clock, holder: CallHolder) {
    this.spec = spec;
    this.#clock = clock;
    this.holder = holder;
    if (spec.deadline === Infinity) return;
    const late = (): void => {
      this.#giveUp(status.DEADLINE_EXCEEDED, 'Deadline exceeded');
    };
    if (this.#leftMs <= 0) queueMicrotask(late);
    else this.#deadline = clock.setTimer(this.#leftMs, late);
  }

  get #leftMs(): number {
    return this.spec.deadline - this.#clock.wallNow();
  }

  get outgoing(): Outgoing | null {
    return this.isEnded ? null : (this.#transport?.outgoing ?? null);
  }

  // ---- for its user -------------------------------------------------------------------------------------

  // oxlint-disable-next-line typescript/no-explicit-any -- of each event its own, as EventEmitter has it
  on(event: string, listener: (...args: any[]) => void): this {
    this.#events.on(event, listener);
    return this;
  }

  write(message: Buffer, done: () => void = () => {}): void {
    if (this.isEnded || this.#isHalfClosed) return;
    this.#writes.push({ message, done });
    if (!this.#isWriting) this.#writeNext();
  }

  /** One after the other, as a Writable does. */
  #writeNext(): void {
    const next = this.#writes.shift();
    this.#isWriting = next !== undefined;
    if (next === undefined) {
      if (this.#isHalfClosed) this.#halfClose();
      return;
    }
    const { message, done } = next;
    const written = (): void => {
      if (this.isEnded) return;
      done();
      this.#writeNext();
    };
    if (this.#keptBytes + sizeOf(message) > KEPT_BYTES_MAX) {
      this.#commit();
      this.#flow.write(message, written);
      return;
    }
    this.#keptBytes += sizeOf(message);
    this.#again?.push(message);
    queueMicrotask(written);
    if (this.#transport !== null || this.#again === null) this.#send(message);
  }

  #send(message: Buffer): void {
    this.#flow.write(message, () => {
      if (this.#again === null) this.#keptBytes -= sizeOf(message);
      else this.#takenBytes += sizeOf(message);
    });
  }

  #halfClose(): void {
    if (this.#transport !== null) this.#flow.write({ kind: 'end', id: this.id });
  }

  /** It will not be sent again. */
  #commit(): void {
    if (this.#again === null) return;
    // What waits for a connection waits in the flow from now on.
    if (this.#transport === null) for (const message of this.#again) this.#send(message);
    this.#again = null;
    this.#keptBytes -= this.#takenBytes;
  }

  end(): void {
    if (this.#isHalfClosed) return;
    this.#isHalfClosed = true;
    if (!this.#isWriting) this.#halfClose();
  }

  pause(): void {
    this.#flow.pause();
  }

  resume(): void {
    this.#flow.resume();
  }

  cancel(): void {
    this.#giveUp(status.CANCELLED, 'Cancelled on client');
  }

  #giveUp(code: number, details: string): void {
    if (this.isEnded) return;
    this.#transport?.reset(this);
    this.finish(code, details);
  }

  // ---- for its transport --------------------------------------------------------------------------------

  /** There is a connection: it begins. */
  begin(transport: ClientTransport, id: number): Open {
    this.#transport = transport;
    this.isUnsent = false;
    this.holder = transport;
    this.id = id;
    const { path, metadata, message } = this.spec;
    const timeoutMs = Math.max(0, Math.ceil(this.#leftMs));
    const plain = metadata.getMap() as Record<string, string>;
    return { kind: 'open', id, path, metadata: plain, timeoutMs, message };
  }

  /** The server has been told of it, and is sent what was written until now. */
  begun(): void {
    for (const message of this.#again ?? []) this.#send(message);
    this.#flow.pump();
    if (this.#isHalfClosed && !this.#isWriting) this.#halfClose();
  }

  arrived(message: Buffer): void {
    if (!this.#hasAnswer && this.#events.listenerCount('metadata') > 0)
      this.#events.emit('metadata', new Metadata());
    this.#hasAnswer = true;
    this.#commit();
    this.#flow.arrived(message);
  }

  onCredit(bytes: number): void {
    this.#flow.onCredit(bytes);
  }

  /** The server has ended it. */
  onStatus(code: number, details: string): void {
    if (code !== status.OK) {
      this.finish(code, details);
      return;
    }
    this.#transport = null;
    this.#flow.ended();
  }

  /** The server has not looked at it. True: it may begin once more, on another connection. */
  onRefused(): boolean {
    this.isUnsent = true;
    if (this.#wasRefused || this.#again === null) {
      this.finish(status.UNAVAILABLE, 'Stream refused by server');
      return false;
    }
    this.#wasRefused = true;
    this.#transport = null;
    this.#takenBytes = 0;
    this.#flow = new Flow(this);
    return true;
  }

  read(message: Buffer): void {
    if (this.isEnded) return;
    if (this.spec.onAnswer === undefined) this.#events.emit('data', message);
    else this.#answer = message;
  }

  readAll(): void {
    const isUnary = this.spec.onAnswer !== undefined;
    if (isUnary && this.#answer === null) this.finish(status.UNIMPLEMENTED, 'No message received');
    else this.finish(status.OK, '');
  }

  /** It has ended; what has come and is not read never will be. */
  finish(code: number, details: string): void {
    if (this.isEnded) return;
    this.isEnded = true;
    this.#deadline();
    this.#transport = null;
    this.holder.done(this);
    const ended: CallStatus = { code, details, metadata: new Metadata() };
    queueMicrotask(() => {
      this.#tell(ended);
    });
  }

  #tell(ended: CallStatus): void {
    const { onAnswer } = this.spec;
    const error = ended.code === status.OK ? null : errorOf(ended);
    if (onAnswer !== undefined) {
      if (error === null) onAnswer(null, this.#answer!);
      else onAnswer(error);
    } else if (error !== null) this.#events.emit('error', error);
    this.#events.emit('status', ended);
    if (onAnswer === undefined) this.#events.emit('end');
  }
}

/** With gRPC's own header. */
function sizeOf(message: Buffer): number {
  return message.length + 5;
}

function errorOf(ended: CallStatus): CallError {
  const { code, details } = ended;
  return Object.assign(new Error(`${code} ${status[code] ?? ''}: ${details}`), ended);
}
