/** What the commands that connect as a client share: where, how, and how long to wait. */
import { readFileSync } from 'node:fs';
import { WebSocket } from 'ws';

import type { ClientError, Dial, Dialect } from '../client/client.ts';
import { tcp } from '../client/tcp.ts';
import { webSocket } from '../client/websocket.ts';
import { parseDuration } from '../config/units.ts';
import { fileErrorText } from '../errors.ts';
import { type Options, UsageError } from './options.ts';

export const DEFAULT_URL = 'ws://127.0.0.1:3010';
export const URL_FORMS = 'ws://host:port, wss://host, tcp://host:port or tls://host:port';
/** The longest wait of a timer. */
const TIMEOUT_MS_MAX = 0x7fffffff;

export type ServerSettings = {
  readonly url: URL;
  /** The URL as typed. */
  readonly where: string;
  readonly dialect: Dialect;
  readonly dial: Dial;
};

/** Reads the positional URL, --dialect, --ca and --insecure. @throws {UsageError} Says what is wrong. */
export function readServer(options: Options): ServerSettings {
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
  return { url, where, dialect, dial: dialOf(url, options) };
}

/** A wait that is more than none. @throws {UsageError} */
export function readTimeout(options: Options, fallback: string): number {
  const timeout = options.text('timeout') ?? fallback;
  const timeoutMs = readDuration('--timeout', timeout);
  if (timeoutMs < 1) throw new UsageError(`--timeout ${timeout}: expected more than 0`);
  return timeoutMs;
}

/** The route of --request; '': none. @throws {UsageError} Empty, or --data without it. */
export function readRequest(options: Options): { readonly route: string; readonly data: string } {
  const route = options.text('request') ?? '';
  if (options.has('request') && route === '')
    throw new UsageError('--request: expected a route, as in chat.room.join');
  if (options.has('data') && route === '') throw new UsageError('--data goes with --request');
  return { route, data: jsonBody(options.text('data') ?? '') };
}

/** Why it could not connect, with the socket's error codes in words. */
export function connectText(error: unknown): string {
  const { cause, message } = error as ClientError;
  const code = (cause as { code?: string } | undefined)?.code ?? '';
  if (code === 'ECONNREFUSED') return 'connection refused';
  if (code === 'ENOTFOUND') return 'no such host';
  // [Node: codes of X.509 verification]
  if (/CERT|ISSUER|LEAF_SIGNATURE/.test(code))
    return `${message}: give the authority that signed it with --ca, or accept any certificate with --insecure`;
  return message;
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

export function readDuration(name: string, text: string): number {
  const ms = parseDuration(text);
  if (Number.isNaN(ms))
    throw new UsageError(`${name} ${text}: expected a duration, as in 500ms or 5s`);
  if (ms > TIMEOUT_MS_MAX) throw new UsageError(`${name} ${text}: expected at most 24 days`);
  return ms;
}
