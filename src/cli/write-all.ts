/** Writes text to a file descriptor before it returns; streams may lose what is unwritten when the process exits. */
import { writeSync } from 'node:fs';

/** Milliseconds to wait for a reader that has stopped reading, and between looks at it. */
const READER_MS = 2_000;
const READER_LOOK_MS = 5;

/**
 * Writes all of it: a pipe takes 64 KiB at once, and no more until some of that is read. Never throws.
 *
 * @returns Whether it was written; false: there is no reader, or none that reads within 2 s.
 */
export function writeAll(fd: number, text: string): boolean {
  const bytes = Buffer.from(text);
  const pause = new Int32Array(new SharedArrayBuffer(4));
  let at = 0;
  for (let waitedMs = 0; at < bytes.length && waitedMs < READER_MS;) {
    try {
      at += writeSync(fd, bytes, at);
      waitedMs = 0;
    } catch (error) {
      if ((error as { code?: unknown }).code !== 'EAGAIN') return false;
      Atomics.wait(pause, 0, 0, READER_LOOK_MS);
      waitedMs += READER_LOOK_MS;
    }
  }
  return at === bytes.length;
}
