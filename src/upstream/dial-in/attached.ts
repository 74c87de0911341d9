/** One attached backend: its Link, and the sessions that keep to it. */
import { Timeout, type TimerWheel } from '../../timer-wheel.ts';
import type { BackendHello } from '../../contract/backend-frames.ts';
import { writeClosed } from '../../contract/gateway-frames.ts';
import { Link, type LinkEvents } from '../link/link.ts';
import { EndpointSessions } from '../pool/endpoint-sessions.ts';
import type { AttachStream } from './attach-stream.ts';

/** How often a link that is being left is looked at. */
const IDLE_LOOK_MS = 20;
/** How long a backend may take to end its side after ours. */
const END_WAIT_MS = 2_000;

/** What an attached backend tells its upstream. */
export interface AttachedEvents extends Pick<
  LinkEvents,
  'convertBytesMax' | 'onPush' | 'onVerb' | 'onExtend' | 'onLateReply' | 'onTrouble'
> {
  onAttached(attached: Attached): void;
  onLeaving(attached: Attached, why: string): void;
  /** Once; sessions may go elsewhere from now on. What is in flight fails after it. */
  onEnd(attached: Attached, why: string): void;
}

export class Attached {
  readonly sessions = new EndpointSessions<Attached>();
  readonly peer: string;
  readonly link: Link;
  /** Resolves when the link has ended. */
  readonly ended: Promise<void>;
  /** As the backend said in its hello; '' where it did not. */
  instance = '';
  /** new: has said nothing yet · up · leaving: takes no new sessions · closing: our side has ended · ended. */
  #state: 'new' | 'up' | 'leaving' | 'closing' | 'ended' = 'new';
  readonly #stream: AttachStream;
  readonly #wheel: TimerWheel;
  readonly #events: AttachedEvents;
  readonly #idleLook: Timeout;
  readonly #endLate: Timeout;
  #onEnded: () => void = () => {};

  constructor(stream: AttachStream, wheel: TimerWheel, events: AttachedEvents) {
    this.peer = stream.peer;
    this.#stream = stream;
    this.#wheel = wheel;
    this.#events = events;
    this.#idleLook = new Timeout(() => {
      this.#endWhenIdle();
    });
    this.#endLate = new Timeout(() => {
      this.#stream.destroy();
      this.link.destroy('the backend did not end the link');
    });
    this.ended = new Promise((resolve) => {
      this.#onEnded = resolve;
    });
    this.link = new Link(stream.asLinkStream, () => wheel.now(), this.#linkEvents());
  }

  /** Serves requests of sessions that are here already. */
  get serves(): boolean {
    return this.#state === 'up' || this.#state === 'leaving';
  }

  /** Bytes of a client's body that it can be sent. */
  get bodyBytesMax(): number {
    return this.#stream.bodyBytesMax;
  }

  /** Takes new sessions too. */
  get welcomes(): boolean {
    return this.#state === 'up';
  }

  /** Tells the backend that a session ended. */
  sessionClosed(event: Buffer): void {
    this.link.send((writer) => {
      writeClosed(writer, event);
    });
  }

  /** Says goodbye; the backend ends its side soon, or is cut off. */
  close(why: string): void {
    if (this.#state === 'closing' || this.#state === 'ended') return;
    this.#state = 'closing';
    this.#wheel.set(this.#endLate, END_WAIT_MS);
    this.link.close(why);
  }

  /** The same, because the gateway stops: the backend is told to look elsewhere. */
  stop(why: string): void {
    this.#stream.farewell = { how: 'stopping', text: why };
    this.close(why);
  }

  destroy(why: string): void {
    this.#stream.destroy();
    this.link.destroy(why);
  }

  /** New sessions go elsewhere, and those here move when they have nothing in flight. */
  #leave(why: string): void {
    if (this.#state !== 'up') return;
    this.#state = 'leaving';
    this.#events.onLeaving(this, why);
    this.sessions.shed(() => true);
    this.#endWhenIdle();
  }

  #endWhenIdle(): void {
    if (this.#state !== 'leaving') return;
    if (this.link.inFlight === 0 && this.sessions.size === 0) this.close('moved');
    else this.#wheel.set(this.#idleLook, IDLE_LOOK_MS);
  }

  #linkEvents(): LinkEvents {
    const { convertBytesMax, onPush, onVerb, onExtend, onLateReply, onTrouble } = this.#events;
    return {
      convertBytesMax,
      onPush,
      onVerb,
      onExtend,
      onLateReply,
      onTrouble,
      // A backend that does not answer is not dialled elsewhere: there is nothing to eject it for.
      onFault: () => {},
      onAnswered: () => {},
      onHello: (hello) => {
        this.#onHello(hello);
      },
      onGoaway: (reason) => {
        this.#leave(`goaway: ${reason || 'no reason given'}`);
      },
      onEnd: ({ text }) => {
        this.#onEnd(text);
      },
    };
  }

  #onHello({ instance }: BackendHello): void {
    if (this.#state !== 'new') return;
    this.instance = instance;
    this.#state = 'up';
    this.#events.onAttached(this);
  }

  #onEnd(why: string): void {
    this.#state = 'ended';
    this.#wheel.cancel(this.#idleLook);
    this.#wheel.cancel(this.#endLate);
    this.#stream.finish(this.#stream.farewell ?? { how: 'broken', text: why });
    this.sessions.clear();
    this.#events.onEnd(this, why);
    this.#onEnded();
  }
}
