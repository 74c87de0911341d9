/**
 * The channel between `pith serve` and each of its workers, where `workers` is more than 1: Node's own, over which
 * processes send JSON and sockets in order. One message is an object:
 *
 *   { pith: 1, tell: name, body }             wants no answer; it may carry a socket
 *   { pith: 1, ask: name, id, body }          is answered once, by `{ pith: 1, answer: id, body }` or `{ …, error: text }`
 *
 * `words.ts` has the names and bodies. `pith` is the version of these shapes. Names and members are added, and none is
 * removed or given another meaning: who does not know the name of a tell ignores it, and answers an ask with an error,
 * so a worker of another release can hang on the same parent.
 *
 * A socket is a raw handle (`socket._handle`) beside a tell. The sender closes its own copy once the message is written;
 * the receiver makes a socket of it. Node sends one handle at a time and waits for the other process to have it; what is
 * sent meanwhile waits behind it, so the order holds.
 *
 * The parent passes on what workers have to say to each other: `pass`, to the number of a worker, with the name and the
 * body of a tell, and its socket. What the other gets is `passed`, with the sender's number.
 */
import { type Clock, within } from '../clock.ts';
import { errorText } from '../errors.ts';
import { Fifo } from '../fifo.ts';
import type { RawHandle } from '../transport/raw-handle.ts';

/** Of the shapes above. */
const VERSION = 1;
/** Questions that wait for their answers. */
const ASKED_MAX = 10_000;
/**
 * Sockets that Node has at a time. It begins its whole queue anew each time that the other process has one, which for
 * thousands that come at once would cost a hundred times as much.
 */
const SOCKETS_MAX = 8;
/** How long one waits unless it says so, in milliseconds. */
const ANSWER_MS = 10_000;

/** `process` in a worker, and its ChildProcess in the parent. */
export type ChannelEnd = {
  readonly connected: boolean;
  send?(
    message: object,
    handle?: unknown,
    options?: object,
    callback?: (error: Error | null) => void,
  ): boolean;
  on(event: 'message', fn: (message: unknown, handle: unknown) => void): unknown;
  on(event: 'disconnect', fn: () => void): unknown;
};

type OnTell = (body: never, handle: RawHandle | undefined) => void;
type OnAsk = (body: never) => Promise<unknown>;

/** What one side says: the body of each tell, and of each ask with its answer. */
export type Words = {
  readonly tell: object;
  readonly ask: { readonly [name: string]: readonly [body: unknown, answer: unknown] };
};

type Message = {
  readonly pith?: number;
  readonly tell?: string;
  readonly ask?: string;
  readonly id?: number;
  readonly answer?: number;
  readonly body?: unknown;
  readonly error?: string;
};

type Sent = { readonly message: Message; readonly handle: RawHandle | undefined };

type Asked = { resolve(body: unknown): void; reject(error: Error): void };

/** Nothing was answered in time. */
const LATE = Symbol('late');

export class Channel<Out extends Words, In extends Words> {
  readonly #end: ChannelEnd;
  readonly #clock: Clock;
  readonly #tells = new Map<string, OnTell>();
  readonly #asks = new Map<string, OnAsk>();
  readonly #asked = new Map<number, Asked>();
  /** Sockets that Node has and has not written yet, and what goes with them. */
  readonly #unsent = new Map<RawHandle, Message>();
  /** What waits for those. */
  readonly #waiting = new Fifo<Sent>();
  #lastId = 0;

  constructor(end: ChannelEnd, clock: Clock) {
    this.#end = end;
    this.#clock = clock;
    end.on('message', (message, handle) => {
      this.#take(message as Message, handle as RawHandle | undefined);
    });
    end.on('disconnect', () => {
      for (const asked of this.#asked.values()) asked.reject(new Error('the process has gone'));
      this.#asked.clear();
    });
  }

  /** Called for every tell of this name. */
  onTell<Name extends keyof In['tell'] & string>(
    name: Name,
    take: (body: In['tell'][Name], handle: RawHandle | undefined) => void,
  ): void {
    this.#tells.set(name, take);
  }

  /** Answers every ask of this name; what it rejects with is the error that the other process gets. */
  onAsk<Name extends keyof In['ask'] & string>(
    name: Name,
    answer: (body: In['ask'][Name][0]) => Promise<In['ask'][Name][1]>,
  ): void {
    this.#asks.set(name, answer);
  }

  /** @param handle Goes along, and is closed here. Nothing happens if the other process has gone. */
  tell<Name extends keyof Out['tell'] & string>(
    name: Name,
    body: Out['tell'][Name],
    handle?: RawHandle,
  ): void {
    this.#send({ tell: name, body }, handle);
  }

  /** The same, and the handle stays open here. */
  lend<Name extends keyof Out['tell'] & string>(
    name: Name,
    body: Out['tell'][Name],
    handle: RawHandle | undefined,
  ): void {
    if (this.#end.connected)
      this.#end.send?.({ pith: VERSION, tell: name, body }, handle, {}, () => {});
  }

  /** Rejects if it is answered with an error, or not within `waitMs`, or if the other process goes. */
  async ask<Name extends keyof Out['ask'] & string>(
    name: Name,
    body: Out['ask'][Name][0],
    waitMs = ANSWER_MS,
  ): Promise<Out['ask'][Name][1]> {
    if (!this.#end.connected) throw new Error('the process has gone');
    if (this.#asked.size >= ASKED_MAX) throw new Error('too many questions wait for an answer');
    const id = ++this.#lastId;
    const { promise, resolve, reject } = Promise.withResolvers<unknown>();
    this.#asked.set(id, { resolve, reject });
    this.#send({ ask: name, id, body });
    try {
      const answer = await within<unknown>(this.#clock, waitMs, promise, LATE);
      if (answer === LATE) throw new Error(`no answer to ${name} in ${waitMs} ms`);
      return answer;
    } finally {
      this.#asked.delete(id);
    }
  }

  /** The other process has gone: what it did not get any more, in order. The sockets are the caller's now. */
  takeBack(): readonly (readonly [tell: string, body: unknown, handle: RawHandle])[] {
    const waiting = [...this.#waiting].map(({ handle, message }) => [handle, message] as const);
    const unsent = [...this.#unsent, ...waiting].flatMap(([handle, { tell = '', body }]) =>
      handle === undefined ? [] : [[tell, body, handle] as const],
    );
    this.#unsent.clear();
    this.#waiting.clear();
    return unsent;
  }

  #send(message: Message, handle?: RawHandle): void {
    // A process that has just gone cannot be told anything; whoever starts it hears of its end.
    if (!this.#end.connected) {
      handle?.close();
      return;
    }
    const isFull = handle !== undefined && this.#unsent.size >= SOCKETS_MAX;
    if (isFull || this.#waiting.length > 0) this.#waiting.push({ message, handle });
    else this.#write(message, handle);
  }

  #write(message: Message, handle: RawHandle | undefined): void {
    if (handle === undefined) {
      this.#end.send?.({ pith: VERSION, ...message }, undefined, {}, () => {});
      return;
    }
    this.#unsent.set(handle, message);
    this.#end.send?.({ pith: VERSION, ...message }, handle, {}, () => {
      if (!this.#unsent.delete(handle)) return;
      handle.close();
      this.#writeMore();
    });
  }

  /** As much as may be written now. */
  #writeMore(): void {
    while (this.#unsent.size < SOCKETS_MAX) {
      const next = this.#waiting.take();
      if (next === null) return;
      this.#write(next.message, next.handle);
    }
  }

  #take(message: Message, handle: RawHandle | undefined): void {
    const { tell, ask, answer, id } = message;
    if (tell !== undefined) {
      const take = this.#tells.get(tell);
      if (take === undefined) handle?.close();
      else take(message.body as never, handle);
    } else if (ask !== undefined) {
      this.#answer(ask, id!, message.body);
    } else if (answer !== undefined) {
      const asked = this.#asked.get(answer);
      if (message.error === undefined) asked?.resolve(message.body);
      else asked?.reject(new Error(message.error));
    }
  }

  #answer(ask: string, id: number, body: unknown): void {
    const unknown: OnAsk = () => Promise.reject(new Error(`${ask} is not known here`));
    (this.#asks.get(ask) ?? unknown)(body as never).then(
      (given) => {
        this.#send({ answer: id, body: given });
      },
      (error: unknown) => {
        this.#send({ answer: id, error: errorText(error) });
      },
    );
  }
}
