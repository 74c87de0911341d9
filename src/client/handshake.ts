/** What a server sends about the session itself: its answer to the handshake, and kicks. */
import { ClientError, isObject } from './client-error.ts';

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

/** @param text The answer as it came, for the error message. */
export function readHandshake(value: unknown, text: string): Handshake | ClientError {
  const { code } = isObject(value) ? value : {};
  if (code === 200) return value as Handshake;
  const why = `the handshake was refused: ${text.slice(0, SHOWN_CHARS_MAX)}`;
  return new ClientError('REFUSED', why, { code: Number(code) || 0, body: value });
}

export function readKick(body: unknown): Kick {
  const { reason } = isObject(body) ? body : {};
  return { reason: typeof reason === 'string' ? reason : '', body };
}
