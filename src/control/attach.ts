/**
 * Where backends that cannot be dialled attach (`backends.<name>.dial_in`), over gRPC or WebSocket: the first frame names
 * the backend that they serve and has its token; from then on the stream is a Link like any other.
 */
import type { Clock } from '../clock.ts';
import { WireError } from '../contract/protobuf-wire.ts';
import type { Log } from '../telemetry/log.ts';
import { LogThrottle } from '../telemetry/log-throttle.ts';
import { Timeout, type TimerWheel } from '../timer-wheel.ts';
import { type AttachHello, readAttachHello } from '../upstream/dial-in/attach-hello.ts';
import type { AttachStream, Ending } from '../upstream/dial-in/attach-stream.ts';
import type { DialInUpstream } from '../upstream/dial-in/dial-in-upstream.ts';

/** How long a new stream may take to send its hello. */
export const HELLO_WAIT_MS = 5_000;
/** Streams without a hello so far; the next one is refused. */
export const NEWCOMERS_MAX = 64;
/** Characters of a refused backend's name that the log shows. */
const NAME_CHARS_MAX = 64;

const NO_HELLO: Ending = {
  how: 'invalid',
  text: 'the first frame must be hello: {"frames":[{"hello":{"backend":"…","token":"…"}}]}',
};

export type AttachParts = {
  /** Largest body that is converted, in bytes: `limits.convert`. */
  readonly convertBytesMax: number;
  readonly clock: Clock;
  readonly wheel: TimerWheel;
  readonly log: Log;
};

export class Attach {
  readonly #backends: () => readonly DialInUpstream[];
  readonly convertBytesMax: number;
  readonly wheel: TimerWheel;
  readonly #log: Log;
  readonly #throttle: LogThrottle;
  readonly #newcomers = new Set<AttachStream>();

  /** @param backends Those that may be attached now. */
  constructor(backends: () => readonly DialInUpstream[], parts: AttachParts) {
    this.#backends = backends;
    this.convertBytesMax = parts.convertBytesMax;
    this.wheel = parts.wheel;
    this.#log = parts.log;
    this.#throttle = new LogThrottle(parts.clock);
  }

  /** Logs that a push or a verb of a backend could not be read, and was ignored. */
  refusedFrame(address: string, kind: string, why: string): void {
    const left = this.#throttle.allow(`refused ${kind}`);
    if (left !== null) this.#log.warn({ address, why, ...left }, `${kind} refused`);
  }

  /** The shortest `dead_after` of the backends, in milliseconds; 0: none has one. */
  get deadAfterMs(): number {
    const all = this.#backends().map(({ deadAfterMs }) => deadAfterMs);
    const given = all.filter((ms) => ms > 0);
    return given.length === 0 ? 0 : Math.min(...given);
  }

  /** Takes a new stream. */
  open(stream: AttachStream): void {
    if (this.#newcomers.size >= NEWCOMERS_MAX) {
      const text = `${NEWCOMERS_MAX} streams have not sent hello yet; try again`;
      this.#refuse(stream, '', { how: 'full', text });
      return;
    }
    this.#newcomers.add(stream);
    const late = new Timeout(() => {
      leave();
      const text = `no hello within ${HELLO_WAIT_MS} ms; ${NO_HELLO.text}`;
      this.#refuse(stream, '', { how: 'invalid', text });
    });
    const leave = (): void => {
      this.#newcomers.delete(stream);
      this.wheel.cancel(late);
      stream.off('data', onFirst);
      stream.off('error', onError);
      stream.off('end', onEnd);
    };
    const onFirst = (message: Buffer): void => {
      leave();
      this.#onFirst(stream, message);
    };
    const onError = (error: Error): void => {
      leave();
      this.#refuse(stream, '', { how: 'invalid', text: error.message });
    };
    const onEnd = (): void => {
      leave();
      stream.end();
    };
    this.wheel.set(late, HELLO_WAIT_MS);
    stream.on('data', onFirst);
    stream.on('error', onError);
    stream.on('end', onEnd);
  }

  /** Refuses streams without a hello; harmless to repeat. */
  close(): void {
    for (const stream of this.#newcomers) {
      stream.finish({ how: 'stopping', text: 'the gateway is stopping' });
      stream.onPeerEnd();
    }
  }

  #onFirst(stream: AttachStream, message: Buffer): void {
    let hello: AttachHello | null;
    try {
      hello = readAttachHello(message);
    } catch (error) {
      if (!(error instanceof WireError)) throw error;
      const text = `the first frame could not be read: ${error.message}`;
      this.#refuse(stream, '', { how: 'invalid', text });
      return;
    }
    if (hello === null) {
      this.#refuse(stream, '', NO_HELLO);
      return;
    }
    const backend = this.#backends().find(({ name }) => name === hello.backend);
    const refusal =
      backend === undefined ? noBackend(hello.backend) : backend.refusalOf(hello.token);
    if (refusal !== null) this.#refuse(stream, hello.backend, refusal);
    else backend!.attach(stream, message);
  }

  #refuse(stream: AttachStream, backend: string, ending: Ending): void {
    // Nothing after this is handled, errors included.
    stream.on('error', () => {});
    stream.finish(ending);
    const left = this.#throttle.allow('refused');
    if (left === null) return;
    const fields = { address: stream.peer, backend: backend.slice(0, NAME_CHARS_MAX) };
    this.#log.warn({ ...fields, why: ending.text, ...left }, 'attach refused');
  }
}

function noBackend(name: string): Ending {
  const text =
    name === ''
      ? 'hello.backend is empty: name a backend that has dial_in'
      : `hello.backend is not a backend that has dial_in: ${name.slice(0, NAME_CHARS_MAX)}`;
  return { how: 'invalid', text };
}
