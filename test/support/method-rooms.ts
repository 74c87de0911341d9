/** The rooms of deploy/examples, in each language: one service, which has nothing of Pith. */
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect } from 'vitest';

import { TestClient } from './client.ts';
import { startGateway, type TestGateway } from './gateway.ts';
import { buildExample, type GrpcChat } from './go.ts';
import { control } from './grpcurl.ts';
import { type Running, start } from './process.ts';
import { installPythonWith } from './python.ts';

const EXAMPLES = fileURLToPath(new URL('../../deploy/examples/', import.meta.url));
const PYTHON_ROOMS = join(EXAMPLES, 'rooms-grpc-python');
const JAVA_ROOMS = join(EXAMPLES, 'rooms-grpc-java');

type Env = Record<string, string>;

/** Its .proto, as a folder. */
export const ROOMS_PROTO = join(EXAMPLES, 'rooms-grpc-go', 'proto');

async function listening(running: Running, ms?: number): Promise<GrpcChat> {
  const match = await running.waitFor(/listening on (\S+)/, ms);
  return Object.assign(running, { address: match[1]! });
}

export async function startGoRooms(env: Env = {}): Promise<GrpcChat> {
  const program = await buildExample('rooms-grpc-go');
  return listening(await start(program, [], { env: { ADDR: '127.0.0.1:0', ...env } }));
}

/** @param python What `installRoomsPython` gave. */
export async function startPythonRooms(python: string, env: Env = {}): Promise<GrpcChat> {
  const options = { env: { ADDR: '127.0.0.1:0', ...env } };
  return listening(await start(python, [join(PYTHON_ROOMS, 'main.py')], options));
}

/** Compiles it at first, which takes minutes and needs Maven. */
export async function startJavaRooms(env: Env = {}): Promise<GrpcChat> {
  const words = ['-q', '-B', 'compile', 'exec:java'];
  const options = { cwd: JAVA_ROOMS, env: { ADDR: '127.0.0.1:0', ...env } };
  return listening(await start('mvn', words, options), 600_000);
}

/** A Python that has what the example requires; null: this machine has none for it. */
export function installRoomsPython(): Promise<string | null> {
  return installPythonWith(join(PYTHON_ROOMS, 'requirements.txt'));
}

const ROUTES = `
routes:
  - { match: lobby.rooms.countdown, backend: lobby, method: /lobby.v1.Rooms/Countdown, push_route: onTick, order: none }
  - { match: lobby.bytes.join, backend: lobby, method: /lobby.v1.Rooms/Join, codec: protobuf }
  - { match: "lobby.>", backend: lobby, method: "/lobby.v1.{handler}/{method}", forward: [room] }
`;

/** @param source Where the schema comes from, as keys of the backend. */
export function roomsConfig(address: string, source: string): string {
  return `backends: { lobby: { grpc: "${address}", mode: method, services: [lobby.v1.Rooms], ${source} } }\n${ROUTES}`;
}

export function roomsGateway(address: string, source: string): Promise<TestGateway> {
  return startGateway(roomsConfig(address, source));
}

/** All that the rooms do, through a gateway. */
export async function expectRooms(gateway: TestGateway): Promise<void> {
  await using ann = await TestClient.connect(gateway.port, 'ws');
  await expectJoin(ann, gateway);
  await expectErrors(ann);
  await expectCountdown(ann);
}

async function expectJoin(ann: TestClient, gateway: TestGateway): Promise<void> {
  const body = { name: 'ann é', room: 'blue', mode: 'MODE_RANKED' };
  expect(await ann.request('lobby.rooms.join', body)).toEqual({
    room: 'blue',
    mode: 'MODE_RANKED',
    number: expect.stringMatching(/^[0-9]+$/),
    joinedAt: expect.stringMatching(/^20[0-9T:.-]+Z$/),
  });
  expect(await control(gateway, 'ListSessions')).toMatchObject({
    uid: 'ann é',
    data: { room: 'blue' },
    groups: ['room.blue'],
  });
  // What the route forwards of the session's data is metadata, too.
  expect(await ann.request('lobby.rooms.leave')).toEqual({ room: 'blue' });
}

/** The details of a status are the fields of the error. */
async function expectErrors(ann: TestClient): Promise<void> {
  expect(await ann.request('lobby.rooms.leave')).toEqual({
    code: 400,
    reason: 'NOT_IN_ROOM',
    msg: 'join a room first',
  });
  expect(await ann.request('lobby.rooms.join', { name: '' })).toEqual({
    code: 400,
    reason: 'INVALID_ARGUMENT',
    msg: 'name and room are needed',
    fields: { name: 'must not be empty', room: 'must not be empty' },
  });
}

/** Each message of a stream is pushed, and its end is the answer. */
async function expectCountdown(ann: TestClient): Promise<void> {
  const countdown = { from: 3, every: '0.010s' };
  expect(await ann.request('lobby.rooms.countdown', countdown)).toEqual({});
  const ticks = [{ left: 3 }, { left: 2 }, { left: 1 }, {}];
  expect(ann.pushes('onTick').map(({ body }) => body)).toEqual(ticks);
  expect(ann.received.at(-1)).toMatchObject({ kind: 'response' });
  expect(await ann.request('lobby.rooms.countdown', { from: 101 })).toMatchObject({
    code: 400,
    reason: 'OUT_OF_RANGE',
  });
}
