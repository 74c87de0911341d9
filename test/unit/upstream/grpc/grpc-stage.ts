/**
 * A backend at the other end of a pipe: what a gateway calls there is kept as bytes, and a test says what comes back,
 * and what becomes of the connection. The pool, its endpoint and the clock's wheel are the gateway's own.
 */
import { EventEmitter } from 'node:events';
import { Metadata, status } from '@grpc/grpc-js';

import { TimerWheel } from '../../../../src/timer-wheel.ts';
import type {
  CallError,
  ConnectionOwner,
  ConnectionState,
  GrpcConnection,
  MessageSource,
  MessageStream,
  OnAnswer,
  UnaryRequest,
} from '../../../../src/upstream/grpc-client/grpc-connection.ts';
import { makeGrpcPool } from '../../../../src/upstream/grpc-client/grpc-pool.ts';
import type { GrpcTransportOptions } from '../../../../src/upstream/grpc-client/grpc-transport.ts';
import type { LinkParts } from '../../../../src/upstream/link/link-transport.ts';
import type { Endpoint } from '../../../../src/upstream/pool/endpoint.ts';
import type { EndpointPool } from '../../../../src/upstream/pool/endpoint-pool.ts';
import type { Transport, TransportOwner } from '../../../../src/upstream/pool/transport.ts';
import { BareCall } from '../../../support/call.ts';
import { ManualClock } from '../../../support/clock.ts';
import { linkParts } from '../../../support/link-parts.ts';
import { seededRandom } from '../../../support/random.ts';
import { keptReport } from '../../../support/report.ts';
import { decodeToBackend, encodeToGateway, type Frame } from '../../contract/reference.ts';

/** What a turn has written is out by then. */
export const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

const words = (code: number, details: string): CallError =>
  Object.assign(new Error(details), { code, details, metadata: new Metadata() });

/** A call with messages from the backend, and for a Link with messages to it. */
export class PipedStream extends EventEmitter implements MessageStream, MessageSource {
  readonly path: string;
  /** What came on it. */
  readonly frames: Frame[] = [];
  /** How it has ended: `half` by the gateway's side alone. */
  ended: '' | 'half' | 'cancelled' | 'over' = '';

  constructor(path: string) {
    super();
    this.path = path;
  }

  write(message: Buffer, done?: () => void): void {
    this.frames.push(...decodeToBackend(message));
    done?.();
  }

  pause(): void {}

  resume(): void {}

  end(): void {
    this.ended ||= 'half';
  }

  cancel(): void {
    const tell = (): void => void this.emit('error', words(status.CANCELLED, 'cancelled'));
    this.#over('cancelled', () => {
      process.nextTick(tell);
    });
  }

  /** From the backend, one ToGateway. */
  send(...frames: object[]): void {
    this.emit('data', encodeToGateway(frames));
  }

  hello(instance = 'one'): void {
    this.send({ hello: { instance } });
  }

  /** The backend returns. */
  finish(): void {
    this.#over('over', () => {
      this.emit('end');
    });
  }

  fail(code: number, details: string): void {
    this.#over('over', () => {
      this.emit('error', words(code, details));
    });
  }

  /** The kinds of the frames that have come. */
  get kinds(): unknown[] {
    return this.frames.map(({ frame }) => frame);
  }

  #over(how: 'cancelled' | 'over', tell: () => void): void {
    if (this.ended === 'cancelled' || this.ended === 'over') return;
    this.ended = how;
    tell();
  }
}

/** A call that is to be answered once. */
export class PipedCall extends EventEmitter implements UnaryRequest {
  readonly path: string;
  readonly message: Buffer;
  readonly #onAnswer: OnAnswer;
  ended = false;
  isUnsent = false;

  constructor(path: string, message: Buffer, onAnswer: OnAnswer) {
    super();
    this.path = path;
    this.message = message;
    this.#onAnswer = onAnswer;
  }

  cancel(): void {
    this.fail(status.CANCELLED, 'cancelled');
  }

  answer(bytes = Buffer.alloc(0)): void {
    if (this.ended) return;
    this.ended = true;
    this.#onAnswer(null, bytes);
  }

  fail(code: number, details: string): void {
    if (this.ended) return;
    this.ended = true;
    this.#onAnswer(words(code, details));
  }

  /** No server has seen it. */
  failUnsent(): void {
    this.isUnsent = true;
    this.fail(status.UNAVAILABLE, 'No connection established');
  }
}

/** It is as a test says, and every call on it is kept. */
export class PipedConnection implements GrpcConnection {
  readonly owner: ConnectionOwner;
  readonly calls: PipedCall[] = [];
  readonly streams: PipedStream[] = [];
  heard = 0;
  /** How often the backend was asked for a sign of life. */
  asked = 0;
  /** How often another connection was begun. */
  renewed = 0;
  #state: ConnectionState = 'idle';
  readonly #clock: ManualClock;
  readonly #watchers = new Set<() => void>();

  constructor(owner: ConnectionOwner, clock: ManualClock) {
    this.owner = owner;
    this.#clock = clock;
  }

  get isReady(): boolean {
    return this.#state === 'ready';
  }

  unary(path: string, message: Buffer, _metadata: Metadata, _deadline: number, done: OnAnswer) {
    const call = new PipedCall(path, message, done);
    this.calls.push(call);
    return call;
  }

  serverStream(path: string): PipedStream {
    return this.bidiStream(path);
  }

  bidiStream(path: string): PipedStream {
    const stream = new PipedStream(path);
    this.streams.push(stream);
    return stream;
  }

  state(connects: boolean): ConnectionState {
    if (connects && this.#state === 'idle') this.#state = 'connecting';
    return this.#state;
  }

  watchState(from: ConnectionState, until: number, onChange: (isLate: boolean) => void): void {
    const tell = (isLate: boolean): void => {
      this.#watchers.delete(look);
      cancel();
      onChange(isLate);
    };
    const look = (): void => {
      if (this.#state !== from) tell(false);
    };
    const late = (): void => {
      tell(true);
    };
    const cancel =
      until === Infinity ? () => {} : this.#clock.setTimer(until - this.#clock.wallNow(), late);
    this.#watchers.add(look);
    look();
  }

  isUnsent(request: object): boolean {
    return request instanceof PipedCall && request.isUnsent;
  }

  ask(): void {
    this.asked++;
  }

  /** Called by a test when the backend has received all. */
  readonly roundTrips: (() => void)[] = [];

  roundTrip(done: () => void): void {
    this.roundTrips.push(done);
  }

  renew(): void {
    this.renewed++;
    this.lose();
  }

  close(): void {
    this.become('closed');
  }

  // ---- what happens to it -------------------------------------------------------------------------------

  become(state: ConnectionState): void {
    this.#state = state;
    for (const look of [...this.#watchers]) look();
  }

  /** With all that is in flight. */
  lose(): void {
    this.become('idle');
    for (const stream of this.streams) stream.fail(status.UNAVAILABLE, 'Connection dropped');
    for (const call of this.calls) call.fail(status.UNAVAILABLE, 'Connection dropped');
  }

  /** The newest Link. */
  get link(): PipedStream {
    return this.streams.findLast(({ path }) => path === '/pith.v1.Backend/Link')!;
  }

  get links(): number {
    return this.streams.filter(({ path }) => path === '/pith.v1.Backend/Link').length;
  }

  /** Calls of this name that wait for their answer. */
  waiting(method: string): PipedCall[] {
    return this.calls.filter(({ path, ended }) => path.endsWith(`/${method}`) && !ended);
  }
}

type Make<T> = (owner: TransportOwner, options: GrpcTransportOptions, parts: LinkParts) => T;

/** One address of a backend. */
export class GrpcStage<T extends Transport> {
  readonly clock = new ManualClock(1_000);
  readonly wheel = new TimerWheel(this.clock);
  /** Of all transports that were made, in their order. */
  readonly connections: PipedConnection[] = [];
  readonly pool: EndpointPool<T>;
  /** As `STATE: WHY`. */
  readonly reported: () => string[];

  private constructor(make: Make<T>, deadAfterMs: number) {
    const { report, lines } = keptReport('game', 'grpc', this.clock);
    this.reported = () => lines.map(({ state, why }) => `${String(state)}: ${String(why)}`);
    const resolve = (): Promise<string[]> => Promise.resolve(['ipv4:127.0.0.1:1']);
    this.pool = makeGrpcPool<T>(
      {
        url: 'game:1',
        resolver: { authority: '', changes: false, resolve },
        connect: (_, owner) => {
          const connection = new PipedConnection(owner, this.clock);
          this.connections.push(connection);
          return connection;
        },
        metadata: {},
        tls: null,
        health: 'auto',
        deadAfterMs,
        links: 1,
        weights: {},
        balance: 'round_robin',
        hashBy: '',
        ageMs: 0,
        clock: this.clock,
        wheel: this.wheel,
        random: seededRandom(),
      },
      report,
      (owner, options) => make(owner, options, linkParts(this.wheel, report)),
    );
  }

  /** Looks the address up; the first attempt to connect has begun then. */
  static async start<T extends Transport>(make: Make<T>, deadAfterMs = 0): Promise<GrpcStage<T>> {
    const stage = new GrpcStage(make, deadAfterMs);
    stage.pool.start().catch(() => {});
    await turn();
    return stage;
  }

  get endpoint(): Endpoint<T> {
    return this.pool.list[0]!;
  }

  /** The newest. */
  get connection(): PipedConnection {
    return this.connections.at(-1)!;
  }

  /** Time goes by, and what is written in it goes out. */
  async advance(ms: number): Promise<void> {
    this.clock.advance(ms);
    await turn();
  }
}

/** A request that says how it has ended. */
export function request(seq = 1): BareCall {
  const call = new BareCall();
  call.wantsAnswer = true;
  call.route = 'a.b';
  call.body = Buffer.from('{}');
  call.seq = seq;
  // In an hour.
  call.deadline = 3_600_000;
  return call;
}
