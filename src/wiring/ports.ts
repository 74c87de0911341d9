/** The ports that are not for clients: as many connections as there is room for, and so long to say what they want. */
import { parseAddress } from '../config/address.ts';
import type { Config } from '../config/schema.ts';
import type { MakePort } from '../control/http.ts';
import type { Log } from '../telemetry/log.ts';
import type { Metrics } from '../telemetry/metrics.ts';
import type { TimerWheel } from '../timer-wheel.ts';
import { Port } from '../transport/port.ts';
import type { Capacity } from '../config/auto-limits.ts';

export type OwnPort = 'health' | 'admin' | 'control';

export type OwnPortParts = {
  readonly config: Config;
  readonly wheel: TimerWheel;
  readonly log: Log;
  readonly metrics: Metrics;
  readonly capacity: Capacity;
};

export function makePort(name: OwnPort, parts: OwnPortParts): MakePort {
  const { config, wheel, log, metrics, capacity } = parts;
  const { listen } = config[name];
  // Of a Unix socket nobody knows which connection has made a call.
  const canCrowd = parseAddress(listen).kind === 'tcp';
  const options = {
    name: () => `${name}.listen ${listen}`,
    waitMs: config.limits.handshake,
    crowdedAt: canCrowd ? capacity.portCrowdedAt : Infinity,
  };
  return (onFirst) => {
    const port: Port = new Port(
      options,
      { wheel, log },
      {
        onFirst,
        mayAccept: () => port.open < capacity.portConnections,
        onRefused: (why) => {
          metrics.add('pith_port_connections_refused_total', [name, why]);
        },
      },
    );
    metrics.watch('pith_port_connections', [name], () => port.open);
    return port;
  };
}
