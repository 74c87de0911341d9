import { expect, test } from 'vitest';

import { NanoDialect } from '../../../src/dialect/nano.ts';
import { failure } from '../../../src/errors.ts';
import { readHandshake } from '../../../src/protocol/handshake.ts';
import { type Encoded, packetOffset } from '../../../src/protocol/packet.ts';
import { RouteDictionary } from '../../../src/protocol/route-dictionary.ts';
import { ManualClock } from '../../support/clock.ts';

const clock = new ManualClock(1_000);
const make = (answerErrors = false): NanoDialect => {
  const dictionary = new RouteDictionary({ 'Room.Join': 1 });
  return new NanoDialect({ heartbeatSeconds: 30, dictionary, answerErrors, clock });
};
const body = (encoded: unknown): string => {
  const packet = encoded as Encoded;
  return packet.subarray(packetOffset(packet) + 4).toString('latin1');
};

test('the handshake says the time, and a client that is refused hears nothing', () => {
  const said = JSON.parse(body(make().accept(readHandshake({}, false)!, undefined))) as object;
  const servertime = Math.floor(clock.wallNow() / 1_000);
  expect(said).toEqual({ code: 200, sys: { dict: { 'Room.Join': 1 }, heartbeat: 30, servertime } });
  expect([make().refuse(), make().kick()]).toEqual([null, null]);
});

test('an error is not answered, unless that is wanted', () => {
  expect(make().wire.failure(1, 'Room.Join', failure('TIMEOUT'))).toBeNull();
  expect(body(make(true).wire.failure(1, 'Room.Join', failure('TIMEOUT')))).toContain('TIMEOUT');
});

test('an answer is never empty', () => {
  expect(body(make().wire.answer(1, 'Room.Join', Buffer.alloc(0), 'raw'))).toBe('\x04\x01{}');
});
