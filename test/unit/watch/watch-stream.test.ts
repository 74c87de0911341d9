/** What waits for a reader is bounded, and the reader is told what did not fit. */
import { expect, test } from 'vitest';

import { WatchStream } from '../../../src/watch/watch-stream.ts';

const stage = () => new WatchStream((unread) => Buffer.from(`skipped ${unread}`));

async function take(stream: WatchStream, most = Infinity): Promise<string[]> {
  const taken: string[] = [];
  const events = stream.read();
  while (taken.length < most) {
    const { done, value } = await events.next();
    if (done === true) break;
    taken.push(value.toString());
  }
  return taken;
}

test('a reader that does not read misses what comes beyond 1,024 events, and is told how many', async () => {
  const stream = stage();
  for (let i = 0; i < 1_030; i++) stream.put(Buffer.from(`${i}`));
  expect(await take(stream, 1_000)).toHaveLength(1_000);
  stream.put(Buffer.from('again'));
  stream.end(Buffer.from('last'));
  expect((await take(stream)).slice(-4)).toEqual(['1023', 'skipped 6', 'again', 'last']);
  expect(stream.given).toBe(1_027);
});

test('beyond 4 MiB as well', async () => {
  const stream = stage();
  for (let i = 0; i < 5; i++) stream.put(Buffer.alloc(1_048_576, 'x'));
  stream.end();
  const taken = await take(stream);
  expect(taken.map(({ length }) => length)).toEqual([
    1_048_576, 1_048_576, 1_048_576, 1_048_576, 9,
  ]);
});

test('a reader that waits is woken by what comes, and by the end', async () => {
  const stream = stage();
  const taken = take(stream);
  await Promise.resolve();
  stream.put(Buffer.from('one'));
  await Promise.resolve();
  stream.end(Buffer.from('last'));
  stream.put(Buffer.from('too late'));
  expect(await taken).toEqual(['one', 'last']);
});
