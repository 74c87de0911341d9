/** Every way in which a session ends: what the client is sent, and at which level it is logged. */
import { describe, expect, test } from 'vitest';

import { encodeResponse } from '../../../src/protocol/message.ts';
import {
  CLOSE_REASONS,
  type CloseReason,
  closeDetails,
} from '../../../src/session/close-reason.ts';
import { ACK, activate, connect, HANDSHAKE } from './support.ts';

type Row = readonly [
  reason: CloseReason,
  webSocketCode: number,
  kick: string | null,
  log: string,
  by: string,
];

// [RFC 6455 section 7.4; none is above 1011]
// oxfmt-ignore
const ROWS: readonly Row[] = [
  ['client_closed',       1000, null,           'info', 'client'],
  ['connection_lost',     1006, null,           'info', 'network'],
  ['handshake_refused',   1000, null,           'info', 'gateway'],
  ['handshake_timeout',   1008, null,           'info', 'gateway'],
  ['ack_timeout',         1008, null,           'info', 'gateway'],
  ['assemble_timeout',    1008, null,           'info', 'gateway'],
  ['heartbeat_timeout',   1008, null,           'info', 'gateway'],
  ['idle_timeout',        1008, 'idle_timeout', 'info', 'gateway'],
  ['max_age',             1001, null,           'info', 'gateway'],
  ['bad_packet_type',     1002, null,           'info', 'gateway'],
  ['packet_too_long',     1009, null,           'info', 'gateway'],
  ['malformed',           1002, null,           'info', 'gateway'],
  ['auth_expired',        1008, 'auth_expired', 'info', 'gateway'],
  ['bind_timeout',        1008, 'bind_timeout', 'info', 'gateway'],
  ['bad_signature',       1008, null,           'info', 'gateway'],
  ['ping_flood',          1008, null,           'info', 'gateway'],
  ['slow_consumer',       1008, null,           'warn', 'gateway'],
  ['outbox_full',         1008, null,           'warn', 'gateway'],
  ['closed',              1000, null,           'info', 'backend'],
  ['kick',                1000, 'kick',         'info', 'backend'],
  ['logged_in_elsewhere', 1000, 'logged_in_elsewhere',  'info', 'gateway'],
  ['blocked',             1008, 'blocked',      'info', 'operator'],
  ['resumed',             1000, null,           'info', 'client'],
  ['draining',            1001, null,           'info', 'operator'],
  ['rebalanced',          1001, null,           'info', 'gateway'],
  ['drain_forced',        1001, null,           'warn', 'operator'],
  ['internal',            1011, null,           'warn', 'gateway'],
];

test('the reasons are these and no others', () => {
  const rows = Object.entries(CLOSE_REASONS).map(([reason, row]) => {
    const { webSocketCode, kicks, log, by } = row;
    return [reason, webSocketCode, kicks ? reason : null, log, by];
  });
  expect(rows).toEqual(ROWS);
});

describe('a session that ends', () => {
  test.each(ROWS)('by %s: code %i, kick %s', (reason, code, kick) => {
    const { session, connection, host } = activate();
    session.send(encodeResponse(1, Buffer.from('last'))!);
    session.close(reason);
    session.close('internal');
    session.onClosed(null);
    expect(host.ended).toMatchObject([{ reason, cause: '' }]);
    expect(session.state).toBe('closed');
    // A slow client is cut off: what is unsent stays so.
    const cutOff = reason === 'slow_consumer';
    expect([connection.destroyed, connection.closed]).toEqual([
      cutOff,
      cutOff ? null : { code, reason },
    ]);
    expect(connection.messages).toEqual(cutOff ? [] : ['#1 last']);
    const kicks = connection.packets
      .filter(({ type }) => type === 5)
      .map(({ body }) => body.toString());
    expect(kicks).toEqual(kick === null ? [] : [`{"reason":"${kick}"}`]);
  });

  test.each(ROWS)(
    'by %s before the ack sends its kick if the handshake was answered',
    (reason, _, kick) => {
      for (const said of [[], [HANDSHAKE]]) {
        const { session, connection } = connect();
        for (const bytes of said) session.onBytes(bytes);
        connection.writes.length = 0;
        session.close(reason);
        expect(connection.types).toEqual(said.length === 0 || kick === null ? [] : [5]);
      }
      const { session, connection } = connect();
      session.onBytes(HANDSHAKE);
      connection.writes.length = 0;
      session.drain();
      session.close(reason);
      session.onBytes(ACK);
      expect(connection.types).toEqual([]);
    },
  );
});

test("a backend's words for a close are cut at 256 characters", () => {
  expect(closeDetails('x'.repeat(300), 7, 5)).toEqual({
    text: 'x'.repeat(256),
    code: 7,
    retryAfterMs: 5,
  });
});
