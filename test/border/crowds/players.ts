/**
 * Clients that ask one thing a second each, and how long that takes. They are in a process of their own: neither the crowd
 * nor whoever counts is in their way.
 */
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';

import { Client, type Transport } from '../client.ts';

const ASK_EVERY_MS = 1_000;
/** How long an answer is waited for. */
const ANSWER_MS = 60_000;
/** Of fewer answers a percentile is only the worst of them. */
const ANSWERS_MIN = 100;

type Told =
  | {
      readonly tell: 'join';
      readonly port: number;
      readonly count: number;
      readonly transports: readonly Transport[];
    }
  | { readonly tell: 'take' }
  | { readonly tell: 'leave' };

/** Since the last look. */
export type Noticed = {
  /** Of how long answers took: the 99th percentile, milliseconds; 0: there were fewer than ANSWERS_MIN. */
  readonly p99Ms: number;
  /** Requests that were not answered, since the start. */
  readonly failed: number;
};

export class Players {
  readonly #process = fork(fileURLToPath(import.meta.url));

  /** Every one of them asks on, from now on. */
  async join(port: number, count: number, transports: readonly Transport[]): Promise<void> {
    await this.#tell({ tell: 'join', port, count, transports });
  }

  take(): Promise<Noticed> {
    return this.#tell({ tell: 'take' });
  }

  async leave(): Promise<void> {
    await this.#tell({ tell: 'leave' });
    this.#process.disconnect();
  }

  async #tell(told: Told): Promise<Noticed> {
    this.#process.send(told);
    const [noticed] = (await once(this.#process, 'message')) as [Noticed];
    return noticed;
  }
}

let tookMs: number[] = [];
let failed = 0;
let isOver = false;
const clients: Client[] = [];

async function play(client: Client, offsetMs: number): Promise<void> {
  await new Promise((resolve) => setTimeout(resolve, offsetMs));
  while (!isOver) {
    const since = performance.now();
    const { kind } = await client.ask('echo.a', '{}', ANSWER_MS);
    const took = performance.now() - since;
    tookMs.push(took);
    if (kind !== 'answer' && !isOver) failed++;
    await new Promise((resolve) => setTimeout(resolve, Math.max(0, ASK_EVERY_MS - took)));
  }
}

async function obey(told: Told): Promise<void> {
  if (told.tell === 'join') {
    const { count, port, transports } = told;
    for (let i = 0; i < count; i++) {
      const client = await Client.join(port, transports[i % transports.length]!, 'pomelo');
      clients.push(client);
      void play(client, (i * ASK_EVERY_MS) / count);
    }
  } else if (told.tell === 'leave') {
    isOver = true;
    await Promise.all(clients.map((client) => client.close()));
  }
  const sorted = tookMs.toSorted((a, b) => a - b);
  tookMs = [];
  const p99Ms = sorted.length < ANSWERS_MIN ? 0 : sorted[Math.floor(sorted.length * 0.99)]!;
  process.send!({ p99Ms, failed } satisfies Noticed);
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  process.on('message', (told: Told) => {
    void obey(told).catch((error: unknown) => {
      console.error(error);
      process.exit(1);
    });
  });
  process.on('disconnect', () => process.exit(0));
}
