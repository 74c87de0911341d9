/** Makes the text of a gRPC status safe to send. Pure. */

const CHARACTERS_MAX = 1_024;
/** Bytes of the encoded header: Java and C++ implementations read 8 KiB of headers in all. */
const HEADER_BYTES_MAX = 4_096;

/**
 * `details` as the gRPC library can send them: it URI-encodes them, which throws on an unpaired surrogate, and then the
 * call is never answered. Texts from others may contain one, and so may texts that were cut.
 */
export function statusText(details: string): string {
  let text = details.slice(0, CHARACTERS_MAX).toWellFormed();
  while (encodeURI(text).length > HEADER_BYTES_MAX)
    text = text.slice(0, Math.floor(text.length / 2)).toWellFormed();
  return text;
}
