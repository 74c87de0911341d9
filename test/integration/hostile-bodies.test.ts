/**
 * Bodies and messages that are cut off, lie about their length or blow up: each is answered or costs its own
 * connection, memory stays flat, and the next client is served. Every vector, cut at every byte.
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';

import { encodeRequest, rawIdOf } from '../../src/protocol/message.ts';
import { packetOffset, PacketType } from '../../src/protocol/packet.ts';
import { Protos } from '../../src/protocol/protobuf/protos.ts';
import { TestClient } from '../support/client.ts';
import { startGateway, type TestGateway } from '../support/gateway.ts';
import { watchHeld } from '../support/held.ts';
import { pack, RawSocket } from '../support/raw.ts';
import { vectors } from '../unit/protocol/vectors.ts';

const MEBIBYTE = 1_048_576;
/** Undecodable messages that one connection may send, less one. */
const MALFORMED_MAX = 15;
const BYTES_MAX = 2_000;

type Body = { readonly route: string; readonly hex: string };

const dir = mkdtempSync(join(tmpdir(), 'pith-hostile-'));
afterAll(() => {
  rmSync(dir, { recursive: true });
});
const protos: Record<string, unknown> = {
  'list.a': { 'repeated uInt32 n': 1, 'repeated string s': 2, 'repeated double d': 3 },
  'message M': { 'optional M m': 1 },
  'nest.a': { 'optional M m': 1, 'repeated M ms': 2 },
};
const bodies: Body[] = [];
for (const [i, { layer, input, hex }] of vectors.entries()) {
  const { proto } = input as { proto?: unknown };
  if (!layer.startsWith('protobuf') || proto === undefined || typeof hex !== 'string') continue;
  if (hex.length > 2 * BYTES_MAX || Protos.of({ a: proto }).problems.length > 0) continue;
  const route = `vector.n${i}`;
  protos[route] = proto;
  bodies.push({ route, hex });
}
writeFileSync(join(dir, 'clientProtos.json'), JSON.stringify(protos));

function start(more = ''): Promise<TestGateway> {
  return startGateway(`
pomelo: { config_dir: "${dir}" }
limits: { messages_per_second: 1000000, burst: 1000000, ${more} }
log: { level: error }
backends: { echo: { reply: { code: 200 } } }
routes: [{ match: ">", backend: echo }]`);
}

/** Every beginning of the bytes, the whole included. */
function beginnings(hex: string): Buffer[] {
  const bytes = Buffer.from(hex, 'hex');
  return Array.from({ length: bytes.length + 1 }, (_, length) => bytes.subarray(0, length));
}

function request(id: number, route: string, body: Buffer): Buffer {
  const encoded = encodeRequest(rawIdOf(id), route, body)!;
  return encoded.subarray(packetOffset(encoded));
}

async function expectServed(gateway: TestGateway): Promise<void> {
  await using client = await TestClient.connect(gateway.port);
  expect(await client.request('echo.a')).toEqual({ code: 200 });
}

/** Memory that is not given back; the gateway lives in this process. */
async function expectFlat(attack: () => Promise<void>): Promise<void> {
  const memory = await watchHeld();
  await attack();
  await memory.expectGrownLess(32 * MEBIBYTE);
}

test('every protobuf vector, cut at every byte, is answered: 200 or 400', async () => {
  expect(bodies.length).toBeGreaterThan(50);
  await using gateway = await start();
  await using client = await TestClient.connect(gateway.port);
  let id = 0;
  for (const { route, hex } of bodies) {
    const cut = beginnings(hex);
    client.raw(Buffer.concat(cut.map((body, n) => request(id + n + 1, route, body))));
    for (let n = 0; n < cut.length; n++) {
      const { code } = await client.answer(++id);
      expect([200, 400]).toContain(code);
    }
  }
  const answered = client.received.filter(({ kind }) => kind === 'response');
  expect(answered).toHaveLength(id);
  await expectServed(gateway);
});

test('every message vector, cut at every byte, costs its connection at most', async () => {
  await using gateway = await start();
  const messages = vectors.filter(
    ({ layer, hex }) =>
      layer.includes('message') && typeof hex === 'string' && hex.length < 2 * BYTES_MAX,
  );
  expect(messages.length).toBeGreaterThan(40);
  for (const { hex } of messages) {
    const cut = beginnings(hex as string);
    for (let i = 0; i < cut.length; i += MALFORMED_MAX) {
      await using client = await TestClient.connect(gateway.port);
      for (const bytes of cut.slice(i, i + MALFORMED_MAX)) client.packet(PacketType.DATA, bytes);
      client.send('echo.a', {}, 1_000_000);
      expect(await client.answer(1_000_000)).toEqual({ code: 200 });
    }
  }
  await expectServed(gateway);
});

test('every package vector, cut at every byte, costs its connection at most', async () => {
  await using gateway = await start();
  const packages = vectors.filter(
    ({ layer, hex }) => layer.startsWith('package') && typeof hex === 'string' && hex.length < 200,
  );
  expect(packages.length).toBeGreaterThan(10);
  for (const { hex } of packages) {
    await Promise.all(
      beginnings(hex as string).map(async (bytes) => {
        await using socket = await RawSocket.connect(gateway.port);
        if (bytes.length > 0) socket.send(bytes);
      }),
    );
  }
  await expectServed(gateway);
});

describe('memory stays flat', () => {
  const huge = 'ffffffff0f';
  const nested = (depth: number): Buffer => {
    let body = Buffer.alloc(0);
    for (let i = 0; i < depth && body.length < 60_000; i++) {
      const length: number[] = [];
      let rest = body.length;
      for (; rest > 0x7f; rest >>>= 7) length.push((rest & 0x7f) | 0x80);
      body = Buffer.concat([Buffer.from([0x0a, ...length, rest]), body]);
    }
    return body;
  };
  test.each([
    ['a count of 2^32 numbers', 'list.a', Buffer.from(`08${huge}01`, 'hex')],
    ['a count of 2^32 doubles', 'list.a', Buffer.from(`19${huge}01`, 'hex')],
    ['a text of 2^32 bytes', 'list.a', Buffer.from(`12${huge}01`, 'hex')],
    ['a message of 2^32 bytes', 'nest.a', Buffer.from(`0a${huge}01`, 'hex')],
    ['messages ten thousand deep', 'nest.a', nested(10_000)],
  ])('against %s', async (_what, route, body) => {
    await using gateway = await start();
    await using client = await TestClient.connect(gateway.port);
    await expectFlat(async () => {
      for (let i = 1; i <= 100; i++) client.raw(request(i, route, body));
      for (let i = 1; i <= 100; i++) expect(await client.answer(i)).toMatchObject({ code: 400 });
    });
    await expectServed(gateway);
  });

  test('against sixteen thousand small messages in one list', async () => {
    await using gateway = await start();
    await using client = await TestClient.connect(gateway.port);
    await expectFlat(async () => {
      const body = Buffer.from('1200'.repeat(16_000), 'hex');
      for (let i = 1; i <= 20; i++) client.raw(request(i, 'nest.a', body));
      for (let i = 1; i <= 20; i++) expect(await client.answer(i)).toEqual({ code: 200 });
    });
    await expectServed(gateway);
  });

  test('against 16 MiB that are announced and never come', async () => {
    await using gateway = await start(
      'packet: 16777215, connections: 200, assemble: 1h, handshake: 1h',
    );
    const sockets: RawSocket[] = [];
    await expectFlat(async () => {
      for (let i = 0; i < 100; i++) {
        const socket = await RawSocket.connect(gateway.port);
        socket.send(pack(1, '{"sys":{}}', 0xffffff));
        sockets.push(socket);
      }
      await expectServed(gateway);
    });
    for (const socket of sockets) await socket[Symbol.asyncDispose]();
  });
});
