/**
 * What the old process and the new one say to each other, by way of their parent, in order. `STATE_VERSION` counts its
 * changes, as those of the state itself.
 *
 *   new  hello                     its version, and what its listeners speak
 *   old  refused                   and everything stays as it is; or:
 *   old  gateway                   the id that the new one has from now on
 *   new  prepared                  its backends and the bus are there
 *   old  socket, gone              descriptors of clients, and what is known of them, while the old one still serves them: the
 *                                  new one makes their connections, which is most of the work
 *   old  sockets                   after each part of them
 *   new  holding                   it has that part
 *   old  rest, sessions …          the old one has stopped reading; this is what has changed of them since, and all else
 *   new  restored                  or failed, and the old one reads on
 *   old  go                        from here on there is no way back: the old one never touches the sockets again
 *   old  message, command …        what the bus, backends and operators still bring to the old one
 *   new  marked                    both have the old one's mark, which only now leaves the bus
 *   old  message, command …, done  it has left the bus and its backends
 */
import type { RawHandle } from '../transport/raw-handle.ts';
import type { WrittenSession } from './session-state.ts';

export type FromOld =
  | { readonly say: 'refused'; readonly why: string }
  | { readonly say: 'gateway'; readonly id: string }
  /** With the descriptor: a session as it is now. */
  | { readonly say: 'socket'; readonly session: WrittenSession }
  /** That was a part of them, or all. */
  | { readonly say: 'sockets' }
  /** Its session has ended: the descriptor is to be closed. */
  | { readonly say: 'gone'; readonly n: number }
  /** What has become of each since then. */
  | { readonly say: 'sessions'; readonly sessions: readonly Partial<WrittenSession>[] }
  /** `rest`: JSON of `GatewayState`. */
  | { readonly say: 'rest'; readonly rest: string }
  | { readonly say: 'go' }
  | ({ readonly say: 'message' } & PassedMessage)
  /** Of a backend, or of what came with an answer: text of bus/command-passage.ts. */
  | { readonly say: 'command'; readonly command: string }
  | { readonly say: 'done' };

export type FromNew =
  | { readonly say: 'hello'; readonly version: number; readonly listeners: readonly string[] }
  | { readonly say: 'prepared' }
  | { readonly say: 'holding' }
  | { readonly say: 'restored'; readonly sessions: number }
  | { readonly say: 'failed'; readonly why: string }
  | { readonly say: 'marked' };

/** A message from NATS, for the subscriber of the same subject in the new process. */
export type PassedMessage = {
  /** What was subscribed. */
  readonly wanted: string;
  readonly queue: string;
  readonly subject: string;
  readonly reply: string;
  /** Bytes of its headers, and all of it in base64. */
  readonly hdr: number;
  readonly bytes: string;
};

/** One end of it. The other process may be gone: then nothing that is said arrives. */
export type Line<Out, In> = {
  /** @param handle Goes along, and stays open here. */
  say(message: Out, handle?: RawHandle): void;
  /** Called for everything that comes, and with null when the other process is gone; set once. */
  listen(take: (message: In | null, handle: RawHandle | undefined) => void): void;
};

/** Waits for what comes next on a line. */
export class Awaited<In extends { readonly say: string }> {
  #waiting: { readonly says: readonly string[]; resolve(message: In | null): void } | null = null;
  #isGone = false;

  /** The next message of one of these names; null: the other process is gone. One is waited for at a time. */
  next<Say extends In['say']>(...says: readonly Say[]): Promise<(In & { say: Say }) | null> {
    if (this.#isGone) return Promise.resolve(null);
    return new Promise((resolve) => {
      this.#waiting = { says, resolve: resolve as (message: In | null) => void };
    });
  }

  /** @returns Whether it was waited for. */
  take(message: In | null): boolean {
    const waiting = this.#waiting;
    if (message === null) this.#isGone = true;
    if (waiting === null || (message !== null && !waiting.says.includes(message.say))) return false;
    this.#waiting = null;
    waiting.resolve(message);
    return true;
  }
}
