/** One push on its way into the outboxes of many sessions, maybe over several turns of the event loop. */
import type { Push, PushCount } from '../contract/commands.ts';
import type { Span } from '../telemetry/tracing.ts';
import { SessionWork } from '../session/fanouts.ts';
import type { Perishable } from '../session/outbox.ts';
import type { PacketWatch } from '../session/packet-watch.ts';
import { BYTES_PER_WRITE } from '../session/outboxes.ts';
import type { Session } from '../session/session.ts';
import { passOver, put } from './push-cursors.ts';
import { PushEncodings } from './push-encodings.ts';
import { filterOf } from './selection.ts';

/** So many are put into outboxes in the time of one write. */
const PUTS_PER_WRITE = 8;

export class PushWork extends SessionWork {
  readonly cost: number;
  /** On the monotonic clock, milliseconds. */
  startedAt = 0;
  /** null: its publisher is not traced. */
  span: Span | null = null;
  push: Push;
  encodings: PushEncodings;
  readonly count: PushCount = { delivered: 0, dropped: 0, refused: 0 };
  readonly #perishable: Perishable | null;
  readonly #filter: ((session: Session) => boolean) | null;
  readonly #onDone: (work: PushWork) => void;
  readonly #watching: PacketWatch;

  constructor(
    push: Push,
    perishable: Perishable | null,
    watching: PacketWatch,
    onDone: (work: PushWork) => void,
  ) {
    super();
    this.#watching = watching;
    const { body, target } = push;
    this.push = push;
    this.cost = 1 / PUTS_PER_WRITE + body.length / BYTES_PER_WRITE;
    this.encodings = new PushEncodings(push);
    this.#perishable = perishable;
    this.#filter = target === null ? null : filterOf(target);
    this.#onDone = onDone;
  }

  /** The body, and as each wire has it: for the first one there must be room from the start. */
  override get bytes(): number {
    const { length } = this.push.body;
    return length + Math.max(length, this.encodings.bytes);
  }

  override reach(session: Session): void {
    const { count, push } = this;
    if (this.#filter !== null && !this.#filter(session)) {
      passOver(session, push);
      return;
    }
    const encoded = this.encodings.of(session.wire);
    const taken = encoded === null ? 'full' : put(session, push, encoded, this.#perishable);
    if (session.watchers !== 0)
      this.#watching.pushed(session, push, encoded === null ? 'unencodable' : taken);
    if (taken === 'taken') count.delivered++;
    else if (taken === 'dropped') count.dropped++;
    else count.refused++;
  }

  /** Its body is a view of what the transport has read, where something else may be next. */
  override keep(): void {
    this.push = { ...this.push, body: Buffer.from(this.push.body) };
    this.encodings = new PushEncodings(this.push);
  }

  override onDone(): void {
    this.#onDone(this);
  }
}
