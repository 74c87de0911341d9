/** What `pith client` is told on its command line, and how it dials. */
import { readFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { WebSocket } from 'ws';

import type { Dial, Dialect } from '../client/client.ts';
import { tcp } from '../client/tcp.ts';
import { webSocket } from '../client/websocket.ts';
import { parseDuration } from '../config/units.ts';
import { errorText } from '../errors.ts';

export const DEFAULT_URL = 'ws://127.0.0.1:3010';
const URL_FORMS = 'ws://host:port, wss://host, tcp://host:port or tls://host:port';
const DIALECTS: readonly Dialect[] = ['pomelo', 'pitaya', 'nano', 'json'];
/** The longest wait that a timer can be set to. */
const TIMEOUT_MS_MAX = 0x7fffffff;

export const USAGE = `pith client [URL]                                 reads commands; "help" lists them
pith client [URL] --request ROUTE [--data JSON]   asks once

  --dialect pomelo   or pitaya, nano, json: what the listener at the URL speaks
  --timeout 5s       for the connection and for each answer
  --wait-pushes 0s   how long to go on printing pushes at the end
  --ca FILE          certificates (PEM) of who signed the server's, for wss:// and tls://
  --insecure         takes any certificate

URL is ${DEFAULT_URL} unless given: ${URL_FORMS}.
Exit code: 0 answered; 1 an error (code 400 or more), or no answer in time; 69 no connection.
`;

export type Settings = {
  readonly url: URL;
  /** The URL as it was typed. */
  readonly where: string;
  readonly dialect: Dialect;
  readonly dial: Dial;
  /** '': read commands. */
  readonly route: string;
  readonly data: string;
  readonly timeoutMs: number;
  readonly waitPushesMs: number;
};

/** null: help is wanted. Throws with what is wrong. */
export function readSettings(args: readonly string[]): Settings | null {
  const text = { type: 'string' } as const;
  const { values, positionals } = parseArgs({
    args: [...args],
    allowPositionals: true,
    options: {
      request: text,
      data: text,
      dialect: { ...text, default: 'pomelo' },
      timeout: { ...text, default: '5s' },
      'wait-pushes': { ...text, default: '0s' },
      ca: text,
      insecure: { type: 'boolean', default: false },
      help: { type: 'boolean', short: 'h' },
    },
  });
  if (values.help) return null;
  const [where = DEFAULT_URL, ...more] = positionals;
  if (more.length > 0) throw new Error(`one URL is expected, not ${positionals.join(' ')}`);
  const url = parseServerUrl(where);
  if (url === null) throw new Error(`${where} is no URL of a server: ${URL_FORMS} is expected`);
  const dialect = DIALECTS.find((name) => name === values.dialect);
  if (dialect === undefined)
    throw new Error(`--dialect ${values.dialect}: one of ${DIALECTS.join(', ')} is expected`);
  if (dialect === 'json' && isRaw(url))
    throw new Error(
      `--dialect json goes over WebSocket: ws:// or wss:// is expected, not ${where}`,
    );
  if (values.data !== undefined && values.request === undefined)
    throw new Error('--data goes with --request');
  const timeoutMs = readDuration('--timeout', values.timeout);
  if (timeoutMs < 1) throw new Error(`--timeout ${values.timeout}: more than nothing is expected`);
  return {
    url,
    where,
    dialect,
    dial: dialOf(url, values),
    route: values.request ?? '',
    data: jsonBody(values.data ?? ''),
    timeoutMs,
    waitPushesMs: readDuration('--wait-pushes', values['wait-pushes']),
  };
}

/** The body as it was typed, `{}` for none. Throws when it is not JSON. */
export function jsonBody(text: string): string {
  if (text === '') return '{}';
  try {
    JSON.parse(text);
  } catch {
    throw new Error(`${text} is not JSON, as {"text":"hi"} is`);
  }
  return text;
}

/** null: it is none of `URL_FORMS`. */
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

function dialOf(url: URL, { ca, insecure }: { ca?: string; insecure: boolean }): Dial {
  const isTls = url.protocol === 'wss:' || url.protocol === 'tls:';
  if (!isTls && (ca !== undefined || insecure))
    throw new Error(`${insecure ? '--insecure' : '--ca'} goes with wss:// or tls://`);
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
    throw new Error(`--ca ${file}: ${errorText(error)}`, { cause: error });
  }
}

function readDuration(name: string, text: string): number {
  const ms = parseDuration(text);
  if (Number.isNaN(ms)) throw new Error(`${name} ${text}: a duration is expected, as 500ms or 5s`);
  if (ms > TIMEOUT_MS_MAX) throw new Error(`${name} ${text}: at most 24 days are possible`);
  return ms;
}
