/**
 * A `GrpcConnection` without grpc-js: what a channel of grpc-js to one address does, over connections of the simulated
 * network. test/integration/simulate-grpc.test.ts plays the same script with both.
 */
import { type Metadata, status } from '@grpc/grpc-js';

import type { CancelTimer } from '../../src/clock.ts';
import type {
  CallStatus,
  ConnectGrpc,
  ConnectionOwner,
  ConnectionState,
  GrpcConnection,
  MessageSource,
  MessageStream,
  OnAnswer,
  UnaryRequest,
} from '../../src/upstream/grpc-client/grpc-connection.ts';
import { type ChannelOptions, NEAR } from './channel.ts';
import type { Network } from './network.ts';
import { type CallHolder, type CallSpec, ClientCall } from './grpc-call.ts';
import { ClientTransport, type TransportUser } from './grpc-transport.ts';
import { placeOf, type Wire } from './grpc-wire.ts';
import type { SeededRandom } from './random.ts';
import type { Node } from './world.ts';

/** Milliseconds between attempts, as the product sets them, and how grpc-js makes them grow. */
const BACKOFF = { first: 100, most: 1_000, factor: 1.6, jitter: 0.2 } as const;

/** What connects from `node`. */
export function makeConnectGrpc(
  network: Network,
  node: Node,
  options: ChannelOptions = NEAR,
): ConnectGrpc {
  return (dial, owner) => {
    const address = placeOf(dial.address);
    const random = node.world.random(`grpc/${node.name}→${address}`);
    return new SimConnection({ network, node, options, address, random }, owner);
  };
}

type Where = {
  readonly network: Network;
  readonly node: Node;
  readonly options: ChannelOptions;
  readonly address: string;
  readonly random: SeededRandom;
};

class SimConnection implements GrpcConnection {
  readonly #where: Where;
  readonly #owner: ConnectionOwner;
  #channel: SimChannel;

  constructor(where: Where, owner: ConnectionOwner) {
    this.#where = where;
    this.#owner = owner;
    this.#channel = new SimChannel(where, owner);
  }

  unary(
    path: string,
    message: Buffer,
    metadata: Metadata,
    deadline: number,
    onAnswer: OnAnswer,
  ): UnaryRequest {
    return this.#channel.call({ path, message, metadata, deadline, onAnswer });
  }

  serverStream(path: string, message: Buffer, metadata: Metadata, deadline: number): MessageSource {
    return this.#channel.call({ path, message, metadata, deadline });
  }

  bidiStream(path: string, metadata: Metadata, deadline: number): MessageStream {
    return this.#channel.call({ path, message: null, metadata, deadline });
  }

  get isReady(): boolean {
    return this.state(false) === 'ready';
  }

  get heard(): number {
    return this.#channel.newest?.heard ?? 0;
  }

  state(connects: boolean): ConnectionState {
    const { state } = this.#channel;
    if (connects) this.#channel.connect();
    return state;
  }

  watchState(from: ConnectionState, until: number, onChange: (isLate: boolean) => void): void {
    this.#channel.watch(from, until, onChange);
  }

  isUnsent(request: UnaryRequest | MessageSource, { code }: CallStatus): boolean {
    return code === status.UNAVAILABLE && (request as ClientCall).isUnsent;
  }

  ask(): void {
    this.#channel.newest?.ask();
  }

  roundTrip(done: () => void): void {
    if (this.#channel.newest === null) done();
    else this.#channel.newest.roundTrip(done);
  }

  renew(): void {
    const before = this.#channel;
    const { newest } = before;
    this.#channel = new SimChannel(this.#where, this.#owner);
    before.newest = null;
    before.close();
    if (!before.isEnding) newest?.destroy();
  }

  close(): void {
    this.#channel.close();
  }
}

type Watcher = {
  readonly from: ConnectionState;
  readonly onChange: (isLate: boolean) => void;
  readonly cancel: CancelTimer;
};

class SimChannel implements TransportUser, CallHolder {
  state: ConnectionState = 'idle';
  /** Of the newest attempt, as soon as there is something to hear. */
  newest: ClientTransport | null = null;
  /** Its server takes no more calls on the newest. */
  isEnding = false;
  readonly #where: Where;
  readonly #owner: ConnectionOwner;
  #watchers: Watcher[] = [];
  /** For a connection. */
  readonly #waiting = new Set<ClientCall>();
  /** Takes calls. */
  #ready: ClientTransport | null = null;
  #lastError = '';
  #pauseMs: number = BACKOFF.first;
  /** When the next attempt may begin. */
  #notBeforeMs = 0;
  #stopConnecting: CancelTimer = () => {};

  constructor(where: Where, owner: ConnectionOwner) {
    this.#where = where;
    this.#owner = owner;
  }

  // ---- calls --------------------------------------------------------------------------------------------

  call(spec: CallSpec): ClientCall {
    if (this.state === 'closed') throw new Error('Channel has been shut down');
    const call = new ClientCall(spec, this.#where.node.clock, this);
    this.connect();
    queueMicrotask(() => {
      this.again(call);
    });
    return call;
  }

  done(call: ClientCall): void {
    this.#waiting.delete(call);
  }

  again(call: ClientCall): void {
    call.holder = this;
    if (this.#ready !== null) this.#ready.begin(call);
    else if (this.state === 'failing') this.#fail(call);
    else if (this.state === 'closed')
      call.finish(status.UNAVAILABLE, 'Channel closed before call started');
    else {
      this.#waiting.add(call);
      this.connect();
    }
  }

  #fail(call: ClientCall): void {
    const text = `No connection established. Last error: Error: ${this.#lastError}. Resolution note: `;
    call.finish(status.UNAVAILABLE, text);
  }

  // ---- state --------------------------------------------------------------------------------------------

  watch(from: ConnectionState, until: number, onChange: (isLate: boolean) => void): void {
    if (this.state === 'closed') throw new Error('Channel has been shut down');
    const { clock } = this.#where.node;
    const late = (): void => {
      this.#watchers = this.#watchers.filter((one) => one !== watcher);
      onChange(true);
    };
    const leftMs = until - clock.wallNow();
    const cancel =
      until === Infinity || leftMs <= 0 ? (): void => {} : clock.setTimer(leftMs, late);
    const watcher = { from, onChange, cancel };
    if (leftMs <= 0) queueMicrotask(late);
    else this.#watchers.push(watcher);
  }

  #become(state: ConnectionState): void {
    this.state = state;
    for (const watcher of [...this.#watchers]) {
      if (watcher.from === state || !this.#watchers.includes(watcher)) continue;
      this.#watchers = this.#watchers.filter((one) => one !== watcher);
      watcher.cancel();
      watcher.onChange(false);
    }
  }

  close(): void {
    if (this.state === 'closed') return;
    this.#stopConnecting();
    const ready = this.#ready;
    this.#ready = null;
    const waiting = [...this.#waiting];
    this.#waiting.clear();
    this.#become('closed');
    for (const call of waiting)
      call.finish(status.UNAVAILABLE, 'Channel closed before call started');
    ready?.leave();
  }

  // ---- connecting ---------------------------------------------------------------------------------------

  /** Does nothing unless it is idle. */
  connect(): void {
    if (this.state !== 'idle') return;
    this.#become('connecting');
    // A watcher that saw it idle in between, and waits for another state, is told as well.
    queueMicrotask(() => {
      if (this.state === 'connecting') this.#become('connecting');
    });
    this.#attempt();
  }

  #attempt(): void {
    const { network, node, address, options, random } = this.#where;
    this.#notBeforeMs = node.clock.now() + this.#pauseMs;
    const next = Math.min(this.#pauseMs * BACKOFF.factor, BACKOFF.most);
    this.#pauseMs = next * (1 + BACKOFF.jitter * (2 * random.number() - 1));
    this.#stopConnecting = network.connect<Wire>(node, address, options, {
      onOpen: (end) => {
        const transport = new ClientTransport(end, this);
        this.newest = transport;
        this.isEnding = false;
        this.#stopConnecting = () => {
          transport.destroy();
        };
      },
      onRefused: (why) => {
        this.#refused(why);
      },
    });
  }

  #refused(why: string): void {
    const { clock } = this.#where.node;
    this.#lastError = `${why} (${new Date(clock.wallNow()).toISOString()})`;
    const leftMs = this.#notBeforeMs - clock.now();
    this.#stopConnecting = clock.setTimer(leftMs, () => {
      this.#attempt();
    });
    const waiting = [...this.#waiting];
    this.#waiting.clear();
    for (const call of waiting) this.#fail(call);
    this.#become('failing');
  }

  opened(transport: ClientTransport): void {
    this.#stopConnecting = () => {};
    this.#pauseMs = BACKOFF.first;
    this.#ready = transport;
    const waiting = [...this.#waiting];
    this.#waiting.clear();
    for (const call of waiting) transport.begin(call);
    this.#become('ready');
  }

  left(transport: ClientTransport): void {
    if (this.state === 'closed') return;
    if (this.#ready === transport) {
      this.#ready = null;
      this.#become('idle');
    } else this.#refused('Failed to connect');
  }

  goaway(transport: ClientTransport, why: string): void {
    if (this.newest !== transport) return;
    this.isEnding = true;
    this.#owner.http2Goaway(why);
  }

  streamsMax(transport: ClientTransport, max: number): void {
    if (this.newest === transport) this.#owner.streamsMax(max);
  }
}
