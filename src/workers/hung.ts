/** Workers that hang: their event loop stands still, or they were stopped. */
import type { Clock } from '../clock.ts';
import type { Log } from '../telemetry/log.ts';
import { type Child, LOOK_MS } from './child.ts';

/** How long one may take to its first word at least, in milliseconds: all may start at once. */
const FIRST_WORD_MS = 60_000;

/** Kills them, which counts as a crash. @param timeoutMs How long one may say nothing; 0: for ever. */
export function endHung(
  parts: { readonly clock: Clock; readonly log: Log },
  children: () => readonly Child[],
  timeoutMs: () => number,
): void {
  parts.clock.setTimer(LOOK_MS, () => {
    endHung(parts, children, timeoutMs);
    const timeout = timeoutMs();
    for (const child of children()) {
      child.look();
      const { n, silentMs, program, status } = child;
      const most = child.isHeard ? timeout : Math.max(timeout, FIRST_WORD_MS);
      if (timeout === 0 || silentMs < most || child.isKilled) continue;
      child.isKilled = true;
      parts.log.error({ worker: n, gateway: status.gateway, silentMs }, 'the worker hangs: it is killed'); // prettier-ignore
      program.kill('SIGKILL');
    }
  });
}
