/** A listener whose connections get each of their packets back: what moves between processes, and nothing above it. */
import { systemClock } from '../../src/clock.ts';
import { encodePacket, type PacketType } from '../../src/protocol/packet.ts';
import { PacketReader } from '../../src/protocol/packet-reader.ts';
import { makeLog } from '../../src/telemetry/log.ts';
import { Metrics } from '../../src/telemetry/metrics.ts';
import { TimerWheel } from '../../src/timer-wheel.ts';
import { AcceptPace } from '../../src/transport/accept-pace.ts';
import { AddressLimit } from '../../src/transport/address-limit.ts';
import { Listener } from '../../src/transport/listener.ts';
import type { Accept, Connection } from '../../src/transport/transport.ts';

export type EchoListener = {
  readonly listener: Listener;
  readonly connections: Set<Connection>;
  readonly accept: Accept;
};

export function makeEchoListener(): EchoListener {
  const connections = new Set<Connection>();
  const clock = systemClock;
  const wheel = new TimerWheel(clock);
  const log = makeLog({ clock, level: 'error', format: 'json', write() {} });
  const accept: Accept = (connection) => {
    connections.add(connection);
    const reader = new PacketReader(65_536, (type, body) => {
      connection.send([encodePacket(type as PacketType, body)!]);
    });
    return {
      onBytes: (chunk) => void reader.push(chunk),
      onDrain() {},
      onFault() {},
      onEnd: () => {
        connection.close(1000, '');
      },
      onClosed: () => void connections.delete(connection),
    };
  };
  const listener = new Listener(
    {
      ...{ scheme: 'auto', host: '127.0.0.1', port: 0, packetBytesMax: 65_536, path: '*' },
      ...{ handshakeMs: 5_000, webSocketOnly: false, origins: [], tls: null },
      proxies: { header: 'none', trusted: [] },
    },
    {
      ...{ clock, wheel, log, accept, metrics: new Metrics() },
      ...{ mayAccept: () => true, isBlocked: () => false },
      ...{ addressLimit: new AddressLimit(0), pace: new AcceptPace({ wheel, log }, 1_000) },
    },
  );
  return { listener, connections, accept };
}
