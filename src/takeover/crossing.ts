/**
 * While two processes are on the bus as one gateway, each message comes to both, and is to be handled once and in order.
 *
 * The new process subscribes before the old one leaves. So of what the bus brings: (a) what was published before the new
 * subscription comes to the old process alone; (b) what follows comes to both; (c) what is published after the old one has
 * unsubscribed comes to the new one alone. The old process passes on everything until its last round trip with the server
 * has ended, and then says that it is done: so (a) and (b) come from there, in its order, and are handled at once. What
 * comes directly is held: if the same comes from the old process, before or after, it was (b), and is dropped; what is left
 * in the end is (c), and is handled then, in its order. For each publisher (a), (b) and (c) follow each other, so nothing
 * is lost, handled twice or reordered.
 *
 * Messages have no numbers; two are the same when all their bytes are. So that one that is like another is not taken for
 * it, the old process publishes a mark, which comes to both as well, and unsubscribes once the new one has it from both
 * sides: what came directly before the mark was (b), whatever it was like, and what was passed on before it is like nothing
 * that comes behind it. The server gives each message to both before it takes the next from the same publisher, so on both
 * sides the same ones are before the mark, but for those that it takes from others in the microseconds between.
 *
 * Subscriptions of a queue have one receiver by themselves: whoever gets such a message has it alone.
 */
import { createHash } from 'node:crypto';

/** Bytes of what is held; beyond it the oldest is handled, which may be once too often. */
export const HELD_BYTES_MAX = 67_108_864;

type Held<T> = { readonly message: T; readonly key: string; readonly bytes: number };

/** How often each was passed on behind the mark, by what it holds. */
type Part = Map<string, number>;

export class Crossing<T> {
  readonly #handle: (message: T) => void;
  readonly #behind: Part = new Map();
  /** The mark has come from the old process, and directly. */
  #isPassed = false;
  #isDirect = false;
  /** What came directly behind the mark, in its order. */
  #held: Held<T>[] = [];
  #bytes = 0;
  #isOver = false;

  constructor(handle: (message: T) => void) {
    this.#handle = handle;
  }

  /** The mark has come from both sides: the old process may leave. */
  get isMarked(): boolean {
    return this.#isPassed && this.#isDirect;
  }

  /** The old process passes it on. */
  passed(message: T, subject: string, bytes: Uint8Array): void {
    // Before the mark nobody has to know: what came directly is dropped whatever it is.
    if (this.#isPassed) count(this.#behind, keyOf(subject, bytes), 1);
    this.#handle(message);
  }

  markPassed(): void {
    this.#isPassed = true;
  }

  /** It has come directly. */
  direct(message: T, subject: string, bytes: Uint8Array): void {
    if (this.#isOver) this.#handle(message);
    else if (this.#isDirect) {
      this.#held.push({ message, key: keyOf(subject, bytes), bytes: bytes.length });
      this.#bytes += bytes.length;
      while (this.#bytes > HELD_BYTES_MAX) this.#letGo();
    }
  }

  markDirect(): void {
    this.#isDirect = true;
  }

  /** The old process has left the bus, and has passed on all; or it is gone. */
  end(): void {
    this.#isOver = true;
    while (this.#held.length > 0) this.#letGo();
    this.#behind.clear();
  }

  #letGo(): void {
    const { message, key, bytes } = this.#held.shift()!;
    this.#bytes -= bytes;
    if (!count(this.#behind, key, -1)) this.#handle(message);
  }
}

/** @returns False: it was 0 already, and stays so. */
function count(part: Part, key: string, by: 1 | -1): boolean {
  const left = (part.get(key) ?? 0) + by;
  if (left < 0) return false;
  if (left === 0) part.delete(key);
  else part.set(key, left);
  return true;
}

function keyOf(subject: string, bytes: Uint8Array): string {
  return createHash('sha1').update(subject).update('\n').update(bytes).digest('base64');
}
