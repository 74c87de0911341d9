/** Backends and callers on plain NATS, in this process: the contract's subjects and headers, nothing of ours. */
import {
  headers as makeHeaders,
  type Msg,
  type MsgHdrs,
  type NatsConnection,
  RequestError,
} from 'nats';
import { PATIENCE_MS } from './wait.ts';

export type Words = Readonly<Record<string, string>>;

export function headersOf(words: Words): MsgHdrs {
  const made = makeHeaders();
  for (const [name, value] of Object.entries(words)) made.set(name, value);
  return made;
}

/** What came on a subject, in order. */
export class Heard {
  readonly messages: Msg[] = [];
  readonly #watchers = new Set<() => void>();
  readonly #unsubscribe: () => void;

  private constructor(
    nc: NatsConnection,
    subject: string,
    queue: string,
    take: (msg: Msg) => void,
  ) {
    const subscription = nc.subscribe(subject, {
      ...(queue !== '' && { queue }),
      callback: (error, msg) => {
        if (error !== null) return;
        this.messages.push(msg);
        take(msg);
        for (const look of this.#watchers) look();
      },
    });
    this.#unsubscribe = () => {
      subscription.unsubscribe();
    };
  }

  /** Resolves when the server knows of the subscription. `take` is called for every message. */
  static async on(
    nc: NatsConnection,
    subject: string,
    take: (msg: Msg) => void = () => {},
    queue = '',
  ): Promise<Heard> {
    const heard = new Heard(nc, subject, queue, take);
    await nc.flush();
    return heard;
  }

  get subjects(): string[] {
    return this.messages.map(({ subject }) => subject);
  }

  /** The `n`th message (the first is 0), once it is there. */
  async nth(n: number): Promise<Msg> {
    const got = await this.until((messages) => messages.length > n, `message ${n}`);
    return got[n]!;
  }

  until(enough: (messages: readonly Msg[]) => boolean, what: string): Promise<readonly Msg[]> {
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        this.#watchers.delete(look);
        reject(new Error(`waited for ${what}; there were ${this.subjects.join(' ') || 'none'}`));
      }, PATIENCE_MS);
      const look = (): void => {
        if (!enough(this.messages)) return;
        clearTimeout(timer);
        this.#watchers.delete(look);
        resolve(this.messages);
      };
      this.#watchers.add(look);
      look();
    });
  }

  stop(): void {
    this.#unsubscribe();
  }
}

export type Answer = { readonly body?: string | Uint8Array; readonly headers?: Words };

/** A queue subscriber that answers with what `answer` says; null: not at all. */
export function serve(
  nc: NatsConnection,
  subject: string,
  answer: (msg: Msg) => Answer | null,
  queue = 'test',
): Promise<Heard> {
  return Heard.on(
    nc,
    subject,
    (msg) => {
      const said = answer(msg);
      if (said === null || !msg.reply) return;
      nc.publish(msg.reply, said.body ?? '', {
        ...(said.headers && { headers: headersOf(said.headers) }),
      });
    },
    queue,
  );
}

export type Told = { readonly json: Record<string, unknown>; readonly headers: Words };

/** Sends a verb as a request; null when the server says that nobody listens. */
export async function tell(
  nc: NatsConnection,
  subject: string,
  payload: unknown = '',
  words: Words = {},
): Promise<Told | null> {
  const body =
    typeof payload === 'string' || payload instanceof Uint8Array
      ? payload
      : JSON.stringify(payload);
  try {
    const answer = await nc.request(subject, body, {
      timeout: PATIENCE_MS,
      headers: headersOf(words),
    });
    const headers: Record<string, string> = {};
    for (const name of answer.headers?.keys() ?? []) headers[name] = answer.headers!.get(name);
    return { json: answer.json(), headers };
  } catch (error) {
    if (error instanceof RequestError && error.isNoResponders()) return null;
    throw error;
  }
}

/** The JSON of a verb's answer; a verb that nobody hears is an error. */
export async function tellJson(
  nc: NatsConnection,
  subject: string,
  payload: unknown = '',
  words: Words = {},
): Promise<Record<string, unknown>> {
  const told = await tell(nc, subject, payload, words);
  if (told === null) throw new Error(`nobody listens on ${subject}`);
  return told.json;
}

/** A push of `body` to whoever `subject` means. */
export function push(
  nc: NatsConnection,
  subject: string,
  route: string,
  body: unknown,
  words: Words = {},
): void {
  nc.publish(subject, JSON.stringify(body), {
    headers: headersOf({ 'Pith-Route': route, ...words }),
  });
}
