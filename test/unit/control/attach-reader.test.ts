/** How what dials in by WebSocket is converted: in order, not all in one turn, and not while the Link is full. */
import { describe, expect, test } from 'vitest';

import { type FrameSocket, JsonFrameReader } from '../../../src/control/attach-reader.ts';
import {
  AttachJson,
  AttachJsonError,
  BYTES_PER_TURN,
  FRAMES_PER_TURN,
} from '../../../src/control/attach-json.ts';
import { readToGateway } from '../../../src/contract/backend-frames.ts';
import { TimerWheel } from '../../../src/timer-wheel.ts';
import { ManualClock } from '../../support/clock.ts';

const json = new AttachJson();
const ignore = (): void => {};
const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

/** A message of goaways, each with its number as the reason. */
function message(from: number, count: number, pad = ''): Buffer {
  const frames = Array.from({ length: count }, (_, n) => ({
    goaway: { reason: `${from + n}${pad}` },
  }));
  return Buffer.from(JSON.stringify({ frames }));
}

function stage() {
  const read: number[] = [];
  const told: string[] = [];
  const socket = {
    isPaused: false,
    hold: () => void told.push('hold'),
    readOn: () => void told.push('read on'),
    take: ({ bytes }) => {
      readToGateway(bytes, {
        convertBytesMax: 1_048_576,
        onHello: ignore,
        onReply: ignore,
        onConnect: ignore,
        onPush: ignore,
        onVerb: ignore,
        onCredit: ignore,
        onGoaway: (reason) => void read.push(Number.parseInt(reason, 10)),
        onExtend: ignore,
      });
    },
    fail: (error) => void told.push((error as Error).constructor.name),
  } satisfies FrameSocket as FrameSocket & { isPaused: boolean };
  const wheel = new TimerWheel(new ManualClock());
  return { reader: new JsonFrameReader(json, socket, wheel), socket, read, told };
}

const numbers = (count: number): number[] => Array.from({ length: count }, (_, n) => n);

describe('a message with many frames', () => {
  test('is converted over several turns, in order; meanwhile the socket is not read', async () => {
    const { reader, read, told } = stage();
    reader.take(message(0, 3 * FRAMES_PER_TURN));
    expect(read).toEqual(numbers(FRAMES_PER_TURN));
    expect(told).toEqual(['hold']);
    // One that was on its way.
    reader.take(message(3 * FRAMES_PER_TURN, 1));
    for (let turns = 0; turns < 10 && told.length < 2; turns++) await turn();
    expect(read).toEqual(numbers(3 * FRAMES_PER_TURN + 1));
    expect(told).toEqual(['hold', 'read on']);
  });

  test('that are large ends its turn by their bytes', async () => {
    const { reader, read } = stage();
    reader.take(message(0, 3, ' '.repeat(BYTES_PER_TURN)));
    expect(read).toEqual([0]);
    await turn();
    expect(read).toEqual([0, 1]);
    await turn();
    expect(read).toEqual([0, 1, 2]);
  });
});

test('a few frames are converted at once, and the socket is not touched', () => {
  const { reader, read, told } = stage();
  reader.take(message(0, 10));
  reader.take(message(10, 1));
  expect(read).toEqual(numbers(11));
  expect(told).toEqual([]);
});

test('nothing is converted while the Link is full; then it goes on where it was', async () => {
  const { reader, socket, read } = stage();
  reader.take(message(0, 2 * FRAMES_PER_TURN));
  socket.isPaused = true;
  for (let turns = 0; turns < 3; turns++) await turn();
  expect(read).toHaveLength(FRAMES_PER_TURN);
  socket.isPaused = false;
  reader.resume();
  expect(read).toEqual(numbers(2 * FRAMES_PER_TURN));
});

test('what came before the end of the connection counts, and the end comes after it', async () => {
  const { reader, socket, read } = stage();
  let readAtEnd = -1;
  reader.take(message(0, 2 * FRAMES_PER_TURN + 1));
  socket.isPaused = true;
  reader.finish(() => (readAtEnd = read.length));
  expect(readAtEnd).toBe(-1);
  for (let turns = 0; turns < 10 && readAtEnd < 0; turns++) await turn();
  expect(readAtEnd).toBe(2 * FRAMES_PER_TURN + 1);
});

test('nothing counts that comes behind what cannot be read', async () => {
  const { reader, read, told } = stage();
  reader.take(message(0, 2));
  reader.take(Buffer.from('{"frames":[{"goaway":{"reason":7}}]}'));
  expect(told).toEqual([AttachJsonError.name]);
  await turn();
  expect(read).toEqual(numbers(2));
});
