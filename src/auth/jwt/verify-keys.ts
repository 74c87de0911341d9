/**
 * Keys that tokens are verified with, each bound to the algorithms of its own type: an RSA key is never taken for a
 * secret, whatever a token says. Pure.
 */
import { createPublicKey, createSecretKey, type JsonWebKey, type KeyObject } from 'node:crypto';

import { keyFor, SECRET_BYTES_MIN, UNNAMED_KEYS_MAX, usesSecret } from '../../config/jwt-keys.ts';
import { isObject } from '../../protocol/exact-json.ts';
import { parseJsonText } from '../../protocol/json-parse.ts';

/** Bits of an RSA key: fewer are not safe, and more take too long. [RFC 7518 section 3.3] */
const RSA_BITS_MIN = 2_048;
const RSA_BITS_MAX = 8_192;
/** With 1 anything is a valid signature; large ones take too long. */
const RSA_EXPONENT_MIN = 3n;
const RSA_EXPONENT_MAX = 0xffff_ffffn;
/** Keys of one JWKS. */
export const JWKS_KEYS_MAX = 100;
/** Characters of a key's name. */
export const KID_CHARS_MAX = 256;
/** Where a key says no more than this, it is any key of its type. */
const USES = new Set(['sig', undefined]);

const RSA = ['RS256', 'RS384', 'RS512', 'PS256', 'PS384', 'PS512'];
const EC: Readonly<Record<string, string>> = {
  prime256v1: 'ES256',
  secp384r1: 'ES384',
  secp521r1: 'ES512',
};

/** What is wrong with a key; never shows it. */
export class KeyFault extends Error {
  override readonly name = 'KeyFault';
}

export type VerifyKey = {
  /** null: it has none, and may be the key of any token. */
  readonly kid: string | null;
  /** Those that this type of key is for, and that are allowed. */
  readonly algorithms: ReadonlySet<string>;
  readonly key: KeyObject;
};

/** The keys at one place in the configuration or behind one URL. */
export class KeyRing {
  readonly keys: readonly VerifyKey[];
  /** What else there was, and why it cannot be used. */
  readonly faults: readonly string[];

  /** @throws {KeyFault} There are too many without a name. */
  constructor(keys: readonly VerifyKey[], faults: readonly string[] = []) {
    const unnamed = keys.filter(({ kid }) => kid === null).length;
    if (unnamed > UNNAMED_KEYS_MAX)
      throw new KeyFault(`${unnamed} keys without a kid; at most ${UNNAMED_KEYS_MAX} are allowed`);
    this.keys = keys;
    this.faults = faults;
  }

  /**
   * Those that a token with this header may be signed with: with a `kid` those of that name, or those without any;
   * without a `kid` all that fit, up to a bound.
   */
  find(algorithm: string, kid: string | null): readonly VerifyKey[] {
    const fitting = this.keys.filter(({ algorithms }) => algorithms.has(algorithm));
    const named = kid === null ? fitting : fitting.filter((key) => key.kid === kid);
    const found = named.length > 0 ? named : fitting.filter((key) => key.kid === null);
    return found.slice(0, UNNAMED_KEYS_MAX);
  }
}

/**
 * The keys of a text: a public key in PEM, a JWK or a JWKS.
 *
 * @param allowed The algorithms of `auth.jwt.algorithms`.
 * @throws {KeyFault} Says what is wrong, and what to do.
 */
export function readVerifyKeys(text: string, allowed: readonly string[]): VerifyKey[] {
  if (/^\s*[{[]/.test(text)) return readJwks(text, allowed);
  return [bound(publicKeyOf(text), null, allowed)];
}

/** A secret of `auth.jwt.secrets`. @throws {KeyFault} It is too short. */
export function secretKey(
  bytes: Uint8Array,
  allowed: readonly string[],
  kid: string | null = null,
): VerifyKey {
  const own = allowed.filter(usesSecret);
  const bytesMin = Math.max(
    SECRET_BYTES_MIN['HS256']!,
    ...own.map((name) => SECRET_BYTES_MIN[name]!),
  );
  if (bytes.length < bytesMin)
    throw new KeyFault(`a secret of ${bytes.length} bytes; it needs at least ${bytesMin}`);
  if (own.length === 0)
    throw new KeyFault('a secret, and no algorithm of auth.jwt.algorithms uses one');
  return { kid, algorithms: new Set(own), key: createSecretKey(bytes) };
}

/**
 * What of a JWKS can be used, where whoever serves it may add keys of any kind. Secrets and private keys are never
 * used: everyone can read them.
 *
 * @throws {KeyFault} It is no JWKS, or nothing in it can be used.
 */
export function readServedJwks(text: string, allowed: readonly string[]): KeyRing {
  const value = jsonOf(text);
  const keys = isObject(value) ? value['keys'] : undefined;
  if (!Array.isArray(keys)) throw new KeyFault('not a JWKS: expected {"keys":[…]}');
  if (keys.length > JWKS_KEYS_MAX)
    throw new KeyFault(`${keys.length} keys; at most ${JWKS_KEYS_MAX} are allowed`);
  const faults: string[] = [];
  const usable = keys.flatMap((jwk: unknown) => {
    try {
      if (isObject(jwk) && jwk['kty'] === 'oct')
        throw new KeyFault('a secret that everyone can read');
      if (isObject(jwk) && 'd' in jwk) throw new KeyFault('a private key that everyone can read');
      return [readJwk(jwk, allowed)];
    } catch (error) {
      faults.push(`${faultOf(error).message}${kidText(jwk)}`);
      return [];
    }
  });
  if (usable.length === 0)
    throw new KeyFault(
      `none of its ${keys.length} keys can be used${faults.length > 0 ? `: ${faults[0]}` : ''}`,
    );
  return new KeyRing(usable, faults);
}

/** Which of them it is; '': it has no name. */
function kidText(jwk: unknown): string {
  const kid = isObject(jwk) ? jwk['kid'] : undefined;
  return typeof kid === 'string' ? ` (kid ${JSON.stringify(kid.slice(0, KID_CHARS_MAX))})` : '';
}

function readJwks(text: string, allowed: readonly string[]): VerifyKey[] {
  const value = jsonOf(text);
  const list = isObject(value) && Array.isArray(value['keys']) ? value['keys'] : [value];
  if (list.length === 0) throw new KeyFault('a JWKS without keys');
  if (list.length > JWKS_KEYS_MAX)
    throw new KeyFault(`${list.length} keys; at most ${JWKS_KEYS_MAX} are allowed`);
  return list.map((jwk: unknown) => readJwk(jwk, allowed));
}

function jsonOf(text: string): unknown {
  try {
    return parseJsonText(text);
  } catch (error) {
    throw new KeyFault('not valid JSON', { cause: error });
  }
}

function readJwk(value: unknown, allowed: readonly string[]): VerifyKey {
  if (!isObject(value)) throw new KeyFault('not a JSON Web Key: expected an object');
  const { kty, kid = null, use, key_ops: ops, alg } = value;
  if (kid !== null && (typeof kid !== 'string' || kid.length > KID_CHARS_MAX))
    throw new KeyFault(`a kid that is no text of at most ${KID_CHARS_MAX} characters`);
  const mayVerify = ops === undefined || (Array.isArray(ops) && ops.includes('verify'));
  if (!USES.has(use as string) || !mayVerify)
    throw new KeyFault('a key that is not for signatures');
  const mayBe = alg === undefined ? allowed : allowed.filter((name) => name === alg);
  if (mayBe.length === 0)
    throw new KeyFault('a key for an algorithm that auth.jwt.algorithms does not name');
  if (kty === 'oct') return secretKey(secretOf(value), mayBe, kid);
  if ('d' in value) throw new KeyFault(PRIVATE);
  try {
    const key = createPublicKey({ key: value as JsonWebKey, format: 'jwk' });
    return bound(key, kid, mayBe);
  } catch (error) {
    throw faultOf(error);
  }
}

const PRIVATE =
  'a private key, and the gateway needs only its public key: openssl pkey -in private.pem -pubout';

function secretOf({ k }: Record<string, unknown>): Buffer {
  if (typeof k !== 'string') throw new KeyFault('a secret without its bytes, "k"');
  return Buffer.from(k, 'base64url');
}

function publicKeyOf(text: string): KeyObject {
  const [, label = ''] = /-----BEGIN ([A-Z0-9 ]+)-----/.exec(text) ?? [];
  if (label === '')
    throw new KeyFault(
      'neither PEM, "-----BEGIN PUBLIC KEY-----", nor a JWK, nor a JWKS; a secret goes into auth.jwt.secrets',
    );
  if (label.endsWith('PRIVATE KEY')) throw new KeyFault(PRIVATE);
  if (label.endsWith('CERTIFICATE'))
    throw new KeyFault(
      'a certificate; give its public key: openssl x509 -in cert.pem -noout -pubkey',
    );
  if (text.split('-----BEGIN ').length > 2)
    throw new KeyFault('more than one key; give each a file of its own');
  try {
    return createPublicKey(text);
  } catch (error) {
    throw new KeyFault('not a readable public key', { cause: error });
  }
}

/** Binds a key to the allowed algorithms of its type. @throws {KeyFault} No allowed algorithm fits the key, or the key is too weak. */
function bound(key: KeyObject, kid: string | null, allowed: readonly string[]): VerifyKey {
  const own = algorithmsOf(key);
  const algorithms = new Set(allowed.filter((name) => own.includes(name)));
  if (algorithms.size === 0) {
    const wanted = allowed.length === 0 ? 'nothing' : allowed.map(keyFor).join(' or ');
    throw new KeyFault(`a key for ${own.join(' ')}, and auth.jwt.algorithms wants ${wanted}`);
  }
  return { kid, algorithms, key };
}

function algorithmsOf(key: KeyObject): readonly string[] {
  const {
    modulusLength = 0,
    publicExponent = 0n,
    namedCurve = '',
  } = key.asymmetricKeyDetails ?? {};
  switch (key.asymmetricKeyType) {
    case 'rsa':
      if (modulusLength < RSA_BITS_MIN || modulusLength > RSA_BITS_MAX)
        throw new KeyFault(
          `an RSA key of ${modulusLength} bits; ${RSA_BITS_MIN} to ${RSA_BITS_MAX} are allowed`,
        );
      if (publicExponent < RSA_EXPONENT_MIN || publicExponent > RSA_EXPONENT_MAX)
        throw new KeyFault('an RSA key with an exponent that is not safe; 65537 is usual');
      return RSA;
    case 'ec': {
      const algorithm = EC[namedCurve];
      if (algorithm === undefined)
        throw new KeyFault(`a key on the curve ${namedCurve}; expected P-256, P-384 or P-521`);
      return [algorithm];
    }
    case 'ed25519':
      return ['EdDSA', 'Ed25519'];
    default:
      throw new KeyFault(`a key of type ${key.asymmetricKeyType}; expected RSA, EC or Ed25519`);
  }
}

function faultOf(error: unknown): KeyFault {
  if (error instanceof KeyFault) return error;
  return new KeyFault('not a readable key', { cause: error });
}
