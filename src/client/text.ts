/** Text to bytes and back: UTF-8, and on reading also what stock browser clients make of an emoji. */

const encoder = new TextEncoder();
const decoder = new TextDecoder('utf-8', { ignoreBOM: true });

export function encodeText(text: string): Uint8Array {
  return encoder.encode(text);
}

/** A body that is bytes, to be sent as they are; null: it is something else. */
export function asBytes(body: unknown): Uint8Array | null {
  if (body instanceof ArrayBuffer) return new Uint8Array(body);
  return body instanceof Uint8Array ? body : null;
}

/** Bytes that are no UTF-8 become U+FFFD; a surrogate pair of three bytes each becomes its character. */
export function decodeText(bytes: Uint8Array): string {
  for (let at = bytes.indexOf(0xed); at >= 0; at = bytes.indexOf(0xed, at + 1)) {
    if (bytes[at + 1]! >= 0xa0) return decodeHalves(bytes);
  }
  return decoder.decode(bytes);
}

/** [CESU-8: each half of a surrogate pair in three bytes. In a string of JavaScript two halves are the character.] */
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
