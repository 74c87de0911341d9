/** Whether a client is read from, and what has come of it that is not handled yet. */
import type { PacketFault } from '../protocol/packet-reader.ts';
import type { TimerWheel } from '../timer-wheel.ts';
import type { Deadlines } from './deadlines.ts';
import type { Session } from './session.ts';
import type { SessionLimits, SessionParts } from './session-parts.ts';
import { type Unfinished, UNFINISHED_FREE_BYTES } from './unfinished.ts';

/** Makes messages of bytes; gives none while it is held. */
export interface Reader {
  readonly heldBytes: number;
  push(chunk: Buffer): PacketFault | null;
  hold(): void;
  release(): PacketFault | null;
}

/** Packets after which other work gets its turn: one read may hold ten thousand. */
const PACKETS_PER_TURN = 256;
/** The same, counted in bytes put into the client's outbox: each of those packets may ask for 60 KiB. */
const BYTES_PER_TURN = 262_144;

export class ReadGate {
  readonly #session: Session;
  readonly #reader: Reader;
  readonly #deadlines: Deadlines;
  readonly #limits: SessionLimits;
  readonly #wheel: TimerWheel;
  readonly #unfinished: Unfinished;
  /** What it holds of a packet counts among what all do. */
  #isWeighed = false;
  #isReading = true;
  /** An answer is awaited before the next message may be handled. */
  #isWaiting = false;
  /** Others have their turn. */
  #isYielding = false;
  /** Packets since the others last had their turn, and what had been put into the outbox by then. */
  #packets = 0;
  #putBytes = 0;

  constructor(
    session: Session,
    reader: Reader,
    deadlines: Deadlines,
    { limits, wheel, unfinished }: Pick<SessionParts, 'limits' | 'wheel' | 'unfinished'>,
  ) {
    this.#session = session;
    this.#reader = reader;
    this.#deadlines = deadlines;
    this.#limits = limits;
    this.#wheel = wheel;
    this.#unfinished = unfinished;
  }

  get isReading(): boolean {
    return this.#isReading;
  }

  /** An answer is awaited before anything more is read. */
  get isWaiting(): boolean {
    return this.#isWaiting;
  }

  /** A packet has begun, or a WebSocket message, and is not complete. */
  get isIncomplete(): boolean {
    return !this.#isWaiting && (this.#reader.heldBytes > 0 || this.#session.connection.assembling);
  }

  /** Takes what one read has brought: all of it came in one moment. Returns why the session has to end; null: it has not. */
  read(chunk: Buffer): PacketFault | null {
    const isFirst = this.#wheel.beginMoment();
    try {
      const fault = this.#reader.push(chunk);
      if (fault !== null) return fault;
      const held = this.#reader.heldBytes;
      // Not all of it could be handled.
      if (this.#isWaiting && held > this.#limits.packetBytesMax) this.#session.connection.pause();
      this.#deadlines.bytesCame(this.isIncomplete);
      this.weigh();
      return null;
    } finally {
      if (isFirst) this.#wheel.endMoment();
    }
  }

  /** More of a packet has come, or the rest of it. May close the session. */
  weigh(): void {
    const { connection, state } = this.#session;
    // What came before may have ended it.
    if (state === 'closed') return;
    const bytes = this.#reader.heldBytes + connection.assemblingBytes;
    if (bytes > UNFINISHED_FREE_BYTES && this.#isReading && !this.#isWaiting) {
      this.#isWeighed = true;
      this.#unfinished.set(this.#session, bytes);
    } else if (this.#isWeighed) this.leave();
  }

  /** It has nothing unfinished, or ends. */
  leave(): void {
    if (!this.#isWeighed) return;
    this.#isWeighed = false;
    this.#unfinished.set(this.#session, 0);
  }

  /** Reads, or not, by how much the client has in flight and has not taken. */
  consider(): void {
    const { inFlight, outbox, state } = this.#session;
    if (state === 'closed') return;
    const { inFlightMax, outbox: limits } = this.#limits;
    const isFull = inFlight >= inFlightMax || outbox.unsentBytes > limits.bytesMax / 2;
    if (this.#isReading && isFull) {
      this.#pause();
    } else if (!this.#isReading && !isFull && !this.#isYielding && inFlight <= inFlightMax / 2) {
      this.#deadlines.rested();
      this.#resume();
    }
  }

  /** After many packets, or many bytes of answers, others have their turn first. */
  packetCame(): void {
    const { outbox } = this.#session;
    const isMuch = outbox.putBytes - this.#putBytes >= BYTES_PER_TURN;
    if (++this.#packets < PACKETS_PER_TURN && !isMuch) return;
    this.#packets = 0;
    this.#putBytes = outbox.putBytes;
    if (!this.#isReading) return;
    this.#isYielding = true;
    this.#pause();
    // Sessions that ask for much share what a turn has room for.
    outbox.askLater(() => {
      this.#isYielding = false;
      this.consider();
    });
  }

  /** Keeps what comes, and notices when the client goes, until `answered`. */
  wait(): void {
    this.#isWaiting = true;
    this.#reader.hold();
  }

  answered(): void {
    if (!this.#isWaiting) return;
    this.#isWaiting = false;
    this.#resume();
  }

  #pause(): void {
    this.#deadlines.rests();
    this.#isReading = false;
    this.leave();
    this.#session.connection.pause();
    this.#reader.hold();
  }

  /** First what has come meanwhile, which may make it pause again. */
  #resume(): void {
    this.#isReading = true;
    if (this.#isWaiting) {
      this.#session.connection.resume();
      return;
    }
    const fault = this.#reader.release();
    if (fault !== null) {
      this.#session.close(fault);
    } else if (this.#isReading) {
      this.#session.connection.resume();
      this.#deadlines.bytesCame(this.isIncomplete);
      this.weigh();
    }
  }
}
