/**
 * Answers before the answer. A client has to pass over any number of them, asked for or not [RFC 9110 section 15.2];
 * undici does, but for 100, at which it closes the connection, and the answer that follows is lost. So in the bytes
 * that come, the status 100 is changed into 102, which says as little, before undici reads them.
 */
import { buildConnector } from './undici.ts';

type Connector = ReturnType<typeof buildConnector>;

/** Opens connections whose answers pass through here. */
export function connectorOf(options: Parameters<typeof buildConnector>[0]): Connector {
  const connect = buildConnector(options);
  return (where, done) => {
    connect(where, (...outcome) => {
      const [error, socket] = outcome;
      if (error === null) watch(socket, new InterimHeads());
      done(...outcome);
    });
  };
}

type Socket = NonNullable<Parameters<Parameters<Connector>[1]>[1]>;

/** undici takes what comes by `read`, and writes each request at once: there is one at a time on a connection. */
function watch(socket: Socket, heads: InterimHeads): void {
  const read = socket.read.bind(socket);
  const write = socket.write.bind(socket) as (...args: unknown[]) => boolean;
  socket.read = (size?: number): Buffer | null => {
    const chunk = read(size) as Buffer | null;
    if (chunk !== null) heads.take(chunk);
    return chunk;
  };
  socket.write = (...args: unknown[]): boolean => {
    heads.expect();
    return write(...args);
  };
}

const CR = 0x0d;
const LF = 0x0a;
const [ZERO, ONE, TWO, NINE] = [0x30, 0x31, 0x32, 0x39] as const;
/** What an answer begins with; `#` is a digit, and the first of the status is its last. */
const START = 'HTTP/#.# #';
/** After those the rest of the status: two digits. */
const STATUS_END = START.length + 2;

export class InterimHeads {
  /** Where in the first line of a head it is; -1: no head is awaited. */
  #at = -1;
  /** Of the status so far, both of its last digits were 0. */
  #isHundred = false;
  /** The line has nothing in it yet; a head ends with such a line. */
  #isEmptyLine = false;

  /** A request is sent: next comes the head of its answer. */
  expect(): void {
    this.#at = 0;
  }

  /** Changes what came, in place. */
  take(chunk: Buffer): void {
    for (let i = 0; i < chunk.length && this.#at >= 0; i++) {
      if (this.#at >= STATUS_END) this.#skip(chunk[i]!);
      else if (this.#at >= START.length) this.#status(chunk, i);
      else this.#start(chunk[i]!);
    }
  }

  #start(byte: number): void {
    // Some servers leave an empty line before it.
    if (this.#at === 0 && (byte === CR || byte === LF)) return;
    const expected = START[this.#at]!;
    const isIt = expected === '#' ? byte >= ZERO && byte <= NINE : byte === expected.charCodeAt(0);
    const isInterim = this.#at < START.length - 1 || byte === ONE;
    // The answer itself, or no HTTP at all.
    this.#at = isIt && isInterim ? this.#at + 1 : -1;
    this.#isHundred = true;
  }

  #status(chunk: Buffer, i: number): void {
    if (chunk[i] !== ZERO) this.#isHundred = false;
    this.#at++;
    if (this.#at < STATUS_END) return;
    if (this.#isHundred) chunk[i] = TWO;
    this.#isEmptyLine = false;
  }

  /** The rest of an interim head, up to its empty line; then comes another head. */
  #skip(byte: number): void {
    if (byte === LF && this.#isEmptyLine) this.#at = 0;
    else if (byte === LF) this.#isEmptyLine = true;
    else if (byte !== CR) this.#isEmptyLine = false;
  }
}
