/** The command line of `pith client`, and how it connects. */
import { readFileSync } from 'node:fs';
import { WebSocket } from 'ws';

import type { Dial, Dialect } from '../client/client.ts';
import { tcp } from '../client/tcp.ts';
import { webSocket } from '../client/websocket.ts';
import { parseDuration } from '../config/units.ts';
import { fileErrorText } from '../errors.ts';
import { COMMANDS } from './commands.ts';
import { type Options, readOptions, UsageError } from './options.ts';

export const DEFAULT_URL = 'ws://127.0.0.1:3010';
/** Longer than the gateway waits before it answers 504 for a backend, so that the gateway reports what happened. */
const DEFAULT_TIMEOUT = '15s';
const URL_FORMS = 'ws://host:port, wss://host, tcp://host:port or tls://host:port';
/** The longest wait of a timer. */
const TIMEOUT_MS_MAX = 0x7fffffff;

export const USAGE = `pith client [URL]                                 reads commands; "help" lists them
pith client [URL] --request ROUTE [--data JSON]   sends one request and prints the answer

  --data JSON        the body of the request; default {}
  --user JSON        the user block of the handshake, as '{"token":"…"}'; default {}
  --dialect pomelo   or pitaya, nano, json: the dialect of the listener at URL
  --timeout ${DEFAULT_TIMEOUT}      for connecting, and for each answer; longer than a route's own default of 10s
  --wait-pushes 0s   how long to keep printing pushes at the end
  --ca FILE          authorities (PEM) to verify the server's certificate with, for wss:// and tls://
  --insecure         accept any certificate
  -h, --help         print this

URL defaults to ${DEFAULT_URL}; it is ${URL_FORMS}.
Exit code: 0 answered; 1 an error (code 400 or more), or no answer in time; 69 no connection.
`;

export type Settings = {
  readonly url: URL;
  /** The URL as typed. */
  readonly where: string;
  readonly dialect: Dialect;
  readonly dial: Dial;
  /** '': read commands. */
  readonly route: string;
  readonly data: string;
  /** Of the handshake. */
  readonly user: unknown;
  readonly timeoutMs: number;
  readonly waitPushesMs: number;
};

/** null: help is requested. @throws {UsageError} Says what is wrong. */
export function readSettings(args: readonly string[]): Settings | null {
  const options = readOptions(args, COMMANDS.client.options);
  if (options.wantsHelp) return null;
  const { positionals } = options;
  const [where = DEFAULT_URL, ...more] = positionals;
  if (more.length > 0) throw new UsageError(`expected one URL, not ${positionals.join(' ')}`);
  const url = parseServerUrl(where);
  if (url === null)
    throw new UsageError(`${where} is not the URL of a server: expected ${URL_FORMS}`);
  const dialect = (options.text('dialect') ?? 'pomelo') as Dialect;
  if (dialect === 'json' && isRaw(url))
    throw new UsageError(
      `--dialect json goes over WebSocket: expected ws:// or wss://, not ${where}`,
    );
  const route = options.text('request') ?? '';
  if (options.has('request') && route === '')
    throw new UsageError('--request: expected a route, as in chat.room.join');
  if (options.has('data') && route === '') throw new UsageError('--data goes with --request');
  const timeout = options.text('timeout') ?? DEFAULT_TIMEOUT;
  const timeoutMs = readDuration('--timeout', timeout);
  if (timeoutMs < 1) throw new UsageError(`--timeout ${timeout}: expected more than 0`);
  return {
    url,
    where,
    dialect,
    dial: dialOf(url, options),
    route,
    data: jsonBody(options.text('data') ?? ''),
    user: JSON.parse(jsonBody(options.text('user') ?? '')) as unknown,
    timeoutMs,
    waitPushesMs: readDuration('--wait-pushes', options.text('wait-pushes') ?? '0s'),
  };
}

/** The body as typed, `{}` for none. @throws {UsageError} It is not JSON. */
export function jsonBody(text: string): string {
  if (text === '') return '{}';
  try {
    JSON.parse(text);
  } catch {
    throw new UsageError(`${text} is not JSON; expected something like {"text":"hi"}`);
  }
  return text;
}

/** null: not one of `URL_FORMS`. */
function parseServerUrl(text: string): URL | null {
  if (!URL.canParse(text)) return null;
  const url = new URL(text);
  if (url.hostname === '') return null;
  if (isRaw(url)) return url.port === '' ? null : url;
  return url.protocol === 'ws:' || url.protocol === 'wss:' ? url : null;
}

function isRaw({ protocol }: URL): boolean {
  return protocol === 'tcp:' || protocol === 'tls:';
}

function dialOf(url: URL, flags: Options): Dial {
  const ca = flags.text('ca');
  const insecure = flags.has('insecure');
  const isTls = url.protocol === 'wss:' || url.protocol === 'tls:';
  if (!isTls && (ca !== undefined || insecure))
    throw new UsageError(`${insecure ? '--insecure' : '--ca'} goes with wss:// or tls://`);
  const options = {
    ...(ca !== undefined && { ca: readCa(ca) }),
    ...(insecure && { rejectUnauthorized: false }),
  };
  if (isRaw(url)) return tcp(options);
  return webSocket((to) => new WebSocket(to, { ...options, perMessageDeflate: false }));
}

function readCa(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch (error) {
    throw new UsageError(`--ca ${file} cannot be read: ${fileErrorText(error)}`);
  }
}

function readDuration(name: string, text: string): number {
  const ms = parseDuration(text);
  if (Number.isNaN(ms))
    throw new UsageError(`${name} ${text}: expected a duration, as in 500ms or 5s`);
  if (ms > TIMEOUT_MS_MAX) throw new UsageError(`${name} ${text}: expected at most 24 days`);
  return ms;
}
