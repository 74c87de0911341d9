/** The command line of `pith client`, and how it connects. */
import { COMMANDS } from './commands.ts';
import { readOptions } from './options.ts';
import {
  DEFAULT_URL,
  jsonBody,
  readDuration,
  readRequest,
  readServer,
  readTimeout,
  type ServerSettings,
  URL_FORMS,
} from './server-settings.ts';

/** Longer than the gateway waits before it answers 504 for a backend, so that the gateway reports what happened. */
const DEFAULT_TIMEOUT = '15s';

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

export type Settings = ServerSettings & {
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
  return {
    ...readServer(options),
    ...readRequest(options),
    timeoutMs: readTimeout(options, DEFAULT_TIMEOUT),
    user: JSON.parse(jsonBody(options.text('user') ?? '')) as unknown,
    waitPushesMs: readDuration('--wait-pushes', options.text('wait-pushes') ?? '0s'),
  };
}
