/** One connection, from the dial to its end: a transport, a dialect on it, and the time that each step may take. */
import { ClientError, ownError } from './client-error.ts';
import type { Kick } from './handshake.ts';
import { JsonWire } from './json-wire.ts';
import { PacketWire } from './packet-wire.ts';
import type { Dial, Transport } from './transport.ts';
import type { Wire, WireEvents, WireSettings } from './wire.ts';

/** How long the other side may take to close after us, or after its kick. */
export const CLOSE_MS = 1_000;

export type ConnectionSettings = WireSettings & {
  readonly url: string;
  readonly dial: Dial;
  /** For the transport and the handshake, together. */
  readonly connectTimeoutMs: number;
  /** The handshake's `user`, or what gives it. */
  readonly user?: unknown;
};

export type ConnectionEvents = Omit<WireEvents, 'write' | 'onFault'> & {
  /** Comes once, and nothing after it. */
  onEnd(error: ClientError): void;
};

export class Connection {
  readonly #settings: ConnectionSettings;
  readonly #events: ConnectionEvents;
  readonly #wire: Wire;
  #transport: Transport | null = null;
  #isOpen = false;
  #isEnded = false;
  /** Closing, by us or by a kick: what comes is passed over, and this is why it ends. */
  #last: ClientError | null = null;
  #cancelTimer: () => void = () => {};
  #onClosed: () => void = () => {};

  constructor(settings: ConnectionSettings, events: ConnectionEvents) {
    this.#settings = settings;
    this.#events = events;
    const out: WireEvents = {
      ...events,
      write: (data) => {
        this.#transport?.send(data);
      },
      onOpen: (handshake) => {
        this.#isOpen = true;
        this.#cancelTimer();
        events.onOpen(handshake);
      },
      onKick: (kick) => {
        this.#onKick(kick);
      },
      onFault: (error) => {
        this.fail(error);
      },
    };
    this.#wire =
      settings.dialect === 'json' ? new JsonWire(settings, out) : new PacketWire(settings, out);
  }

  /** Begins it. The end may come from inside the call. */
  open(): void {
    const { clock, connectTimeoutMs, user } = this.#settings;
    this.#cancelTimer = clock.setTimer(connectTimeoutMs, () => {
      this.fail(ownError('TIMEOUT', `no handshake in ${connectTimeoutMs} ms`));
    });
    if (typeof user !== 'function') {
      this.#dial(user);
      return;
    }
    Promise.resolve()
      .then(user as () => unknown)
      .then(
        (value) => {
          this.#dial(value);
        },
        (error: unknown) => {
          this.#failWith(error);
        },
      );
  }

  /** Open, and neither closing nor kicked. */
  get isOpen(): boolean {
    return this.#isOpen && this.#last === null && !this.#isEnded;
  }

  get bufferedBytes(): number {
    return this.#transport?.bufferedBytes ?? 0;
  }

  /** See `Wire`. */
  encode(id: number, route: string, body: unknown): Uint8Array | string {
    return this.#wire.encode(id, route, body);
  }

  /** See `Wire`. */
  encodesProtobuf(route: string): boolean {
    return this.#wire.encodesProtobuf(route);
  }

  send(data: Uint8Array | string): void {
    this.#transport?.send(data);
  }

  /** Sends what is unsent and closes. Calls `onClosed` when it is done, at the latest after `CLOSE_MS`. */
  close(why: ClientError, onClosed: () => void): void {
    this.#onClosed = onClosed;
    if (this.#isOpen) this.#closeSoon(why, 0);
    else this.fail(why);
  }

  /** Ends at once. */
  fail(why: ClientError): void {
    if (this.#isEnded) return;
    this.#end(why);
    this.#transport?.destroy();
  }

  #dial(user: unknown): void {
    if (this.#isEnded) return;
    const { url, dial } = this.#settings;
    try {
      this.#transport = dial(url, {
        onOpen: () => {
          this.#hello(user);
        },
        onData: (data) => {
          if (this.#last === null && !this.#isEnded) this.#wire.receive(data);
        },
        onEnd: (why, cause) => {
          this.#wire.whenRead(() => {
            this.#end(ownError(this.#isOpen ? 'LOST' : 'UNREACHABLE', why, cause));
          });
        },
      });
    } catch (error) {
      this.#failWith(error);
    }
  }

  #hello(user: unknown): void {
    if (this.#isEnded) return;
    try {
      this.#wire.hello(user);
    } catch (error) {
      this.#failWith(error);
    }
  }

  /** Of what others threw. */
  #failWith(error: unknown): void {
    const isOwn = error instanceof ClientError;
    this.fail(isOwn ? error : ownError('UNREACHABLE', String(error), error));
  }

  #onKick(kick: Kick): void {
    this.#events.onKick(kick);
    // The server closes next, and its words on that are worth waiting for.
    this.#closeSoon(new ClientError('KICKED', 'kicked', { body: kick.body }), CLOSE_MS);
  }

  /** @param waitMs How long the server may take to do it itself. */
  #closeSoon(why: ClientError, waitMs: number): void {
    if (this.#isEnded) return;
    this.#last ??= why;
    this.#cancelTimer();
    const { clock } = this.#settings;
    const close = (): void => {
      this.#cancelTimer = clock.setTimer(CLOSE_MS, () => {
        this.fail(this.#last ?? why);
      });
      this.#transport?.close();
    };
    if (waitMs === 0) close();
    else this.#cancelTimer = clock.setTimer(waitMs, close);
  }

  #end(error: ClientError): void {
    if (this.#isEnded) return;
    this.#isEnded = true;
    this.#cancelTimer();
    this.#wire.stop();
    const last = this.#last;
    // How the transport ended says most; why, and what the kick said, was known before.
    this.#events.onEnd(
      last === null || last === error
        ? error
        : new ClientError(last.reason, error.message, { body: last.body, cause: last }),
    );
    this.#onClosed();
  }
}
