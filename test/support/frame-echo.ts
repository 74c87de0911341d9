/** Echoes of WebSocket messages: on the gateway's own listener, without sessions, and on bare `ws`, to compare. */
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { type WebSocket, WebSocketServer } from 'ws';

import { systemClock } from '../../src/clock.ts';
import { makeLog } from '../../src/telemetry/log.ts';
import { Metrics } from '../../src/telemetry/metrics.ts';
import { TimerWheel } from '../../src/timer-wheel.ts';
import { AcceptPace } from '../../src/transport/accept-pace.ts';
import { AddressLimit } from '../../src/transport/address-limit.ts';
import type { ServerTls } from '../../src/transport/certificate.ts';
import { Listener } from '../../src/transport/listener.ts';
import type { Accept, Connection } from '../../src/transport/transport.ts';
import { MESSAGE_ROOM_BYTES } from '../../src/transport/websocket-upgrader.ts';
import { serverFrame } from './raw.ts';

/** Of a message in both. */
export const ECHO_BYTES_MAX = 20_000;

export type FrameEcho = AsyncDisposable & { readonly port: number };

const echoed: Accept = (connection: Connection) => ({
  onBytes(chunk) {
    connection.send([serverFrame(2, chunk)]);
  },
  onDrain() {},
  onFault(fault) {
    // As a session does.
    connection.close(fault === 'packet_too_long' ? 1009 : 1002, fault);
  },
  onClosed() {},
});

/** A listener for clients. @param bytesMax Of a message. */
export async function startListener(
  accept: Accept = echoed,
  bytesMax = ECHO_BYTES_MAX,
  tls: ServerTls | null = null,
): Promise<FrameEcho> {
  const wheel = new TimerWheel(systemClock);
  const log = makeLog({ clock: systemClock, level: 'error', format: 'json', write() {} });
  const listener = new Listener(
    {
      scheme: tls === null ? 'ws' : 'wss',
      host: '127.0.0.1',
      port: 0,
      packetBytesMax: bytesMax - MESSAGE_ROOM_BYTES,
      handshakeMs: 60_000,
      webSocketOnly: false,
      path: '*',
      origins: [],
      proxies: { header: 'none', trusted: [] },
      tls,
    },
    {
      clock: systemClock,
      wheel,
      log,
      metrics: new Metrics(),
      mayAccept: () => true,
      addressLimit: new AddressLimit(0),
      pace: new AcceptPace({ wheel, log }, 1_000_000),
      isBlocked: () => false,
      accept,
    },
  );
  await listener.listen();
  return {
    port: listener.port,
    [Symbol.asyncDispose]: async () => {
      listener.close();
      await Promise.resolve();
    },
  };
}

/** What `ws` does by itself. @param bytesMax Of a message. */
export async function startBareEcho(bytesMax = ECHO_BYTES_MAX): Promise<FrameEcho> {
  const server = new WebSocketServer({
    host: '127.0.0.1',
    port: 0,
    perMessageDeflate: false,
    maxPayload: bytesMax,
    maxFragments: 128,
    skipUTF8Validation: true,
  });
  await once(server, 'listening');
  server.on('connection', (socket: WebSocket) => {
    socket.on('error', () => {});
    socket.on('message', (data: Buffer) => {
      socket.send(data, { binary: true });
    });
  });
  return {
    port: (server.address() as AddressInfo).port,
    [Symbol.asyncDispose]: async () => {
      for (const client of server.clients) client.terminate();
      await new Promise((resolve) => {
        server.close(resolve);
      });
    },
  };
}
