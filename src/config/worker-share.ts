/** What one of several workers may use of what the whole process may. Pure. */
import type { Config } from './schema.ts';

/** How many workers there are to be. @param cores That this process may use. */
export function workersOf({ workers }: Pick<Config, 'workers'>, cores: number): number {
  return workers === 'auto' ? Math.max(1, Math.min(WORKERS_MAX, cores)) : workers;
}

export const WORKERS_MAX = 256;

/**
 * The configuration of one worker: each limit that is for the whole process is divided by their number. What is for one
 * session or one address is the same, and so is `limits.connections_per_address`, which the parent counts.
 *
 * @param worker From 1 on; the first ones get what does not divide evenly.
 */
export function shareOf(config: Config, worker: number, workers: number): Config {
  if (workers === 1) return config;
  const whole = (of: number): number =>
    Math.max(1, Math.floor(of / workers) + (worker <= of % workers ? 1 : 0));
  const auto = <T>(of: number | T): number | T => (typeof of === 'number' ? whole(of) : of);
  const { limits, drain, telemetry } = config;
  return {
    ...config,
    id: `${config.id}-w${worker}`,
    limits: {
      ...limits,
      connections: auto(limits.connections),
      accepts_per_second: limits.accepts_per_second / workers,
      in_flight_per_backend: whole(limits.in_flight_per_backend),
      in_flight_bytes: auto(limits.in_flight_bytes),
      outboxes: auto(limits.outboxes),
      unfinished: auto(limits.unfinished),
      fanout: { ...limits.fanout, waiting: whole(limits.fanout.waiting) },
    },
    drain: { ...drain, per_second: drain.per_second / workers },
    telemetry: {
      ...telemetry,
      always: { ...telemetry.always, per_second: whole(telemetry.always.per_second) },
    },
  };
}
