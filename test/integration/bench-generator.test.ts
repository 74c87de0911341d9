/** The generator of the benchmark measures what it says, against a server whose stalls are known. */
import { mkdtempSync, rmSync } from 'node:fs';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type WebSocket, WebSocketServer } from 'ws';

import { Generator } from '../bench/peers/generator.ts';
import { countOf, highestOf, indexOf } from '../bench/peers/histogram.ts';
import { run } from '../support/process.ts';
import { ROOT } from '../support/serve.ts';

const dir = mkdtempSync(join(tmpdir(), 'pith-gen-'));
const program = join(dir, 'gen');

beforeAll(async () => {
  const source = join(ROOT, 'test/bench/peers/gen/gen.c');
  const { code, output } = await run('gcc', ['-O2', '-Wall', '-Werror', '-o', program, source]);
  if (code !== 0) throw new Error(output);
});
afterAll(() => rmSync(dir, { recursive: true, force: true }));

/** An echo; `answer` decides what becomes of each message, counted from 1. */
async function startEcho(
  answer: (socket: WebSocket, data: Buffer, count: number) => void,
): Promise<AsyncDisposable & { port: number }> {
  const server = new WebSocketServer({ host: '127.0.0.1', port: 0 });
  let count = 0;
  server.on('connection', (socket) =>
    socket.on('message', (data: Buffer) => answer(socket, data, ++count)),
  );
  await new Promise((resolve) => server.once('listening', resolve));
  return {
    port: (server.address() as AddressInfo).port,
    async [Symbol.asyncDispose]() {
      for (const socket of server.clients) socket.terminate();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

const ROUTE = 'area.echoHandler.echo';

test('its buckets are those of histogram.ts', async () => {
  for (const value of [0, 127, 128, 255, 256, 1_000, 123_456_789, 2 ** 40, 2 ** 53 - 1]) {
    const { output } = await run(program, ['index', String(value)]);
    expect(Number(output), `${value}`).toBe(indexOf(value));
  }
});

test('a paced load charges a stall to all that were due in it, and leaves none of them out', async () => {
  const STALL_MS = 400;
  const RATE = 200;
  await using server = await startEcho((socket, data, count) => {
    const until = count === 50 ? performance.now() + STALL_MS : 0;
    while (performance.now() < until);
    socket.send(data);
  });
  await using generator = new Generator(program, 'echo', server.port, {});
  await generator.open(10);
  const words = { conns: 10, rate: RATE, warm: 0, secs: 1, route: ROUTE };
  const load = await generator.load('paced', words);
  expect(load).toMatchObject({ wrong: 0, unanswered: 0, skipped: 0 });
  expect(countOf(load.histogram)).toBe(RATE);
  // Due in the first half of the stall: they waited at least for the other half.
  const late = load.histogram.filter(([index]) => highestOf(index) > (STALL_MS / 2) * 1e6);
  expect(countOf(late)).toBeGreaterThanOrEqual((RATE * STALL_MS) / 2 / 1_000 - 1);
});

test('what is never answered counts as long as was waited for it', async () => {
  await using server = await startEcho((socket, data, count) => {
    if (count % 2 === 0) socket.send(data);
  });
  await using generator = new Generator(program, 'echo', server.port, {});
  await generator.open(2);
  const words = { conns: 2, rate: 20, warm: 0, secs: 1, route: ROUTE };
  const load = await generator.load('paced', words);
  expect(load.unanswered).toBe(10);
  expect(countOf(load.histogram)).toBe(20);
  const never = load.histogram.filter(([index]) => highestOf(index) > 2e9);
  expect(countOf(never)).toBe(10);
});

test('a closed load counts what is answered, and what is wrong', async () => {
  await using server = await startEcho((socket, data, count) => {
    // Another text than was asked.
    if (count === 100) data.fill('x', data.length - 60, data.length - 2);
    if (count === 100) data.fill('x', 40, 80);
    socket.send(data);
  });
  await using generator = new Generator(program, 'echo', server.port, { pids: process.pid });
  await generator.open(4);
  const words = { conns: 4, inflight: 2, warm: 0, secs: 0.5, route: ROUTE };
  const load = await generator.load('closed', words);
  expect(load.wrong).toBe(1);
  expect(load.unanswered).toBe(0);
  expect(load.answered).toBeGreaterThan(100);
  expect(countOf(load.histogram)).toBe(load.answered);
  // It is this process that has echoed.
  expect(load.sched_us[0]).toBeGreaterThan(0);
});

test('a message in fragments is one', async () => {
  await using server = await startEcho((socket, data) => {
    socket.send(data.subarray(0, 30), { fin: false });
    socket.send(data.subarray(30, 60), { fin: false });
    socket.send(data.subarray(60), { fin: true });
  });
  await using generator = new Generator(program, 'echo', server.port, {});
  await generator.open(2);
  const words = { conns: 2, inflight: 1, warm: 0, secs: 0.2, route: ROUTE };
  const load = await generator.load('closed', words);
  expect(load).toMatchObject({ wrong: 0, unanswered: 0 });
  expect(load.answered).toBeGreaterThan(0);
});

test('a connection that the server ends is said', async () => {
  await using server = await startEcho((socket) => socket.terminate());
  await using generator = new Generator(program, 'echo', server.port, {});
  await generator.open(2);
  const load = await generator.load('closed', { conns: 2, warm: 0, secs: 0.2, route: ROUTE });
  expect(load.wrong).toBe(2);
  expect(load.answered).toBe(0);
});
