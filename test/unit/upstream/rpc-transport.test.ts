/** What keeps an address connected for calls of their own, with a real channel to a server that has nothing to call. */
import { once } from 'node:events';
import http2 from 'node:http2';
import type { AddressInfo } from 'node:net';
import { Metadata } from '@grpc/grpc-js';
import { expect, test, vi } from 'vitest';

import { TimerWheel } from '../../../src/timer-wheel.ts';
import { CLOSED } from '../../../src/upstream/grpc/unary-calls.ts';
import { HandleTransport } from '../../../src/upstream/grpc/handle-transport.ts';
import { connectGrpc } from '../../../src/upstream/grpc-client/grpc-js-connection.ts';
import type { GrpcTransportOptions } from '../../../src/upstream/grpc-client/grpc-transport.ts';
import { WATCH } from '../../../src/upstream/grpc-client/health-watch.ts';
import { RpcTransport } from '../../../src/upstream/grpc-client/rpc-transport.ts';
import { FIRST_ATTEMPT_MS } from '../../../src/upstream/pool/endpoint-pool.ts';
import type { TransportOwner } from '../../../src/upstream/pool/transport.ts';
import { ManualClock } from '../../support/clock.ts';
import { linkParts } from '../../support/link-parts.ts';
import { keptReport } from '../../support/report.ts';
import { SOON } from '../../support/wait.ts';

class Bare extends RpcTransport {
  readonly inFlight = 0;

  close(): Promise<void> {
    return Promise.resolve();
  }
}

/** A server that has no Closed, leaves each Watch open, and what was called there. */
async function serve() {
  const paths: string[] = [];
  const sessions = new Set<http2.ServerHttp2Session>();
  const server = http2
    .createServer()
    .on('session', (session) => sessions.add(session))
    .on('stream', (stream, headers) => {
      paths.push(String(headers[':path']));
      stream.on('error', () => {});
      if (headers[':path'] === WATCH) return;
      const unimplemented = { 'content-type': 'application/grpc', 'grpc-status': '12' };
      stream.respond({ ':status': 200, ...unimplemented }, { endStream: true });
    });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const close = async (): Promise<void> => {
    server.close();
    await once(server, 'close');
  };
  return {
    close,
    name: `ipv4:127.0.0.1:${(server.address() as AddressInfo).port}`,
    paths,
    sessions,
  };
}

/** The endpoint at `name`, as far as a transport needs it here. */
function endpointAt(name: string) {
  const ups: string[] = [];
  let next = Promise.withResolvers<void>();
  const owner = {
    name,
    up: (how: string, why: string) => {
      ups.push(`${how} ${why}`);
      next.resolve();
      next = Promise.withResolvers();
    },
    http2Goaway: () => {},
  } as unknown as TransportOwner;
  return { owner, ups, isUp: () => next.promise };
}

function optionsWith(clock: ManualClock): GrpcTransportOptions {
  const wheel = new TimerWheel(clock);
  const metadata = new Metadata();
  const dialled = { connect: connectGrpc, authority: '', tls: null };
  return { ...dialled, metadata, health: false, deadAfterMs: 0, clock, wheel };
}

test('a connection is up once, though the time of the first attempt ends after that', async () => {
  const server = await serve();
  const { owner, ups, isUp } = endpointAt(server.name);
  const until = Date.now() + 300;
  const clock = Object.assign(new ManualClock(), { wallNow: () => until - FIRST_ATTEMPT_MS });
  const transport = new Bare(owner, 'serving', optionsWith(clock));
  const up = isUp();
  transport.connect();
  await up;
  // The channel's own timer, which fires after the one of the first attempt.
  await new Promise((resolve) => {
    transport.connection.watchState('ready', until + 100, resolve);
  });
  transport.destroy();
  await server.close();
  expect(ups).toEqual(['serving connected']);
});

test('a backend that is connected to again may have Closed by now', async () => {
  const server = await serve();
  const { owner, isUp } = endpointAt(server.name);
  const { report } = keptReport('game', 'grpc');
  const clock = Object.assign(new ManualClock(), { wallNow: () => Date.now() });
  const options = optionsWith(clock);
  const transport = new HandleTransport(owner, options, linkParts(options.wheel, report));
  let up = isUp();
  transport.connect();
  await up;
  for (const _ of [1, 2]) {
    transport.tell('closed', Buffer.alloc(0));
    await transport.carrier.closedAll();
  }
  expect(server.paths).toEqual(['/pith.v1.Backend/Closed']);
  // One that has lasted for a while is made again at once.
  clock.advance(1_000);
  up = isUp();
  for (const session of server.sessions) session.close();
  await up;
  transport.tell('closed', Buffer.alloc(0));
  await transport.carrier.closedAll();
  expect(server.paths).toHaveLength(2);
  transport.destroy();
  await server.close();
});

test('of a connection that is made again the health is watched once', async () => {
  const server = await serve();
  const { owner, isUp } = endpointAt(server.name);
  const clock = Object.assign(new ManualClock(), { wallNow: () => Date.now() });
  const { report } = keptReport('game', 'grpc');
  const options = { ...optionsWith(clock), health: 'auto' } as const;
  const transport = new HandleTransport(owner, options, linkParts(options.wheel, report));
  let up = isUp();
  transport.connect();
  await up;
  await vi.waitFor(() => {
    expect(server.paths).toEqual([WATCH]);
  }, SOON);
  // It did not last, so that it is made again a second later: just when the watch is due again, too.
  const lost = new Promise((resolve) => {
    transport.connection.watchState('ready', Infinity, resolve);
  });
  for (const session of server.sessions) session.destroy();
  await lost;
  up = isUp();
  clock.advance(1_000);
  await up;
  await vi.waitFor(() => {
    expect(server.paths.length).toBeGreaterThan(1);
  }, SOON);
  // What was opened before it is there before it.
  transport.tell('closed', Buffer.alloc(0));
  await transport.carrier.closedAll();
  expect(server.paths).toEqual([WATCH, WATCH, CLOSED]);
  transport.destroy();
  for (const session of server.sessions) session.destroy();
  await server.close();
});
