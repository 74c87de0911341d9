/** Starts a worker, and gives what it reports; one that dies or stays silent is a finding itself. */
import { spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';

import type { Order, Report } from './worker.ts';

const WORKER = fileURLToPath(new URL('worker.ts', import.meta.url));
/** What a worker may take beyond its time: to load, to run what is kept, to shrink, and to notice that it hangs. */
const BEYOND_MS = 600_000;
const HEAP_MB = 1_024;

/** @param worker Of another tree, perhaps. */
export function startWorker(order: Order, worker = WORKER): Promise<Report> {
  const { promise, resolve } = Promise.withResolvers<Report>();
  const flags = [`--max-old-space-size=${HEAP_MB}`, '--no-warnings'];
  const started = spawn(process.execPath, [...flags, worker, JSON.stringify(order)], {
    stdio: ['ignore', 'inherit', 'pipe', 'ipc'],
  });
  const start = performance.now();
  let said = '';
  let report: Report | null = null;
  started.stderr!.on('data', (part: Buffer) => {
    said = (said + part.toString()).slice(-4_000);
  });
  const timer = setTimeout(() => started.kill('SIGKILL'), (order.ms ?? BEYOND_MS) + BEYOND_MS);
  started.on('message', (message) => {
    report = message as Report;
    started.disconnect();
  });
  started.on('exit', (code, signal) => {
    clearTimeout(timer);
    const isStopped = signal === 'SIGTERM' || signal === 'SIGINT';
    const why = isStopped ? '' : `ended with ${signal ?? code}\n${said}`;
    resolve(report ?? died(order, performance.now() - start, why));
  });
  return promise;
}

/** The key of what has no input: whoever died could not say which. */
export const DIED = 'the process died';

/** @param why '': it was stopped from outside, which is no finding. */
function died(order: Order, ms: number, why: string): Report {
  const again = `node test/fuzz/worker.ts '${JSON.stringify(order)}'`;
  const text = `the process ${why}\n  again: ${again}`;
  return {
    target: order.target,
    executions: 0,
    ms,
    edgesBefore: 0,
    edges: 0,
    features: 0,
    newEdgeMs: null,
    kept: 0,
    worst: { steps: 0, allocated: 0 },
    executionsBefore: 0,
    findings: why === '' ? [] : [{ key: DIED, text, input: '', executions: 0 }],
  };
}
