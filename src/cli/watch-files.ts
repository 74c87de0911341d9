/**
 * Notices that files have changed. They are polled and their text compared: file system notifications would miss how
 * Kubernetes updates a mounted ConfigMap, by swapping a symbolic link above it.
 */
import { readFileSync } from 'node:fs';

import type { Clock } from '../clock.ts';

/** Milliseconds between two checks of the files. A change counts once two checks have found the same. */
export const WATCH_MS = 2_000;

/** What is known of a file. */
type Watched = { known: string | null; seen: string | null };

/**
 * @param files Asked anew each time: a configuration may name others later.
 * @param onChanged Called with the file's name. One that cannot be read is as it was.
 */
export function watchFiles(
  files: () => readonly string[],
  clock: Clock,
  onChanged: (file: string) => void,
): void {
  let watched = new Map<string, Watched>();
  const look = (file: string): Watched => {
    const text = textOf(file);
    return { known: text, seen: text };
  };
  const check = (): void => {
    clock.setTimer(WATCH_MS, check);
    watched = new Map(files().map((file) => [file, watched.get(file) ?? look(file)]));
    for (const [file, one] of watched) {
      const text = textOf(file);
      const isSettled = text === one.seen;
      one.seen = text;
      if (!isSettled || text === one.known || text === null) continue;
      one.known = text;
      onChanged(file);
    }
  };
  for (const file of files()) watched.set(file, look(file));
  clock.setTimer(WATCH_MS, check);
}

function textOf(file: string): string | null {
  // A pipe would be read to its end, and wait for one.
  if (file.startsWith('/dev/') || file.startsWith('/proc/')) return null;
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return null;
  }
}
