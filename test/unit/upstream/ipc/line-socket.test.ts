import { once } from 'node:events';
import net from 'node:net';
import { expect, test } from 'vitest';

import { TimerWheel } from '../../../../src/timer-wheel.ts';
import { type LineHandler, LineSocket } from '../../../../src/upstream/ipc/line-socket.ts';
import { ManualClock } from '../../../support/clock.ts';
import { socketPath } from '../../../support/ipc-backend.ts';

const LIMITS = { lineBytesMax: 2_097_152, skipBytesMax: 4_194_304, unsentBytesMax: 1_048_576 };

/** What comes of `bytes`, which the other side writes at once and then leaves: lines, and by turns how many. */
async function read(bytes: string): Promise<{
  lines: string[];
  long: [number | null, number][];
  turns: number[];
  end: string;
}> {
  using folder = socketPath();
  const server = net.createServer((socket) => socket.end(bytes)).listen(folder.path);
  await once(server, 'listening');
  const socket = net.connect({ path: folder.path });
  await once(socket, 'connect');
  const lines: string[] = [];
  const long: [number | null, number][] = [];
  const turns: number[] = [0];
  const end = await new Promise<string>((resolve) => {
    const handler: LineHandler = {
      onLine: (line) => {
        lines.push(line.toString());
        // A turn ends before what it has put off is done.
        if (turns.at(-1)! === 0) setImmediate(() => turns.push(0));
        turns[turns.length - 1]!++;
        return null;
      },
      onLongLine: (seqId, size) => {
        long.push([seqId, size]);
      },
      onEnd: resolve,
    };
    const made = new LineSocket(socket, LIMITS, handler, new TimerWheel(new ManualClock()));
    expect(made.heldBytes).toBe(0);
  });
  server.close();
  return { lines, long, turns: turns.filter((count) => count > 0), end };
}

test('takes 500 lines in a turn, the rest in the next, and all of them before the end', async () => {
  const sent = Array.from({ length: 20_000 }, (_, i) => String(i));
  const { lines, turns, end } = await read(`${sent.join('\n')}\n`);
  expect(lines).toEqual(sent);
  expect(Math.max(...turns)).toBe(500);
  expect(turns.length).toBeGreaterThanOrEqual(40);
  expect(end).toBe('the backend closed the connection');
});

test('takes 1 MiB of lines in a turn, and the one that exceeds it', async () => {
  const line = 'x'.repeat(1_048_575);
  const { lines, turns } = await read(`${line}\n${line}\na\nb\n${line}\n`);
  expect(lines.map(({ length }) => length)).toEqual([1_048_575, 1_048_575, 1, 1, 1_048_575]);
  expect(turns.length).toBeGreaterThanOrEqual(3);
});

test('a line in pieces of a byte is a line', async () => {
  const { lines } = await read(`${'y'.repeat(300_000)}\nz\n`);
  expect(lines.map(({ length }) => length)).toEqual([300_000, 1]);
});

test('a line that was looked at on its way and is short enough after all comes whole', async () => {
  const line = `{"seq_id":7,"payload":"${'z'.repeat(1_800_000)}"}`;
  const { lines, long } = await read(`${line}\n{"seq_id":8}\n`);
  expect(lines).toEqual([line, '{"seq_id":8}']);
  expect(long).toEqual([]);
});

test('one that is too long is known by its number, and its neighbours come whole', async () => {
  const line = `{"payload":"${'z'.repeat(3_000_000)}","seq_id":7}`;
  const { lines, long } = await read(`{"seq_id":6}\n${line}\n{"seq_id":8}\n`);
  expect(lines).toEqual(['{"seq_id":6}', '{"seq_id":8}']);
  expect(long).toEqual([[7, line.length]]);
});
