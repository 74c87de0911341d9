/** What backends send that nobody can use, and what they were to be told and were not: counted, and some of it logged. */
import type { Clock } from '../clock.ts';
import type { Log } from '../telemetry/log.ts';
import type { Metrics } from '../telemetry/metrics.ts';
import { LogThrottle } from '../telemetry/log-throttle.ts';

/** By the label of the counter: what the log says of it. */
const WORDS = {
  push: 'push refused',
  change: 'session change refused',
  line: 'backend line',
  frame: 'backend frame',
  untold: 'could not report ended sessions',
} as const;

export type DroppedParts = {
  readonly clock: Clock;
  readonly log: Log;
  readonly metrics: Metrics;
};

/** `kind`: of the lines of each a few are logged. */
export type TellDropped = (
  what: keyof typeof WORDS,
  why: string,
  more?: { readonly kind?: string; readonly [field: string]: unknown },
) => void;

export function droppedTeller(name: string, { clock, log, metrics }: DroppedParts): TellDropped {
  const throttle = new LogThrottle(clock);
  return (what, why, { kind = '', ...more } = {}) => {
    metrics.add('pith_backend_messages_dropped_total', [name, what]);
    const left = throttle.allow(`${what} ${kind}`);
    if (left !== null) log.warn({ backend: name, ...more, why, ...left }, WORDS[what]);
  };
}
