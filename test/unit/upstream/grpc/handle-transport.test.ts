/** An address that is called by Handle alone: as long as there is a connection, and while there is none. */
import { status } from '@grpc/grpc-js';
import { expect, test } from 'vitest';

import { HandleTransport } from '../../../../src/upstream/grpc/handle-transport.ts';
import { GrpcStage, request, turn } from './grpc-stage.ts';

const start = () =>
  GrpcStage.start((owner, options, parts) => new HandleTransport(owner, options, parts));

async function connected() {
  const stage = await start();
  stage.connection.become('ready');
  return stage;
}

test('serves as soon as it is connected', async () => {
  const stage = await start();
  expect([stage.connection.state(false), stage.endpoint.condition]).toEqual([
    'connecting',
    'connecting',
  ]);
  stage.connection.become('ready');
  expect(stage.reported()).toEqual(['handle: connected']);
  expect([stage.endpoint.welcomes, stage.endpoint.transport.keepsOrder]).toEqual([true, false]);
});

test('calls Handle, and is idle when it is answered', async () => {
  const stage = await connected();
  const call = request();
  stage.endpoint.transport.carrier.request(call, Buffer.alloc(0));
  expect([stage.endpoint.inFlight, call.ends]).toEqual([1, []]);
  stage.connection.waiting('Handle')[0]!.answer();
  expect([stage.endpoint.inFlight, call.ends]).toEqual([0, ['succeed']]);
});

test('makes a connection that is lost again at once, and stays up meanwhile', async () => {
  const stage = await connected();
  await stage.advance(1_000);
  const call = request();
  stage.endpoint.transport.carrier.request(call, Buffer.alloc(0));
  stage.connection.lose();
  expect([stage.connection.state(false), stage.endpoint.condition, call.ends]).toEqual([
    'connecting',
    'handle',
    ['fail BACKEND_AWAY'],
  ]);
  stage.connection.become('ready');
  expect(stage.reported()).toEqual(['handle: connected']);
});

test('waits a second with a connection that did not last as long', async () => {
  const stage = await connected();
  stage.connection.lose();
  await stage.advance(900);
  expect(stage.connection.state(false)).toBe('idle');
  await stage.advance(200);
  expect(stage.connection.state(false)).toBe('connecting');
});

test('that cannot connect asks why, is away, and tries again', async () => {
  const stage = await start();
  stage.connection.become('failing');
  const [check] = stage.connection.waiting('Check');
  check!.fail(
    status.UNAVAILABLE,
    'No connection established. Last error: connect ECONNREFUSED 127.0.0.1:1',
  );
  expect(stage.reported()).toEqual([
    'away: nothing listens there: start the backend, or correct its address',
  ]);
  await stage.advance(200);
  expect([stage.connection.renewed, stage.connection.state(false)]).toEqual([1, 'connecting']);
  stage.connection.become('ready');
  expect(stage.endpoint.condition).toBe('handle');
  // Of the attempts one is followed: it has begun one watch of the health.
  expect(stage.connection.streams.map(({ path }) => path)).toEqual([
    '/grpc.health.v1.Health/Watch',
  ]);
});

test('gives up an attempt that hangs after 5 s', async () => {
  const stage = await start();
  await stage.advance(4_900);
  expect(stage.connection.renewed).toBe(0);
  await stage.advance(200);
  expect(stage.connection.renewed).toBe(1);
  expect(stage.reported()).toEqual(['away: no connection in 5 s']);
});

test('does not ask for Closed again on a connection whose server has none', async () => {
  const stage = await connected();
  const { transport } = stage.endpoint;
  transport.tell('closed', Buffer.alloc(0));
  stage.connection.waiting('Closed')[0]!.fail(status.UNIMPLEMENTED, 'no Closed');
  transport.tell('closed', Buffer.alloc(0));
  expect(stage.connection.waiting('Closed')).toEqual([]);
  await stage.advance(1_000);
  stage.connection.lose();
  stage.connection.become('ready');
  transport.tell('closed', Buffer.alloc(0));
  expect(stage.connection.waiting('Closed')).toHaveLength(1);
});

test('is not replaced for a goaway of HTTP/2: the next call opens another connection', async () => {
  const stage = await connected();
  stage.connection.owner.http2Goaway('max_age');
  await stage.advance(60_000);
  expect([stage.connections.length, stage.endpoint.isConnectionClosing]).toEqual([1, false]);
  expect(stage.reported().at(-1)).toBe('handle: the server asked for a new connection: max_age');
});

test('stops when all Closed calls have ended, and leaves no timer behind', async () => {
  const stage = await connected();
  stage.endpoint.transport.tell('closed', Buffer.alloc(0));
  let isClosed = false;
  const closed = stage.pool.close(60_000, 'stopping').then(() => {
    isClosed = true;
  });
  await turn();
  expect(isClosed).toBe(false);
  stage.connection.waiting('Closed')[0]!.answer();
  await closed;
  expect([stage.connection.state(false), stage.wheel.size]).toEqual(['closed', 0]);
});

test('stops while it cannot connect', async () => {
  const stage = await start();
  await stage.pool.close(60_000, 'stopping');
  await stage.advance(60_000);
  expect([stage.connection.renewed, stage.wheel.size]).toEqual([0, 0]);
});

test('what has reached nobody is sent again, once it is known that nobody is there', async () => {
  const stage = await connected();
  const conditions: string[] = [];
  const call = request();
  call.upstream = {
    send: () => conditions.push(stage.endpoint.condition),
  } as unknown as typeof call.upstream;
  stage.endpoint.transport.carrier.request(call, Buffer.alloc(0));
  stage.connection.become('failing');
  stage.connection.waiting('Handle')[0]!.failUnsent();
  expect([conditions, call.ends]).toEqual([['away'], []]);
});

test('takes no sessions from GOAWAY until there is another connection', async () => {
  const stage = await connected();
  const seen = (): boolean[] => [stage.endpoint.welcomes, stage.endpoint.isOpen];
  stage.connection.owner.http2Goaway('');
  expect(seen()).toEqual([false, true]);
  stage.connection.become('idle');
  stage.connection.become('ready');
  expect(seen()).toEqual([true, true]);
});
