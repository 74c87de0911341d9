/** A port with a place for everybody, for servers that are started without a gateway. */
import type { MakePort } from '../../src/control/http.ts';
import { systemClock } from '../../src/clock.ts';
import { makeLog } from '../../src/telemetry/log.ts';
import { Metrics } from '../../src/telemetry/metrics.ts';
import type { TimerWheel } from '../../src/timer-wheel.ts';
import { OperatorPort } from '../../src/transport/operator-port.ts';

export function openPort(wheel: TimerWheel): MakePort {
  const log = makeLog({ clock: systemClock, level: 'info', format: 'json', write: () => {} });
  const parts = { clock: systemClock, wheel, log, metrics: new Metrics() };
  const options = { name: () => 'test', waitMs: 60_000, crowdedAt: Infinity } as const;
  return (serve) =>
    new OperatorPort({ ...options, mayAccept: () => true, label: 'admin' }, null, parts, serve);
}
