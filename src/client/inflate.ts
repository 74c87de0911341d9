/** Pitaya's compressed bodies: zlib (whatever its source calls it), and gzip from some of its variants. */

/** [RFC 1950: a first byte of 78, a second that makes both a multiple of 31. RFC 1952: 1F 8B] */
export function isDeflated(bytes: Uint8Array): boolean {
  if (bytes.length < 2) return false;
  const head = (bytes[0]! << 8) | bytes[1]!;
  return head === 0x1f8b || (bytes[0] === 0x78 && head % 31 === 0);
}

/**
 * @returns The inflated bytes.
 * @throws {Error} They are corrupt, or inflate to more than `bytesMax`.
 */
export async function inflate(bytes: Uint8Array, bytesMax: number): Promise<Uint8Array> {
  const format = bytes[0] === 0x1f ? 'gzip' : 'deflate';
  const stream = new Blob([bytes as Uint8Array<ArrayBuffer>]).stream();
  const reader = stream.pipeThrough(new DecompressionStream(format)).getReader();
  const chunks: Uint8Array<ArrayBuffer>[] = [];
  let length = 0;
  for (;;) {
    const { done, value } = await reader.read();
    if (done) break;
    length += value.length;
    if (length > bytesMax) {
      await reader.cancel();
      throw new RangeError(`more than ${bytesMax} bytes`);
    }
    chunks.push(value);
  }
  return new Uint8Array(await new Blob(chunks).arrayBuffer());
}
