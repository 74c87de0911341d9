/** `workers: N`: the real program, its parent and its workers. */
import { readFileSync } from 'node:fs';

import { TestClient } from './client.ts';
import type { TestNats } from './nats.ts';
import { type Served, serve } from './serve.ts';
import { eventually } from './wait.ts';

export const GATE = `
backends: { gate: { reply: { code: 200 } } }
routes: [{ match: "gate.>", backend: gate }]
`;

/** Resolves when all workers take clients. */
export async function serveBy(workers: number, nats: TestNats, more = ''): Promise<Served> {
  const served = await serve(`workers: ${workers}\nbus: ${nats.url}\n${GATE}${more}`);
  await served.logged('all workers are ready');
  return served;
}

/** Process ids of the workers. */
export function workersOf({ running: { pid } }: Pick<Served, 'running'>): number[] {
  const children = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim();
  return children === '' ? [] : children.split(' ').map(Number);
}

export async function connect({ port }: Served, count: number): Promise<TestClient[]> {
  const clients: TestClient[] = [];
  while (clients.length < count) {
    const batch = Math.min(50, count - clients.length);
    clients.push(
      ...(await Promise.all(Array.from({ length: batch }, () => TestClient.connect(port)))),
    );
  }
  return clients;
}

export async function closeAll(clients: readonly TestClient[]): Promise<void> {
  for (const client of clients) await client[Symbol.asyncDispose]();
}

/** The samples of /metrics by their names and labels. */
export async function metricsOf({ adminPort }: Served): Promise<Map<string, number>> {
  // A worker that hangs does not answer.
  const signal = AbortSignal.timeout(3_000);
  const text = await (await fetch(`http://127.0.0.1:${adminPort}/metrics`, { signal })).text();
  const lines = text.split('\n').filter((line) => line !== '' && !line.startsWith('#'));
  return new Map(
    lines.map((line) => [line.slice(0, line.lastIndexOf(' ')), Number(line.split(' ').at(-1))]),
  );
}

/** Waits until this line has been logged so often. */
export async function loggedTimes(served: Served, msg: string, times: number): Promise<void> {
  await eventually(() => served.log().filter((line) => line.msg === msg).length >= times, msg);
}
