/**
 * `pith probe`: comes as a player does, for monitoring: connects, shakes hands, and may send one request. Says how long
 * each step took, and ends in a bounded time whatever the gateway does.
 */
import { readFileSync } from 'node:fs';

import { ClientError, type Dial, PithClient } from '../client/client.ts';
import type { Clock } from '../clock.ts';
import { errorText, fileErrorText } from '../errors.ts';
import { COMMANDS } from './commands.ts';
import { EXIT } from './exit-codes.ts';
import { json, type Printed } from './inspect.ts';
import { readOptions, UsageError } from './options.ts';
import { isErrorAnswer, valueOf } from './received.ts';
import {
  connectText,
  DEFAULT_URL,
  jsonBody,
  readRequest,
  readServer,
  readTimeout,
  type ServerSettings,
  URL_FORMS,
} from './server-settings.ts';

/** Less than the ten seconds after which most monitoring gives up. */
const DEFAULT_TIMEOUT = '5s';

export const USAGE = `pith probe [URL] [--request ROUTE] [--data JSON] [--user JSON] [--json]

Comes as a player does, for monitoring: connects, shakes hands, sends one request if there is --request, and leaves.
Prints how long each step took.

  --request ROUTE    a request that is sent after the handshake
  --data JSON        its body; default {}
  --user JSON        the user block of the handshake, as '{"token":"…"}'; default {}
  --user-file FILE   the same from a file, so that a token is not in the list of processes
  --dialect pomelo   or pitaya, nano, json: the dialect of the listener at URL
  --timeout ${DEFAULT_TIMEOUT}       for all steps together
  --ca FILE          authorities (PEM) to verify the server's certificate with, for wss:// and tls://
  --insecure         accept any certificate
  --json             print it as one line of JSON
  -h, --help         print this

URL defaults to ${DEFAULT_URL}; it is ${URL_FORMS}.
Exit code: 0 all went well; 1 connected, but the handshake or the request was refused, failed or not answered in time;
64 wrong arguments; 69 no connection.
`;

export type ProbeSettings = ServerSettings & {
  /** '': no request. */
  readonly route: string;
  readonly data: string;
  /** Of the handshake. */
  readonly user: unknown;
  /** For everything. */
  readonly timeoutMs: number;
  readonly json: boolean;
};

/** null: help is requested. @throws {UsageError} Says what is wrong. */
export function readProbeSettings(args: readonly string[]): ProbeSettings | null {
  const options = readOptions(args, COMMANDS.probe.options);
  if (options.wantsHelp) return null;
  const file = options.text('user-file');
  if (file !== undefined && options.has('user'))
    throw new UsageError('expected one of --user and --user-file');
  return {
    ...readServer(options),
    ...readRequest(options),
    timeoutMs: readTimeout(options, DEFAULT_TIMEOUT),
    user: JSON.parse(
      file === undefined ? jsonBody(options.text('user') ?? '') : userFrom(file),
    ) as unknown,
    json: options.has('json'),
  };
}

/** Its content is not shown: it may be a token. */
function userFrom(file: string): string {
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
  } catch (error) {
    throw new UsageError(`--user-file ${file} cannot be read: ${fileErrorText(error)}`);
  }
  try {
    JSON.parse(text);
  } catch {
    throw new UsageError(`--user-file ${file} is not JSON; expected something like {"token":"…"}`);
  }
  return text;
}

export type ProbeIo = {
  readonly args: readonly string[];
  readonly clock: Clock;
  readonly version: string;
};

/** Never rejects. */
export async function runProbe({ args, clock, version }: ProbeIo): Promise<Printed> {
  let settings: ProbeSettings | null;
  try {
    settings = readProbeSettings(args);
  } catch (error) {
    const err = `pith: ${errorText(error)}\nsee pith probe --help\n`;
    return { code: EXIT.USAGE, out: '', err };
  }
  if (settings === null) return { code: EXIT.OK, out: USAGE, err: '' };
  const found = await new Probe(settings, clock, version).run();
  return settings.json ? json(codeOf(found), found) : inWords(found);
}

type Step = 'connect' | 'handshake' | 'request';

/** What `--json` prints; milliseconds, null for a step that was not done. */
export type Found = {
  readonly ok: boolean;
  readonly url: string;
  readonly route: string;
  readonly connect_ms: number | null;
  readonly handshake_ms: number | null;
  readonly request_ms: number | null;
  readonly total_ms: number;
  /** The step that did not go well; null: all did. */
  readonly failed: Step | null;
  /** Of the refusal or the error answer; 0: there is none. */
  readonly code: number | string;
  /** '': all went well. */
  readonly reason: string;
  readonly message: string;
};

class Probe {
  readonly #settings: ProbeSettings;
  readonly #clock: Clock;
  readonly #client: PithClient;
  readonly #beganAt: number;
  /** When the last step ended. */
  #at: number;
  #step: Step = 'connect';
  readonly #took: Record<Step, number | null> = { connect: null, handshake: null, request: null };

  constructor(settings: ProbeSettings, clock: Clock, version: string) {
    this.#settings = settings;
    this.#clock = clock;
    this.#beganAt = this.#at = clock.now();
    const { url, dialect, user, timeoutMs } = settings;
    this.#client = new PithClient(url.href, {
      dialect,
      user,
      clock,
      dial: this.#dial,
      connectTimeoutMs: timeoutMs,
      sys: { version },
      reconnect: false,
      resume: false,
      raw: true,
    });
  }

  async run(): Promise<Found> {
    let why: ClientError | null = null;
    try {
      await this.#client.connect();
      this.#done('handshake');
      if (this.#settings.route !== '') why = await this.#request();
    } catch (error) {
      why = error instanceof ClientError ? error : new ClientError('FAILED', errorText(error));
      // The gateway says more than that it has refused.
      if (why.reason === 'REFUSED') why = errorOf(why.body, why);
    }
    const found = this.#found(why);
    await this.#client.close();
    return found;
  }

  /** Sees when the connection is there: its handshake is the next step. */
  readonly #dial: Dial = (url, events) =>
    this.#settings.dial(url, {
      ...events,
      onOpen: () => {
        this.#done('connect');
        this.#step = 'handshake';
        events.onOpen();
      },
    });

  /** The error that it was answered; null: it went well. */
  async #request(): Promise<ClientError | null> {
    this.#step = 'request';
    const { route, data, timeoutMs } = this.#settings;
    const left = Math.max(1, Math.ceil(this.#beganAt + timeoutMs - this.#clock.now()));
    const body = this.#client.encodesProtobuf(route) ? JSON.parse(data) : Buffer.from(data);
    const answer = await this.#client.ask(route, body, { timeoutMs: left });
    this.#done('request');
    return isErrorAnswer(answer) ? errorOf(valueOf(answer), NO_REASON) : null;
  }

  #done(step: Step): void {
    const now = this.#clock.now();
    this.#took[step] = now - this.#at;
    this.#at = now;
  }

  #found(why: ClientError | null): Found {
    const { where, route } = this.#settings;
    const { connect, handshake, request } = this.#took;
    return {
      ok: why === null,
      url: where,
      route,
      connect_ms: rounded(connect),
      handshake_ms: rounded(handshake),
      request_ms: rounded(request),
      total_ms: rounded(this.#clock.now() - this.#beganAt)!,
      failed: why === null ? null : this.#step,
      code: why?.code ?? 0,
      reason: why?.reason ?? '',
      message: why === null ? '' : this.#step === 'connect' ? connectText(why) : why.message,
    };
  }
}

/** Stands for what an error answer leaves out. */
const NO_REASON = { reason: 'ERROR', message: '' };

function errorOf(body: unknown, otherwise: { reason: string; message: string }): ClientError {
  const { code, reason, msg } = (body ?? {}) as Record<string, unknown>;
  return new ClientError(
    typeof reason === 'string' ? reason : otherwise.reason,
    typeof msg === 'string' ? msg : otherwise.message,
    { code: typeof code === 'number' || typeof code === 'string' ? code : 0 },
  );
}

function rounded(ms: number | null): number | null {
  return ms === null ? null : Math.round(ms * 10) / 10;
}

function codeOf({ failed }: Found): number {
  return failed === null ? EXIT.OK : failed === 'connect' ? EXIT.UNAVAILABLE : EXIT.NO;
}

function inWords(found: Found): Printed {
  const { url, route, connect_ms, handshake_ms, request_ms, total_ms, failed } = found;
  const steps: readonly (readonly [name: string, ms: number | null])[] = [
    ['connect', connect_ms],
    ['handshake', handshake_ms],
    [route, request_ms],
  ];
  const times = steps.flatMap(([name, ms]) => (ms === null ? [] : [`${name} ${ms} ms`]));
  const all = [...times, `total ${total_ms} ms`].join(', ');
  if (failed === null) return { code: EXIT.OK, out: `ok: ${url}: ${all}\n`, err: '' };
  const { code, reason, message } = found;
  const why = [code === 0 ? '' : String(code), reason, message].filter((text) => text !== '');
  const what = { connect: 'no connection', handshake: 'no handshake', request: route }[failed];
  return {
    code: codeOf(found),
    out: '',
    err: `failed: ${url}: ${what}: ${why.join(' ')} (${all})\n`,
  };
}
