/** Text to bytes and back: UTF-8, and when reading also CESU-8, which stock browser clients write for emoji. */

const encoder = new TextEncoder();
const decoder = new TextDecoder('utf-8', { ignoreBOM: true });

export function encodeText(text: string): Uint8Array {
  return encoder.encode(text);
}

/** The bytes of a body that is to be sent unchanged; null: the body is not bytes. */
export function asBytes(body: unknown): Uint8Array | null {
  if (body instanceof ArrayBuffer) return new Uint8Array(body);
  return body instanceof Uint8Array ? body : null;
}

/** Invalid UTF-8 becomes U+FFFD; a surrogate pair of three bytes each becomes its character. */
export function decodeText(bytes: Uint8Array): string {
  return decoder.decode(withPairsJoined(bytes));
}

/** [CESU-8: each half of a surrogate pair in three bytes] The same bytes if there is no pair. */
function withPairsJoined(bytes: Uint8Array): Uint8Array {
  let joined: Uint8Array | null = null;
  let length = 0;
  let copied = 0;
  for (let at = bytes.indexOf(0xed); at >= 0; at = bytes.indexOf(0xed, at + 1)) {
    const high = halfAt(bytes, at, 0xa0);
    const low = halfAt(bytes, at + 3, 0xb0);
    if (high < 0 || low < 0) continue;
    joined ??= new Uint8Array(bytes.length);
    joined.set(bytes.subarray(copied, at), length);
    length += at - copied;
    const point = 0x10000 + (high << 10) + low;
    joined[length++] = 0xf0 | (point >> 18);
    joined[length++] = 0x80 | ((point >> 12) & 0x3f);
    joined[length++] = 0x80 | ((point >> 6) & 0x3f);
    joined[length++] = 0x80 | (point & 0x3f);
    at += 5;
    copied = at + 1;
  }
  if (joined === null) return bytes;
  joined.set(bytes.subarray(copied), length);
  return joined.subarray(0, length + bytes.length - copied);
}

/** The ten bits of a half whose second byte begins with `lead`; -1: there is none at `at`. */
function halfAt(bytes: Uint8Array, at: number, lead: number): number {
  const [first, second, third] = [bytes[at]!, bytes[at + 1]!, bytes[at + 2]!];
  if (first !== 0xed || (second & 0xf0) !== lead || (third & 0xc0) !== 0x80) return -1;
  return ((second & 0x0f) << 6) | (third & 0x3f);
}
