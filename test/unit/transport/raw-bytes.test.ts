import { expect, test } from 'vitest';

import { ownCopy, PIECE_BYTES, RawBytes } from '../../../src/transport/raw-bytes.ts';

test('each take has bytes of its own, whatever comes into the source later', () => {
  const source = Buffer.alloc(65_536);
  const bytes = new RawBytes(source);
  const lengths = [1, 5, 192, 193, 2_048, 2_049, 65_536, 8_000, 300, 7, 2_000, 2_000, 2_000, 2_000];
  const taken = lengths.map((length, i) => {
    source.fill(i + 1);
    return bytes.take(length);
  });
  expect(taken.map(({ length }) => length)).toEqual(lengths);
  expect(taken.every((chunk, i) => chunk.every((byte) => byte === i + 1))).toBe(true);
});

test('a small one keeps at most a piece in memory, a larger one only itself', () => {
  const bytes = new RawBytes(Buffer.alloc(65_536));
  for (const length of [1, 100, 2_048]) expect(bytes.take(length).buffer.byteLength).toBe(8_192);
  for (const length of [2_049, 65_536]) expect(bytes.take(length).buffer.byteLength).toBe(length);
  expect(PIECE_BYTES).toBe(8_192);
});

test('a copy shares its memory with nothing', () => {
  const copy = ownCopy(Buffer.from('abc'));
  expect([copy.toString(), copy.buffer.byteLength]).toEqual(['abc', 3]);
});
