/** The bus while two processes are one gateway on it: what the old one hears goes to the new one. See `crossing.ts`. */
import { type Clock, sleep } from '../clock.ts';
import type { NatsMessage } from '../upstream/nats/nats-connection.ts';
import type { Tapped } from '../upstream/nats/wanted-subscriptions.ts';
import { Crossing } from './crossing.ts';
import type { BusState } from './gateway-state.ts';
import type { PassedMessage } from './line.ts';

/** The connection as it is tapped: each message goes to the tap alone. */
export interface Tappable {
  readonly up: boolean;
  tap: ((tapped: Tapped) => void) | null;
  /** Gives it to whoever has subscribed; nobody may have, by now. */
  deliver(tapped: Tapped): void;
  /** Publishes what comes to both processes, and says nothing to anyone. */
  mark(): Promise<void>;
  isMark(message: NatsMessage): boolean;
  /** Takes what has come, and ends. */
  drain(): Promise<void>;
}

/** Messages that are held until the new process has them; more end the takeover. */
const HELD_BYTES_MAX = 67_108_864;
/** How long both are on the bus before the mark: what was on its way when the new one subscribed has come. */
const BOTH_MS = 200;

export class OldBus {
  readonly #connection: Tappable;
  readonly #clock: Clock;
  readonly #stopSigns: () => void;
  /** What it says of itself. */
  readonly state: () => BusState;
  #held: Tapped[] = [];
  #bytes = 0;

  /** @param stopSigns Others are to hear no more of this process. */
  constructor(
    connection: Tappable,
    { clock, state, stopSigns }: { clock: Clock; state: () => BusState; stopSigns: () => void },
  ) {
    this.#connection = connection;
    this.#clock = clock;
    this.state = state;
    this.#stopSigns = stopSigns;
  }

  get isUp(): boolean {
    return this.#connection.up;
  }

  /** Messages wait from now on. */
  hold(): void {
    this.#connection.tap = (tapped) => {
      const kept = { ...tapped, message: copyOf(tapped.message) };
      this.#bytes += kept.message._rdata.length;
      if (this.#bytes > HELD_BYTES_MAX) this.#connection.deliver(tapped);
      else this.#held.push(kept);
    };
  }

  /** They are handled here after all. */
  goOn(): void {
    this.#connection.tap = null;
    for (const tapped of this.#held.splice(0)) this.#connection.deliver(tapped);
    this.#bytes = 0;
  }

  /**
   * All that waits and comes goes to the new process, until this one has left the bus.
   *
   * @param marked Resolves when the new process has the mark from both sides.
   */
  async pass(
    tell: (message: PassedMessage) => void,
    marked: () => Promise<unknown>,
  ): Promise<void> {
    this.#stopSigns();
    this.#connection.tap = (tapped) => {
      tell(written(tapped));
    };
    for (const tapped of this.#held.splice(0)) tell(written(tapped));
    await sleep(this.#clock, BOTH_MS);
    const both = marked();
    // What it has of its own is not told to it, so the mark comes by another connection.
    await Promise.all([this.#connection.mark(), both]);
    await this.#connection.drain();
  }
}

export class NewBus {
  readonly #connection: Tappable;
  readonly #crossing: Crossing<Tapped>;
  readonly #onMarked: () => void;

  /** @param onMarked The old process may leave. */
  constructor(connection: Tappable, onMarked: () => void) {
    this.#connection = connection;
    this.#onMarked = onMarked;
    const crossing = new Crossing<Tapped>((tapped) => {
      connection.deliver(tapped);
    });
    this.#crossing = crossing;
    connection.tap = (tapped) => {
      const { message, queue, wanted } = tapped;
      if (queue !== '') connection.deliver(tapped);
      else if (connection.isMark(message)) this.#mark(() => crossing.markDirect());
      else crossing.direct({ ...tapped, message: copyOf(message) }, wanted, bytesOf(message));
    };
  }

  /** The old process has got it. */
  passed(passed: PassedMessage): void {
    const tapped = read(passed);
    const { message, queue, wanted } = tapped;
    if (queue !== '') this.#connection.deliver(tapped);
    else if (this.#connection.isMark(message)) this.#mark(() => this.#crossing.markPassed());
    else this.#crossing.passed(tapped, wanted, bytesOf(message));
  }

  #mark(mark: () => void): void {
    mark();
    if (this.#crossing.isMarked) this.#onMarked();
  }

  /** The old process has left, or is gone. */
  end(): void {
    this.#connection.tap = null;
    this.#crossing.end();
  }
}

/** The subject differs where a subscription is for many; the reply, where somebody asks twice. */
function bytesOf({ subject, reply = '', _rdata: bytes }: NatsMessage): Uint8Array {
  return Buffer.concat([Buffer.from(`${subject} ${reply}\n`), bytes]);
}

/** A message is valid only while its subscriber is being called. */
function copyOf({ subject, reply, _msg: { hdr }, _rdata: bytes }: NatsMessage): NatsMessage {
  return messageOf(subject, reply ?? '', hdr, Buffer.from(bytes));
}

function messageOf(subject: string, reply: string, hdr: number, bytes: Buffer): NatsMessage {
  const data = hdr > 0 ? bytes.subarray(hdr) : bytes;
  return { subject, reply, data, _msg: { hdr }, _rdata: bytes };
}

function written({ wanted, queue, message }: Tapped): PassedMessage {
  const { subject, reply = '', _msg, _rdata } = message;
  const bytes = Buffer.from(_rdata).toString('base64');
  return { wanted, queue, subject, reply, hdr: _msg.hdr, bytes };
}

function read({ wanted, queue, subject, reply, hdr, bytes }: PassedMessage): Tapped {
  return { wanted, queue, message: messageOf(subject, reply, hdr, Buffer.from(bytes, 'base64')) };
}
