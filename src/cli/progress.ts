/** Tells a person who waits what is waited for. */
import type { Clock } from '../clock.ts';

/** Nobody wonders before. */
const QUIET_MS = 1_000;

/** Waits for `work`, and says so once if it takes longer than a second. */
export async function withProgress<T>(
  clock: Clock,
  say: (line: string) => void,
  what: string,
  work: Promise<T>,
): Promise<T> {
  const cancel = clock.setTimer(QUIET_MS, () => {
    say(`${what} …`);
  });
  try {
    return await work;
  } finally {
    cancel();
  }
}
