/** What one session waits for. */
import type { Failure } from '../errors.ts';

/** A message that a session waits for. */
export interface InFlight {
  readonly rawId: number;
  readonly wantsAnswer: boolean;
  /** Its client is gone, so its answer is no longer needed. */
  abandon(): void;
  /** Its answer is no longer needed, but its client can be answered with `why`. */
  giveUp(why: Failure): void;
}

/** All messages that one session waits for. */
export class AllInFlight extends Set<InFlight> {
  /** True while the request that came with `rawId` waits for its answer. */
  awaits(rawId: number): boolean {
    for (const call of this) if (call.rawId === rawId && call.wantsAnswer) return true;
    return false;
  }

  giveUp(why: Failure): void {
    for (const call of this) call.giveUp(why);
  }

  // Not of a copy: each takes itself out, now or later, and what is out may be another session's message by now.
  abandon(): void {
    for (const call of this) call.abandon();
  }
}
