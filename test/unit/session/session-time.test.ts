import { describe, expect, test } from 'vitest';
import type { InFlight } from '../../../src/session/in-flight.ts';
import { NanoDialect } from '../../../src/dialect/nano.ts';
import { ManualClock } from '../../support/clock.ts';
import { encodeResponse } from '../../../src/protocol/message.ts';
import fc from 'fast-check';

import { WHEEL_TICK_MS } from '../../../src/timer-wheel.ts';
import { cut } from '../protocol/wire.ts';
import {
  ACK,
  activate,
  connect,
  data,
  HANDSHAKE,
  HEARTBEAT,
  LIMITS,
  makeWorld,
  POMELO,
  request,
  turn,
} from './support.ts';

const FIRST_HALF = data('0123456789').subarray(0, 7);

/** Lets `ms` go by but for one tick, then two ticks; gives the reasons before and after. */
function around(client: ReturnType<typeof connect>, ms: number) {
  client.clock.advance(ms - WHEEL_TICK_MS);
  const before = client.host.ended.map(({ reason }) => reason);
  client.clock.advance(2 * WHEEL_TICK_MS);
  return { before, after: client.host.ended.map(({ reason }) => reason) };
}

describe('a deadline', () => {
  test('for the handshake', () => {
    const client = connect();
    client.session.onBytes(HANDSHAKE.subarray(0, 6));
    const ended = around(client, LIMITS.handshakeMs);
    expect(ended).toEqual({ before: [], after: ['handshake_timeout'] });
  });

  test('for the answer to a handshake leaves it a second more, so that the client hears it', () => {
    const client = connect();
    client.host.answersHandshakes = false;
    client.session.onBytes(HANDSHAKE);
    client.clock.advance(LIMITS.handshakeMs + WHEEL_TICK_MS);
    client.session.refuse(POMELO.refuse(503), 'nobody answers');
    expect(client.host.ended.map(({ reason }) => reason)).toEqual(['handshake_refused']);
    expect(client.connection.packets.map(({ body }) => body.toString())).toEqual(['{"code":503}']);
  });

  test('for the answer to a handshake is met, too', () => {
    const client = connect();
    client.host.answersHandshakes = false;
    client.session.onBytes(HANDSHAKE);
    const ended = around(client, LIMITS.handshakeMs + 1_000);
    expect(ended).toEqual({ before: [], after: ['handshake_timeout'] });
  });

  test('for the ack', () => {
    const client = connect();
    client.clock.advance(LIMITS.handshakeMs - 1_000);
    client.session.onBytes(HANDSHAKE);
    expect(around(client, LIMITS.ackMs)).toEqual({ before: [], after: ['ack_timeout'] });
  });

  test('for a packet that is begun, whatever trickles in', () => {
    const client = activate();
    const ended: string[] = [];
    for (const byte of FIRST_HALF) {
      client.session.onBytes(Buffer.from([byte]));
      client.clock.advance(1_000);
    }
    ended.push(...around(client, LIMITS.assembleMs - FIRST_HALF.length * 1_000).after);
    expect(ended).toEqual(['assemble_timeout']);
  });

  test('for a packet begins anew when a packet is whole', () => {
    const client = activate();
    client.session.onBytes(FIRST_HALF);
    client.clock.advance(LIMITS.assembleMs - 100);
    client.session.onBytes(Buffer.concat([data('0123456789').subarray(7)]));
    client.clock.advance(LIMITS.assembleMs);
    client.session.onBytes(FIRST_HALF);
    expect(around(client, LIMITS.assembleMs)).toEqual({ before: [], after: ['assemble_timeout'] });
  });

  test('for a WebSocket message that is begun, which the connection knows of', () => {
    const client = activate();
    client.connection.assembling = true;
    client.clock.advance(3 * LIMITS.assembleMs);
    expect(client.host.ended.map(({ reason }) => reason)).toEqual(['assemble_timeout']);
  });

  test('for the heartbeat: twice its interval', () => {
    const client = activate();
    const ended = around(client, 2 * LIMITS.heartbeatMs);
    expect(ended).toEqual({ before: [], after: ['heartbeat_timeout'] });
  });

  test('for a client that takes nothing', () => {
    const client = activate();
    client.connection.stuck = true;
    client.session.send(encodeResponse(1, Buffer.from('a'))!);
    client.session.outbox.flush();
    client.session.send(encodeResponse(2, Buffer.from('b'))!);
    const ended = around(client, LIMITS.closeAfterMs);
    expect(ended).toEqual({ before: [], after: ['slow_consumer'] });
    expect(client.connection.destroyed).toBe(true);
  });

  test('passes by a client that takes something now and then', () => {
    const client = activate();
    for (let i = 0; i < 10; i++) {
      client.connection.stuck = true;
      client.session.send(encodeResponse(1, Buffer.from('a'))!);
      client.session.outbox.flush();
      client.clock.advance(LIMITS.closeAfterMs - 1_000);
      client.connection.drain();
      client.session.onDrain();
      client.session.onBytes(HEARTBEAT);
    }
    expect(client.host.ended).toEqual([]);
  });
});

describe('heartbeats', () => {
  test('one after the ack, then one for each of the client’s', () => {
    const { session, connection } = connect();
    session.onBytes(Buffer.concat([HANDSHAKE, ACK]));
    expect(connection.types).toEqual([1, 3]);
    session.onBytes(Buffer.concat([HEARTBEAT, HEARTBEAT]));
    session.outbox.flush();
    expect(connection.types).toEqual([1, 3, 3, 3]);
  });

  test('none where they are turned off, and no deadline either', () => {
    const { session, connection, clock, host } = connect({ limits: { heartbeatMs: 0 } });
    session.onBytes(Buffer.concat([HANDSHAKE, ACK, HEARTBEAT]));
    session.outbox.flush();
    clock.advance(3_600_000);
    expect(connection.types).toEqual([1]);
    expect(host.ended).toEqual([]);
  });

  test('on our own clock, for the dialects that tick: a client that answers every second one stays', () => {
    const nano = new NanoDialect({
      heartbeatSeconds: 30,
      dictionary: null,
      answerErrors: false,
      clock: new ManualClock(0),
    });
    const { session, connection, clock, host } = activate({ dialect: nano });
    for (let i = 0; i < 10; i++) {
      clock.advance(2.5 * LIMITS.heartbeatMs);
      session.onBytes(HEARTBEAT);
    }
    session.outbox.flush();
    expect(host.ended).toEqual([]);
    const beats = connection.types.length;
    expect(connection.types.every((type) => type === 3)).toBe(true);
    expect(beats).toBeGreaterThanOrEqual(24);
    expect(beats).toBeLessThanOrEqual(25);
    clock.advance(4 * LIMITS.heartbeatMs);
    expect(host.ended.map(({ reason }) => reason)).toEqual(['heartbeat_timeout']);
  });

  test('any packet counts as one', () => {
    const { session, clock, host } = activate();
    for (let i = 1; i < 20; i++) {
      clock.advance(2 * LIMITS.heartbeatMs - 1_000);
      session.onBytes(request(i));
    }
    expect(host.ended).toEqual([]);
  });
});

/** A session whose messages stay in flight until `finish`. */
function busy(inFlightMax: number) {
  const client = activate({ limits: { inFlightMax } });
  const { session, host } = client;
  const tracked: InFlight[] = [];
  host.onMessageDo = (_session, { rawId, wantsAnswer }) => {
    const call = { rawId, wantsAnswer, giveUp() {}, abandon() {} };
    tracked.push(call);
    session.track(call);
  };
  const finish = (count = 1) => {
    for (let i = 0; i < count; i++) session.untrack(tracked.shift()!);
  };
  return { ...client, finish };
}

describe('too much in flight', () => {
  test('pauses reading, holds the rest of the chunk, and goes on at half', () => {
    const { session, connection, host, finish } = busy(4);
    session.onBytes(Buffer.concat([1, 2, 3, 4, 5, 6, 7].map((id) => request(id))));
    expect(host.messages).toHaveLength(4);
    expect(connection.reading).toBe(false);
    finish();
    expect([host.messages.length, connection.reading]).toEqual([4, false]);
    finish();
    expect([host.messages.length, connection.reading]).toEqual([6, false]);
    finish(2);
    expect([host.messages.length, connection.reading]).toEqual([7, true]);
    expect(host.messages.map((text) => text.split(' ')[0])).toEqual([
      '1',
      '2',
      '3',
      '4',
      '5',
      '6',
      '7',
    ]);
  });

  test('loses and doubles nothing, however the bytes come and the answers go', () => {
    const sizes = fc.array(fc.integer({ min: 1, max: 60 }), { minLength: 1, maxLength: 20 });
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 6 }),
        sizes,
        fc.array(fc.nat(3)),
        (max, lengths, done) => {
          const { session, host, connection, finish } = busy(max);
          const bytes = Buffer.concat(Array.from({ length: 40 }, (_, i) => request(i + 1)));
          const offsets: number[] = [];
          for (let at = 0, i = 0; at < bytes.length; at += lengths[i++ % lengths.length]!) {
            offsets.push(at);
          }
          for (const [i, chunk] of cut(bytes, offsets).entries()) {
            session.onBytes(chunk);
            expect(session.inFlight).toBeLessThanOrEqual(max);
            finish(Math.min(done[i % done.length] ?? 0, session.inFlight));
          }
          while (session.inFlight > 0) finish();
          expect(connection.reading).toBe(true);
          expect(host.messages).toEqual(Array.from({ length: 40 }, (_, i) => `${i + 1} a.b.c`));
        },
      ),
    );
  });

  test('rests the heartbeat deadline, which begins anew afterwards', () => {
    const client = busy(2);
    client.session.onBytes(Buffer.concat([request(1), request(2)]));
    client.clock.advance(10 * LIMITS.heartbeatMs);
    expect(client.host.ended).toEqual([]);
    client.finish(2);
    client.clock.advance(2 * LIMITS.heartbeatMs - 100);
    expect(client.host.ended).toEqual([]);
    client.clock.advance(LIMITS.heartbeatMs);
    expect(client.host.ended.map(({ reason }) => reason)).toEqual(['heartbeat_timeout']);
  });

  test('gives a packet begun meanwhile its whole time once reading goes on', () => {
    const client = busy(2);
    client.session.onBytes(Buffer.concat([request(1), request(2), FIRST_HALF]));
    client.clock.advance(10 * LIMITS.assembleMs);
    client.finish(2);
    expect(around(client, LIMITS.assembleMs)).toEqual({ before: [], after: ['assemble_timeout'] });
  });

  test('of unsent bytes pauses too, and goes on when they are gone', async () => {
    const { session, connection } = activate();
    const body = Buffer.alloc(20_000);
    connection.stuck = true;
    session.send(encodeResponse(1, body)!);
    session.send(encodeResponse(2, body)!);
    expect(connection.reading).toBe(true);
    await turn();
    expect(connection.reading).toBe(false);
    connection.drain();
    session.onDrain();
    expect(connection.reading).toBe(true);
  });

  test('of bytes that must not be sent yet pauses too, and goes on when they were sent without a drain', async () => {
    const { session, connection } = activate();
    const body = Buffer.alloc(20_000);
    session.outbox.cork();
    session.send(encodeResponse(1, body)!);
    session.send(encodeResponse(2, body)!);
    await turn();
    expect(connection.reading).toBe(false);
    session.outbox.uncork();
    // The socket takes all of it at once: no drain will come, and no time goes by.
    await turn();
    expect(connection.writes.flat()).toHaveLength(2);
    expect(connection.reading).toBe(true);
  });

  test('of bytes that one turn brings does not stop reading while the client takes them', async () => {
    const { session, connection } = activate();
    const paused: boolean[] = [];
    for (let i = 0; i < 100; i++) {
      session.send(encodeResponse(i, Buffer.alloc(20_000))!);
      paused.push(!connection.reading);
    }
    await turn();
    expect(paused).not.toContain(true);
    expect(connection.writes.flat()).toHaveLength(100);
  });

  test('of unsent bytes closes a client that reads nothing', async () => {
    const { session, connection, host } = activate();
    connection.stuck = true;
    const pushed: string[] = [];
    for (let i = 0; i < 5; i++) {
      pushed.push(session.push(Buffer.alloc(20_000, 4), null));
      await turn();
    }
    expect(pushed).toEqual(['taken', 'taken', 'taken', 'full', 'closed']);
    expect(host.ended.map(({ reason }) => reason)).toEqual(['slow_consumer']);
    expect(connection.destroyed).toBe(true);
  });

  test('of bytes that must not be sent yet is not called slow', async () => {
    const { session, host } = activate();
    session.outbox.cork();
    for (let i = 0; i < 5; i++) {
      session.push(Buffer.alloc(20_000, 4), null);
      await turn();
    }
    expect(host.ended.map(({ reason }) => reason)).toEqual(['outbox_full']);
  });

  test('leaves nothing behind when the session ends', async () => {
    const { session, connection, outboxes } = activate();
    connection.stuck = true;
    for (let i = 0; i < 2; i++) session.push(Buffer.alloc(20_000, 4), null);
    await turn();
    session.push(Buffer.alloc(20_000, 4), null);
    expect(outboxes.heldBytes).toBe(60_000);
    session.onClosed(null);
    expect(outboxes.heldBytes).toBe(0);
  });
});

describe('a flood of packets in one read', () => {
  test('is handled a part in each turn, in its order, and nothing is lost', async () => {
    const { session, connection, host } = activate({ limits: { packetBytesMax: 65_536 } });
    const ids = Array.from({ length: 1_000 }, (_, i) => i + 1);
    session.onBytes(Buffer.concat(ids.map((n) => request(1, `a.n${n}`))));
    const parts = [host.messages.length];
    expect(connection.reading).toBe(false);
    while (host.messages.length < 1_000) {
      await turn();
      parts.push(host.messages.length - parts.reduce((sum, part) => sum + part, 0));
    }
    expect(Math.max(...parts)).toBeLessThanOrEqual(256);
    expect(host.messages).toEqual(ids.map((n) => `1 a.n${n}`));
    await turn();
    expect(connection.reading).toBe(true);
    session.onBytes(request(1));
    expect(host.messages).toHaveLength(1_001);
  });

  test('for large answers is handled a part in each turn, in its order, and nobody else waits for it', async () => {
    const world = makeWorld();
    const limits = { packetBytesMax: 65_536, outbox: { bytesMax: 1e9, dropAfterMs: 1_000 } };
    const clients = Array.from({ length: 100 }, (_, i) => activate({ world, limits, n: i + 1 }));
    let answers = 0;
    const [player, ...others] = clients;
    for (const { host } of others)
      host.onMessageDo = (session, { rawId }) => {
        answers++;
        session.send(encodeResponse(rawId, Buffer.alloc(60_000))!);
      };
    const ids = Array.from({ length: 100 }, (_, i) => i + 1);
    const flood = Buffer.concat(ids.map((n) => request(n)));
    for (const { session } of others) session.onBytes(flood);
    // The first that would be more than 256 KiB is handled, since it is there.
    expect(answers).toBe(99 * 6);
    const parts: number[] = [];
    while (answers < 9_900 && parts.length < 1_000) {
      const before = answers;
      await turn();
      parts.push(answers - before);
      player!.session.onBytes(request(7));
      expect(player!.host.messages).toHaveLength(parts.length);
    }
    expect(answers).toBe(9_900);
    // 4 MiB in a turn, and what the last one of it has taken beyond.
    expect(Math.max(...parts) * 60_000).toBeLessThan(4.5 * 1_024 * 1_024);
    expect(parts.length).toBeGreaterThan(100);
    for (const { host } of others) expect(host.messages).toEqual(ids.map((n) => `${n} a.b.c`));
  });

  test('goes on after a turn with no clock and no answer', async () => {
    const { session, connection, host } = activate();
    for (let i = 0; i < 3; i++) session.onBytes(Buffer.concat(Array<Buffer>(300).fill(HEARTBEAT)));
    for (let i = 0; i < 8; i++) await turn();
    expect(connection.types).toEqual(Array<number>(900).fill(3));
    expect(connection.reading).toBe(true);
    expect(host.ended).toEqual([]);
  });
});

describe('what must not reset a deadline', () => {
  test('a ping: a packet or WebSocket message that has begun is still due', () => {
    for (const begun of [FIRST_HALF, null]) {
      const client = activate();
      if (begun === null) client.session.onPartial();
      else client.session.onBytes(begun);
      client.connection.assembling = begun === null;
      for (let i = 0; i < 7; i++) {
        client.clock.advance(1_000);
        client.session.onPong();
      }
      const ended = around(client, LIMITS.assembleMs - 7_000);
      expect(ended).toEqual({ before: [], after: ['assemble_timeout'] });
    }
  });

  test('a pong keeps the heartbeat’s deadline away, and no other', () => {
    const client = activate();
    for (let i = 0; i < 10; i++) {
      client.clock.advance(LIMITS.heartbeatMs);
      client.session.onPong();
    }
    expect(client.host.ended).toEqual([]);
  });

  test('a WebSocket message is due from its beginning, not from when it was noticed', () => {
    const client = activate();
    client.clock.advance(LIMITS.assembleMs - 1_000);
    client.connection.assembling = true;
    client.session.onPartial();
    expect(around(client, LIMITS.assembleMs)).toEqual({ before: [], after: ['assemble_timeout'] });
  });

  test('a client that stops us from reading it, again and again: only the time unread does not count', async () => {
    const client = activate();
    const { session, connection, clock, host } = client;
    session.onBytes(FIRST_HALF);
    for (let i = 0; i < 7; i++) {
      clock.advance(1_000);
      connection.stuck = true;
      session.push(Buffer.alloc(40_000, 4), null);
      await turn();
      expect(connection.reading).toBe(false);
      clock.advance(3_000);
      connection.drain();
      session.onDrain();
      expect(connection.reading).toBe(true);
    }
    expect(host.ended).toEqual([]);
    expect(around(client, LIMITS.assembleMs - 7_000)).toEqual({
      before: [],
      after: ['assemble_timeout'],
    });
  });

  test('a client that takes a little of a long write is not slow; one that takes no more is', () => {
    const client = activate();
    const { session, connection, clock, host } = client;
    connection.stuck = true;
    session.send(encodeResponse(1, Buffer.alloc(50_000))!);
    session.outbox.flush();
    for (let i = 0; i < 20; i++) {
      clock.advance(LIMITS.closeAfterMs / 2);
      connection.takenBytes += 10;
      session.onBytes(HEARTBEAT);
    }
    expect(host.ended).toEqual([]);
    clock.advance(1.3 * LIMITS.closeAfterMs);
    expect(host.ended.map(({ reason }) => reason)).toEqual(['slow_consumer']);
  });
});

describe('a session that must have a uid in time', () => {
  const BIND = { limits: { bindMs: 60_000 } };
  const comeIn = (options: Parameters<typeof connect>[0] = BIND) => {
    const client = connect(options);
    client.session.onBytes(Buffer.concat([HANDSHAKE, ACK]));
    return client;
  };
  /** Time goes by, and the client is heard in it. */
  const pass = ({ session, clock }: ReturnType<typeof connect>, ms: number): void => {
    for (let left = ms; left > 0; left -= 10_000) {
      session.onBytes(HEARTBEAT);
      clock.advance(Math.min(left, 10_000));
    }
  };

  test('is told and closed when it is due, counted from the connection on', () => {
    const client = connect(BIND);
    client.clock.advance(4_000);
    client.session.onBytes(Buffer.concat([HANDSHAKE, ACK]));
    pass(client, 55_000);
    expect(around(client, 1_000)).toEqual({ before: [], after: ['bind_timeout'] });
    expect(client.connection.packets.at(-1)).toMatchObject({
      type: 5,
      body: Buffer.from('{"reason":"bind_timeout"}'),
    });
  });

  test('stays once it has had one, also without it later', () => {
    const client = comeIn();
    client.session.uid = 'ann';
    pass(client, 61_000);
    client.session.uid = '';
    pass(client, 300_000);
    expect(client.host.ended).toEqual([]);
  });

  test('need not where nothing is set', () => {
    const client = comeIn({});
    pass(client, 300_000);
    expect(client.host.ended).toEqual([]);
  });

  test('is found soon where it is set later, while the session is open', () => {
    const client = comeIn({});
    pass(client, 100_000);
    // As a reload does it.
    Object.assign(client.limits, { bindMs: 60_000 });
    pass(client, LIMITS.assembleMs + 100);
    expect(client.host.ended.map(({ reason }) => reason)).toEqual(['bind_timeout']);
  });
});
