/** What a stream of answers does on the admin and the control port: it waits for who takes it, and says how it failed. */
import net from 'node:net';
import { fileURLToPath } from 'node:url';
import {
  Client as GrpcClient,
  credentials,
  Server,
  ServerCredentials,
  type ServiceDefinition,
  status,
} from '@grpc/grpc-js';
import { loadSync } from '@grpc/proto-loader';
import { expect, test } from 'vitest';

import { WireWriter } from '../../src/contract/protobuf-wire.ts';
import { grpcHandlers, inBytes } from '../../src/control/grpc-handlers.ts';
import { systemClock } from '../../src/clock.ts';
import { HttpServer } from '../../src/control/http.ts';
import { TimerWheel } from '../../src/timer-wheel.ts';
import { keptLog } from '../support/report.ts';
import { ANYBODY, openAccess } from '../support/open-access.ts';
import { openPort } from '../support/open-port.ts';
import { JsonApi } from '../../src/control/json-api.ts';
import { GatewayError } from '../../src/errors.ts';
import { eventually } from '../support/wait.ts';

const PROTO = fileURLToPath(new URL('../../proto', import.meta.url));
const CONTROL = 'pith.v1.Control';
/** Far more than sockets hold, all together. */
const LINES = 5_000;
const LINE = 'x'.repeat(64 * 1024);
const definition = loadSync('pith/v1/control.proto', { includeDirs: [PROTO] });
const service = definition[CONTROL] as ServiceDefinition;

/** A pith.v1.Session. */
function sessionOf(sid: string): Buffer {
  const writer = new WireWriter();
  writer.string(1, sid);
  return writer.take();
}

/** All lines, how many were asked for, and whether the rest was let go. */
function counting() {
  const state = { asked: 0, over: false };
  async function* run(): AsyncIterable<Buffer> {
    try {
      while (state.asked < LINES) yield sessionOf(`${++state.asked} ${LINE}`);
    } finally {
      state.over = true;
    }
  }
  return { state, run };
}

/** The admin port with a ListSessions of our own, and what went wrong on it. */
async function serve(run: () => AsyncIterable<Buffer>) {
  const { log, lines } = keptLog();
  const api = new JsonApi({
    access: openAccess(log),
    clock: systemClock,
    methods: { ListSessions: { streams: true, run } },
    log,
    service: CONTROL,
    definitions: service,
  });
  const server = new HttpServer(
    {
      notReady: () => [],
      sendsElsewhere: () => false,
      metrics: () => null,
      drained: new Promise(() => {}),
    },
    openPort(new TimerWheel(systemClock)),
    { api },
  );
  await server.listen({ host: '127.0.0.1', port: 0 });
  return {
    lines,
    adminPort: server.port,
    [Symbol.asyncDispose]: () => server.close(),
  };
}

async function list(port: number): Promise<{ status: number; lines: unknown[] }> {
  const answer = await fetch(`http://127.0.0.1:${port}/v1/ListSessions`, { method: 'POST' });
  const lines = (await answer.text()).trimEnd().split('\n');
  return { status: answer.status, lines: lines.map((line) => JSON.parse(line) as unknown) };
}

test('waits for a client that does not read, and ends when it leaves', async () => {
  const { state, run } = counting();
  await using port = await serve(run);
  const socket = net.connect({ port: port.adminPort, host: '127.0.0.1' });
  socket.write('POST /v1/ListSessions HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 0\r\n\r\n');
  await new Promise((resolve) => socket.once('readable', resolve));
  expect(state.over).toBe(false);
  socket.destroy();
  await eventually(() => state.over, 'the end of the list');
  expect(state.asked).toBeLessThan(LINES);
  expect(port.lines).toEqual([]);
});

test('that fails in the middle says so in its last line', async () => {
  const lost = new Error('lost');
  await using port = await serve(async function* () {
    yield sessionOf('g.1');
    throw lost;
  });
  const { status, lines } = await list(port.adminPort);
  expect(status).toBe(200);
  expect(lines).toEqual([
    expect.objectContaining({ sid: 'g.1' }),
    { error: { code: 500, reason: 'INTERNAL', msg: 'the gateway failed' } },
  ]);
  expect(port.lines).toMatchObject([
    { msg: 'control call failed', err: { message: lost.message } },
  ]);
});

test('that fails before its first line has the status', async () => {
  await using port = await serve(() => {
    throw new GatewayError('BUS_AWAY');
  });
  const { status, lines } = await list(port.adminPort);
  expect(status).toBe(503);
  expect(lines).toMatchObject([{ error: { code: 503, reason: 'BUS_AWAY' } }]);
  expect(port.lines).toEqual([]);
});

test('over gRPC as well waits for a caller that does not read, and ends when it cancels', async () => {
  const { state, run } = counting();
  const methods = { ListSessions: { streams: true as const, run } };
  const { log, lines } = keptLog();
  const server = new Server();
  server.addService(
    inBytes(service),
    grpcHandlers(service, methods, { log, clock: systemClock, callerOf: () => ANYBODY }),
  );
  const port = await new Promise<number>((resolve, reject) => {
    server.bindAsync('127.0.0.1:0', ServerCredentials.createInsecure(), (error, bound) => {
      if (error) reject(error);
      else resolve(bound);
    });
  });
  const client = new GrpcClient(`127.0.0.1:${port}`, credentials.createInsecure());
  const { path, requestSerialize, responseDeserialize } = service['ListSessions']!;
  const call = client.makeServerStreamRequest(path, requestSerialize, responseDeserialize, {});
  const ended = new Promise((resolve) => call.once('error', resolve));
  await new Promise((resolve) => call.once('readable', resolve));
  expect(state.over).toBe(false);
  call.cancel();
  call.resume();
  expect(await ended).toMatchObject({ code: status.CANCELLED });
  await eventually(() => state.over, 'the end of the list');
  expect(state.asked).toBeLessThan(LINES);
  expect(lines).toEqual([]);
  client.close();
  server.forceShutdown();
});
