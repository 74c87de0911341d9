/** What the gateway writes of ends, read by another protobuf implementation from the same .proto files. */
import fc from 'fast-check';
import { expect, test } from 'vitest';

import type { JsonObject } from '../../../src/contract/commands.ts';
import { encodeClosed, encodeLost, writeEvent } from '../../../src/contract/event-frames.ts';
import { WireWriter } from '../../../src/contract/protobuf-wire.ts';
import { connect } from '../session/support.ts';
import { decodeToBackend, fromDuration, fromStruct } from './reference.ts';

function read(kind: 'closed' | 'lost', event: Buffer): Record<string, unknown> {
  const writer = new WireWriter();
  writeEvent(writer, kind, event);
  const [frame] = decodeToBackend(writer.take());
  expect(frame).toMatchObject({ id: 0, frame: kind });
  return frame![kind] as Record<string, unknown>;
}

function closedOf(data: JsonObject, keys: readonly string[]) {
  const { session } = connect();
  Object.assign(session.data, data);
  session.groups = new Set(['room.1']);
  const event = encodeClosed(
    { session, reason: 'bye', closeReason: 'kick', code: 4, lastedMs: 1_500 },
    keys,
  );
  return read('closed', event)['session'] as { data: unknown; groups: string[]; sid: string };
}

test('closed, with codes of either sign', () => {
  const int32 = fc.integer({ min: -(2 ** 31), max: 2 ** 31 - 1 });
  const ms = fc.integer({ min: 0, max: 2 ** 40 });
  fc.assert(
    fc.property(fc.string({ unit: 'binary' }), int32, ms, (reason, code, lastedMs) => {
      const { session } = connect();
      const end = { session, reason, closeReason: 'closed', code, lastedMs };
      const closed = read('closed', encodeClosed(end, []));
      expect(closed).toMatchObject({ session: { sid: 'g-0123456789.1' }, reason, code });
      expect(closed['close_reason']).toBe('closed');
      expect(fromDuration(closed['lasted'])).toBe(lastedMs);
    }),
  );
});

test('closed, with its groups, and of its data what is to be told', () => {
  const { data, groups } = closedOf({ room: 'lobby', secret: 1 }, ['room', 'level']);
  expect([fromStruct(data), groups]).toEqual([{ room: 'lobby' }, ['room.1']]);
  expect(fromStruct(closedOf({ room: 'lobby', secret: 1 }, ['*']).data)).toEqual({
    room: 'lobby',
    secret: 1,
  });
});

test('closed, without what no Struct can hold', () => {
  const half = { good: { a: [1] }, bad: '\ud800', worse: { deep: ['\udc00'] } };
  expect(fromStruct(closedOf(half, ['*']).data)).toEqual({ good: { a: [1] } });
});

test('lost, with every field', () => {
  const lost = {
    ...{ id: 'lost.gw-x.2', gateway: 'gw-x', sessions: 7, lastHeardWall: 1_767_322_800_250 },
    ...{ lastSeq: 2 ** 40, term: 2, by: 'gw-y', seq: 3 },
  };
  expect(read('lost', encodeLost(lost))).toEqual({
    ...{ id: 'lost.gw-x.2', gateway: 'gw-x', sessions: 7, last_seq: 2 ** 40, term: 2 },
    ...{ by: 'gw-y', seq: 3, last_heard: { seconds: 1_767_322_800, nanos: 250_000_000 } },
  });
});
