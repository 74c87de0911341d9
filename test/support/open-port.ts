/** A port with a place for everybody, for servers that are started without a gateway. */
import type { MakePort } from '../../src/control/http.ts';
import { makeLog } from '../../src/telemetry/log.ts';
import type { TimerWheel } from '../../src/timer-wheel.ts';
import { Port } from '../../src/transport/port.ts';

export function openPort(wheel: TimerWheel): MakePort {
  const log = makeLog({ level: 'info', format: 'json', write: () => {} });
  const options = { name: () => 'test', waitMs: 60_000, crowdedAt: Infinity };
  return (onFirst) =>
    new Port(options, { wheel, log }, { onFirst, mayAccept: () => true, onRefused: () => {} });
}
