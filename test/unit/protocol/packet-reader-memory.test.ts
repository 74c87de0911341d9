// Alone in its file: the garbage of other tests, collected meanwhile, would hide what is allocated here.
import { expect, test } from 'vitest';

import { PacketReader } from '../../../src/protocol/packet-reader.ts';

test('16 MiB announced and never sent cost only the bytes that came', () => {
  const before = process.memoryUsage().arrayBuffers;
  const readers = Array.from({ length: 16 }, () => new PacketReader(0xffffff, () => {}));
  for (const reader of readers) {
    reader.push(Buffer.from('04ffffff', 'hex'));
    expect(reader.heldBytes).toBe(4);
  }
  expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(1 << 20);
  for (const reader of readers) {
    for (let n = 1; n <= 1000; n++) {
      reader.push(Buffer.from([n]));
      expect(reader.heldBytes).toBe(4 + n);
    }
  }
  expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(1 << 20);
});
