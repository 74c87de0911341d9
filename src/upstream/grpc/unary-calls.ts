/** Handle, Connect, Closed and Lost as calls of their own: where a backend has no Link, or is not to be asked by it. */
import { type Metadata, status } from '@grpc/grpc-js';

import type { EventKind } from '../../contract/event-frames.ts';
import { NOTHING } from '../../bytes.ts';
import type { Clock } from '../../clock.ts';
import { decodeConnectResponse, decodeReply } from '../../contract/protobuf-shapes.ts';
import { WireError, WireReader } from '../../contract/protobuf-wire.ts';
import { type Failure, failure } from '../../errors.ts';
import type { BackendReport } from '../backend-report.ts';
import type { Call, PendingCall } from '../call.ts';
import { ConnectCall } from '../connect-call.ts';
import {
  type CallError,
  type OnAnswer,
  RECEIVE_BYTES_MAX,
  type UnaryRequest,
} from '../grpc-client/grpc-connection.ts';
import { encodeRequest } from '../../contract/gateway-frames.ts';
import type { GrpcTransport, GrpcTransportOptions } from '../grpc-client/grpc-transport.ts';
import { failureOfStatus, hint, isRefusedHere } from '../grpc-client/status.ts';
import type { Carrier, LinkParts } from '../link/link-transport.ts';
import type { TransportOwner } from '../pool/transport.ts';
import { answerTooLong, tooLong } from '../too-long.ts';
import type { Accepted } from '../../contract/commands.ts';

const CLOSED_TIMEOUT_MS = 2_000;
/** Closed and Lost calls in flight; beyond this, ends are not reported. */
const CLOSED_IN_FLIGHT_MAX = 1_000;

export const HANDLE = '/pith.v1.Backend/Handle';
export const CONNECT = '/pith.v1.Backend/Connect';
export const CLOSED = '/pith.v1.Backend/Closed';
const EVENTS: Readonly<Record<EventKind, string>> = {
  closed: CLOSED,
  lost: '/pith.v1.Backend/Lost',
};
const NO_CONNECT =
  'Connect is UNIMPLEMENTED: the backend that auth.backend names must serve pith.v1.Backend/Connect';

export class UnaryCalls implements Carrier {
  /** Handle and Connect. */
  inFlight = 0;
  readonly #transport: GrpcTransport;
  readonly #endpoint: TransportOwner;
  readonly #clock: Clock;
  readonly #metadata: Metadata;
  readonly #report: BackendReport;
  readonly #convertBytesMax: number;
  readonly #unimplemented = new Set<EventKind>();
  #noConnectReported = false;
  /** Closed and Lost calls in flight. */
  readonly #closing = new Set<Promise<void>>();

  constructor(
    transport: GrpcTransport,
    { clock, metadata }: GrpcTransportOptions,
    { commands }: LinkParts,
  ) {
    this.#transport = transport;
    this.#endpoint = transport.endpoint;
    this.#clock = clock;
    this.#metadata = metadata;
    this.#report = commands.report;
    this.#convertBytesMax = commands.convertBytesMax;
  }

  /** A backend that is started again may have what it had not. */
  startAgain(): void {
    this.#unimplemented.clear();
    this.#noConnectReported = false;
  }

  request(call: Call, what: Buffer): void {
    this.#transport.liveness.begin();
    if (call instanceof ConnectCall) this.#connect(call, what);
    else this.#handle(call, what);
  }

  #handle(call: Call, session: Buffer): void {
    const leftMs = call.leftMs(this.#clock.now());
    const deadline = this.#clock.wallNow() + leftMs;
    const { generation } = call;
    const unary = new UnaryCall(this.#clock, this.#endpoint);
    call.pending = unary;
    this.inFlight++;
    unary.call = this.#call(
      HANDLE,
      encodeRequest(call, session, leftMs),
      deadline,
      (error, bytes) => {
        this.inFlight--;
        // A cancelled call has been given back, and may be another one by now.
        if (call.generation !== generation || call.pending !== unary) return;
        call.pending = null;
        if (error === null) this.#answer(call, bytes ?? NOTHING);
        else if (this.#isUnsent(unary, error)) this.#elsewhere(call, error);
        else this.#onError(call, error);
      },
    );
  }

  #isUnsent({ call: request }: UnaryCall, error: CallError): boolean {
    return request !== null && this.#transport.connection.isUnsent(request, error);
  }

  /** No backend has seen it: it goes to another address, or fails where there is none. */
  #elsewhere(call: Call, error: CallError): void {
    if (!this.#transport.connection.isReady) this.#transport.unreachable(hint(error));
    call.upstream.send(call);
  }

  #answer(call: Call, bytes: Buffer): void {
    let reply: ReturnType<typeof decodeReply>;
    try {
      reply = decodeReply(new WireReader(bytes), this.#convertBytesMax);
    } catch (error) {
      if (!(error instanceof WireError)) throw error;
      this.#endpoint.failed();
      call.fail(failure('BAD_REPLY'));
      return;
    }
    this.#endpoint.answered();
    const why = tooLong(reply, call.route);
    if (why !== '') {
      this.#report.dropped('frame', why, 'too long');
      call.fail(answerTooLong());
    } else if (reply instanceof Uint8Array) call.succeed(reply);
    else call.answer(reply);
  }

  #onError(call: Call, error: CallError): void {
    if (isRefusedHere(error, RECEIVE_BYTES_MAX)) {
      this.#endpoint.answered();
      this.#report.dropped('frame', `the answer to ${call.route}: ${error.details}`, 'too long');
      call.fail(answerTooLong());
      return;
    }
    const why = failureOfStatus(error);
    if (why.reason === 'TIMEOUT' || why.reason === 'BACKEND_AWAY') this.#endpoint.failed();
    else this.#endpoint.answered();
    call.fail({ ...why, detail: `${status[error.code] ?? error.code}: ${hint(error)}` });
    // Else it is the backend's own word, or a connection that it has left already, and there is another.
    if (error.code === status.UNAVAILABLE && !this.#transport.connection.isReady)
      this.#transport.gone(hint(error));
  }

  #connect(call: ConnectCall, request: Buffer): void {
    const deadline = this.#clock.wallNow() + call.leftMs(this.#clock.now());
    const unary = new UnaryCall(this.#clock, this.#endpoint);
    call.pending = unary;
    this.inFlight++;
    unary.call = this.#call(CONNECT, request, deadline, (error, bytes) => {
      this.inFlight--;
      if (call.ended) return;
      if (error !== null && this.#isUnsent(unary, error)) {
        this.#elsewhere(call, error);
      } else if (error === null) {
        this.#endpoint.answered();
        call.answered(readConnectResponse(bytes ?? NOTHING, this.#convertBytesMax));
      } else if (error.code === status.UNIMPLEMENTED) {
        call.fail(failure('BACKEND_ERROR', 'the backend has no Connect'));
        if (!this.#noConnectReported)
          this.#report.state(this.#endpoint.name, this.#endpoint.condition, NO_CONNECT);
        this.#noConnectReported = true;
      } else {
        this.#onError(call, error);
      }
    });
  }

  tell(kind: EventKind, event: Buffer): void {
    if (this.#unimplemented.has(kind) || this.#closing.size >= CLOSED_IN_FLIGHT_MAX) return;
    const deadline = this.#clock.wallNow() + CLOSED_TIMEOUT_MS;
    const done = new Promise<void>((resolve) => {
      this.#call(EVENTS[kind], event, deadline, (error) => {
        if (error?.code === status.UNIMPLEMENTED) this.#unimplemented.add(kind);
        this.#closing.delete(done);
        resolve();
      });
    });
    this.#closing.add(done);
  }

  /** @param deadline Milliseconds since the epoch; travels as grpc-timeout. */
  #call(path: string, message: Buffer, deadline: number, done: OnAnswer): UnaryRequest {
    return this.#transport.connection.unary(path, message, this.#metadata, deadline, done);
  }

  /** Resolves when every Closed call has ended. */
  async closedAll(): Promise<void> {
    await Promise.all(this.#closing);
  }
}

/** A call in flight. */
export class UnaryCall implements PendingCall {
  call: UnaryRequest | null = null;
  readonly #clock: Clock;
  readonly #endpoint: TransportOwner;

  constructor(clock: Clock, endpoint: TransportOwner) {
    this.#clock = clock;
    this.#endpoint = endpoint;
  }

  cancel(call: Call): void {
    // Else the client has left, which says nothing about the backend.
    if (call.deadline <= this.#clock.now()) this.#endpoint.failed();
    this.call?.cancel();
  }
}

function readConnectResponse(bytes: Buffer, convertBytesMax: number): Accepted | Failure {
  try {
    return decodeConnectResponse(new WireReader(bytes), convertBytesMax);
  } catch (error) {
    if (!(error instanceof WireError)) throw error;
    return failure('BAD_REPLY');
  }
}
