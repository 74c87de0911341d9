/** The parent's own warnings and errors: operators follow logs through gateways, so a worker keeps them among its own. */
import type { Clock } from '../clock.ts';
import type { RecentLines } from '../telemetry/recent-lines.ts';
import type { Child } from './child.ts';

/** How often new ones are passed on, in milliseconds. */
const PASS_MS = 1_000;

/** @param told The last that was passed on. */
export function passLines(
  parts: { readonly clock: Clock; readonly recentLines: RecentLines },
  children: () => readonly Child[],
  told = 0,
): void {
  parts.clock.setTimer(PASS_MS, () => {
    const keeper = children().find(({ isReady }) => isReady);
    const lines = keeper === undefined ? [] : parts.recentLines.after(told);
    if (lines.length > 0) keeper!.channel.tell('lines', lines);
    passLines(parts, children, lines.at(-1)?.seq ?? told);
  });
}
