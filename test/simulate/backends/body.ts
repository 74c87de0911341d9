/** What the bodies of requests say to a backend: `{"n":17,…}`. */

const PREFIX = Buffer.from('{"n":');

/** The number of the request; 0: it has none. */
export function numberOf(body: Uint8Array): number {
  for (let i = 0; i < PREFIX.length; i++) if (body[i] !== PREFIX[i]) return 0;
  let n = 0;
  for (let at = PREFIX.length; at < body.length; at++) {
    const digit = body[at]! - 0x30;
    if (digit < 0 || digit > 9) break;
    n = n * 10 + digit;
  }
  return n;
}
