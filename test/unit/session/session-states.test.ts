import { describe, expect, test } from 'vitest';
import { encodeResponse } from '../../../src/protocol/message.ts';

import { PacketType } from '../../../src/protocol/packet.ts';
import { CLOSE_REASONS, type CloseReason, kickBody } from '../../../src/session/close-reason.ts';
import type { InFlight } from '../../../src/session/session-parts.ts';
import { MALFORMED_MAX } from '../../../src/session/session.ts';
import { actionFor, mayBecome, type State } from '../../../src/session/state.ts';
import { packetBytes } from '../protocol/wire.ts';
import { ACK, activate, connect, data, HANDSHAKE, HEARTBEAT, POMELO, request } from './support.ts';

const STATES: readonly State[] = ['opening', 'handshaking', 'active', 'draining', 'closed'];

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

const BYTES: Record<number, Buffer> = {
  [PacketType.HANDSHAKE]: HANDSHAKE,
  [PacketType.HANDSHAKE_ACK]: ACK,
  [PacketType.HEARTBEAT]: HEARTBEAT,
  [PacketType.DATA]: request(1),
  [PacketType.KICK]: packetBytes(PacketType.KICK),
};

describe('a packet', () => {
  for (const state of STATES) {
    for (const type of Object.values(PacketType)) {
      const action = actionFor(state, type, POMELO.manners);
      test(`of type ${type} while ${state}: ${action}`, () => {
        const { session, connection, host } = inState(state);
        session.onBytes(BYTES[type]!);
        session.outbox.flush();
        expect({
          state: session.state,
          sent: connection.types,
          messages: host.messages.length,
          activations: host.activations,
          drops: host.drops,
        }).toEqual({
          state:
            { handshake: 'handshaking', activate: 'active', close: 'closed' }[action as string] ??
            state,
          sent: { handshake: [1], activate: [3], heartbeat: [3] }[action as string] ?? [],
          messages: action === 'message' ? 1 : 0,
          activations: action === 'activate' ? 1 : 0,
          drops: action === 'early' ? ['before_ack'] : [],
        });
        const ended = host.ended.map(({ reason }) => reason);
        const closes = action === 'close' ? ['bad_packet_type'] : [];
        expect(ended).toEqual(state === 'closed' ? ['closed'] : closes);
      });
    }
  }

  test.each([0, 6, 255])('of the unknown type %d closes in every open state', (type) => {
    for (const state of STATES.filter((one) => one !== 'closed')) {
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

test('a session never comes back from a later state', () => {
  const order = new Map(STATES.map((state, i) => [state, i]));
  for (const from of STATES) {
    for (const to of STATES) {
      expect(mayBecome(from, to) && order.get(to)! <= order.get(from)!).toBe(false);
    }
    expect(mayBecome(from, 'closed')).toBe(from !== 'closed');
  }
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
    session.answer(encodeResponse(1, Buffer.from('a'))!);
    session.answer(encodeResponse(2, Buffer.from('b'))!);
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
      const call = { rawId, wantsAnswer, sessionIndex: -1, giveUp() {}, onSessionClosed() {} };
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
    for (let i = 0; i < MALFORMED_MAX + 1; i++) session.onBytes(data(Buffer.from([4, 1])));
    expect(new Set(host.drops)).toEqual(new Set(['unexpected_kind']));
    expect(session.state).toBe('active');
  });

  test(`that cannot be read is dropped, and the ${MALFORMED_MAX}th closes`, () => {
    const { session, host, connection } = activate();
    for (let i = 1; i < MALFORMED_MAX; i++) session.onBytes(data(Buffer.from([0x0e])));
    expect(session.state).toBe('active');
    session.onBytes(data(''));
    expect(host.drops).toEqual([
      ...Array.from({ length: MALFORMED_MAX - 1 }, () => 'bad_kind'),
      'empty',
    ]);
    expect(host.ended[0]!.reason).toBe('malformed');
    expect(connection.closed!.code).toBe(1002);
  });

  test('that cannot be read, but for its id, is given to be answered', () => {
    const { session, host } = activate();
    session.onBytes(data(Buffer.from([0x00, 7, 40, 1])));
    session.onBytes(data(Buffer.from([0x01, 8, 0, 9])));
    expect(host.unreadable).toEqual(['7 truncated', '8 unknown_route_code']);
  });
});

describe('the end', () => {
  for (const reason of Object.keys(CLOSE_REASONS) as CloseReason[]) {
    const row = CLOSE_REASONS[reason];
    test(`by ${reason}: ${row.kick === null ? 'no kick' : 'a kick'}, code ${row.webSocketCode}`, () => {
      const { session, connection, host } = activate();
      session.answer(encodeResponse(1, Buffer.from('last'))!);
      session.close(reason);
      session.close('internal');
      session.onClosed(null);
      expect(host.ended).toMatchObject([{ reason, cause: '' }]);
      expect(session.state).toBe('closed');
      // A slow client is cut off: what is unsent stays so.
      const cutOff = reason === 'slow_consumer';
      const goodbye = cutOff ? null : { code: row.webSocketCode, reason };
      expect([connection.destroyed, connection.closed]).toEqual([cutOff, goodbye]);
      expect(connection.messages).toEqual(cutOff ? [] : ['#1 last']);
      const kicks = connection.packets
        .filter(({ type }) => type === PacketType.KICK)
        .map(({ body }): unknown => JSON.parse(body.toString()));
      expect(kicks).toEqual(row.kick === null ? [] : [{ reason: row.kick }]);
    });

    test(`by ${reason} before the ack sends no kick`, () => {
      for (const state of ['opening', 'handshaking'] as const) {
        const { session, connection } = inState(state);
        session.close(reason);
        expect(connection.types).toEqual([]);
      }
      const { session, connection } = inState('handshaking');
      session.drain();
      session.close(reason);
      expect(connection.types).toEqual([]);
    });
  }

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
    session.answer(encodeResponse(1, Buffer.from('a'))!);
    session.outbox.flush();
    session.answer(encodeResponse(2, Buffer.from('b'))!);
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
        sessionIndex: -1,
        giveUp: () => {},
        onSessionClosed: () => {},
      };
      call.onSessionClosed = () => {
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
});
