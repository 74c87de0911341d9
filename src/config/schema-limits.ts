/** `limits`: what clients, backends and the gateway itself may hold, and how long things may take. */
import { z } from 'zod';

import { autoSize, duration, integer, size, wholeNumber } from './fields.ts';

const MEBIBYTE = 1024 * 1024;
/** The length of a packet is written in three bytes. */
const PACKET_BYTES_MAX = 16_777_215;
const MANY = { min: 1, max: 1_000_000 };
const MANY_OR_NONE = { min: 0, max: 1_000_000 };

export const limitsSchema = z
  .strictObject({
    packet: size('64KiB', 'Largest packet from a client: 64B to 16777215 bytes.', {
      min: 64,
      max: PACKET_BYTES_MAX,
    }),
    unfinished: autoSize(
      'Bytes of packets that are not whole, of all sessions together, beyond 4 KiB each, 64KiB to 1048576MiB; at the bound the client that has begun first is closed. auto: a sixteenth of memory.',
      { min: 64 * 1024, max: 1024 * 1024 * MEBIBYTE },
    ),
    outbox: size(
      '1MiB',
      'Unsent bytes per session, 1KiB to 1024MiB; one message may exceed an empty outbox.',
      { min: 1024, max: 1024 * MEBIBYTE },
    ),
    outboxes: autoSize(
      'Unsent bytes of all sessions together, 1KiB to 1048576MiB; at the bound the client that is furthest behind is closed. auto: a quarter of memory.',
      { min: 1024, max: 1024 * 1024 * MEBIBYTE },
    ),
    slow: z
      .strictObject({
        drop_after: duration(
          '2s',
          'Droppable pushes are dropped once the client has taken nothing for this long.',
        ),
        close_after: duration(
          '10s',
          'The session is closed once the client has taken nothing for this long.',
        ),
      })
      .prefault({})
      .describe('What happens to clients that do not read.'),
    fanout: z
      .strictObject({
        per_turn: integer(
          256,
          'What one turn of the event loop does of a burst, in writes to a client: pushes to many, messages from NATS, sessions that end, 1 to 100000; the rest follows in the next turns.',
          { min: 1, max: 100_000 },
        ),
        waiting: size(
          '64MiB',
          'Pushes to many sessions that wait for their turn, with 32 bytes a session, 1KiB to 1048576MiB; beyond it they are refused.',
          { min: 1024, max: 1024 * 1024 * MEBIBYTE },
        ),
      })
      .prefault({})
      .describe('What is done to many sessions at once.'),
    handshake: duration('5s', 'Time from connection to handshake.'),
    ack: duration('5s', "Time from our handshake to the client's ack."),
    assemble: duration('10s', 'Time from the first byte of a packet to its last.'),
    idle: duration(
      '0s',
      'Close sessions that send nothing but heartbeats for this long, and wait for no answer; 0s: never.',
      { zero: true },
    ),
    connections: z
      .union([z.literal('auto'), wholeNumber({ min: 1, max: 10_000_000 })], {
        error: 'expected auto, or a whole number from 1 to 10000000',
      })
      .prefault('auto')
      .describe(
        'Connections of this gateway; auto: from memory and file-descriptor limits, of which a few are reserved for ports, backends and files (deploy/README.md).',
      ),
    connections_per_address: integer(
      0,
      'Connections from one address, or one /64 network of IPv6, on all listeners; behind trusted_proxies the client counts; 0: no limit, as players share addresses.',
      MANY_OR_NONE,
    ),
    accepts_per_second: integer(
      500,
      'New connections a second on all listeners, an eighth of it at the start, doubled every second; others wait for their turn.',
      MANY,
    ),
    messages_per_second: integer(100, 'Messages per session and second; beyond it 429.', MANY),
    burst: integer(500, 'Messages that a session may send at once.', MANY),
    in_flight_per_session: integer(
      64,
      'Unanswered requests per session, 1 to 100000; beyond it the gateway stops reading from that client.',
      { min: 1, max: 100_000 },
    ),
    in_flight_per_backend: integer(10_000, 'Unanswered requests per backend; beyond it 503.', MANY),
    in_flight_bytes: autoSize(
      'Bodies of unanswered requests, all sessions and backends together, 64KiB to 1048576MiB; beyond it 503. auto: a sixteenth of memory.',
      { min: 64 * 1024, max: 1024 * 1024 * MEBIBYTE },
    ),
    route: integer(127, 'Longest route in bytes, 1 to 127.', { min: 1, max: 127 }),
    json_depth: integer(
      32,
      'How deep JSON of a client may be nested where the gateway parses it: its handshake, and bodies for mode: method; 1 to 1000.',
      {
        min: 1,
        max: 1000,
      },
    ),
    inflate: size('1MiB', 'Largest body after decompression, 1KiB to 1024MiB.', {
      min: 1024,
      max: 1024 * MEBIBYTE,
    }),
    convert: size(
      '1MiB',
      'Largest body that is parsed, transcoded, base64-encoded or escaped again, 64KiB to 64MiB; an object in it counts at least 32 bytes, any other value and each key 8. What passes unchanged is not bound by it.',
      { min: 64 * 1024, max: 64 * MEBIBYTE },
    ),
    event_loop_lag: duration(
      '200ms',
      'While the event loop lags by more than this, new requests are refused with 503: all at first, then as many as keep the lag at half of it, until it keeps up; 0s: never.',
      {
        zero: true,
      },
    ),
  })
  .prefault({})
  .describe('What a client, a session and a backend may use up.');
