/** The Link of one backend that has attached. */
import type { BackendHello } from '../../contract/backend-frames.ts';
import { type EventKind, writeEvent } from '../../contract/event-frames.ts';
import { Link } from '../link/link.ts';
import type { LinkOwner, LinkParts, LinkTransport } from '../link/link-transport.ts';
import type { TransportOwner } from '../pool/transport.ts';
import type { AttachStream } from './attach-stream.ts';

export class AttachedLink implements LinkTransport, LinkOwner {
  readonly endpoint: TransportOwner;
  readonly keepsOrder = true;
  /** Not asked for: the backend would have to be dialled. */
  readonly health = null;
  readonly liveness = null;
  readonly #stream: AttachStream;
  readonly carrier: Link;
  #onEnded: () => void = () => {};

  constructor(endpoint: TransportOwner, stream: AttachStream, parts: LinkParts) {
    this.endpoint = endpoint;
    this.#stream = stream;
    const link = new Link(stream, parts, this);
    this.carrier = link;
    stream.on('error', ({ message }: Error) => {
      link.streamEnded(message);
    });
  }

  get inFlight(): number {
    return this.carrier.inFlight;
  }

  get credit(): number {
    return this.carrier.credit.frames;
  }

  connect(): void {
    this.carrier.hello();
  }

  tell(kind: EventKind, event: Buffer): void {
    this.carrier.send((writer) => {
      writeEvent(writer, kind, event);
    });
  }

  onHello({ instance }: BackendHello): void {
    // Of the same name on every gateway, so that a key leads to the same instance.
    if (instance !== '') this.endpoint.label = instance;
    this.endpoint.up('attached', instance === '' ? '' : `instance ${instance}`, { instance });
  }

  roundTrip(done: () => void): void {
    this.#stream.roundTrip(done);
  }

  onEnd(_link: Link, why: string): void {
    this.#stream.finish(this.#stream.farewell ?? { how: 'broken', text: why });
    this.endpoint.lost(why);
    this.#onEnded();
  }

  endIdle(): void {
    this.carrier.close('moved');
  }

  /** The gateway stops: the backend is asked to attach elsewhere. */
  close(reason: string): Promise<void> {
    this.#stream.farewell = { how: 'stopping', text: reason };
    return new Promise((resolve) => {
      this.#onEnded = resolve;
      this.carrier.close(reason);
      if (this.carrier.ended) resolve();
    });
  }

  destroy(): void {
    this.#stream.destroy();
    this.carrier.destroy('the gateway is stopping');
  }
}
