/** What the claims of a token that was verified say of its holder. Pure. [RFC 7519 section 4.1] */
import type { Json, JsonObject, Patch } from '../../contract/commands.ts';
import { doubleOf, isObject, isRawNumber, plainText } from '../../protocol/exact-json.ts';
import { jsonObjectOf, refused, type Refused, shown } from './token.ts';

export type ClaimRules = {
  /** '': any. */
  readonly issuer: string;
  /** '': any. */
  readonly audience: string;
  /** Claim of the uid; '': none. */
  readonly uid: string;
  /** Session data keys, and their claims. */
  readonly data: Readonly<Record<string, string>>;
  /** Claim of the roles; '': none. */
  readonly roles: string;
  readonly skewMs: number;
};

/** What a token grants. */
export type Granted = {
  /** Whose it is: what it binds, or else its `sub`; '': nobody's. */
  readonly holder: string;
  /** '': the backend says who it is. */
  readonly uid: string;
  /** Of the session data; null: the token does not say it, so it is removed. */
  readonly set: JsonObject;
  /** When it ends, in milliseconds since the epoch, without the skew. */
  readonly expiresAtWall: number;
};

/** Words of a claim, as the scope of OAuth has them. */
const WORDS = / +/;
/** Seconds since the epoch beyond which nothing is read as a time: the year 9999. */
const SECONDS_MAX = 253_402_300_799;

/** @param wallNow Milliseconds since the epoch. */
export function readClaims(
  payload: Uint8Array,
  rules: ClaimRules,
  wallNow: number,
): Granted | Refused {
  const json = Buffer.from(payload.buffer, payload.byteOffset, payload.byteLength);
  const claims = jsonObjectOf(json);
  if (claims === null)
    return refused('claims', 'its claims are no JSON object, or say something twice');
  const wrong = timeFault(claims, rules.skewMs, wallNow) ?? partiesFault(claims, rules);
  if (wrong !== null) return wrong;
  const uid = rules.uid === '' ? '' : uidOf(claimAt(claims, rules.uid));
  if (uid === null)
    return refused('claims', `its claim ${rules.uid} is no uid: neither text nor a whole number`);
  const set = Object.create(null) as JsonObject;
  for (const [key, claim] of Object.entries(rules.data))
    set[key] = (claimAt(claims, claim) ?? null) as Json;
  if (rules.roles !== '') {
    const roles = rolesOf(claimAt(claims, rules.roles));
    if (roles === null)
      return refused('claims', `its claim ${rules.roles} is neither an array of strings nor text`);
    set['roles'] = roles;
  }
  const holder = uid === '' ? (uidOf(claims['sub']) ?? '') : uid;
  return { holder, uid, set, expiresAtWall: msOf(claims['exp'])! };
}

/** The same as a change of its session. */
export function patchOf({ uid, set }: Granted): Patch {
  return { ...(uid !== '' && { uid }), ...(Object.keys(set).length > 0 && { set }) };
}

/** A claim by its name; one with dots is looked for as it is, and then inside of others. */
function claimAt(claims: Record<string, unknown>, name: string): unknown {
  if (Object.hasOwn(claims, name)) return claims[name];
  let value: unknown = claims;
  for (const segment of name.split('.')) {
    if (!isObject(value) || !Object.hasOwn(value, segment)) return undefined;
    value = value[segment];
  }
  return value;
}

/** A number may be one; of 1.0 and 1e0 it is the same. null: neither text nor a whole number. */
function uidOf(value: unknown): string | null {
  if (typeof value === 'string') return value === '' ? null : value;
  const text = isRawNumber(value)
    ? plainText(value)
    : typeof value === 'number'
      ? String(value)
      : '';
  return /^-?[0-9]+$/.test(text) ? text : null;
}

function rolesOf(value: unknown): string[] | null {
  if (value === undefined || value === null) return [];
  if (typeof value === 'string') return value.split(WORDS).filter((word) => word !== '');
  if (!Array.isArray(value) || value.some((role) => typeof role !== 'string')) return null;
  return value as string[];
}

function timeFault(
  { exp, nbf, iat }: Record<string, unknown>,
  skewMs: number,
  wallNow: number,
): Refused | null {
  if (exp === undefined) return refused('claims', 'it has no exp, so it would never end');
  for (const [name, value] of Object.entries({ exp, nbf, iat }))
    if (value !== undefined && msOf(value) === null)
      return refused('claims', `its ${name} is no number of seconds since 1970`);
  const skew = `auth.jwt.clock_skew is ${skewMs} ms`;
  const expiredMs = wallNow - msOf(exp)!;
  if (expiredMs >= skewMs)
    return refused('expired', `its exp was ${secondsOf(expiredMs)} s ago, and ${skew}`);
  for (const [name, since] of Object.entries({ nbf, iat })) {
    const aheadMs = since === undefined ? 0 : msOf(since)! - wallNow;
    if (aheadMs > skewMs)
      return refused('not_yet', `its ${name} is ${secondsOf(aheadMs)} s ahead, and ${skew}`);
  }
  return null;
}

/** For people. */
function secondsOf(ms: number): number {
  return Math.round(ms / 100) / 10;
}

/** Milliseconds since the epoch; null: not a number, or beyond all time. [RFC 7519 section 2: NumericDate] */
function msOf(value: unknown): number | null {
  const seconds = isRawNumber(value) ? doubleOf(value.rawJSON) : value;
  const isTime = typeof seconds === 'number' && seconds >= 0 && seconds <= SECONDS_MAX;
  return isTime ? seconds * 1_000 : null;
}

function partiesFault(
  { iss, aud }: Record<string, unknown>,
  { issuer, audience }: ClaimRules,
): Refused | null {
  if (issuer !== '' && iss !== issuer)
    return refused('issuer', `its iss is ${shown(iss)}, and auth.jwt.issuer is ${shown(issuer)}`);
  if (audience === '' || aud === audience) return null;
  if (Array.isArray(aud) && aud.includes(audience)) return null;
  return refused(
    'audience',
    `its aud is ${shown(aud)}, and auth.jwt.audience is ${shown(audience)}`,
  );
}
