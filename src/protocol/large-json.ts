/** Where the large lists and objects of the text scanned last begin and end, so that none is scanned twice. */

/** Lists and objects longer than this are not scanned again to find where they end. */
const LARGE_BYTES = 65_536;
/** How many are remembered. */
const LARGE_MAX = 1_024;
/** Start to end of those in the text scanned last, as offsets in its ArrayBuffer. */
const large = new Map<number, number>();
let largeIn: WeakRef<ArrayBufferLike> | null = null;

/** Remembers the list or object from `start` to `end` if it is large. */
export function remember({ buffer, byteOffset }: Uint8Array, start: number, end: number): void {
  if (end - start <= LARGE_BYTES || large.size === LARGE_MAX) return;
  if (large.size === 0) largeIn = new WeakRef(buffer);
  large.set(byteOffset + start, byteOffset + end);
}

/** End of a list or object that is remembered; -1: it is not. */
export function afterLarge({ buffer, byteOffset }: Uint8Array, start: number): number {
  if (large.size === 0 || largeIn?.deref() !== buffer) return -1;
  const end = large.get(byteOffset + start);
  return end === undefined ? -1 : end - byteOffset;
}

/** To be called before another text is scanned. */
export function forgetLarge(): void {
  large.clear();
}
