/** As test/conformance/codec-fuzz.test.ts, with a million messages. */
import { afterEach, beforeEach, expect, test, vi } from 'vitest';

import { fuzzPackets, fuzzProtobuf } from '../unit/protocol/fuzz/run.ts';

/** Of each codec. */
const MESSAGES = 500_000;

beforeEach(() => {
  vi.spyOn(console, 'warn').mockImplementation(() => {});
  vi.spyOn(console, 'error').mockImplementation(() => {});
});
afterEach(() => {
  vi.restoreAllMocks();
});

test('pomelo-protobuf and pinus-protobuf write and read as ours does', async () => {
  expect(await fuzzProtobuf(MESSAGES)).toEqual([]);
});

test('pomelo-protocol and pinus-protocol write and read as ours does', async () => {
  expect(await fuzzPackets(MESSAGES)).toEqual([]);
});
