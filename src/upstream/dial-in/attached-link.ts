/** The Link of one backend that has attached. */
import type { BackendHello } from '../../contract/backend-frames.ts';
import { writeClosed } from '../../contract/gateway-frames.ts';
import { tooMuch } from '../../protocol/conversion-limit.ts';
import { Timeout, type TimerWheel } from '../../timer-wheel.ts';
import type { Call } from '../call.ts';
import { Link } from '../link/link.ts';
import type { LinkOwner, LinkParts, LinkTransport } from '../link/link-transport.ts';
import type { TransportOwner } from '../pool/transport.ts';
import type { AttachStream } from './attach-stream.ts';

/** How long a backend may take to end its side after ours. */
const END_WAIT_MS = 2_000;

export class AttachedLink implements LinkTransport, LinkOwner {
  readonly endpoint: TransportOwner;
  readonly keepsOrder = true;
  /** Not asked for: the backend would have to be dialled. */
  readonly health = null;
  readonly #stream: AttachStream;
  readonly #link: Link;
  readonly #wheel: TimerWheel;
  readonly #endLate: Timeout;
  #onEnded: () => void = () => {};

  constructor(endpoint: TransportOwner, stream: AttachStream, parts: LinkParts) {
    this.endpoint = endpoint;
    this.#stream = stream;
    this.#wheel = parts.wheel;
    this.#endLate = new Timeout(() => {
      this.#stream.destroy();
      this.#link.destroy('the backend did not end the link');
    });
    const link = new Link(stream, parts, this);
    this.#link = link;
    stream.on('data', (message: Buffer) => {
      link.take(message);
    });
    stream.on('error', ({ message }: Error) => {
      link.streamEnded(message);
    });
    stream.on('end', () => {
      link.streamEnded('the backend ended the link');
    });
  }

  get inFlight(): number {
    return this.#link.inFlight;
  }

  connect(): void {
    this.#link.hello();
  }

  send(call: Call, what: Buffer): void {
    const { bodyBytesMax } = this.#stream;
    const { length } = call.body;
    if (length > bodyBytesMax) call.fail(tooMuch('BAD_BODY', 'the body', length, bodyBytesMax));
    else this.#link.request(call, what);
  }

  sessionClosed(event: Buffer): void {
    this.#link.send((writer) => {
      writeClosed(writer, event);
    });
  }

  onHello({ instance }: BackendHello): void {
    // Of the same name on every gateway, so that a key leads to the same instance.
    if (instance !== '') this.endpoint.label = instance;
    this.endpoint.up('attached', instance === '' ? '' : `instance ${instance}`, { instance });
  }

  onEnd(_link: Link, why: string): void {
    this.#wheel.cancel(this.#endLate);
    this.#stream.finish(this.#stream.farewell ?? { how: 'broken', text: why });
    this.endpoint.lost(why);
    this.#onEnded();
  }

  endIdle(): void {
    this.#wheel.set(this.#endLate, END_WAIT_MS);
    this.#link.close('moved');
  }

  /** The gateway stops: the backend is asked to attach elsewhere. */
  close(reason: string): Promise<void> {
    this.#stream.farewell = { how: 'stopping', text: reason };
    this.#wheel.set(this.#endLate, END_WAIT_MS);
    return new Promise((resolve) => {
      this.#onEnded = resolve;
      this.#link.close(reason);
      if (this.#link.ended) resolve();
    });
  }

  destroy(): void {
    this.#stream.destroy();
    this.#link.destroy('the gateway is stopping');
  }
}
