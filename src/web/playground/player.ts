/** One session of the page: our client, and what has gone through it. */
import {
  ClientError,
  type ClientState,
  type Dialect,
  PithClient,
  type Received,
} from '../../client/client.ts';
import { inBackground } from '../../background.ts';
import { monotonicMs, now } from '../shell/clock.ts';
import type { Tone } from '../shell/notice.tsx';
import { type Address, readAddress, whyUnreachable } from './address.ts';
import { compact, problemOf, textOf } from './body.ts';
import { type Definitions, definitionsOf, NO_DEFINITIONS } from './offers.ts';

/** Messages that a session keeps; the oldest go first. */
export const ENTRIES_MAX = 500;

export type Settings = {
  readonly address: string;
  readonly dialect: Dialect;
  /** JSON. */
  readonly user: string;
};

/** A line of the history. */
export type Entry = {
  readonly id: number;
  /** Since the Unix epoch, in milliseconds. */
  readonly atMs: number;
  readonly kind: 'request' | 'notify' | 'push' | 'note' | 'kick';
  readonly route: string;
  /** Of a request or a notify. */
  readonly sent: string;
  /** What came; null: nothing yet, or nothing will. */
  readonly got: string | null;
  /** From sending to the answer; null: not answered. */
  readonly ms: number | null;
  readonly tone: Tone;
};

export class Player {
  readonly id: number;
  name: string;
  settings: Settings;
  state: ClientState = 'idle';
  /** Why it is not connected; '': nothing went wrong. */
  why = '';
  /** Newest last; another array after each change. */
  entries: readonly Entry[] = [];
  /** How many of them are no longer kept. */
  dropped = 0;
  definitions: Definitions = NO_DEFINITIONS;
  /** What the server said last; null: nothing yet. */
  handshake: unknown = null;
  #client: PithClient | null = null;
  #lastId = 0;
  readonly #changed: () => void;

  /** @param changed Called after every change; cheap, as there may be many. */
  constructor(id: number, name: string, settings: Settings, changed: () => void) {
    this.id = id;
    this.name = name;
    this.settings = settings;
    this.#changed = changed;
  }

  get isOpen(): boolean {
    return this.state === 'open';
  }

  get isConnecting(): boolean {
    return this.state === 'connecting' || this.state === 'reconnecting';
  }

  get address(): Address {
    return readAddress(this.settings.address, location);
  }

  setSettings(settings: Partial<Settings>): void {
    this.settings = { ...this.settings, ...settings };
    this.#changed();
  }

  setName(name: string): void {
    this.name = name;
    this.#changed();
  }

  /** Resolves when it is open, or when it is clear that it cannot be; then `why` says why. */
  async connect(): Promise<void> {
    const { address } = this;
    if ('problem' in address) {
      this.#end(address.problem);
      return;
    }
    const userProblem = problemOf(this.settings.user);
    if (userProblem !== '') {
      this.#end(`The handshake's user block: ${userProblem}`);
      return;
    }
    await this.disconnect();
    this.definitions = NO_DEFINITIONS;
    this.handshake = null;
    this.why = '';
    const client = new PithClient(address.url, {
      dialect: this.settings.dialect,
      user: JSON.parse(compact(this.settings.user)) as unknown,
    });
    this.#client = client;
    this.#listen(client, address.url);
    try {
      await client.connect();
    } catch (error) {
      if (this.#client === client) this.#end(this.#whyOf(error, address.url));
    }
  }

  /** Somebody wants it to end. */
  leave(): void {
    this.why = '';
    if (this.isOpen) this.#note('Disconnected', 'plain');
    inBackground(this.disconnect(), () => {});
  }

  async disconnect(): Promise<void> {
    const client = this.#client;
    this.#client = null;
    this.state = 'closed';
    this.#changed();
    await client?.close();
  }

  /** Resolves when it is answered, or will not be; the history says which. */
  async request(route: string, body: string): Promise<void> {
    const id = this.#add({ kind: 'request', route, sent: compact(body) });
    const began = monotonicMs();
    try {
      const answer = await this.#open().ask(route, this.#bodyOf(route, body));
      const tone = answer.isError || isRefusal(answer) ? 'warn' : 'good';
      this.#change(id, { got: textOf(answer), ms: monotonicMs() - began, tone });
    } catch (error) {
      this.#change(id, { got: messageOf(error), ms: null, tone: 'bad' });
    }
  }

  notify(route: string, body: string): void {
    try {
      this.#open().notify(route, this.#bodyOf(route, body));
      this.#add({ kind: 'notify', route, sent: compact(body) });
    } catch (error) {
      this.#add({ kind: 'notify', route, sent: compact(body), got: messageOf(error), tone: 'bad' });
    }
  }

  clear(): void {
    this.entries = [];
    this.dropped = 0;
    this.#changed();
  }

  #open(): PithClient {
    if (this.#client === null) throw new ClientError('NOT_OPEN', 'not connected: nothing was sent');
    return this.#client;
  }

  /** As typed; as a value where the server's definitions make it protobuf, or the dialect has no bytes. */
  #bodyOf(route: string, body: string): unknown {
    const text = compact(body);
    return this.#open().encodesProtobuf(route) ? JSON.parse(text) : new TextEncoder().encode(text);
  }

  #listen(client: PithClient, url: string): void {
    const mine = (fn: () => void): void => {
      if (this.#client !== client) return;
      fn();
      this.#changed();
    };
    client.onState(({ state, error, retryInMs, resumed }) => {
      mine(() => {
        const was = this.state;
        this.state = state;
        if (state === 'open') {
          this.why = '';
          this.#takeHandshake(client);
          this.#note(
            `Connected to ${url}${resumed === true ? ', to the same session' : ''}`,
            'good',
          );
        } else if (state === 'reconnecting') {
          this.why = lostText(error, retryInMs ?? 0);
          if (was === 'open') this.#note(this.why, 'bad');
        } else if (state === 'closed' && error?.reason === 'KICKED') {
          this.why = kickText(error.body);
        } else if (state === 'closed' && was === 'open') this.#end(messageOf(error));
      });
    });
    client.onPush('*', (_, push) => {
      mine(() => {
        this.#add({ kind: 'push', route: push.route, got: textOf(push) });
      });
    });
    client.onKick(({ reason, body }) => {
      mine(() => {
        const got = body === undefined ? null : JSON.stringify(body);
        this.#add({ kind: 'kick', route: reason, got, tone: 'bad' });
      });
    });
    client.onError(({ message }) => {
      mine(() => {
        this.#note(message, 'bad');
      });
    });
  }

  #takeHandshake(client: PithClient): void {
    const { handshake } = client;
    this.handshake = handshake;
    this.definitions = definitionsOf(handshake?.sys ?? {}, this.definitions);
  }

  #whyOf(error: unknown, url: string): string {
    const { reason, message } = error as ClientError;
    if (reason === 'UNREACHABLE') return whyUnreachable(url);
    if (reason === 'TIMEOUT')
      return `${url} takes the connection, but does not answer the handshake: ${message}. Is the dialect right?`;
    return messageOf(error);
  }

  /** It is not connected, and will not try again by itself. */
  #end(why: string): void {
    this.state = 'closed';
    this.why = why;
    this.#note(why, 'bad');
  }

  #note(text: string, tone: Tone): void {
    this.#add({ kind: 'note', route: text, tone });
  }

  #add(entry: Partial<Entry> & Pick<Entry, 'kind' | 'route'>): number {
    const id = ++this.#lastId;
    const all = [...this.entries, { ...BLANK, ...entry, id, atMs: now() }];
    const over = Math.max(0, all.length - ENTRIES_MAX);
    this.entries = over > 0 ? all.slice(over) : all;
    this.dropped += over;
    this.#changed();
    return id;
  }

  #change(id: number, change: Partial<Entry>): void {
    this.entries = this.entries.map((entry) => (entry.id === id ? { ...entry, ...change } : entry));
    this.#changed();
  }
}

const BLANK = { sent: '', got: null, ms: null, tone: 'plain' } as const;

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : 'the connection was closed';
}

function kickText(body: unknown): string {
  const { reason } = (body ?? {}) as { readonly reason?: unknown };
  return typeof reason === 'string' && reason !== '' ? `Kicked: ${reason}` : 'Kicked by the server';
}

function lostText(error: ClientError | undefined, retryInMs: number): string {
  return `Connection lost: ${messageOf(error)}. The next attempt is in ${Math.ceil(retryInMs / 1_000)} s.`;
}

/** An answer that says in its body that it is an error; in Pomelo nothing else says so. */
function isRefusal(answer: Received): boolean {
  try {
    const { code } = (answer.body ?? {}) as { readonly code?: unknown };
    return typeof code === 'number' && code >= 400;
  } catch {
    return false;
  }
}
