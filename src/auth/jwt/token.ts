/** A token as it comes, before anything of it is believed: its form and its header. Pure. [RFC 7515, RFC 8725] */
import { isUtf8 } from 'node:buffer';

import { isAlgorithm } from '../../config/jwt-keys.ts';
import { isObject, parseAsWritten } from '../../protocol/exact-json.ts';
import { repeatedKey } from '../../protocol/json-keys.ts';
import { KID_CHARS_MAX } from './verify-keys.ts';

/** Characters of a token. */
export const TOKEN_CHARS_MAX = 8_192;
/** Three parts in base64url. A token that is encrypted has five. */
const FORM = /^[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+$/;
/** What a token may say that it is; others, such as logout+jwt, are signed for another purpose. [RFC 8725 section 3.11] */
const TYPES = new Set(['jwt', 'at+jwt']);

/** Why a token does not hold: labels of a metric. */
export const TOKEN_FAULTS = [
  'missing',
  'malformed',
  'algorithm',
  'unknown_key',
  'signature',
  'expired',
  'not_yet',
  'issuer',
  'audience',
  'claims',
  'other_uid',
] as const;
export type TokenFault = (typeof TOKEN_FAULTS)[number];

/** `why` is for the log, and has nothing of the token that could be used, nor of one that is not verified. */
export type Refused = { readonly fault: TokenFault; readonly why: string };

/** Characters of a claim that are in the log. */
const SHOWN_CHARS_MAX = 100;

export function refused(fault: TokenFault, why: string): Refused {
  return { fault, why };
}

/** What a claim of a token that is verified says, or should say, for `why`. */
export function shown(value: unknown): string {
  if (value === undefined) return 'not there';
  const json = JSON.stringify(value);
  return json.length > SHOWN_CHARS_MAX ? `${json.slice(0, SHOWN_CHARS_MAX).toWellFormed()}…` : json;
}

export type TokenHead = {
  readonly algorithm: string;
  /** Only ever compared with the names of known keys. null: it has none. */
  readonly kid: string | null;
};

/**
 * Reads a token's header. Of what it says only `alg` and `kid` are used: `jwk`, `jku`, `x5u` and `x5c` would let whoever made it
 * choose its key.
 *
 * @param expected.algorithms Those of `auth.jwt.algorithms`, compared exactly.
 * @param expected.from Where the token was looked for.
 */
export function readTokenHead(
  token: unknown,
  { algorithms, from }: { readonly algorithms: readonly string[]; readonly from: string },
): TokenHead | Refused {
  if (token === undefined || token === null || token === '')
    return refused('missing', `there is no token at ${from}`);
  if (typeof token !== 'string') return refused('malformed', 'the token is no text');
  if (token.length > TOKEN_CHARS_MAX)
    return refused('malformed', `${token.length} characters; at most ${TOKEN_CHARS_MAX} are read`);
  if (!FORM.test(token)) return refused('malformed', 'not three parts in base64url');
  const header = jsonObjectOf(Buffer.from(token.slice(0, token.indexOf('.')), 'base64url'));
  if (header === null)
    return refused('malformed', 'its header is no JSON object, or says something twice');
  const { alg, kid = null, typ, crit, b64 } = header;
  if (typeof alg !== 'string' || !algorithms.includes(alg))
    return refused('algorithm', `auth.jwt.algorithms does not name its alg${algorithmText(alg)}`);
  if (crit !== undefined || b64 !== undefined)
    return refused('malformed', 'its header asks for an extension (crit, b64); none is supported');
  if (kid !== null && (typeof kid !== 'string' || kid.length > KID_CHARS_MAX))
    return refused('malformed', `its kid is no text of at most ${KID_CHARS_MAX} characters`);
  if (typ !== undefined && !isToken(typ))
    return refused('malformed', 'its typ is neither JWT nor at+jwt');
  return { algorithm: alg, kid };
}

/** Of an algorithm's name, and of nothing else that anybody may write there. */
function algorithmText(alg: unknown): string {
  return typeof alg === 'string' && isAlgorithm(alg) ? `, ${alg}` : '';
}

/** null: not a JSON object in valid UTF-8, or one that names a key twice, of which others may read the first. */
export function jsonObjectOf(json: Buffer): Record<string, unknown> | null {
  if (!isUtf8(json)) return null;
  try {
    const value = parseAsWritten(json.toString('utf8'));
    return isObject(value) && repeatedKey(json) === null ? value : null;
  } catch {
    return null;
  }
}

function isToken(typ: unknown): boolean {
  return typeof typ === 'string' && TYPES.has(typ.toLowerCase().replace(/^application\//, ''));
}
