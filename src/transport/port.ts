/**
 * One listening port, whatever protocol it speaks. A connection has a deadline to show what it wants, and their number
 * is limited; the same code serves the ports for clients and all others.
 */
import type { AddressInfo, Socket } from 'node:net';

import { errorText } from '../errors.ts';
import type { Log } from '../telemetry/log.ts';
import type { Metrics } from '../telemetry/metrics.ts';
import type { TimerWheel } from '../timer-wheel.ts';
import type { AcceptPace } from './accept-pace.ts';
import { type Acceptor, type MakeAcceptor, OwnAcceptor, type PortAddress } from './acceptor.ts';
import { PendingConnection } from './pending-connection.ts';
import { type RawHandle, socketOn } from './raw-handle.ts';
import { RefusalLog, type Refused, type RefusedConnection } from './refused.ts';

export type { PortAddress };

/** Connections that the kernel queues for us: the restart of a fleet sends thousands at once. */
const BACKLOG = 4_096;
/** How long a connection may wait for its turn, and how much of it is read meanwhile: a handshake, or a request's head. */
export const HELD_MS_MAX = 60_000;
export const HELD_BYTES_MAX = 16_384;
/** Longer texts from a client are cut in the log. */
const DETAIL_CHARS_MAX = 200;

/** Waits until something listens. @throws {Error} naming `key` of the configuration, whose address cannot be bound. */
export async function listenOrExplain(
  key: string,
  address: string,
  listening: Promise<void>,
): Promise<void> {
  try {
    await listening;
  } catch (error) {
    throw new Error(`${key}: cannot listen on ${address}: ${errorText(error)}`, { cause: error });
  }
}

export type PortOptions = {
  /** Its name in the log. */
  readonly name: () => string;
  /** Milliseconds from accepting a connection until it must have shown what it wants: `limits.handshake`. */
  readonly waitMs: number;
  /**
   * From this many connections on, the one that has waited longest makes room for the next. The kernel queues half as
   * many, so that all that come at once are read from before any of them has to go. Infinity: never.
   */
  readonly crowdedAt: number;
  /** False: there is no room for one more. @param open Connections that are open here. */
  readonly mayAccept: (open: number) => boolean;
  /** Takes a connection whose address is known; why not, or null. Absent: it is taken. */
  readonly admit?: (pending: PendingConnection) => Refused | null;
  /** When each may begin; absent: at once. */
  readonly pace?: AcceptPace;
  /** The label under which its refused connections are counted; '': the port is for clients. */
  readonly label: '' | 'health' | 'admin' | 'control';
};

export type PortParts = {
  readonly wheel: TimerWheel;
  readonly log: Log;
  readonly metrics: Metrics;
  /** Where its connections come from; absent: it listens itself. */
  readonly acceptor?: MakeAcceptor | undefined;
};

/** The first bytes of `socket`, which is paused: the pending one, or TLS on it. To take it over, call `settle`. */
export type Serve = (pending: PendingConnection, socket: Socket, first: Buffer) => void;

export class Port {
  readonly #options: PortOptions;
  readonly #serve: Serve;
  readonly #metrics: Metrics;
  readonly #wheel: TimerWheel;
  readonly #refusals: RefusalLog;
  readonly #acceptor: Acceptor;
  /** Connections that have not been taken over, the longest wait first; each with its `close` listener. */
  readonly #connections = new Map<PendingConnection, () => void>();
  readonly #sockets = new Set<Socket>();

  constructor(options: PortOptions, parts: PortParts, serve: Serve) {
    const { wheel, log, metrics, acceptor = (door) => new OwnAcceptor(door) } = parts;
    this.#options = options;
    this.#serve = serve;
    this.#metrics = metrics;
    this.#wheel = wheel;
    this.#refusals = new RefusalLog(options.name, log, wheel);
    this.#acceptor = acceptor({
      take: (socket) => {
        this.#take(socket);
      },
      failed: (error) => {
        this.#noteRefusal('accept_failed', '', error.message);
      },
    });
  }

  /** Rejects with the operating system's error. */
  async listen(address: PortAddress): Promise<void> {
    const backlog = Math.min(BACKLOG, Math.ceil(this.#options.crowdedAt / 2));
    await this.#acceptor.listen(address, backlog);
  }

  /** null: not listening yet, or on a Unix socket. */
  get address(): AddressInfo | null {
    return this.#acceptor.address;
  }

  /** Connections that have not been taken over. */
  get waiting(): number {
    return this.#connections.size;
  }

  /** All open connections. */
  get open(): number {
    return this.#sockets.size;
  }

  /** Takes no new connections; open ones stay. */
  stopAccepting(): void {
    this.#acceptor.stop();
  }

  /** Closes connections that have not been taken over. */
  closeWaiting(): void {
    this.stopAccepting();
    for (const pending of [...this.#connections.keys()]) {
      this.settle(pending);
      this.#destroy(pending.raw);
    }
  }

  /** Closes every connection, and resolves when they are gone. */
  async close(): Promise<void> {
    this.closeWaiting();
    for (const socket of [...this.#sockets]) this.#destroy(socket);
    await this.ended();
  }

  /** Resolves when no connection is left and no new one can come. */
  ended(): Promise<void> {
    return this.#acceptor.ended();
  }

  /** A connection that another process has taken over before: it counts here, and is paused. */
  adopt(handle: RawHandle, remoteAddress: string): PendingConnection {
    const raw = socketOn(handle);
    raw.on('error', ignore);
    const pending = new PendingConnection(raw, this.#onLate);
    pending.remoteAddress = remoteAddress;
    this.admit(pending);
    this.#own(raw);
    return pending;
  }

  // ---- a new connection ---------------------------------------------------------------------------------

  #take(raw: Socket): void {
    raw.on('error', ignore);
    const pending = new PendingConnection(raw, this.#onLate);
    const { crowdedAt, mayAccept } = this.#options;
    if (this.open >= crowdedAt) this.#crowdOut();
    if (!mayAccept(this.open)) {
      this.refuse(pending, crowdedAt === Infinity ? 'connection_limit' : 'port_full');
      return;
    }
    const refused = this.admit(pending);
    if (refused !== null) {
      this.refuse(pending, refused.why, refused.detail);
      return;
    }
    if (crowdedAt !== Infinity) ripen(pending);
    this.#own(raw);
    const { pace } = this.#options;
    if (pace === undefined || pace.enter(pending)) this.#begin(pending, []);
    else this.#hold(pending, pace);
  }

  #own(raw: Socket): void {
    this.#sockets.add(raw);
    // Not `once`, which would keep two functions where it comes once anyway.
    raw.on('close', () => {
      this.#sockets.delete(raw);
    });
  }

  /** @param came What was read of it while it was held. */
  #begin(pending: PendingConnection, came: readonly Buffer[]): void {
    const { raw } = pending;
    pending.stage = 'silent';
    this.setDeadline(pending);
    if (came.length === 0) this.sniff(pending, raw);
    else this.#serve(pending, raw, Buffer.concat(came));
  }

  /** Until its turn. It is read from, within bounds, so that one whose client goes does not take the turn of another. */
  #hold(pending: PendingConnection, pace: AcceptPace): void {
    const { raw } = pending;
    const came: Buffer[] = [];
    let bytes = 0;
    const onData = (chunk: Buffer): void => {
      came.push(chunk);
      bytes += chunk.length;
      if (bytes >= HELD_BYTES_MAX) raw.pause();
    };
    raw.on('data', onData);
    pending.stage = 'held';
    this.setDeadline(pending, HELD_MS_MAX);
    pending.onSettled = () => {
      pace.leave(pending);
    };
    pending.begin = () => {
      raw.off('data', onData);
      raw.pause();
      this.#begin(pending, came);
      // What has come is served from a paused socket; a silent one must be read from.
      if (came.length === 0) raw.resume();
    };
  }

  /** Takes a connection whose client's address is known now; why not, or null. */
  admit(pending: PendingConnection): Refused | null {
    return this.#options.admit?.(pending) ?? null;
  }

  /** Waits for the first bytes of `socket`, which is the pending one, or TLS on it. */
  sniff(pending: PendingConnection, socket: Socket): void {
    socket.once('data', (first: Buffer) => {
      // Nothing more may be read before the connection is taken over.
      socket.pause();
      this.#serve(pending, socket, first);
    });
  }

  /** Gives the connection `ms` from now on, after which it is closed; until it is settled it can be crowded out. */
  setDeadline(pending: PendingConnection, ms = this.#options.waitMs): void {
    this.settle(pending);
    if (pending.raw.destroyed) return;
    const onClosed = (): void => {
      pending.onClosed();
      this.settle(pending);
    };
    pending.raw.once('close', onClosed);
    this.#connections.set(pending, onClosed);
    this.#wheel.set(pending, ms);
  }

  /** Removes the deadline; the connection can still be crowded out. */
  clearDeadline(pending: PendingConnection): void {
    this.#wheel.cancel(pending);
  }

  /** The connection has been taken over, or is being closed: it has no deadline any more, and cannot be crowded out. */
  settle(pending: PendingConnection): void {
    const onClosed = this.#connections.get(pending);
    if (onClosed === undefined) return;
    pending.raw.off('close', onClosed);
    this.#connections.delete(pending);
    this.#wheel.cancel(pending);
    pending.onSettled();
  }

  /** Refuses and closes it. */
  refuse(pending: PendingConnection, why: RefusedConnection, detail = ''): void {
    this.note(pending, why, detail);
    this.settle(pending);
    this.#destroy(pending.raw);
  }

  /** Counts and logs once that it is refused. */
  note(pending: PendingConnection, why: RefusedConnection, detail: string): void {
    if (pending.refused) return;
    pending.refused = true;
    this.#noteRefusal(why, pending.remoteAddress, detail.slice(0, DETAIL_CHARS_MAX));
  }

  #noteRefusal(why: RefusedConnection, remoteAddress: string, detail: string): void {
    const { label } = this.#options;
    if (label === '') this.#metrics.add('pith_connections_refused_total', [why]);
    else this.#metrics.add('pith_port_connections_refused_total', [label, why]);
    this.#refusals.note(why, remoteAddress, detail);
  }

  readonly #onLate = (pending: PendingConnection): void => {
    // One that was answered before and has not asked anything since is just closed.
    if (pending.refused || pending.stage === 'kept') this.#end(pending);
    else this.refuse(pending, LATE[pending.stage]);
  };

  #end(pending: PendingConnection): void {
    this.settle(pending);
    this.#destroy(pending.raw);
  }

  #crowdOut(): void {
    for (const pending of this.#connections.keys()) {
      if (!pending.ripe) continue;
      if (pending.stage === 'kept') this.#end(pending);
      else this.refuse(pending, 'crowded_out');
      return;
    }
  }

  #destroy(socket: Socket): void {
    this.#sockets.delete(socket);
    socket.destroy();
  }
}

/** Why a connection is refused whose time is over, by what it was doing. */
const LATE = {
  held: 'waited_too_long',
  silent: 'silent',
  proxy: 'slow_proxy_header',
  tls: 'slow_handshake',
  http: 'slow_handshake',
} as const;

/** After two turns of the event loop, what it sent right after connecting has been read. */
function ripen(pending: PendingConnection): void {
  setImmediate(() =>
    setImmediate(() => {
      pending.ripe = true;
    }),
  );
}

function ignore(): void {}
