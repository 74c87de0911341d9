/** One connection to a backend on a Unix socket, and the calls whose answers are due over it. */
import type net from 'node:net';

import { type Clock, within } from '../../clock.ts';
import { failure } from '../../errors.ts';
import { Timeout, type TimerWheel } from '../../timer-wheel.ts';
import type { BackendCommands } from '../backend-commands.ts';
import type { BackendReport } from '../backend-report.ts';
import type { Call, PendingCall } from '../call.ts';
import { CallTable } from '../call-table.ts';
import { IPC_LINE_BYTES_MAX, LineReader, type LineReaderOwner } from './line-reader.ts';
import { LineSocket } from './line-socket.ts';

/** Bytes for the backend that the system has not taken; beyond it requests are refused. */
export const IPC_UNSENT_BYTES_MAX = 16 * 1024 * 1024;
/** A longer one fails the request that it answers, and nothing else; one beyond this ends the connection. */
export const IPC_SKIP_BYTES_MAX = 64 * 1024 * 1024;
/** Numbers fit in the 32 bits with sign that some languages read whole numbers into. */
export const SEQ_ID_MAX = 0x7fff_ffff;
/** How often a connection that is being left is looked at: whether all that was due has come. */
const DUE_LOOK_MS = 20;
/** How long a backend may take to end a connection that was left, and on which nothing is due. */
const LEAVE_MS = 5_000;

export type IpcConnectionParts = {
  /** Where pushes and changes to sessions go. */
  readonly commands: BackendCommands;
  readonly report: BackendReport;
  /** Bytes of JSON that are parsed at once: `limits.convert`. */
  readonly convertBytesMax: number;
  readonly clock: Clock;
  readonly wheel: TimerWheel;
};

export interface IpcConnectionOwner {
  /** The backend wants nothing more over it. May be called again. */
  goaway(connection: IpcConnection, reason: string): void;
  /** Once: it is gone. What was due is failed after it. */
  lost(connection: IpcConnection, why: string): void;
}

export class IpcConnection implements PendingCall, LineReaderOwner {
  readonly #calls = new CallTable(SEQ_ID_MAX);
  readonly #parts: IpcConnectionParts;
  readonly #owner: IpcConnectionOwner;
  readonly #socket: LineSocket;
  /** On the monotonic clock. */
  readonly #since: number;
  readonly #look: Timeout;
  readonly #late: Timeout;
  #onEnded: () => void = () => {};

  /** @param socket Connected. */
  constructor(socket: net.Socket, parts: IpcConnectionParts, owner: IpcConnectionOwner) {
    this.#parts = parts;
    this.#owner = owner;
    this.#since = parts.wheel.now();
    this.#look = new Timeout(() => {
      this.#endIfIdle();
    });
    this.#late = new Timeout(() => {
      this.end(`the backend did not end the connection within ${LEAVE_MS} ms of its goaway`);
    });
    const limits = {
      lineBytesMax: IPC_LINE_BYTES_MAX,
      skipBytesMax: IPC_SKIP_BYTES_MAX,
      unsentBytesMax: IPC_UNSENT_BYTES_MAX,
    };
    const reader = new LineReader({ ...parts, calls: this.#calls }, this);
    this.#socket = new LineSocket(socket, limits, reader, parts.wheel);
  }

  /** Milliseconds. */
  get age(): number {
    return this.#parts.wheel.now() - this.#since;
  }

  /** False: the backend does not read. @param line With its newline. */
  write(line: Buffer): boolean {
    return this.#socket.write(line);
  }

  /** The number that its answer will bear; 0: none is due. */
  numberOf(call: Call): number {
    return call.wantsAnswer ? this.#calls.add(call, this) : 0;
  }

  /** Ends the call where it cannot be sent, or needs no answer. @param seqId As `numberOf` has given it. */
  send(call: Call, seqId: number, line: Buffer): void {
    if (!this.#socket.write(line)) {
      this.#calls.remove(call);
      call.fail(failure('OVERLOADED', 'the backend is not keeping up'));
    } else if (seqId === 0) {
      call.sent();
    }
  }

  cancel(call: Call): void {
    this.#calls.remove(call);
    const { report, wheel } = this.#parts;
    const held = this.#socket.heldBytes;
    if (held > 0 && wheel.now() >= call.deadline) {
      const why = `${held} bytes wait for the newline that ends a line: each answer must end with one`;
      report.dropped('line', why, 'no-newline');
    }
  }

  // ---- its end ------------------------------------------------------------------------------------------

  /**
   * Nothing more is sent: what is due is still taken, and then our side is closed. What comes next of sessions that
   * something is due to waits for that, so that no other process has it sooner.
   */
  leave(): void {
    for (const call of this.#calls.all()) if (call.isInLane) call.lane.hold();
    this.#endIfIdle();
  }

  #endIfIdle(): void {
    const { wheel } = this.#parts;
    if (this.#calls.size > 0) {
      wheel.set(this.#look, DUE_LOOK_MS);
      return;
    }
    this.#socket.finish();
    wheel.set(this.#late, LEAVE_MS);
  }

  /** Sends what it has, closes our side, and resolves when the backend has closed its own, or after `ms`. */
  async finish(ms: number): Promise<void> {
    const ended = new Promise<void>((resolve) => {
      this.#onEnded = resolve;
    });
    this.#socket.finish();
    await within(this.#parts.clock, ms, ended, undefined);
    this.end('the gateway stopped');
  }

  /** At once. */
  end(why: string): void {
    this.#socket.end(why);
  }

  // ---- for its reader -----------------------------------------------------------------------------------

  goaway(reason: string): void {
    this.#owner.goaway(this, reason);
  }

  lost(why: string): void {
    this.#parts.wheel.cancel(this.#look);
    this.#parts.wheel.cancel(this.#late);
    this.#onEnded();
    this.#owner.lost(this, why);
    // They may have been carried out: only the relay decides whether one is sent again.
    for (const call of this.#calls.takeAll()) call.fail(failure('BACKEND_AWAY'));
  }
}
