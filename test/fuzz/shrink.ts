/** Makes an input that fails as short, and as plain, as it can be while it fails in the same way. */

/** Runs of the target that this may take, and the time, for an input that takes long. */
const RUNS_MAX = 1_500;
const TIME_MAX_MS = 20_000;

/** @param fails The error, if the input fails in the same way. */
export async function shrunk(
  input: Buffer,
  error: unknown,
  fails: (input: Buffer) => Promise<unknown>,
): Promise<{ bytes: Buffer; error: unknown }> {
  let best: Buffer = Buffer.from(input);
  let last = error;
  let runs = 0;
  const until = performance.now() + TIME_MAX_MS;
  const isOver = (): boolean => runs >= RUNS_MAX || performance.now() > until;
  const attempt = async (made: Buffer): Promise<boolean> => {
    if (isOver()) return false;
    runs++;
    const thrown = await fails(made);
    if (thrown === undefined) return false;
    best = made;
    last = thrown;
    return true;
  };
  for (let size = Math.ceil(best.length / 2); size > 0 && !isOver(); size = Math.floor(size / 2)) {
    for (let at = 0; at < best.length && !isOver();) {
      const without = Buffer.concat([best.subarray(0, at), best.subarray(at + size)]);
      if (!(await attempt(without))) at += size;
    }
  }
  for (let at = 0; at < best.length && !isOver(); at++) {
    const isPlain = best[at] === 0x61 || best[at] === 0x30 || best[at] === 0;
    if (isPlain) continue;
    for (const byte of [0x61, 0x30, 0]) {
      const plain = Buffer.from(best);
      plain[at] = byte;
      if (await attempt(plain)) break;
    }
  }
  return { bytes: best, error: last };
}
