/**
 * One address with a Link that is kept open, or Handle while there is none: a backend that has no Link may have one
 * when it is started again.
 */
import { status } from '@grpc/grpc-js';

import type { BackendHello } from '../../contract/backend-frames.ts';
import { type EventKind, writeEvent } from '../../contract/event-frames.ts';
import { Timeout } from '../../timer-wheel.ts';
import { onceLost } from '../grpc-client/grpc-connection.ts';
import { GrpcTransport, type GrpcTransportOptions } from '../grpc-client/grpc-transport.ts';
import { hint } from '../grpc-client/status.ts';
import { Link } from '../link/link.ts';
import type { Carrier, LinkOwner, LinkParts, LinkTransport } from '../link/link-transport.ts';
import type { TransportOwner } from '../pool/transport.ts';
import { UnaryCalls } from './unary-calls.ts';

export const LINK = '/pith.v1.Backend/Link';
/** How long a new link may take to say hello. */
const HELLO_WAIT_MS = 5_000;

export class DialledLink extends GrpcTransport implements LinkTransport, LinkOwner {
  readonly #options: GrpcTransportOptions;
  readonly #parts: LinkParts;
  readonly #unary: UnaryCalls;
  readonly #helloLate: Timeout;
  /** The one that is open, or being opened. */
  #link: Link | null = null;
  /** What it serves by now; null: it does not. */
  #by: 'link' | 'handle' | null = null;
  #onEnded: () => void = () => {};

  constructor(endpoint: TransportOwner, options: GrpcTransportOptions, parts: LinkParts) {
    super(endpoint, options);
    this.#options = options;
    this.#parts = parts;
    this.#unary = new UnaryCalls(this, options, parts);
    this.#helloLate = new Timeout(() => {
      this.#link?.destroy(
        `no hello within ${HELLO_WAIT_MS} ms; a Link's first frame must be BackendHello`,
      );
      // The connection may be one that goes nowhere.
      this.connection.renew();
    });
  }

  get inFlight(): number {
    return (this.#link?.inFlight ?? 0) + this.#unary.inFlight;
  }

  get credit(): number {
    return (this.#by === 'link' ? this.#link?.credit.frames : undefined) ?? Infinity;
  }

  /** Handle calls have no order among themselves. */
  get keepsOrder(): boolean {
    return this.#by !== 'handle';
  }

  // ---- calls --------------------------------------------------------------------------------------------

  get carrier(): Carrier {
    return this.#link !== null && this.#by === 'link' ? this.#link : this.#unary;
  }

  tell(kind: EventKind, event: Buffer): void {
    if (this.#by === 'handle') this.#unary.tell(kind, event);
    else if (this.#by === 'link')
      this.#link?.send((writer) => {
        writeEvent(writer, kind, event);
      });
  }

  // ---- the link -----------------------------------------------------------------------------------------

  connect(): void {
    this.#unary.startAgain();
    const before = this.#link;
    this.#link = null;
    before?.destroy('tried again');
    this.#options.wheel.set(this.#helloLate, HELLO_WAIT_MS);
    const stream = this.connection.bidiStream(LINK, this.#options.metadata, Infinity);
    const link = new Link(stream, this.#parts, this);
    stream.on('error', (error) => {
      link.streamEnded(hint(error), error.code === status.UNIMPLEMENTED);
    });
    this.#link = link;
    link.hello();
  }

  onHello({ instance }: BackendHello): void {
    this.#options.wheel.cancel(this.#helloLate);
    this.#by = 'link';
    this.health.start();
    const why = instance === '' ? 'connected' : `connected to instance ${instance}`;
    this.endpoint.up('link', why, { instance, ages: true });
  }

  roundTrip(done: () => void): void {
    this.connection.roundTrip(done);
  }

  onEnd(link: Link, why: string, unimplemented: boolean): void {
    // Else another is being opened already.
    if (link !== this.#link) return;
    this.#options.wheel.cancel(this.#helloLate);
    this.#link = null;
    this.#onEnded();
    if (unimplemented) this.#withoutLink();
    else this.lost(why);
  }

  #withoutLink(): void {
    if (this.#by !== 'handle') this.health.start();
    this.#by = 'handle';
    this.endpoint.up('handle', 'the backend has no Link; Handle is called instead');
    onceLost(this.connection, () => {
      if (this.#by === 'handle') this.endpoint.retrySoon();
    });
  }

  protected override lost(why: string): void {
    this.#by = null;
    super.lost(why);
  }

  /** Begins again with a Link. */
  gone(why: string): void {
    if (this.#by === 'handle') this.lost(why);
  }

  giveUp(why: string): void {
    if (this.#link === null) this.lost(why);
    else this.#link.destroy(why);
    this.connection.renew();
  }

  override http2Goaway(why: string): void {
    this.endpoint.http2Goaway(why, this.#link !== null);
    // The last known health stays.
    if (this.#link !== null) this.health.rest();
  }

  // ---- its end ------------------------------------------------------------------------------------------

  override endIdle(): void {
    this.#link?.close('moved');
  }

  async close(reason: string): Promise<void> {
    this.stop();
    const link = this.#link;
    const ended = new Promise<void>((resolve) => {
      this.#onEnded = resolve;
      link?.close(reason);
      if (link === null || link.ended) resolve();
    });
    await Promise.all([ended, this.#unary.closedAll()]);
  }

  override destroy(): void {
    this.stop();
    this.#link?.destroy('the gateway stopped');
    super.destroy();
    this.#onEnded();
  }

  protected override stop(): void {
    this.#options.wheel.cancel(this.#helloLate);
    super.stop();
  }
}
