/** What is said about the session itself: by the client in its handshake, by the server in its answer, and kicks. */
import { ClientError, isObject, numberOf } from './client-error.ts';
import { CLIENT_VERSION } from './version.ts';
import type { Dialect } from './wire.ts';

/** The server's answer to the handshake. */
export type Handshake = {
  readonly code: number;
  readonly sys?: Readonly<Record<string, unknown>>;
  /** The application's own block; undefined: there is none. */
  readonly user?: unknown;
};

/** Why the server ended the session. */
export type Kick = {
  /** '': not given. */
  readonly reason: string;
  /** The parsed body; undefined: it was empty. */
  readonly body: unknown;
};

/** Characters of a refusal that the message shows. */
const SHOWN_CHARS_MAX = 500;

/** The client's description in the handshake, with the keys that the dialect's servers read. */
export function ownSys(dialect: Dialect): Record<string, unknown> {
  const type = 'pith-client';
  const version = CLIENT_VERSION;
  return dialect === 'pitaya'
    ? { platform: type, libVersion: version, clientBuildNumber: '1', clientVersion: version }
    : { type, version };
}

/** @param text The answer as it came, for the error message. */
export function readHandshake(value: unknown, text: string): Handshake | ClientError {
  const { code } = isObject(value) ? value : {};
  if (code === 200) return value as Handshake;
  const why = `the handshake was refused: ${text.slice(0, SHOWN_CHARS_MAX)}`;
  return new ClientError('REFUSED', why, { code: numberOf(code) || 0, body: value });
}

export function readKick(body: unknown): Kick {
  const { reason } = isObject(body) ? body : {};
  return { reason: typeof reason === 'string' ? reason : '', body };
}
