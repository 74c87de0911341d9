/** Where large lists and objects of the text that was scanned last begin and end: nobody goes through them twice. */

/** Lists and objects longer than this are not gone through again to find where they end. */
const LARGE_BYTES = 65_536;
/** So many are remembered. */
const LARGE_MAX = 1_024;
/** Where those of the last text that was scanned begin, counted in its memory, and end. */
const large = new Map<number, number>();
let largeIn: WeakRef<ArrayBufferLike> | null = null;

/** The list or object from `start` to `end`, where it is large. */
export function remember({ buffer, byteOffset }: Uint8Array, start: number, end: number): void {
  if (end - start <= LARGE_BYTES || large.size === LARGE_MAX) return;
  if (large.size === 0) largeIn = new WeakRef(buffer);
  large.set(byteOffset + start, byteOffset + end);
}

/** Where a list or object ends that was found to be large; -1: it was not. */
export function afterLarge({ buffer, byteOffset }: Uint8Array, start: number): number {
  if (large.size === 0 || largeIn?.deref() !== buffer) return -1;
  const end = large.get(byteOffset + start);
  return end === undefined ? -1 : end - byteOffset;
}

/** Another text is scanned. */
export function forgetLarge(): void {
  large.clear();
}
