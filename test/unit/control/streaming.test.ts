/** Answers go out as they are taken, and no further. */
import { Writable } from 'node:stream';
import { expect, test } from 'vitest';

import { systemClock } from '../../../src/clock.ts';
import { sendAll } from '../../../src/control/streaming.ts';
import { ManualClock } from '../../support/clock.ts';

/** Counts up to `end`, and says how far it was asked, and whether it was let go. */
function counting(end: number) {
  const state = { asked: 0, over: false };
  async function* answers(): AsyncIterable<{ n: number }> {
    try {
      while (state.asked < end) yield { n: ++state.asked };
    } finally {
      state.over = true;
    }
  }
  return { state, answers };
}

/** Takes an answer when it is told to. */
class SlowTaker extends Writable {
  readonly taken: unknown[] = [];
  #next: (() => void) | null = null;

  constructor(highWaterMark: number) {
    super({ objectMode: true, highWaterMark });
  }

  override _write(answer: unknown, _encoding: string, callback: () => void): void {
    this.taken.push(answer);
    this.#next = callback;
  }

  take(): void {
    this.#next?.();
  }
}

/** Until everything that can go on has gone on. */
const settled = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

test('a taker that takes nothing is sent what its buffer holds', async () => {
  const { state, answers } = counting(1_000);
  const taker = new SlowTaker(4);
  const sent = sendAll(answers, taker, systemClock, (answer) => taker.write(answer));
  await settled();
  expect(state.asked).toBe(4);
  for (let i = 0; i < 4; i++) {
    taker.take();
    await settled();
  }
  expect(state.asked).toBe(8);
  taker.destroy();
  await sent;
  expect(state).toEqual({ asked: 8, over: true });
});

test('everything arrives, in order', async () => {
  const { answers } = counting(50);
  const taker = new SlowTaker(3);
  let isOver = false;
  void sendAll(answers, taker, systemClock, (answer) => taker.write(answer)).then(
    () => (isOver = true),
  );
  while (!isOver || taker.taken.length < 50) {
    taker.take();
    await settled();
  }
  expect(taker.taken).toEqual(Array.from({ length: 50 }, (_, i) => ({ n: i + 1 })));
  expect(taker.listenerCount('drain')).toBe(0);
});

test('nothing is written to a taker that has gone', async () => {
  const { state, answers } = counting(10);
  const taker = new SlowTaker(4);
  taker.destroy();
  await sendAll(answers, taker, systemClock, () => {
    throw new Error('written');
  });
  expect(state).toEqual({ asked: 1, over: true });
});

test('what goes wrong is the caller’s to tell', async () => {
  async function* failing(): AsyncIterable<object> {
    yield {};
    throw new Error('lost');
  }
  const taker = new SlowTaker(4);
  await expect(
    sendAll(failing, taker, systemClock, (answer) => taker.write(answer)),
  ).rejects.toThrow('lost');
});

test('a taker that stays and takes nothing for 30 s is given up', async () => {
  const clock = new ManualClock();
  const { state, answers } = counting(1_000);
  const taker = new SlowTaker(4);
  const sent = sendAll(answers, taker, clock, (answer) => taker.write(answer));
  const outcome = sent.catch(String);
  await settled();
  clock.advance(29_999);
  await settled();
  expect(state).toEqual({ asked: 4, over: false });
  clock.advance(1);
  expect(await outcome).toContain('the answers are not read');
  expect(state.over).toBe(true);
});

test('answers hear at once that their taker has gone, though none is written', async () => {
  const taker = new SlowTaker(4);
  async function* waiting(gone: AbortSignal): AsyncIterable<object> {
    yield {};
    await new Promise((resolve) => {
      gone.addEventListener('abort', resolve);
    });
  }
  const sent = sendAll(waiting, taker, systemClock, (answer) => taker.write(answer));
  await settled();
  taker.destroy();
  await sent;
  expect(taker.listenerCount('cancelled')).toBe(0);
});
