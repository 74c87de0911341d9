import { expect, test } from 'vitest';

import { autoLimits, needsOf } from '../../../src/config/auto-limits.ts';
import { load } from './support.ts';

const MIB = 1024 * 1024;

type Resources = { memoryBytes: number; descriptors: number };

type Needs = { keepsHandshakes?: boolean; isDialledIn?: boolean };

function capacity(limits: string, resources: Resources, needs?: Needs) {
  return autoLimits(load(`limits: ${limits}`).limits, resources, needs);
}

test('auto: a quarter of memory for outboxes, and connections by what is left', () => {
  expect(capacity('{}', { memoryBytes: 512 * MIB, descriptors: 1_000_000 })).toEqual({
    outboxesBytes: 128 * MIB,
    inFlightBytes: 32 * MIB,
    unfinishedBytes: 32 * MIB,
    // Two thirds of 384 MiB, at 48 KiB for the session, 64 for a message and its pieces, and two packets of 64 KiB.
    connections: 1_092,
    portConnections: 256,
    portCrowdedAt: 128,
  });
  const large = capacity('{ packet: 1MiB }', { memoryBytes: 512 * MIB, descriptors: 1_000_000 });
  expect(large.connections).toBe(121);
  const asked = capacity(
    '{}',
    { memoryBytes: 512 * MIB, descriptors: 1_000_000 },
    { keepsHandshakes: true },
  );
  expect(asked.connections).toBe(862);
  const given = capacity('{ outboxes: 320MiB }', {
    memoryBytes: 512 * MIB,
    descriptors: 1_000_000,
  });
  expect(given).toMatchObject({ outboxesBytes: 320 * MIB, connections: 546 });
});

test('auto: an outbox of one session fits in', () => {
  const { outboxesBytes } = capacity('{ outbox: 64MiB }', {
    memoryBytes: 64 * MIB,
    descriptors: 1_024,
  });
  expect(outboxesBytes).toBe(64 * MIB);
});

test('auto: two of the largest packets may be unfinished', () => {
  const small = { memoryBytes: 8 * MIB, descriptors: 1_024 };
  expect(capacity('{ packet: 4MiB }', small).unfinishedBytes).toBe(8 * MIB + 65_536);
  expect(capacity('{ unfinished: 3MiB }', small).unfinishedBytes).toBe(3 * MIB);
});

test('auto: the largest body fits in among those in flight', () => {
  const small = { memoryBytes: 8 * MIB, descriptors: 1_024 };
  expect(capacity('{}', small).inFlightBytes).toBe(MIB);
  expect(capacity('{ packet: 2MiB }', small).inFlightBytes).toBe(2 * MIB);
  expect(capacity('{ in_flight_bytes: 3MiB }', small).inFlightBytes).toBe(3 * MIB);
});

test.each([
  { descriptors: 256, connections: 66, portConnections: 42 },
  { descriptors: 400, connections: 144, portConnections: 64 },
  { descriptors: 1_024, connections: 768, portConnections: 64 },
  { descriptors: 8_192, connections: 7_296, portConnections: 256 },
  { descriptors: 20_000, connections: 18_920, portConnections: 256 },
  { descriptors: 65_536, connections: 64_256, portConnections: 256 },
  { descriptors: 64, connections: 64, portConnections: 10 },
])('all ports together leave descriptors: of $descriptors', ({ descriptors, ...expected }) => {
  const memoryBytes = 64 * 1024 * MIB;
  expect(capacity('{}', { memoryBytes, descriptors })).toMatchObject(expected);
  // A number asks for more than there are, or for less.
  expect(capacity('{ connections: 100000 }', { memoryBytes, descriptors })).toMatchObject(expected);
  expect(capacity('{ connections: 7 }', { memoryBytes, descriptors }).connections).toBe(7);
});

test.each([
  { descriptors: 400, connections: 144, portConnections: 64 },
  { descriptors: 20_000, connections: 16_616, portConnections: 1_024 },
])('backends that dial in find more places: of $descriptors', ({ descriptors, ...expected }) => {
  const resources = { memoryBytes: 64 * 1024 * MIB, descriptors };
  expect(capacity('{}', resources, { isDialledIn: true })).toMatchObject(expected);
});

test('what the configuration asks for', () => {
  expect(needsOf(load('{}'))).toEqual({ keepsHandshakes: false, isDialledIn: false });
  const yaml = 'backends: { world: { dial_in: { token: a-token-of-32-characters-or-more } } }';
  expect(needsOf(load(yaml))).toEqual({ keepsHandshakes: false, isDialledIn: true });
});
