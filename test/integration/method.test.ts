/** A route calls a method of the user's own service: the examples, which have nothing of Pith in them. */
import { execFileSync } from 'node:child_process';
import { cpSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';

import { SchemaDisk } from '../../src/upstream/method/descriptors.ts';
import { makeSchema } from '../../src/upstream/method/schema.ts';
import { TestClient } from '../support/client.ts';
import type { TestGateway } from '../support/gateway.ts';
import type { GrpcChat } from '../support/go.ts';
import {
  expectRooms,
  installRoomsPython,
  ROOMS_PROTO,
  roomsConfig,
  roomsGateway,
  startGoRooms,
  startPythonRooms,
} from '../support/method-rooms.ts';
import { freePort } from '../support/process.ts';
import { serve } from '../support/serve.ts';
import { eventually } from '../support/wait.ts';

describe('the rooms in Go, described by reflection', () => {
  let rooms: GrpcChat;
  let gateway: TestGateway;

  beforeAll(async () => {
    rooms = await startGoRooms();
    gateway = await roomsGateway(rooms.address, 'reflection: true');
  });

  afterAll(async () => {
    await gateway[Symbol.asyncDispose]();
    await rooms[Symbol.asyncDispose]();
  });

  test('does what it should', async () => {
    await expectRooms(gateway);
  });

  test('a field that the message does not have is named, and so is one that does not fit', async () => {
    await using bob = await TestClient.connect(gateway.port);
    expect(await bob.request('lobby.rooms.join', { nmae: 'x', mode: 'MODE_NONE' })).toEqual({
      code: 400,
      reason: 'BAD_BODY',
      msg: 'the body does not fit: nmae: unknown field; did you mean "name"?',
      fields: {
        nmae: 'unknown field; did you mean "name"?',
        mode: expect.stringContaining('MODE_NONE'),
      },
    });
  });

  test('a route without a method is 404 and reaches nothing; the log has the nearest', async () => {
    await using bob = await TestClient.connect(gateway.port);
    for (const route of ['lobby.rooms.jion', 'lobby.Health.Check', 'lobby.x']) {
      expect(await bob.request(route)).toMatchObject({ code: 404, reason: 'NO_ROUTE' });
    }
    expect(gateway.log.find(({ route }) => route === 'lobby.rooms.jion')).toMatchObject({
      msg: 'call failed',
      backend: 'lobby',
      why: 'no method /lobby.v1.rooms/jion or /lobby.v1.Rooms/Jion in the listed services; did you mean "/lobby.v1.Rooms/Join"?',
    });
  });

  test('a client that speaks protobuf has its bytes passed as they are', async () => {
    const schema = await schemaOfRooms();
    const { input, output } = schema.methods.get('/lobby.v1.Rooms/Join')!;
    await using bob = await TestClient.connect(gateway.port);
    const id = bob.send(
      'lobby.bytes.join',
      toBinary(input, create(input, { name: 'bob', room: 'red', mode: 1 })),
    );
    const answer = await bob.wait(
      () => bob.received.find((one) => one.kind === 'response' && one.id === id),
      'the bytes',
    );
    expect(fromBinary(output, (answer as { body: Buffer }).body)).toMatchObject({
      room: 'red',
      mode: 1,
    });
  });

  test('the log says which schema is used', () => {
    expect(gateway.log.find((line) => line.msg === 'schema')).toMatchObject({
      backend: 'lobby',
      methods: 3,
      digest: expect.stringMatching(/^sha256:[0-9a-f]{64}$/),
    });
  });
});

async function schemaOfRooms() {
  const files = await new SchemaDisk({ descriptors: [], protos: [ROOMS_PROTO] }).read();
  const schema = makeSchema(files, ['lobby.v1.Rooms']);
  if ('problems' in schema) throw new Error(schema.problems.join('\n'));
  return schema;
}

describe('without reflection', () => {
  let rooms: GrpcChat;
  const dir = mkdtempSync(join(tmpdir(), 'pith-method-'));

  beforeAll(async () => {
    rooms = await startGoRooms({ REFLECTION: 'off' });
    execFileSync('buf', ['build', ROOMS_PROTO, '-o', join(dir, 'lobby.binpb')]);
    cpSync(ROOMS_PROTO, join(dir, 'proto'), { recursive: true });
  });

  afterAll(async () => {
    await rooms[Symbol.asyncDispose]();
    rmSync(dir, { recursive: true, force: true });
  });

  test.each([
    ['a descriptor set', 'descriptors: [DIR/lobby.binpb]'],
    ['a folder of .proto files', 'protos: [DIR/proto]'],
  ])('the schema comes from %s', async (_, source) => {
    await using gateway = await roomsGateway(rooms.address, source.replace('DIR', dir));
    await using ann = await TestClient.connect(gateway.port, 'tcp');
    expect(
      await ann.request('lobby.rooms.join', { name: 'ann', room: 'a', mode: 2 }),
    ).toMatchObject({ room: 'a', mode: 'MODE_RANKED' });
  });

  test('asking for it says so, to the log; the client hears that the backend is away', async () => {
    await using gateway = await roomsGateway(rooms.address, 'reflection: true');
    await using ann = await TestClient.connect(gateway.port, 'tcp');
    expect(await ann.request('lobby.rooms.join')).toMatchObject({
      code: 503,
      reason: 'BACKEND_AWAY',
    });
    const line = await eventually(
      () => gateway.log.find(({ msg }) => msg === 'schema refused'),
      'the schema to be refused',
    );
    expect(line).toMatchObject({
      level: 'error',
      backend: 'lobby',
      oldOneStays: false,
      problems: ['the backend has no server reflection: register it, or use descriptors or protos'],
    });
  });
});

describe('the rooms in Python', () => {
  const ways: [string, string, Record<string, string>][] = [
    ['reflection', 'reflection: true', {}],
    ['its .proto', `protos: [${ROOMS_PROTO}]`, { REFLECTION: 'off' }],
  ];
  for (const [name, source, env] of ways) {
    test(`described by ${name}`, { timeout: 240_000 }, async (ctx) => {
      const python = await installRoomsPython();
      if (python === null) return ctx.skip('there is no Python 3.9 with venv and pip');
      await using rooms = await startPythonRooms(python, env);
      await using gateway = await roomsGateway(rooms.address, source);
      await expectRooms(gateway);
      rooms.kill('SIGTERM');
      expect(await rooms.exited).toBe(0);
    });
  }
});

/** In a process of its own, where nothing of the test keeps it alive. */
describe('the gateway as a program', () => {
  test('starts before its backend, and serves when that is there', async () => {
    const address = `127.0.0.1:${await freePort()}`;
    await using gateway = await serve(roomsConfig(address, 'reflection: true'));
    await using ann = await TestClient.connect(gateway.port, 'tcp');
    expect(await ann.request('lobby.rooms.join')).toMatchObject({ code: 503 });
    await using _rooms = await startGoRooms({ ADDR: address });
    await gateway.logged('schema');
    expect(await ann.request('lobby.rooms.join', { name: 'ann', room: 'a' })).toMatchObject({
      room: 'a',
    });
  });

  test('starts with its backend there', async () => {
    await using rooms = await startGoRooms();
    await using gateway = await serve(roomsConfig(rooms.address, 'reflection: true'));
    await using ann = await TestClient.connect(gateway.port, 'ws');
    expect(await ann.request('lobby.rooms.join', { name: 'ann', room: 'a' })).toMatchObject({
      room: 'a',
    });
  });
});
