/** What Pitaya's, Nano's and the json dialect do otherwise. */
import { deflateSync, gzipSync } from 'node:zlib';
import { describe, expect, test, vi } from 'vitest';

import { CLIENT_VERSION } from '../../../src/client/version.ts';
import { vector } from '../protocol/vectors.ts';
import { SOON } from '../../support/wait.ts';
import type { FakeConnection } from './fake-server.ts';
import { failure, openRig, type Rig, rig } from './support.ts';

const bytesOf = (text: string): Uint8Array => new Uint8Array(Buffer.from(text, 'hex'));
const FLAG_COMPRESSED = 0x10;

/** A message of kind `flag >> 1`, with what follows the flag. */
function message(flag: number, head: string, body: Buffer): Buffer {
  return Buffer.concat([Buffer.of(flag), Buffer.from(head, 'latin1'), body]);
}

describe('pitaya', () => {
  const open = (sys: object = {}): Promise<Rig> => openRig({ dialect: 'pitaya' }, sys);

  test('is told of the client in its own words', async () => {
    const { server } = await open();
    expect(server.last.hello.sys).toEqual({
      platform: 'pith-client',
      libVersion: CLIENT_VERSION,
      clientBuildNumber: '1',
      clientVersion: CLIENT_VERSION,
    });
  });

  test.each([
    ['zlib', deflateSync],
    ['gzip', gzipSync],
  ])('answers the handshake in %s', async (_, compress) => {
    const { client, server } = rig({ dialect: 'pitaya' });
    const opened = client.connect();
    server.last.open();
    server.last.packet(1, compress('{"code":200,"sys":{"heartbeat":30,"serializer":"json"}}'));
    await opened;
    expect(client.handshake?.sys).toEqual({ heartbeat: 30, serializer: 'json' });
  });

  test('compresses answers and pushes, and their order stays', async () => {
    const { client, server } = await open();
    const came: unknown[] = [];
    client.onPush('*', (body) => void came.push(body));
    const answer = client.request('a.b').then((body) => came.push(body));
    const { hex, input } = vector('pitaya-response-zlib');
    server.last.packet(4, message(0x16, '\u0001p', deflateSync('"first"')));
    server.last.push('onNext', '"second"');
    server.last.packet(4, message(0x16, '\u0001p', deflateSync('"third"')));
    server.last.push('onNext', '"fourth"');
    expect(hex!.slice(0, 4)).toBe('1405');
    server.last.packet(4, bytesOf(`1401${hex!.slice(4)}`));
    server.last.push('onNext', '"last"');
    await vi.waitFor(() => expect(came.length).toBe(6), SOON);
    await answer;
    expect(came).toEqual(['first', 'second', 'third', 'fourth', 'last', input.bodyJson]);
  });

  test('closes behind a compressed message: it is heard first', async () => {
    const { client, server, told } = await open();
    const heard: unknown[] = [];
    client.onPush('p', (body) => void heard.push(body, client.state));
    server.last.packet(4, message(0x16, '\u0001p', deflateSync('1')));
    server.last.packet(5, '');
    server.last.end('closed by the server');
    await vi.waitFor(() => expect(client.state).toBe('closed'), SOON);
    expect(heard).toEqual([1, 'open']);
    expect(told.slice(2)).toEqual(['kick ', 'closed KICKED']);
  });

  test('may not answer with more than a packet holds, nor with what cannot be inflated', async () => {
    for (const [body, why] of [
      [deflateSync(Buffer.alloc(2_000)), 'RangeError: more than 1000 bytes'],
      [Buffer.from('nothing'), 'TypeError'],
      [deflateSync('1').subarray(0, -3), 'TypeError'],
    ] as const) {
      const { client, server } = await openRig({ dialect: 'pitaya', packetBytesMax: 1_000 });
      const failed = failure(client.request('a.b'));
      server.last.packet(4, message(0x04 | FLAG_COMPRESSED, '\u0001', body));
      const { reason, message: text } = await failed;
      expect(reason).toBe('BAD_SERVER');
      expect(text).toContain(why);
    }
  });

  test('sends more than may wait behind a body that is being inflated: that is the end', async () => {
    const { client, server } = await open();
    server.last.packet(4, message(0x16, '\u0001p', deflateSync('1')));
    for (let n = 0; n < 3; n++) server.last.packet(4, Buffer.alloc(16_000_000));
    expect(client.state).toBe('closed');
  });

  test('marks errors, which reject with what they say', async () => {
    const { client, server } = await open();
    const { hex } = vector('pitaya-response-error');
    const failed = failure(client.request('a.b'));
    server.last.packet(4, bytesOf(`2401${hex!.slice(4)}`));
    expect(await failed).toMatchObject({
      code: 'PIT-404',
      reason: 'PIT-404',
      message: 'x',
      body: { code: 'PIT-404', msg: 'x' },
    });
    const asked = client.ask('a.b');
    server.last.packet(
      4,
      message(0x24, '\u0002', Buffer.from('{"code":"PIT-400","msg":"y","metadata":{"k":"v"}}')),
    );
    expect(await asked).toMatchObject({ isError: true, body: { metadata: { k: 'v' } } });
    const bytes = failure(client.request('a.b'));
    server.last.packet(4, message(0x24, '\u0003', Buffer.of(10, 1)));
    expect(await bytes).toMatchObject({ code: 'unknown', body: Uint8Array.of(10, 1) });
  });

  test('in protobuf takes and gives bytes', async () => {
    const { client, server } = await open({ serializer: 'protobuf' });
    expect(await failure(client.request('a.b', { n: 1 }))).toMatchObject({
      reason: 'BAD_BODY',
      message: 'the body of a.b must be a Uint8Array with protobuf',
    });
    const answer = client.request('a.b', Uint8Array.of(8, 1));
    // The refused one was the first.
    server.last.answer(2, Uint8Array.of(8, 2));
    expect(await answer).toEqual(Uint8Array.of(8, 2));
  });
});

describe('nano and pomelo', () => {
  test('have the dictionary without a version', async () => {
    const { client, server } = await openRig({ dialect: 'nano' }, { dict: { 'Room.Join': 9 } });
    client.notify('Room.Join', {});
    client.notify('Room.Leave', {});
    expect(server.last.asked.map(({ route }) => route)).toEqual(['code 9', 'Room.Leave']);
  });

  test('take no compression for one, whatever the flag says', async () => {
    const { client, server } = await openRig();
    const answer = client.request('a.b');
    server.last.packet(4, message(0x04 | FLAG_COMPRESSED, '\u0001', Buffer.from('"x"')));
    expect(await answer).toBe('x');
  });
});

describe('json', () => {
  const say = (to: FakeConnection, value: unknown): void => {
    to.data(JSON.stringify(value));
  };

  async function open(): Promise<Rig> {
    const all = rig({ dialect: 'json', user: { token: 't' } });
    const opened = all.client.connect();
    all.server.last.open();
    say(all.server.last, { handshake: { code: 200, user: { level: 3 } } });
    await opened;
    return all;
  }

  test('shakes hands in a text of its own', async () => {
    const { client, server } = await open();
    const sys = { type: 'pith-client', version: CLIENT_VERSION };
    expect(server.last.sent.map((text) => JSON.parse(text as string) as unknown)).toEqual([
      { handshake: { sys, user: { token: 't', pith: { resume: '', cursor: 0 } } } },
    ]);
    expect(client.handshake).toEqual({ code: 200, user: { level: 3 } });
  });

  test('asks, notifies, is answered and pushed to, in text or in bytes', async () => {
    const { client, server } = await open();
    const heard: unknown[] = [];
    client.onPush(
      'onChat',
      (body, { bytes }) => void heard.push(body, Buffer.from(bytes).toString()),
    );
    const answers = [client.request('a.b', { n: 1 }), client.request('a.b', Buffer.from('[1, 2]'))];
    client.notify('a."c', 'x');
    client.notify('a.d');
    expect(server.last.sent.slice(1)).toEqual([
      '{"id":1,"route":"a.b","body":{"n":1}}',
      '{"id":2,"route":"a.b","body":[1, 2]}',
      '{"route":"a.\\"c","body":"x"}',
      '{"route":"a.d","body":{}}',
    ]);
    say(server.last, { route: 'onChat', body: { text: '😂' } });
    say(server.last, { id: 2, body: null });
    server.last.data(Buffer.from('{"id":1}'));
    say(server.last, { id: 9, body: 1 });
    expect(await Promise.all(answers)).toEqual([{}, null]);
    expect(heard).toEqual([{ text: '😂' }, '{"text":"😂"}']);
  });

  test('rejects with an error, and tells one that belongs to no request', async () => {
    const { client, server, told } = await open();
    const failed = failure(client.request('a.b'));
    const error = { code: 503, reason: 'BACKEND_AWAY', msg: 'gone', retry_after_ms: 70 };
    say(server.last, { id: 1, error });
    expect(await failed).toMatchObject({ code: 503, reason: 'BACKEND_AWAY', message: 'gone' });
    expect((await failed).retryAfterMs).toBe(70);
    say(server.last, { error: { code: 400, reason: 'BAD_BODY', msg: 'no JSON' } });
    say(server.last, { what: 'ever' });
    expect(told.slice(2)).toEqual(['error BAD_BODY: no JSON']);
  });

  test('is kicked', async () => {
    const { server, told } = await open();
    say(server.last, { kick: { reason: 'bye' } });
    server.last.end();
    expect(told.slice(2)).toEqual(['kick bye', 'closed KICKED']);
  });

  test('is refused', async () => {
    const { client, server } = rig({ dialect: 'json' });
    const failed = failure(client.connect());
    server.last.open();
    say(server.last, { handshake: { code: 501 } });
    expect(await failed).toMatchObject({
      reason: 'REFUSED',
      code: 501,
      message: 'the handshake was refused: {"code":501}',
    });
  });

  test.each(['x', '[]', '7'])('ends when %s comes', async (text) => {
    const { client, server } = await open();
    server.last.data(text);
    expect(client.state).toBe('closed');
  });

  test('sends no bytes that are not one JSON value, and no more than a message may hold', async () => {
    const { client, server } = await open();
    const escape = Buffer.from('{}},{"route":"b"}');
    expect(() => client.notify('a.b', escape)).toThrow('the body of a.b is not JSON');
    expect(server.last.sent.length).toBe(1);
    const small = rig({ dialect: 'json', packetBytesMax: 40 });
    const opened = small.client.connect();
    small.server.last.open();
    say(small.server.last, { handshake: { code: 200 } });
    await opened;
    small.client.notify('a', 'x'.repeat(15));
    expect(() => small.client.notify('a', 'ö'.repeat(15))).toThrow(
      'a message has 53 bytes; at most 40 fit',
    );
  });
});
