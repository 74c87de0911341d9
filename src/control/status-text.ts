/** The text of a gRPC status, as it can be sent. Pure. */

const CHARACTERS_MAX = 1_024;
/** What it comes to in the header that carries it: servers and clients of Java and C++ read 8 KiB of headers in all. */
const HEADER_BYTES_MAX = 4_096;

/**
 * `details` as the library can send them: it escapes them as a URI, which throws over half a character, and then
 * nobody is answered. Texts of others have such, and so has what was cut from them.
 */
export function statusText(details: string): string {
  let text = details.slice(0, CHARACTERS_MAX).toWellFormed();
  while (encodeURI(text).length > HEADER_BYTES_MAX)
    text = text.slice(0, Math.floor(text.length / 2)).toWellFormed();
  return text;
}
