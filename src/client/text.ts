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
  for (let at = bytes.indexOf(0xed); at >= 0; at = bytes.indexOf(0xed, at + 1)) {
    if (bytes[at + 1]! >= 0xa0) return decodeHalves(bytes);
  }
  return decoder.decode(bytes);
}

/** [CESU-8: each half of a surrogate pair in three bytes. In a JavaScript string the two halves are the character.] */
function decodeHalves(bytes: Uint8Array): string {
  let text = '';
  for (let at = 0; at < bytes.length;) {
    const first = bytes[at++]!;
    let more = first < 0xc0 ? 0 : first < 0xe0 ? 1 : first < 0xf0 ? 2 : 3;
    let point = more === 0 ? first : first & (0x3f >> more);
    for (; more > 0; more--) point = (point << 6) | (bytes[at++]! & 0x3f);
    text += String.fromCodePoint(point > 0x10ffff ? 0xfffd : point);
  }
  return text;
}
