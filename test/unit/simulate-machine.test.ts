/** The simulation notices whoever uses the machine's time, chance or I/O on behalf of src/. */
import { describe, expect, test } from 'vitest';

import { sleep, systemClock } from '../../src/clock.ts';
import { systemRandom } from '../../src/random.ts';
import { EventLoopLag } from '../../src/telemetry/event-loop.ts';
import { resolverOf } from '../../src/upstream/pool/resolver.ts';
import { watchMachine } from '../simulate/machine.ts';

/** What is told of while `use` runs. */
async function told(use: () => unknown): Promise<string[]> {
  const all: string[] = [];
  using _ = watchMachine((what) => all.push(what));
  await use();
  return all;
}

describe('code of src/ that uses', () => {
  test.each([
    ['the monotonic clock', () => systemClock.now(), 'src/clock.ts:N has used performance.now'],
    ['wall time', () => systemClock.wallNow(), 'src/clock.ts:N has used Date.now'],
    ['a timer', () => sleep(systemClock, 1), 'src/clock.ts:N has used setTimeout'],
    [
      'a turn of the event loop',
      () => new Promise<void>((resolve) => systemClock.soon(resolve)),
      'src/clock.ts:N has used setImmediate',
    ],
    ['a random number', () => systemRandom.number(), 'src/random.ts:N has used Math.random'],
    [
      'random bytes',
      () => systemRandom.bytes(8),
      'src/random.ts:N has used node:crypto randomBytes',
    ],
    [
      'the state of the process',
      () => new EventLoopLag(),
      'src/telemetry/event-loop.ts:N has used node:perf_hooks monitorEventLoopDelay',
    ],
    [
      'the names of the system',
      () => resolverOf('dns:///localhost:1').resolve(),
      'src/upstream/pool/resolver.ts:N has used node:dns/promises lookup',
    ],
  ])('%s', async (_what, use, expected) => {
    const all = await told(use);
    expect(all.map((what) => what.replace(/:\d+ /, ':N '))).toEqual(
      expect.arrayContaining([expected]),
    );
  });
});

test('what works otherwise works, and is nobody minds it elsewhere', async () => {
  const all = await told(async () => {
    expect(new Date(0).toISOString()).toBe('1970-01-01T00:00:00.000Z');
    expect(new Date()).toBeInstanceOf(Date);
    expect(Math.random()).toBeLessThan(1);
    await new Promise((resolve) => setTimeout(resolve, 1));
  });
  expect(all).toEqual([]);
});

test('two may watch, and all is as before once neither does', () => {
  const before = { random: Math.random, now: Date.now, Date, setTimeout };
  const all: string[] = [];
  const first = watchMachine((what) => all.push(`first ${what}`));
  const second = watchMachine((what) => all.push(`second ${what}`));
  systemRandom.number();
  first[Symbol.dispose]();
  systemRandom.number();
  second[Symbol.dispose]();
  systemRandom.number();
  expect(all.map((what) => what.split(' ')[0])).toEqual(['first', 'second', 'second']);
  expect({ random: Math.random, now: Date.now, Date, setTimeout }).toEqual(before);
});
