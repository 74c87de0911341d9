/**
 * Pomelo's useCrypto: a client signs what it sends with a key that it generated and announced in the handshake. This
 * proves that one client sent all messages of a session, and nothing about who that client is.
 */
import { createPublicKey, type KeyObject, verify } from 'node:crypto';
import { JSON_DEPTH, nestsDeeper } from '../protocol/conversion-limit.ts';
import { parseJsonText } from '../protocol/json-parse.ts';

/** Bits of a client's key: stock clients use 1024. Longer keys cost the gateway time for each message. */
const KEY_BITS_MIN = 512;
const KEY_BITS_MAX = 4_096;

const FIELD = Buffer.from('"__crypto__":"');

/** The key in `sys.rsa`: `rsa_n` in hex, `rsa_e` a number. null: there is no usable key. */
export function readPublicKey(sys: Readonly<Record<string, unknown>>): KeyObject | null {
  const rsa = sys['rsa'];
  if (typeof rsa !== 'object' || rsa === null) return null;
  const { rsa_n: modulus, rsa_e: exponent } = rsa as Record<string, unknown>;
  if (typeof modulus !== 'string' || !/^[0-9a-fA-F]+$/.test(modulus)) return null;
  const bits = 4 * modulus.length;
  if (bits < KEY_BITS_MIN || bits > KEY_BITS_MAX) return null;
  // An object may have no number, and asking it for one would throw.
  const e = typeof exponent === 'object' ? Number.NaN : Number(exponent);
  if (!Number.isSafeInteger(e) || e < 3 || e > 0xffff_ffff) return null;
  try {
    return createPublicKey({
      format: 'jwk',
      key: { kty: 'RSA', n: base64url(modulus), e: base64url(e.toString(16)) },
    });
  } catch {
    return null;
  }
}

function base64url(hex: string): string {
  return Buffer.from(hex.length % 2 === 0 ? hex : `0${hex}`, 'hex').toString('base64url');
}

/**
 * The body without its signature, or null if the signature is missing or wrong. `body` is JSON in UTF-8.
 *
 * The client signed the JSON text as it was before the signature was added as the last key, so that text is verified
 * first, byte for byte. Pomelo verifies the text after parsing and stringifying it, so that is tried second, for JSON that
 * is nested at most `jsonDepthMax` deep.
 * [pomelo components/connector.js verifyMessage; there, text with CJK characters fails on any newer Node]
 */
export function verified(body: Buffer, key: KeyObject, jsonDepthMax = JSON_DEPTH): Buffer | null {
  const at = body.lastIndexOf(FIELD);
  if (at < 1) return null;
  const signatureAt = at + FIELD.length;
  const signatureEnd = body.indexOf(0x22, signatureAt);
  if (signatureEnd < 0) return null;
  const hex = body.toString('latin1', signatureAt, signatureEnd);
  if (!/^[0-9a-f]+$/i.test(hex)) return null;
  const signature = Buffer.from(hex, 'hex');
  const text = withoutField(body, at, signatureEnd + 1);
  if (text !== null && verify('sha256', text, key, signature)) return text;
  const again = nestsDeeper(body, jsonDepthMax) ? null : writtenAgain(body);
  return again !== null && verify('sha256', again, key, signature) ? again : null;
}

/** The text before the field was added; null if the field is not the last one. */
function withoutField(body: Buffer, at: number, end: number): Buffer | null {
  if (end !== body.length - 1 || body[end] !== 0x7d) return null;
  const before = body[at - 1];
  if (before === 0x2c) return Buffer.concat([body.subarray(0, at - 1), body.subarray(end)]);
  return before === 0x7b ? Buffer.from('{}') : null;
}

function writtenAgain(body: Buffer): Buffer | null {
  try {
    const value = parseJsonText(body.toString()) as Record<string, unknown> | null;
    if (typeof value !== 'object' || value === null) return null;
    delete value['__crypto__'];
    return Buffer.from(JSON.stringify(value));
  } catch {
    return null;
  }
}
