/** How a Link reads what comes: in order, not all in one turn, and no further than it can bear. */
import { EventEmitter } from 'node:events';

import { describe, expect, test } from 'vitest';

import { WireWriter } from '../../../../src/contract/protobuf-wire.ts';
import { TimerWheel } from '../../../../src/timer-wheel.ts';
import type { LinkStream } from '../../../../src/upstream/link/link-transport.ts';
import {
  FrameReader,
  FRAMES_PER_TURN,
  type FrameReaderLink,
} from '../../../../src/upstream/link/frame-reader.ts';
import { ManualClock } from '../../../support/clock.ts';

const nothing = (): void => {};
const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

/** A message of goaways, each with its number as the reason. */
function message(from: number, count: number, pad = ''): Buffer {
  const writer = new WireWriter();
  for (let n = from; n < from + count; n++) {
    const goaway = new WireWriter();
    goaway.string(1, `${n}${pad}`);
    const frame = new WireWriter();
    frame.bytes(8, goaway.take());
    writer.bytes(1, frame.take());
  }
  return writer.take();
}

function stage() {
  const read: number[] = [];
  const told: string[] = [];
  const events = new EventEmitter();
  const stream = Object.assign(events, {
    pause: () => void told.push('pause'),
    resume: () => void told.push('resume'),
  }) as unknown as LinkStream;
  const take = (bytes: Buffer): void => void events.emit('data', bytes);
  const link = {
    convertBytesMax: 1024,
    isFull: false,
    ended: false,
    onGoaway: (reason: string) => void read.push(Number.parseInt(reason, 10)),
    onRead: nothing,
    onUnreadable: (why: string) => void told.push(why),
    onHello: nothing,
    onReply: nothing,
    onConnect: nothing,
    onPush: nothing,
    onVerb: nothing,
    onCredit: nothing,
    onExtend: nothing,
  };
  const wheel = new TimerWheel(new ManualClock());
  const intake = new FrameReader(stream, link satisfies FrameReaderLink, wheel);
  return { intake, take, link, read, told };
}

const numbers = (count: number): number[] => Array.from({ length: count }, (_, n) => n);

describe('a message with many frames', () => {
  test('is read over several turns, in order; meanwhile the stream is not read', async () => {
    const { intake, take, read, told } = stage();
    take(message(0, 3 * FRAMES_PER_TURN));
    expect(read).toEqual(numbers(FRAMES_PER_TURN));
    expect(told).toEqual(['pause']);
    // One that was on its way.
    take(message(3 * FRAMES_PER_TURN, 1));
    for (let turns = 0; turns < 10 && intake.isReading; turns++) await turn();
    expect(read).toEqual(numbers(3 * FRAMES_PER_TURN + 1));
    expect(told.at(-1)).toBe('resume');
  });

  test('of a megabyte and more each: one a turn', async () => {
    const { intake, take, read } = stage();
    const pad = ' '.repeat(1024 * 1024);
    for (let n = 0; n < 4; n++) take(message(n, 1, pad));
    expect(read).toEqual([0]);
    await turn();
    expect(read.length).toBeLessThan(4);
    for (let turns = 0; turns < 10 && intake.isReading; turns++) await turn();
    expect(read).toEqual(numbers(4));
  });
});

test('a few frames are read at once, and the stream is not touched', () => {
  const { take, read, told } = stage();
  take(message(0, 10));
  expect(read).toEqual(numbers(10));
  expect(told).toEqual([]);
});

test('no frame is read while the link is full; then it goes on where it was', async () => {
  const { intake, take, link, read } = stage();
  link.onGoaway = (reason) => {
    read.push(Number.parseInt(reason, 10));
    link.isFull = read.length === 3;
  };
  take(message(0, 6));
  for (let turns = 0; turns < 3; turns++) await turn();
  expect(read).toEqual(numbers(3));
  link.isFull = false;
  intake.readOn();
  expect(read).toEqual(numbers(6));
});

test('what came before the end of the stream counts, and the end comes after it', async () => {
  const { intake, take, read } = stage();
  let readAtEnd = -1;
  take(message(0, 2 * FRAMES_PER_TURN + 1));
  intake.finish(() => (readAtEnd = read.length));
  expect(readAtEnd).toBe(-1);
  for (let turns = 0; turns < 10 && readAtEnd < 0; turns++) await turn();
  expect(readAtEnd).toBe(2 * FRAMES_PER_TURN + 1);
});

test('nothing is read behind a frame that cannot be read, or once the link has ended', async () => {
  const { intake, take, link, read, told } = stage();
  take(Buffer.concat([message(0, 2), Buffer.from([0x0a, 0x7f])]));
  expect(read).toEqual(numbers(2));
  expect(told).toEqual(['field 1 is cut off']);
  expect(intake.isReading).toBe(false);
  take(message(2, FRAMES_PER_TURN + 5));
  link.ended = true;
  await turn();
  expect(read).toHaveLength(2 + FRAMES_PER_TURN);
});

test('a fault of our own ends the link, which would be deaf otherwise', () => {
  const { intake, take, link, read, told } = stage();
  link.onGoaway = (reason) => {
    if (reason === '1') throw new TypeError('a mistake');
    read.push(Number.parseInt(reason, 10));
  };
  expect(() => take(message(0, 3))).toThrow('a mistake');
  expect(told).toEqual(['internal error']);
  expect(read).toEqual([0]);
  expect(intake.isReading).toBe(false);
});
