/** How many bytes of buffers were asked for: what memory an input takes before anything is read into it. */

let asked = 0;

/** From now on all buffers are counted. Views of other buffers are not buffers of their own. */
export function countAllocations(): void {
  for (const name of ['alloc', 'allocUnsafe', 'allocUnsafeSlow'] as const) {
    type Allocate = (size: number, ...rest: never[]) => Buffer<ArrayBuffer>;
    const original = Buffer[name].bind(Buffer) as Allocate;
    (Buffer as Record<typeof name, Allocate>)[name] = (size, ...rest) => {
      asked += size;
      return original(size, ...rest);
    };
  }
}

/** Bytes asked for since the last call. */
export function takeAllocated(): number {
  const taken = asked;
  asked = 0;
  return taken;
}
