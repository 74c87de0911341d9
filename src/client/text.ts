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

/** Invalid UTF-8 becomes U+FFFD; a surrogate pair of three bytes each becomes its character. [CESU-8] */
export function decodeText(bytes: Uint8Array): string {
  let text = '';
  let from = 0;
  for (let at = bytes.indexOf(0xed); at >= 0; at = bytes.indexOf(0xed, at + 1)) {
    const high = halfAt(bytes, at, 0xa0);
    const low = halfAt(bytes, at + 3, 0xb0);
    if (high < 0 || low < 0) continue;
    text += decoder.decode(bytes.subarray(from, at));
    text += String.fromCharCode(0xd800 | high, 0xdc00 | low);
    from = at + 6;
    at += 5;
  }
  return text + decoder.decode(bytes.subarray(from));
}

/** The ten bits of a half whose second byte begins with `lead`; -1: there is none at `at`. */
function halfAt(bytes: Uint8Array, at: number, lead: number): number {
  const [first, second, third] = [bytes[at]!, bytes[at + 1]!, bytes[at + 2]!];
  if (first !== 0xed || (second & 0xf0) !== lead || (third & 0xc0) !== 0x80) return -1;
  return ((second & 0x0f) << 6) | (third & 0x3f);
}
