/** Makes what delivers pushes to the sessions of this gateway. */
import { SessionCommands } from '../bus/session-commands.ts';
import type { Clock } from '../clock.ts';
import type { Config } from '../config/schema.ts';
import type { Registry } from '../session/registry.ts';
import type { Log } from '../telemetry/log.ts';
import type { Metrics } from '../telemetry/metrics.ts';
import type { TimerWheel } from '../timer-wheel.ts';
import { LogThrottle } from '../telemetry/log-throttle.ts';

export type SessionCommandsParts = {
  readonly config: Config;
  readonly clock: Clock;
  readonly log: Log;
  readonly registry: Registry;
  readonly metrics: Metrics;
  readonly wheel: TimerWheel;
};

export function makeSessionCommands(parts: SessionCommandsParts): SessionCommands {
  const { config, clock, log, registry, metrics, wheel } = parts;
  const throttle = new LogThrottle(clock);
  const fanout = metrics.histogram('pith_push_fanout', []);
  const changeLimits = {
    dataBytesMax: config.sessions.data,
    groupsMax: config.sessions.groups,
    convertBytesMax: config.limits.convert,
  };
  return new SessionCommands(registry, changeLimits, wheel, {
    onPush: (outcome, sessions) => {
      metrics.add('pith_pushes_total', [outcome], sessions);
      if (outcome === 'delivered') fanout.observe(sessions);
    },
    onUnencodable: (route, why) => {
      const more = throttle.allow(route);
      if (more !== null)
        log.warn({ route, why, ...more }, 'push cannot be encoded for some clients');
    },
  });
}
