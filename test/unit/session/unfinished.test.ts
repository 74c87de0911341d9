/** Packets that are not whole: what they hold together, and who goes when it is too much. */
import { describe, expect, test } from 'vitest';

import { Unfinished } from '../../../src/session/unfinished.ts';
import { packetBytes } from '../protocol/wire.ts';
import { activate, request } from './support.ts';

const KIB = 1_024;

/** Sessions of a gateway whose clients may have 100 KiB unfinished. */
function setUp(count: number) {
  const unfinished = new Unfinished(100 * KIB);
  const limits = { packetBytesMax: 65_536 };
  const clients = Array.from({ length: count }, () => activate({ unfinished, limits }));
  const ended = () => clients.flatMap(({ host }, i) => (host.ended.length > 0 ? [i] : []));
  return { unfinished, clients, ended };
}

/** The first `bytes` of a packet of 60 KiB. */
function part(bytes: number): Buffer {
  return packetBytes(4, Buffer.alloc(60 * KIB)).subarray(0, bytes);
}

describe('what clients have begun', () => {
  test('counts to the byte, but for what is little, until it is whole or its client is gone', () => {
    const { unfinished, clients } = setUp(3);
    const [first, second, third] = clients;
    first!.session.onBytes(part(4 * KIB));
    expect(unfinished.bytes).toBe(0);
    first!.session.onBytes(Buffer.alloc(1));
    expect(unfinished.bytes).toBe(4 * KIB + 1);
    second!.session.onBytes(part(10 * KIB));
    expect(unfinished.bytes).toBe(14 * KIB + 1);
    first!.session.onBytes(Buffer.alloc(56 * KIB + 3));
    expect(unfinished.bytes).toBe(10 * KIB);
    second!.session.onClosed(null);
    expect(unfinished.bytes).toBe(0);
    // Part of a message over WebSocket.
    third!.connection.assembling = true;
    third!.connection.assemblingBytes = 20 * KIB;
    third!.session.onPartial();
    expect(unfinished.bytes).toBe(20 * KIB);
    third!.connection.assembling = false;
    third!.connection.assemblingBytes = 0;
    third!.session.onBytes(request(1, 'a.b.c'));
    expect(unfinished.bytes).toBe(0);
  });

  test('of a session that has ended does not count, whatever still comes of it', () => {
    const { unfinished, clients } = setUp(2);
    const [first, second] = clients;
    // The request ends the session; the beginning of another packet came with it.
    first!.host.onMessageDo = () => {
      first!.session.close('kick');
    };
    first!.session.onBytes(Buffer.concat([request(1, 'a.b.c'), part(20 * KIB)]));
    expect([first!.host.ended.length, unfinished.bytes]).toEqual([1, 0]);
    second!.session.close('kick');
    second!.connection.assembling = true;
    second!.connection.assemblingBytes = 20 * KIB;
    second!.session.onPartial();
    expect(unfinished.bytes).toBe(0);
  });

  test('never passes its bound: who has begun first is cut off', () => {
    const { unfinished, clients, ended } = setUp(5);
    for (const { session } of clients) {
      session.onBytes(part(30 * KIB));
      expect(unfinished.bytes).toBeLessThanOrEqual(100 * KIB);
    }
    expect(ended()).toEqual([0, 1]);
    expect(clients[0]!.connection.destroyed).toBe(true);
    expect(clients[0]!.host.ended[0]).toMatchObject({
      reason: 'assemble_timeout',
      cause:
        'limits.unfinished is 102400 bytes, and no session has waited longer for the rest of its packet',
    });
  });

  test('who sends one large packet after the other has not begun before those who stopped in one', () => {
    const { unfinished, clients, ended } = setUp(3);
    const [busy, idle, next] = clients;
    busy!.session.onBytes(part(30 * KIB));
    idle!.session.onBytes(part(40 * KIB));
    // The rest of it, and the beginning of another one.
    busy!.session.onBytes(Buffer.concat([Buffer.alloc(30 * KIB + 4), part(20 * KIB)]));
    expect(unfinished.bytes).toBe(60 * KIB);
    next!.session.onBytes(part(50 * KIB));
    expect(ended()).toEqual([1]);
    expect(unfinished.bytes).toBe(70 * KIB);
  });

  test('one that passes the bound alone goes itself', () => {
    const unfinished = new Unfinished(10 * KIB);
    const client = activate({ unfinished, limits: { packetBytesMax: 65_536 } });
    client.session.onBytes(part(11 * KIB));
    expect(client.host.ended.map(({ reason }) => reason)).toEqual(['assemble_timeout']);
    expect(unfinished.bytes).toBe(0);
  });
});
