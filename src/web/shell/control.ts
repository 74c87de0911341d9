/**
 * Control from a page: `POST v1/<Method>` on the port that the page came from, with the token in `Authorization`.
 * Relative, so that a proxy may put a folder in front.
 */
import { keep, kept } from './kept.ts';

/** Characters of one line of a stream; a longer one ends it. */
const LINE_CHARS_MAX = 16 * 1024 * 1024;
const TOKEN_KEY = 'pith.token';

/** What Control, or the way to it, has refused. */
export class ControlError extends Error {
  /** As in HTTP; 0: nobody has answered. */
  readonly code: number;
  /** E.g. `UNAUTHENTICATED`, `NO_SESSION`; `UNREACHABLE`: nobody has answered. */
  readonly reason: string;

  constructor(code: number, reason: string, message: string) {
    super(message);
    this.name = 'ControlError';
    this.code = code;
    this.reason = reason;
  }

  /** A token is needed, or another one. */
  get needsToken(): boolean {
    return this.reason === 'UNAUTHENTICATED';
  }
}

export type CallOptions = { readonly signal?: AbortSignal };

export class Control {
  #token: string;

  constructor() {
    // Only this tab has it, and only until it is closed. Never a cookie, which browsers would send by themselves.
    this.#token = kept('tab', TOKEN_KEY);
  }

  get hasToken(): boolean {
    return this.#token !== '';
  }

  /** '': forgets it. */
  setToken(token: string): void {
    this.#token = token.trim();
    keep('tab', TOKEN_KEY, this.#token);
  }

  /**
   * One answer. `request` and answer are the messages of proto/pith/v1/control.proto in JSON.
   *
   * @throws {ControlError} Refused, or unreachable. @throws The signal's reason.
   */
  async call<Answer>(
    method: string,
    request: object = {},
    options: CallOptions = {},
  ): Promise<Answer> {
    const response = await this.#post(method, request, options);
    return (await readJson(response, options)) as Answer;
  }

  /**
   * The answers of a method that streams, each as it comes. Leaving the loop ends the stream.
   *
   * @throws {ControlError} Refused, unreachable, or ended by an error. @throws The signal's reason.
   */
  async *stream<Answer>(
    method: string,
    request: object = {},
    options: CallOptions = {},
  ): AsyncGenerator<Answer, void, void> {
    const response = await this.#post(method, request, options);
    for await (const line of linesOf(response, options)) {
      const value = JSON.parse(line) as Answer;
      // The status has been sent by then, so an error comes as the last line.
      throwIfError(value);
      yield value;
    }
  }

  async #post(method: string, request: object, { signal }: CallOptions): Promise<Response> {
    const headers: Record<string, string> = { 'Content-Type': 'application/json' };
    if (this.#token !== '') headers['Authorization'] = `Bearer ${this.#token}`;
    const response = await reached(
      fetch(`v1/${method}`, {
        ...{ method: 'POST', headers, body: JSON.stringify(request), signal: signal ?? null },
        ...{ credentials: 'omit', cache: 'no-store', redirect: 'error' },
      }),
      signal,
    );
    if (response.ok) return response;
    throwIfError(await readJson(response, { ...(signal && { signal }) }).catch(() => null));
    throw new ControlError(response.status, 'UNEXPECTED', `${method}: HTTP ${response.status}`);
  }
}

type ErrorAnswer = {
  readonly error?: { readonly code?: number; readonly reason?: string; readonly msg?: string };
};

function throwIfError(value: unknown): void {
  if (typeof value !== 'object' || value === null) return;
  const { error } = value as ErrorAnswer;
  if (typeof error !== 'object' || error === null) return;
  throw new ControlError(error.code ?? 0, error.reason ?? 'UNEXPECTED', error.msg ?? 'refused');
}

async function readJson(response: Response, { signal }: CallOptions): Promise<unknown> {
  return JSON.parse(await reached(response.text(), signal)) as unknown;
}

/** What a browser says of a broken connection is of no use to anybody. */
async function reached<T>(work: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  try {
    return await work;
  } catch {
    signal?.throwIfAborted();
    const why =
      'the gateway does not answer on its admin port; it may have been stopped or restarted';
    throw new ControlError(0, 'UNREACHABLE', why);
  }
}

async function* linesOf(
  response: Response,
  { signal }: CallOptions,
): AsyncGenerator<string, void, void> {
  const reader = response.body!.pipeThrough(new TextDecoderStream()).getReader();
  let rest = '';
  try {
    for (;;) {
      const { done, value } = await reached(reader.read(), signal);
      if (done) break;
      rest += value;
      const lines = rest.split('\n');
      rest = lines.pop()!;
      if (rest.length > LINE_CHARS_MAX)
        throw new ControlError(0, 'TOO_LONG', `a line of more than ${LINE_CHARS_MAX} characters`);
      for (const line of lines) if (line !== '') yield line;
    }
    if (rest !== '') yield rest;
  } finally {
    reader.cancel().catch(() => {});
  }
}
