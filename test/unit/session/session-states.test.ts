import { describe, expect, test } from 'vitest';

import { failure } from '../../../src/errors.ts';
import { encodeResponse } from '../../../src/protocol/message.ts';
import { kickBody } from '../../../src/session/close-reason.ts';
import type { InFlight } from '../../../src/session/in-flight.ts';
import type { State } from '../../../src/session/state.ts';
import { packetBytes } from '../protocol/wire.ts';
import { ACK, activate, connect, data, HANDSHAKE, HEARTBEAT, POMELO, request } from './support.ts';

/** A session in the given state, with what was sent so far forgotten. */
function inState(state: State) {
  const client = connect();
  const { session, connection, host } = client;
  if (state !== 'opening') session.onBytes(HANDSHAKE);
  if (state === 'active' || state === 'draining') session.onBytes(ACK);
  if (state === 'draining') session.drain();
  if (state === 'closed') session.close('closed');
  expect(session.state).toBe(state);
  connection.writes.length = 0;
  host.activations = 0;
  return client;
}

const KICK = packetBytes(5);

type Row = readonly [
  before: State,
  packet: Buffer,
  name: string,
  after: State,
  sent: readonly number[],
  what?: 'message' | 'activation' | 'before_ack',
];

/** What a Pomelo client sees of the table in `state.table.test.ts`. */
// oxfmt-ignore
const PACKETS: readonly Row[] = [
  ['opening',     HANDSHAKE,  'handshake', 'handshaking', [1]],
  ['opening',     ACK,        'ack',       'opening',     []],
  ['opening',     HEARTBEAT,  'heartbeat', 'opening',     []],
  ['opening',     request(1), 'data',      'opening',     [], 'before_ack'],
  ['opening',     KICK,       'kick',      'closed',      []],
  ['handshaking', HANDSHAKE,  'handshake', 'handshaking', []],
  ['handshaking', ACK,        'ack',       'active',      [3], 'activation'],
  ['handshaking', HEARTBEAT,  'heartbeat', 'handshaking', []],
  ['handshaking', request(1), 'data',      'handshaking', [], 'before_ack'],
  ['handshaking', KICK,       'kick',      'closed',      []],
  ['active',      HANDSHAKE,  'handshake', 'active',      []],
  ['active',      ACK,        'ack',       'active',      []],
  ['active',      HEARTBEAT,  'heartbeat', 'active',      [3]],
  ['active',      request(1), 'data',      'active',      [], 'message'],
  ['active',      KICK,       'kick',      'closed',      []],
  ['draining',    HANDSHAKE,  'handshake', 'draining',    []],
  ['draining',    ACK,        'ack',       'draining',    []],
  ['draining',    HEARTBEAT,  'heartbeat', 'draining',    [3]],
  ['draining',    request(1), 'data',      'draining',    [], 'message'],
  ['draining',    KICK,       'kick',      'closed',      []],
  ['closed',      HANDSHAKE,  'handshake', 'closed',      []],
  ['closed',      ACK,        'ack',       'closed',      []],
  ['closed',      HEARTBEAT,  'heartbeat', 'closed',      []],
  ['closed',      request(1), 'data',      'closed',      []],
  ['closed',      KICK,       'kick',      'closed',      []],
];

describe('a packet', () => {
  for (const [before, packet, name, after, sent, what] of PACKETS) {
    test(`while ${before}, ${name}: ${after} ${what ?? ''}`, () => {
      const { session, connection, host } = inState(before);
      session.onBytes(packet);
      session.outbox.flush();
      expect({
        state: session.state,
        sent: connection.types,
        messages: host.messages.length,
        activations: host.activations,
        drops: host.drops,
        ended: host.ended.map(({ reason }) => reason),
      }).toEqual({
        state: after,
        sent,
        messages: what === 'message' ? 1 : 0,
        activations: what === 'activation' ? 1 : 0,
        drops: what === 'before_ack' ? ['before_ack'] : [],
        ended: after !== 'closed' ? [] : before === 'closed' ? ['closed'] : ['bad_packet_type'],
      });
    });
  }

  test.each([0, 6, 255])('of the unknown type %d closes in every open state', (type) => {
    for (const state of ['opening', 'handshaking', 'active', 'draining'] as const) {
      const { session, host } = inState(state);
      session.onBytes(Buffer.from([type, 0, 0, 0]));
      expect(host.ended.map(({ reason }) => reason)).toEqual(['bad_packet_type']);
    }
  });

  test('that is too long closes with its own reason', () => {
    const { session, host, connection } = activate();
    session.onBytes(Buffer.from([4, 0, 0x10, 0x01]));
    expect(host.ended[0]!.reason).toBe('packet_too_long');
    expect(connection.closed).toEqual({ code: 1009, reason: 'packet_too_long' });
  });
});

describe('the handshake', () => {
  test('one byte at a time is the same handshake', () => {
    const { session, connection } = connect();
    for (const byte of Buffer.concat([HANDSHAKE, ACK])) session.onBytes(Buffer.from([byte]));
    expect(session.state).toBe('active');
    expect(connection.types).toEqual([1, 3]);
  });

  test('that cannot be read is refused by the host', () => {
    const { session, host, connection } = connect();
    session.onBytes(Buffer.concat([packetBytes(1, Buffer.from('{}')), ACK, request(1)]));
    expect(host.ended.map(({ reason }) => reason)).toEqual(['handshake_refused']);
    expect([host.messages, host.drops]).toEqual([[], []]);
    expect(connection.packets.map(({ body }) => body.toString())).toEqual(['{"code":500}']);
  });

  test('is waited for, and what the client sends meanwhile is kept', () => {
    const { session, host, connection } = connect();
    host.answersHandshakes = false;
    session.onBytes(Buffer.concat([HANDSHAKE, ACK, request(1)]));
    session.onBytes(Buffer.concat([HANDSHAKE, request(2)]));
    expect([session.state, host.messages, host.drops]).toEqual(['opening', [], []]);
    session.accept(POMELO.refuse(500)!);
    expect(session.state).toBe('active');
    expect(host.messages).toEqual(['1 a.b.c', '2 a.b.c']);
    expect(connection.reading).toBe(true);
  });

  test('is waited for no longer once the client has gone', () => {
    const { session, host, connection } = connect();
    host.answersHandshakes = false;
    session.onBytes(HANDSHAKE);
    session.onClosed(null);
    session.accept(POMELO.refuse(500)!);
    session.refuse(POMELO.refuse(500), 'no');
    expect([session.state, connection.writes]).toEqual(['closed', []]);
    expect(host.ended.map(({ reason }) => reason)).toEqual(['client_closed']);
  });

  test('does not let a client send without a bound while it is waited for', () => {
    const { session, host, connection } = connect();
    host.answersHandshakes = false;
    session.onBytes(HANDSHAKE);
    session.onBytes(Buffer.alloc(4_096, 3));
    expect(connection.reading).toBe(true);
    session.onBytes(Buffer.alloc(1, 3));
    expect(connection.reading).toBe(false);
  });

  test('pushes before the ack come right after it, in order', () => {
    const { session, connection } = connect();
    session.onBytes(HANDSHAKE);
    session.send(encodeResponse(1, Buffer.from('a'))!);
    session.send(encodeResponse(2, Buffer.from('b'))!);
    session.outbox.flush();
    expect(connection.types).toEqual([1]);
    session.onBytes(ACK);
    session.outbox.flush();
    expect(connection.types).toEqual([1, 3, 4, 4]);
    expect(connection.messages).toEqual(['#1 a', '#2 b']);
  });
});

describe('a message', () => {
  test('with an id that is in flight already is dropped', () => {
    const { session, host } = activate();
    const tracked: InFlight[] = [];
    host.onMessageDo = (_session, { rawId, wantsAnswer }) => {
      const call = { rawId, wantsAnswer, giveUp() {}, abandon() {} };
      tracked.push(call);
      session.track(call);
    };
    session.onBytes(Buffer.concat([request(1), request(1), request(2), request(1)]));
    expect(host.messages).toEqual(['1 a.b.c', '2 a.b.c']);
    expect(host.drops).toEqual(['duplicate_id', 'duplicate_id']);
    session.untrack(tracked[0]!);
    session.onBytes(request(1));
    expect(host.messages).toHaveLength(3);
  });

  test('that is a response is dropped and does no harm', () => {
    const { session, host } = activate();
    for (let i = 0; i < 17; i++) session.onBytes(data(Buffer.from([4, 1])));
    expect(new Set(host.drops)).toEqual(new Set(['unexpected_kind']));
    expect(session.state).toBe('active');
  });

  test('that cannot be read is dropped, and the 16th closes', () => {
    const { session, host, connection } = activate();
    for (let i = 1; i < 16; i++) session.onBytes(data(Buffer.from([0x0e])));
    expect(session.state).toBe('active');
    session.onBytes(data(''));
    expect(host.drops).toEqual([...Array.from({ length: 15 }, () => 'bad_kind'), 'empty']);
    expect(host.ended[0]!.reason).toBe('malformed');
    expect(connection.closed!.code).toBe(1002);
  });

  test('that cannot be read, but for its id, is given to be answered', () => {
    const { session, host } = activate();
    session.onBytes(data(Buffer.from([0x00, 7, 40, 1])));
    session.onBytes(data(Buffer.from([0x01, 8, 0, 9])));
    expect(host.refusals).toEqual(['7: 400 the message is truncated', '8: 400 unknown route code']);
  });
});

describe('the end', () => {
  test('shows the words of whoever asked for it', () => {
    const words = { text: 'banned', code: 77, retryAfterMs: 5_000 };
    const { session, connection } = activate();
    session.close('kick', words);
    expect(connection.closed).toEqual({ code: 1000, reason: 'banned' });
    expect(JSON.parse(connection.packets[0]!.body.toString())).toEqual({
      reason: 'banned',
      code: 77,
      retry_after_ms: 5_000,
    });
    expect(kickBody('closed', words)).toBeNull();
  });

  test('is told by a kick as soon as the handshake was answered, and what waits for the ack is not sent', () => {
    const kicks = [[], [HANDSHAKE], [HANDSHAKE, ACK]].map((packets) => {
      const { session, connection } = connect();
      for (const packet of packets) session.onBytes(packet);
      session.send(encodeResponse(1, Buffer.from('a'))!);
      connection.writes.length = 0;
      session.close('logged_in_elsewhere');
      expect(connection.closed).toEqual({ code: 1000, reason: 'logged_in_elsewhere' });
      return connection.packets.map(({ type, body }) => [type, body.toString()]);
    });
    const kick = [5, '{"reason":"logged_in_elsewhere"}'];
    expect(kicks).toEqual([[], [kick], [[4, expect.any(String)], kick]]);
  });

  test('by the client is told apart from a lost connection', () => {
    const ends = [null, new Error('reset')].map((error) => {
      const { session, host } = activate();
      session.onClosed(error);
      return host.ended[0];
    });
    expect(ends).toMatchObject([
      { reason: 'client_closed', cause: '' },
      { reason: 'connection_lost', cause: 'reset' },
    ]);
  });

  test('sends what waits for a client that is slow just now', () => {
    const { session, connection } = activate();
    connection.stuck = true;
    session.send(encodeResponse(1, Buffer.from('a'))!);
    session.outbox.flush();
    session.send(encodeResponse(2, Buffer.from('b'))!);
    session.close('kick');
    expect(connection.types).toEqual([4, 4, 5]);
  });

  test('tells each call in flight, and leaves no timer', () => {
    const { session, wheel } = activate();
    const told: number[] = [];
    for (const rawId of [1, 2, 3]) {
      const call = {
        rawId,
        wantsAnswer: true,
        giveUp: () => {},
        abandon: () => {},
      };
      call.abandon = () => {
        told.push(rawId);
        session.untrack(call);
      };
      session.track(call);
    }
    session.onClosed(null);
    expect(told).toEqual([1, 2, 3]);
    expect(session.inFlight).toBe(0);
    expect(wheel.size).toBe(0);
  });

  test.each(['close', 'giveUp'] as const)(
    'tells no call that has ended with one before it, and all others in their order: %s',
    (how) => {
      const { session } = activate();
      const told: number[] = [];
      const calls = [1, 2, 3, 4].map((rawId): InFlight => {
        const end = (): void => {
          told.push(rawId);
          session.untrack(calls[rawId - 1]!);
          // It was waiting for the first, and is another session's message by now.
          if (rawId === 1) session.untrack(calls[1]!);
        };
        return { rawId, wantsAnswer: true, giveUp: end, abandon: end };
      });
      for (const call of calls) session.track(call);
      if (how === 'close') session.close('closed');
      else session.giveUp(failure('DRAINING'));
      expect(told).toEqual([1, 3, 4]);
      expect(session.inFlight).toBe(0);
      // An end that comes twice takes out nobody else.
      session.untrack(calls[2]!);
      expect(session.inFlight).toBe(0);
    },
  );
});
