/** What keeps an address connected for calls of their own, with a real channel to a server that answers nothing. */
import { once } from 'node:events';
import http2 from 'node:http2';
import type { AddressInfo } from 'node:net';
import { connectivityState, Metadata } from '@grpc/grpc-js';
import { expect, test } from 'vitest';

import { TimerWheel } from '../../../src/timer-wheel.ts';
import { RpcTransport } from '../../../src/upstream/grpc-client/rpc-transport.ts';
import { FIRST_ATTEMPT_MS } from '../../../src/upstream/pool/endpoint-pool.ts';
import { ManualClock } from '../../support/clock.ts';

class Bare extends RpcTransport {
  readonly inFlight = 0;

  close(): Promise<void> {
    return Promise.resolve();
  }
}

test('a connection is up once, though the time of the first attempt ends after that', async () => {
  const server = http2.createServer();
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const until = Date.now() + 300;
  const clock = Object.assign(new ManualClock(), { wallNow: () => until - FIRST_ATTEMPT_MS });
  const ups: string[] = [];
  const endpoint = { name: `ipv4:127.0.0.1:${(server.address() as AddressInfo).port}` };
  const up = Promise.withResolvers<void>();
  const owner = Object.assign(endpoint, {
    up: (how: string, why: string) => {
      ups.push(`${how} ${why}`);
      up.resolve();
    },
  });
  const wheel = new TimerWheel(clock);
  const transport = new Bare(owner as never, 'serving', {
    authority: '',
    tls: null,
    metadata: new Metadata(),
    health: 'auto',
    deadAfterMs: 0,
    clock,
    wheel,
  });
  transport.connect();
  await up.promise;
  // The channel's own timer, which fires after the one of the first attempt.
  const channel = transport.connection.client.getChannel();
  await new Promise((resolve) => {
    channel.watchConnectivityState(connectivityState.READY, until + 100, resolve);
  });
  transport.destroy();
  server.close();
  await once(server, 'close');
  expect(ups).toEqual(['serving connected']);
});
