/** Small things about bytes that many files need. */

/** No bytes at all. */
export const NOTHING: Buffer = Buffer.alloc(0);
/** The shortest body that every client can read. */
export const EMPTY_OBJECT: Buffer = Buffer.from('{}');

/** The same bytes as a Buffer; nothing is copied. */
export function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
}
