/**
 * Our codecs beside those that Pomelo's and Pinus's servers and clients use, on messages by chance. TEST_SEED has a
 * run again, TEST_FUZZ_MESSAGES says how many messages for each codec; test/slow has a million.
 */
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';

import { knownOfPackets, knownOfProtobuf } from '../unit/protocol/fuzz/known.ts';
import { fuzzPackets, fuzzProtobuf } from '../unit/protocol/fuzz/run.ts';

/** Of each codec. */
const MESSAGES = 10_000;

// The reference prints a line for each message that it refuses.
beforeEach(() => {
  vi.spyOn(console, 'warn').mockImplementation(() => {});
  vi.spyOn(console, 'error').mockImplementation(() => {});
});
afterEach(() => {
  vi.restoreAllMocks();
});

describe('by chance', () => {
  test('pomelo-protobuf and pinus-protobuf write and read as ours does', async () => {
    expect(await fuzzProtobuf(MESSAGES)).toEqual([]);
  });

  test('pomelo-protocol and pinus-protocol write and read as ours does', async () => {
    expect(await fuzzPackets(MESSAGES)).toEqual([]);
  });
});

describe('left out of that', () => {
  test.each([...knownOfProtobuf, ...knownOfPackets])('$what', (known) => {
    expect(known.reference()).toEqual(known.gives);
    expect(known.ours()).toEqual(known.oursGives);
    expect(known.gives).not.toEqual(known.oursGives);
  });
});
