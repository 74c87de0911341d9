/** What HTTP/2 carries between a gRPC client and a server, in messages, and the flow control of one stream. */
import type { End } from './channel.ts';

export type Open = {
  readonly kind: 'open';
  readonly id: number;
  readonly path: string;
  readonly metadata: Readonly<Record<string, string>>;
  /** Milliseconds; Infinity: none. */
  readonly timeoutMs: number;
  /** The only one of a call that has one; null: messages follow. */
  readonly message: Buffer | null;
};

/** Of a client. */
export type ToServer =
  | Open
  | { readonly kind: 'data'; readonly id: number; readonly message: Buffer }
  | { readonly kind: 'end'; readonly id: number }
  | { readonly kind: 'reset'; readonly id: number }
  | { readonly kind: 'credit'; readonly id: number; readonly bytes: number }
  | { readonly kind: 'ask' }
  | { readonly kind: 'goaway' };

/** Of a server. */
export type ToClient =
  | { readonly kind: 'settings'; readonly streamsMax: number }
  | { readonly kind: 'data'; readonly id: number; readonly message: Buffer }
  | {
      readonly kind: 'status';
      readonly id: number;
      readonly code: number;
      readonly details: string;
    }
  | { readonly kind: 'refused'; readonly id: number }
  | { readonly kind: 'credit'; readonly id: number; readonly bytes: number }
  | { readonly kind: 'goaway'; readonly why: string }
  | { readonly kind: 'ack' };

export type Wire = ToServer | ToClient;

/** Of HTTP/2 and of gRPC, on top of each message: frame headers, a few HPACK bytes. */
const OVERHEAD_BYTES = 14;
/** A stream's, which neither Node nor most servers change. [RFC 9113 section 6.9.2] */
const WINDOW_BYTES = 65_535;

export function sizeOf(wire: Wire): number {
  return OVERHEAD_BYTES + ('message' in wire ? (wire.message?.length ?? 0) : 0);
}

/** Where a server of the simulated network listens that is dialled as `ipv4:10.0.0.1:9000`. */
export function placeOf(address: string): string {
  return address.replace(/^ipv4:/, '');
}

/** Calls back when the system has taken what it was given. */
export class Outgoing {
  readonly #end: End<Wire>;
  #done: (() => void)[] = [];
  #isScheduled = false;

  constructor(end: End<Wire>) {
    this.#end = end;
  }

  send(wire: Wire, done?: () => void): void {
    this.#end.send(wire, sizeOf(wire));
    if (done === undefined) return;
    this.#done.push(done);
    if (!this.#end.isCongested) this.#tellSoon();
  }

  /** The system has room. */
  onRoom(): void {
    if (this.#done.length > 0) this.#tellSoon();
  }

  #tellSoon(): void {
    if (this.#isScheduled) return;
    this.#isScheduled = true;
    this.#end.node.clock.soon(() => {
      this.#isScheduled = false;
      if (this.#end.isCut || this.#end.isCongested) return;
      const all = this.#done;
      this.#done = [];
      for (const done of all) done();
    });
  }
}

/** Whose stream it is. */
export interface FlowOwner {
  readonly id: number;
  /** null: there is no connection, or the stream has ended. */
  readonly outgoing: Outgoing | null;
  /** A message is read. */
  read(message: Buffer): void;
  /** All is read that came before the end. */
  readAll(): void;
}

/** A message; or what must not overtake one. */
type Waiting = { readonly what: Buffer | Wire; readonly done: (() => void) | undefined };

/** Both directions of one stream, each with its window. */
export class Flow {
  readonly #owner: FlowOwner;
  /** Sent, and not yet read by the other side. */
  #unread = 0;
  /** For the window. */
  readonly #waiting: Waiting[] = [];
  readonly #came: Buffer[] = [];
  #isPaused = false;
  #isEnded = false;
  /** Read, and not yet told to the other side. */
  #owed = 0;

  constructor(owner: FlowOwner) {
    this.#owner = owner;
  }

  // ---- out ----------------------------------------------------------------------------------------------

  /** A message, or what must not overtake those. */
  write(what: Buffer | Wire, done?: () => void): void {
    this.#waiting.push({ what, done });
    this.pump();
  }

  onCredit(bytes: number): void {
    this.#unread -= bytes;
    this.pump();
  }

  /** Sends what there is somebody for, and room. */
  pump(): void {
    const { outgoing, id } = this.#owner;
    while (outgoing !== null && this.#waiting.length > 0 && this.#unread < WINDOW_BYTES) {
      const { what, done } = this.#waiting.shift()!;
      if (Buffer.isBuffer(what)) {
        this.#unread += what.length;
        outgoing.send({ kind: 'data', id, message: what }, done);
      } else outgoing.send(what, done);
    }
  }

  // ---- in -----------------------------------------------------------------------------------------------

  arrived(message: Buffer): void {
    this.#came.push(message);
    this.#readOn();
  }

  /** The other side has sent its last. */
  ended(): void {
    this.#isEnded = true;
    this.#readOn();
  }

  pause(): void {
    this.#isPaused = true;
  }

  resume(): void {
    if (!this.#isPaused) return;
    this.#isPaused = false;
    queueMicrotask(() => {
      this.#readOn();
    });
  }

  #readOn(): void {
    while (!this.#isPaused && this.#came.length > 0) {
      const message = this.#came.shift()!;
      this.#consumed(message.length);
      this.#owner.read(message);
    }
    if (!this.#isEnded || this.#came.length > 0 || this.#isPaused) return;
    this.#isEnded = false;
    this.#owner.readAll();
  }

  /** As nghttp2: the window is opened again when half of it is used up. */
  #consumed(bytes: number): void {
    this.#owed += bytes;
    if (this.#owed < WINDOW_BYTES / 2) return;
    this.#owner.outgoing?.send({ kind: 'credit', id: this.#owner.id, bytes: this.#owed });
    this.#owed = 0;
  }
}
