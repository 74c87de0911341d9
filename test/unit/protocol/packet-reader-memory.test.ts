import { expect, test } from 'vitest';

import { PacketReader } from '../../../src/protocol/packet-reader.ts';
import { watchHeld } from '../../support/held.ts';

const MEBIBYTE = 1_048_576;

test('16 MiB announced and never sent cost only the bytes that came', async () => {
  const memory = await watchHeld();
  const readers = Array.from({ length: 16 }, () => new PacketReader(0xffffff, () => {}));
  for (const reader of readers) {
    reader.push(Buffer.from('04ffffff', 'hex'));
    expect(reader.heldBytes).toBe(4);
  }
  await memory.expectGrownLess(MEBIBYTE);
  for (const reader of readers) {
    for (let n = 1; n <= 1000; n++) {
      reader.push(Buffer.from([n]));
      expect(reader.heldBytes).toBe(4 + n);
    }
  }
  await memory.expectGrownLess(MEBIBYTE);
  expect(readers).toHaveLength(16);
});

test('a packet without its last byte costs what came of it, and not twice as much', async () => {
  const head = Buffer.from('04010000', 'hex');
  const memory = await watchHeld();
  const readers = Array.from({ length: 400 }, () => new PacketReader(65_536, () => {}));
  for (const reader of readers) {
    reader.push(head);
    // In two pieces the buffer that is made for the first would do for twice of it.
    reader.push(Buffer.alloc(40_000));
    reader.push(Buffer.alloc(25_535));
    expect(reader.heldBytes).toBe(65_539);
  }
  await memory.expectGrownLess(400 * 65_540 + 2 * MEBIBYTE);
  expect(readers).toHaveLength(400);
});
