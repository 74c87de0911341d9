// Where WebSocket messages end, in bytes that come cut anyhow.
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';

import { FrameTracker } from '../../../src/transport/frame-tracker.ts';
import { frame, OPCODE } from '../../support/raw.ts';

const PAYLOAD_BYTES = [0, 1, 125, 126, 127, 65_535, 65_536];

/** After which byte of `bytes` an edge says that all that came is whole. */
function wholeAfter(bytes: Buffer, cuts: Iterable<number>): number[] {
  const edge = new FrameTracker();
  const whole: number[] = [];
  let at = 0;
  for (const bytesOfChunk of cuts) {
    edge.push(bytes.subarray(at, at + bytesOfChunk));
    at += bytesOfChunk;
    if (!edge.isWithin) whole.push(at);
  }
  return whole;
}

function oneByOne(bytes: Buffer): number[] {
  return wholeAfter(
    bytes,
    Array.from(bytes, () => 1),
  );
}

describe('the edge of frames', () => {
  test('nothing has come: nothing is begun', () => {
    expect(new FrameTracker().isWithin).toBe(false);
  });

  test.each(PAYLOAD_BYTES)('a message of %i bytes is whole with its last one', (payloadBytes) => {
    const bytes = frame(OPCODE.BINARY, Buffer.alloc(payloadBytes, 0x81));
    expect(oneByOne(bytes)).toEqual([bytes.length]);
  });

  test('a message in fragments is whole with its last fragment, pings between them or not', () => {
    const parts = [
      frame(OPCODE.TEXT, Buffer.from('a'), { fin: false }),
      frame(OPCODE.PING, Buffer.from('p')),
      frame(OPCODE.CONTINUATION, Buffer.from('b'), { fin: false }),
      frame(OPCODE.CONTINUATION, Buffer.from('c')),
    ];
    const bytes = Buffer.concat(parts);
    expect(oneByOne(bytes)).toEqual([bytes.length]);
  });

  test('what is begun behind a whole message in the same chunk is seen', () => {
    const whole = frame(OPCODE.BINARY, Buffer.from('whole'));
    const edge = new FrameTracker();
    edge.push(Buffer.concat([whole, whole.subarray(0, 1)]));
    expect(edge.isWithin).toBe(true);
    edge.push(whole.subarray(1));
    expect(edge.isWithin).toBe(false);
  });

  test('counts what of a message has come, over its fragments, and nothing once it is whole', () => {
    const edge = new FrameTracker();
    const first = frame(OPCODE.BINARY, Buffer.alloc(300), { fin: false });
    const last = frame(OPCODE.CONTINUATION, Buffer.alloc(70_000));
    edge.push(first.subarray(0, 58));
    expect(edge.bytesWithin).toBe(50);
    edge.push(first.subarray(58));
    expect(edge.bytesWithin).toBe(300);
    edge.push(last.subarray(0, -1));
    expect(edge.bytesWithin).toBe(70_299);
    edge.push(Buffer.concat([last.subarray(-1), first.subarray(0, 9)]));
    expect(edge.bytesWithin).toBe(1);
  });

  test('however frames are cut, they end where they were made to', () => {
    const frames = fc.array(fc.constantFrom(...PAYLOAD_BYTES.slice(0, 5)), {
      minLength: 1,
      maxLength: 5,
    });
    const cuts = fc.infiniteStream(fc.integer({ min: 1, max: 200 }));
    fc.assert(
      fc.property(frames, cuts, (payloads, sizes) => {
        const made = payloads.map((bytes) => frame(OPCODE.BINARY, Buffer.alloc(bytes, 1)));
        let end = 0;
        const ends = new Set(made.map(({ length }) => (end += length)));
        const bytes = Buffer.concat(made);
        const taken: number[] = [];
        for (let at = 0; at < bytes.length; at += taken.at(-1)!)
          taken.push(Math.min(sizes.next().value!, bytes.length - at));
        let at = 0;
        const reached = taken.map((size) => (at += size)).filter((place) => ends.has(place));
        expect(wholeAfter(bytes, taken)).toEqual(reached);
      }),
      { numRuns: 50 },
    );
  });
});
