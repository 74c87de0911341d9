/** Calls that a link cannot take yet, since the backend has set a bound: in their order, and not many. */
import type { Call, PendingCall } from '../call.ts';
import type { RequestFields } from '../../contract/gateway-frames.ts';

/** Calls that wait on one link; beyond it they are refused. */
export const WAITING_CALLS_MAX = 1_000;
/** The same, in bytes of their bodies. */
export const WAITING_BYTES_MAX = 8 * 1024 * 1024;

/** A request, or a ConnectRequest that is encoded already. */
export type Waiting = { readonly call: Call; readonly what: RequestFields | Buffer };

export class SendQueue implements PendingCall {
  readonly #onCancel: (call: Call) => void;
  #calls: Waiting[] = [];
  #bytes = 0;

  /** @param onCancel One is given up before it could be sent. */
  constructor(onCancel: (call: Call) => void = () => {}) {
    this.#onCancel = onCancel;
  }

  get size(): number {
    return this.#calls.length;
  }

  /** False: there are too many. */
  add(call: Call, what: RequestFields | Buffer): boolean {
    const bytes = bytesOf(what);
    if (this.size >= WAITING_CALLS_MAX || this.#bytes + bytes > WAITING_BYTES_MAX) return false;
    this.#calls.push({ call, what });
    this.#bytes += bytes;
    call.pending = this;
    return true;
  }

  /** The one that has waited longest; it is out then. */
  take(): Waiting | null {
    const first = this.#calls.shift();
    if (first === undefined) return null;
    this.#bytes -= bytesOf(first.what);
    first.call.pending = null;
    return first;
  }

  cancel(call: Call): void {
    const at = this.#calls.findIndex((one) => one.call === call);
    if (at < 0) return;
    const [gone] = this.#calls.splice(at, 1);
    this.#bytes -= bytesOf(gone!.what);
    call.pending = null;
    this.#onCancel(call);
  }
}

function bytesOf(what: RequestFields | Buffer): number {
  return 'body' in what ? what.body.length + what.session.length : what.length;
}
