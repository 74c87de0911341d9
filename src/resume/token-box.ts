/**
 * Resume tokens as clients see them: sealed, so that a client can neither read nor change what is in one.
 *
 *     base64url( version 1 · length of the gateway id · gateway id · counter, 6 bytes · ciphertext · tag, 16 bytes )
 *
 * AES-256-GCM. Each gateway has a subkey of its own, derived from the configured key by HKDF-SHA-256 with its id, and
 * counts its tokens in the nonce; an id is never used again, so no nonce is used twice with one key. [RFC 5116 3.2,
 * RFC 5869] The head is authenticated too.
 */
import {
  createCipheriv,
  createDecipheriv,
  createSecretKey,
  hkdfSync,
  type KeyObject,
} from 'node:crypto';

/** Characters of a token; of a session with more uid, data and groups than fit none is made. */
export const TOKEN_CHARS_MAX = 4_096;

const VERSION = 1;
const CIPHER = 'aes-256-gcm';
const KEY_BYTES = 32;
const NONCE_BYTES = 12;
const COUNTER_BYTES = 6;
const TAG_BYTES = 16;
/** Before the gateway id. */
const PREFIX_BYTES = 2;
const PURPOSE = 'pith resume token 1';
/** Subkeys of other gateways that are kept, for each key. */
const SUBKEYS_MAX = 1_000;

type Parts = {
  readonly gatewayId: string;
  readonly head: Buffer;
  readonly nonce: Buffer;
  readonly sealed: Buffer;
  readonly tag: Buffer;
};

export class TokenBox {
  #keys: readonly Buffer[] = [];
  #subkeys: readonly Map<string, KeyObject>[] = [];
  #ownSubkey!: KeyObject;
  readonly #gatewayId: string;
  readonly #head: Buffer;
  /** Of the last token. */
  #count = 0;

  /** @param keys 32 bytes each, at least one: the first seals, all open. @param gatewayId At most 64 characters of ASCII. */
  constructor(keys: readonly Buffer[], gatewayId: string) {
    this.#gatewayId = gatewayId;
    const id = Buffer.from(gatewayId);
    this.#head = Buffer.concat([Buffer.from([VERSION, id.length]), id]);
    this.setKeys(keys);
  }

  /** Others from now on, as in the constructor. The count goes on: a key that comes back meets no nonce again. */
  setKeys(keys: readonly Buffer[]): void {
    this.#keys = keys;
    this.#subkeys = keys.map(() => new Map<string, KeyObject>());
    this.#ownSubkey = subkey(keys[0]!, this.#gatewayId);
  }

  /** null: it would be longer than a token may be. */
  seal(plain: Buffer): string | null {
    const headBytes = this.#head.length + COUNTER_BYTES;
    if (charsOf(headBytes + plain.length + TAG_BYTES) > TOKEN_CHARS_MAX) return null;
    const head = Buffer.alloc(headBytes);
    this.#head.copy(head);
    head.writeUIntBE(++this.#count, this.#head.length, COUNTER_BYTES);
    const nonce = nonceOf(head.subarray(this.#head.length));
    const cipher = createCipheriv(CIPHER, this.#ownSubkey, nonce);
    cipher.setAAD(head);
    const sealed = cipher.update(plain);
    return Buffer.concat([head, sealed, cipher.final(), cipher.getAuthTag()]).toString('base64url');
  }

  /** What was sealed; null: it is no token of a key that is known. Every text of the same length takes about as long. */
  open(token: string): Buffer | null {
    if (token.length > TOKEN_CHARS_MAX) return null;
    const bytes = Buffer.from(token, 'base64url');
    // A malformed token is decrypted like any other, so that the time it takes reveals nothing.
    const parts = partsOf(bytes) ?? partsOf(Buffer.concat([this.#head, Buffer.alloc(64), bytes]))!;
    let opened: Buffer | null = null;
    for (const [i, key] of this.#keys.entries()) {
      const known = this.#subkeys[i]!.get(parts.gatewayId);
      const used = known ?? subkey(key, parts.gatewayId);
      const plain = decrypted(parts, used);
      if (plain === null) continue;
      opened = plain;
      if (known === undefined) keep(this.#subkeys[i]!, parts.gatewayId, used);
    }
    // Decoding base64 forgives; a token has one spelling.
    return bytes.toString('base64url') === token ? opened : null;
  }
}

function charsOf(bytes: number): number {
  return Math.ceil((bytes * 4) / 3);
}

/** An object: OpenSSL takes bytes in anew for each token, which costs more than to seal it. */
function subkey(key: Buffer, gatewayId: string): KeyObject {
  const bytes = hkdfSync('sha256', key, '', `${PURPOSE} ${gatewayId}`, KEY_BYTES);
  return createSecretKey(Buffer.from(bytes));
}

/** Only of tokens that are genuine, so nobody else decides what is kept. */
function keep(subkeys: Map<string, KeyObject>, gatewayId: string, used: KeyObject): void {
  if (subkeys.size >= SUBKEYS_MAX) subkeys.delete(subkeys.keys().next().value!);
  subkeys.set(gatewayId, used);
}

function nonceOf(counter: Buffer): Buffer {
  const nonce = Buffer.alloc(NONCE_BYTES);
  counter.copy(nonce, NONCE_BYTES - COUNTER_BYTES);
  return nonce;
}

function partsOf(bytes: Buffer): Parts | null {
  const headBytes = PREFIX_BYTES + (bytes[1] ?? 0) + COUNTER_BYTES;
  if (bytes[0] !== VERSION || bytes.length < headBytes + TAG_BYTES) return null;
  const head = bytes.subarray(0, headBytes);
  const idEnd = headBytes - COUNTER_BYTES;
  const end = bytes.length - TAG_BYTES;
  return {
    gatewayId: bytes.toString('latin1', PREFIX_BYTES, idEnd),
    head,
    nonce: nonceOf(bytes.subarray(idEnd, headBytes)),
    sealed: bytes.subarray(headBytes, end),
    tag: bytes.subarray(end),
  };
}

function decrypted({ head, nonce, sealed, tag }: Parts, key: KeyObject): Buffer | null {
  const decipher = createDecipheriv(CIPHER, key, nonce, { authTagLength: TAG_BYTES });
  decipher.setAAD(head);
  decipher.setAuthTag(tag);
  try {
    return Buffer.concat([decipher.update(sealed), decipher.final()]);
  } catch {
    return null;
  }
}
