/** A pause as gateways tell it to each other, and what may be in one that is set through Control. Pure. */
import { checkPattern } from '../config/syntax.ts';
import type { JsonObject } from '../contract/commands.ts';
import type { Pause } from './maintenance.ts';

/** What one pause may name. */
export const PAUSE_ROUTES_MAX = 100;
export const PAUSE_UIDS_MAX = 1_000;
export const PAUSE_MESSAGE_CHARS_MAX = 512;
/** All of it as JSON: other gateways get it in one piece. */
export const PAUSE_BYTES_MAX = 65_536;
/** The code of a refused handshake, unless another is given. */
export const HANDSHAKE_CODE = 503;
export const HANDSHAKE_CODES = { min: 400, max: 599 } as const;

/** What is wrong with it; '': nothing. */
export function faultInPause(pause: Pause): string {
  const { routes, allowUids, message, handshakeCode } = pause;
  if (routes.length > PAUSE_ROUTES_MAX) return `routes: more than ${PAUSE_ROUTES_MAX}`;
  for (const route of routes) {
    const fault = checkPattern(route);
    if (fault !== undefined) return `routes: ${fault}`;
  }
  if (allowUids.length > PAUSE_UIDS_MAX) return `allow_uids: more than ${PAUSE_UIDS_MAX}`;
  if (allowUids.includes(''))
    return 'allow_uids: an empty uid would stand for all who are not bound';
  if (message.length > PAUSE_MESSAGE_CHARS_MAX)
    return `message: longer than ${PAUSE_MESSAGE_CHARS_MAX} characters`;
  if (![message, ...allowUids].every((text) => text.isWellFormed()))
    return 'message and allow_uids: half a character is not valid UTF-8';
  if (!isHandshakeCode(handshakeCode))
    return `handshake_code: expected ${HANDSHAKE_CODES.min} to ${HANDSHAKE_CODES.max}`;
  const bytes = Buffer.byteLength(JSON.stringify(pauseJson(pause)));
  return bytes > PAUSE_BYTES_MAX ? `${bytes} bytes in all; at most ${PAUSE_BYTES_MAX}` : '';
}

export function pauseJson({ routes, allowUids, message, handshakeCode }: Pause): JsonObject {
  return {
    routes: [...routes],
    allow_uids: [...allowUids],
    message,
    handshake_code: handshakeCode,
  };
}

/** Of another gateway; what it does not say is as usual. null: it is none that can be used. */
export function readPause(value: JsonObject | null): Pause | null {
  if (value === null) return null;
  const { routes = [], allow_uids: allowUids = [], message = '' } = value;
  const { handshake_code: handshakeCode = HANDSHAKE_CODE } = value;
  if (!isTexts(routes) || !isTexts(allowUids) || typeof message !== 'string') return null;
  if (typeof handshakeCode !== 'number') return null;
  const pause = { routes, allowUids, message, handshakeCode };
  return faultInPause(pause) === '' ? pause : null;
}

function isHandshakeCode(code: number): boolean {
  return Number.isInteger(code) && code >= HANDSHAKE_CODES.min && code <= HANDSHAKE_CODES.max;
}

function isTexts(value: unknown): value is string[] {
  return Array.isArray(value) && value.every((text) => typeof text === 'string');
}
