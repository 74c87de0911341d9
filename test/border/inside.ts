/**
 * Loaded into the gateway's process beside its own code (`node --import`), to be asked from outside what cannot be
 * seen there: memory after a collection, and the longest turn of the loop by the CPU time that it took, which is
 * the same on a busy machine. It holds nothing open.
 */
import net from 'node:net';
import { PerformanceObserver } from 'node:perf_hooks';

import { settledBytes } from '../support/collect.ts';

/** What it answers to a line `look` or `collect`. */
export type Inside = {
  /** Longest turn since the last look, by CPU of the main thread and by the clock; milliseconds. */
  readonly turnCpuMs: number;
  readonly turnMs: number;
  /** Longest collection of garbage since then, by the clock; milliseconds. */
  readonly gcMs: number;
  readonly heapBytes: number;
  readonly externalBytes: number;
  readonly residentBytes: number;
  /** Sockets, timers and the rest of what Node would wait for, by kind. */
  readonly resources: Readonly<Record<string, number>>;
};

const TICK_MS = 5;

let turnCpuMs = 0;
let turnMs = 0;
let gcMs = 0;
let lastCpu = process.threadCpuUsage();
let last = performance.now();

const look = (): void => {
  const now = performance.now();
  const used = process.threadCpuUsage(lastCpu);
  turnCpuMs = Math.max(turnCpuMs, (used.user + used.system) / 1_000);
  turnMs = Math.max(turnMs, now - last - TICK_MS);
  last = now;
  lastCpu = process.threadCpuUsage();
};
setInterval(look, TICK_MS).unref();
new PerformanceObserver((list) => {
  for (const { duration } of list.getEntries()) gcMs = Math.max(gcMs, duration);
}).observe({ entryTypes: ['gc'] });

function countResources(): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const kind of process.getActiveResourcesInfo()) counts[kind] = (counts[kind] ?? 0) + 1;
  return counts;
}

const server = net.createServer((socket) => {
  socket.unref();
  socket.on('error', () => {});
  // Whoever started this was ended from outside, or else it would have ended this process first.
  socket.on('close', () => process.kill(process.pid, 'SIGKILL'));
  const answer = async (asked: Buffer): Promise<void> => {
    look();
    const turns = { turnCpuMs, turnMs, gcMs };
    if (asked.toString().startsWith('collect')) await settledBytes();
    const { heapUsed, external, rss } = process.memoryUsage();
    const said: Inside = {
      ...turns,
      heapBytes: heapUsed,
      externalBytes: external,
      residentBytes: rss,
      resources: countResources(),
    };
    socket.write(`${JSON.stringify(said)}\n`);
    // The collection is not the gateway's own.
    turnCpuMs = 0;
    turnMs = 0;
    gcMs = 0;
    last = performance.now();
    lastCpu = process.threadCpuUsage();
  };
  socket.on('data', (asked: Buffer) => void answer(asked));
});
server.unref();
server.listen(process.env['BORDER_INSIDE']);
