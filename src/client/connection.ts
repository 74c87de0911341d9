/** One connection, from dialling to its end: a transport, a dialect on it, and a time limit for each step. */
import { ClientError, ownError } from './client-error.ts';
import type { Kick } from './handshake.ts';
import { JsonWire } from './json-wire.ts';
import { PacketWire } from './packet-wire.ts';
import { type Place, withPlace } from './place.ts';
import type { Dial, Transport } from './transport.ts';
import type { ConnectionEvents, Wire, WireOutput, WireSettings } from './wire.ts';

/** How long the server may take to answer our close, or to close after its kick. */
export const CLOSE_MS = 1_000;

export type ConnectionSettings = WireSettings & {
  readonly url: string;
  readonly dial: Dial;
  /** For the transport and the handshake together. */
  readonly connectTimeoutMs: number;
  /** The handshake's `user` block, or a function that returns it. */
  readonly user?: unknown;
  readonly pith: Place | undefined;
};

export class Connection {
  readonly #settings: ConnectionSettings;
  readonly #events: ConnectionEvents;
  readonly #wire: Wire;
  #transport: Transport | null = null;
  #isOpen = false;
  #isEnded = false;
  /** Set while closing, by us or after a kick: why. What is received then is ignored. */
  #closeReason: ClientError | null = null;
  #cancelTimer: () => void = () => {};
  #onClosed: () => void = () => {};

  constructor(settings: ConnectionSettings, events: ConnectionEvents) {
    this.#settings = settings;
    this.#events = events;
    const out: WireOutput = {
      ...events,
      write: (data) => {
        this.send(data);
      },
      onOpen: (handshake) => {
        this.#isOpen = true;
        this.#cancelTimer();
        events.onOpen(handshake);
      },
      onKick: (kick) => {
        this.#onKick(kick);
      },
      fail: (error) => {
        this.fail(error);
      },
    };
    this.#wire =
      settings.dialect === 'json' ? new JsonWire(settings, out) : new PacketWire(settings, out);
  }

  /** Starts connecting. `onEnd` may be called during the call. */
  open(): void {
    const { clock, connectTimeoutMs, user } = this.#settings;
    this.#cancelTimer = clock.setTimer(connectTimeoutMs, () => {
      this.fail(ownError('TIMEOUT', `no handshake within ${connectTimeoutMs} ms`));
    });
    if (typeof user === 'function')
      Promise.resolve()
        .then(user as () => unknown)
        .then(this.#dial, this.#failWith);
    else this.#dial(user);
  }

  /** True if open, and neither closing nor kicked. */
  get isOpen(): boolean {
    return this.#isOpen && this.#closeReason === null && !this.#isEnded;
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

  /** Sends unsent data and closes. Calls `onClosed` when done, after `CLOSE_MS` at the latest. */
  close(why: ClientError, onClosed: () => void): void {
    this.#onClosed = onClosed;
    if (this.#isOpen) this.#closeAfter(why, 0);
    else this.fail(why);
  }

  /** Ends the connection immediately. */
  fail(why: ClientError): void {
    if (this.#isEnded) return;
    this.#end(why);
    this.#transport?.destroy();
  }

  readonly #dial = (user: unknown): void => {
    if (this.#isEnded) return;
    const { url, dial } = this.#settings;
    try {
      this.#transport = dial(url, {
        onOpen: () => {
          if (this.#isEnded) return;
          try {
            this.#wire.sendHandshake(withPlace(user, this.#settings.pith));
          } catch (error) {
            this.#failWith(error);
          }
        },
        onData: (data) => {
          if (this.#closeReason === null && !this.#isEnded) this.#wire.receive(data);
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
  };

  /** For anything that was thrown. */
  readonly #failWith = (error: unknown): void => {
    this.fail(error instanceof ClientError ? error : ownError('UNREACHABLE', String(error), error));
  };

  #onKick(kick: Kick): void {
    this.#events.onKick(kick);
    // The server closes next, and its close may say more.
    this.#closeAfter(new ClientError('KICKED', 'kicked', { body: kick.body }), CLOSE_MS);
  }

  /** @param waitMs How long to wait for the server to close first. */
  #closeAfter(why: ClientError, waitMs: number): void {
    if (this.#isEnded) return;
    this.#closeReason ??= why;
    this.#cancelTimer();
    const { clock } = this.#settings;
    const close = (): void => {
      this.#cancelTimer = clock.setTimer(CLOSE_MS, () => {
        this.fail(this.#closeReason ?? why);
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
    const cause = this.#closeReason ?? error;
    // The message says how the transport ended; reason and body, of a kick for example, were known before.
    this.#events.onEnd(
      cause === error
        ? error
        : new ClientError(cause.reason, error.message, { body: cause.body, cause }),
    );
    this.#onClosed();
  }
}
