/**
 * What it costs to look: `make bench-observability`. Each row lets a gateway under a steady load look and not look, in
 * turn, thirty times (ROUNDS=30), and prints by how much the CPU per message differs: the mean of the pairs, its 95 %
 * interval, and the aim that the upper end is held against. ONLY=traces,console plays those rows alone.
 *
 * What can be switched while a gateway runs is switched in one process. The rest is compared over several pairs of
 * processes, since two that do the same differ by a few percent for as long as they live.
 */
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { readdir } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';

import { startCollector } from '../support/otlp.ts';
import { run, type Running, start } from '../support/process.ts';
import { serve, type Served } from '../support/serve.ts';
import { launchBrowser } from '../support/web-stage.ts';
import { putToolsOnPath } from '../tools/path.ts';
import type { CrowdCount, CrowdOrder } from './crowd.ts';

const HERE = fileURLToPath(new URL('.', import.meta.url));
const BUILT = fileURLToPath(new URL('../../.cache/go/', import.meta.url));
const ROUNDS = Number(process.env['ROUNDS'] ?? 30);
/** Rounds with one pair of processes. */
const ROUNDS_OF_PAIR = 5;
const WARM_MS = 5_000;
const WINDOW_MS = 1_000;
/** A console asks every few seconds. */
const CONSOLE_WINDOW_MS = 4_000;
/** After a switch. */
const SETTLE_MS = 200;
const IDLE_SESSIONS = 10_000;
/** Two-sided, 95 %, for 29 degrees of freedom and about as many. [Student's t] */
const T_95 = 2.045;

const CONFIG = `
listen: [{ url: "auto://127.0.0.1:0" }]
backends: { echo: { reply: { code: 200 } } }
routes: [{ match: "area.>", backend: echo }]
heartbeat: 0s
limits: { connections: 12000, messages_per_second: 1000000, burst: 1000000, event_loop_lag: 0s }
`;

const wait = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

/** Nanoseconds on a core, of all threads, as the scheduler counted them. */
async function cpuNs(pid: number): Promise<number> {
  let total = 0;
  for (const task of await readdir(`/proc/${pid}/task`)) {
    try {
      total += Number(readFileSync(`/proc/${pid}/task/${task}/schedstat`, 'utf8').split(' ')[0]);
    } catch {
      // A thread that ended meanwhile.
    }
  }
  return total;
}

/** A gateway, and a load that can be stopped for a while. */
class Loaded implements AsyncDisposable {
  readonly gateway: Served;
  readonly #load: Running;
  readonly #stack: AsyncDisposableStack;

  private constructor(gateway: Served, load: Running, stack: AsyncDisposableStack) {
    this.gateway = gateway;
    this.#load = load;
    this.#stack = stack;
  }

  static async start(yaml: string): Promise<Loaded> {
    await using stack = new AsyncDisposableStack();
    const gateway = stack.use(await serve(CONFIG + yaml));
    const address = `127.0.0.1:${gateway.port}`;
    const args = ['-addr', address, '-conns', '500', '-inflight', '4', '-measure', '1h'];
    const load = stack.use(await start(`${BUILT}load`, args, { env: { GOMAXPROCS: '1' } }));
    await load.waitFor(/begin/, 60_000);
    await wait(WARM_MS);
    return new Loaded(gateway, load, stack.move());
  }

  stop(): void {
    process.kill(this.#load.pid, 'SIGSTOP');
  }

  goOn(): void {
    process.kill(this.#load.pid, 'SIGCONT');
  }

  async #messages(): Promise<number> {
    const response = await fetch(`http://127.0.0.1:${this.gateway.healthPort}/metrics`);
    const lines = (await response.text()).matchAll(/^pith_requests_total\{.*\} (\d+)$/gm);
    return [...lines].reduce((sum, [, count]) => sum + Number(count), 0);
  }

  /** CPU per message in microseconds, while the load runs for so long. */
  async measure(ms: number): Promise<number> {
    const { pid } = this.gateway.running;
    const messages = await this.#messages();
    const used = await cpuNs(pid);
    await wait(ms);
    const usedNow = await cpuNs(pid);
    return (usedNow - used) / 1_000 / ((await this.#messages()) - messages);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.goOn();
    await this.#stack.disposeAsync();
  }
}

/** Ends the look. */
type End = () => Promise<void>;

type Pair = readonly [without: number, looking: number];

/** One process that looks and does not, in turn. */
async function switched(
  loaded: Loaded,
  windowMs: number,
  look: () => Promise<End>,
): Promise<Pair[]> {
  const pairs: Pair[] = [];
  for (let round = 0; round < ROUNDS; round++) {
    const measured = { without: 0, looking: 0 };
    // Whichever comes first may gain by it.
    const order = ['without', 'looking'] as const;
    for (const what of round % 2 === 0 ? order : order.toReversed()) {
      const end = what === 'looking' ? await look() : null;
      await wait(SETTLE_MS);
      measured[what] = await loaded.measure(windowMs);
      await end?.();
    }
    pairs.push([measured.without, measured.looking]);
  }
  return pairs;
}

/** Pairs of processes with one configuration and another. */
async function compared(more: string): Promise<Pair[]> {
  const pairs: Pair[] = [];
  while (pairs.length < ROUNDS) {
    await using without = await Loaded.start('');
    without.stop();
    await using looking = await Loaded.start(more);
    looking.stop();
    const take = async (one: Loaded): Promise<number> => {
      one.goOn();
      await wait(SETTLE_MS);
      const us = await one.measure(WINDOW_MS);
      one.stop();
      return us;
    };
    for (let round = 0; round < ROUNDS_OF_PAIR; round++) {
      const first = round % 2 === 0 ? without : looking;
      const one = await take(first);
      const other = await take(first === without ? looking : without);
      pairs.push(first === without ? [one, other] : [other, one]);
    }
  }
  return pairs;
}

function print(name: string, pairs: readonly Pair[], aim: number): void {
  const logs = pairs.map(([without, looking]) => Math.log(looking / without));
  const mean = logs.reduce((sum, log) => sum + log, 0) / logs.length;
  const squares = logs.reduce((sum, log) => sum + (log - mean) ** 2, 0);
  const half = T_95 * Math.sqrt(squares / (logs.length - 1) / logs.length);
  const percent = (log: number): string => `${((Math.exp(log) - 1) * 100).toFixed(1)} %`;
  const middle = pairs.map(([without]) => without).sort((a, b) => a - b)[pairs.length >> 1]!;
  const isMet = Math.exp(mean + half) - 1 < aim;
  const cells = [middle.toFixed(2), percent(mean), percent(mean - half), percent(mean + half)];
  const said = `  < ${aim * 100} % ${isMet ? 'met' : 'missed'}`;
  console.log(name.padEnd(44) + cells.map((cell) => cell.padStart(10)).join('') + said);
}

type Crowd = Disposable & { readonly ask: (order: CrowdOrder) => Promise<CrowdCount> };

function startCrowd(): Crowd {
  const child = fork(new URL('crowd.ts', import.meta.url));
  return {
    async ask(order) {
      child.send(order);
      return ((await once(child, 'message')) as [CrowdCount])[0];
    },
    [Symbol.dispose]() {
      child.disconnect();
    },
  };
}

/** A POST to the admin port. */
async function ask(
  { adminPort }: Served,
  method: string,
  body: object,
  signal?: AbortSignal,
): Promise<Response> {
  const response = await fetch(`http://127.0.0.1:${adminPort}/v1/${method}`, {
    method: 'POST',
    body: JSON.stringify(body),
    ...(signal !== undefined && { signal }),
  });
  if (!response.ok) throw new Error(`${method}: ${await response.text()}`);
  return response;
}

async function scraping(): Promise<Pair[]> {
  await using loaded = await Loaded.start('');
  const url = `http://127.0.0.1:${loaded.gateway.healthPort}/metrics`;
  const scrape = async (): Promise<void> => {
    await (await fetch(url)).text();
  };
  return await switched(loaded, WINDOW_MS, async () => {
    await scrape();
    const timer = setInterval(() => void scrape(), 1_000);
    return () => Promise.resolve(clearInterval(timer));
  });
}

async function watching(): Promise<Pair[]> {
  await using loaded = await Loaded.start('');
  const { gateway } = loaded;
  using crowd = startCrowd();
  await crowd.ask({ do: 'connect', port: gateway.port, count: 1, atOnce: 1 });
  const listed = await (await ask(gateway, 'ListSessions', { limit: 1_000 })).text();
  const { sid } = listed
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as { sid: string; client_type: string })
    .find((session) => session.client_type === 'bench')!;
  return await switched(loaded, WINDOW_MS, async () => {
    const abort = new AbortController();
    await ask(gateway, 'Watch', { target: { sids: [sid] } }, abort.signal);
    return () => Promise.resolve(abort.abort());
  });
}

async function consoleOpen(): Promise<Pair[]> {
  await using loaded = await Loaded.start('');
  const { port, adminPort } = loaded.gateway;
  using crowd = startCrowd();
  await crowd.ask({ do: 'connect', port, count: IDLE_SESSIONS, atOnce: 100 });
  await using browser = await launchBrowser();
  const url = `http://127.0.0.1:${adminPort}/console`;
  await using opened = await browser.open(url);
  await opened.page.goto('about:blank');
  return await switched(loaded, CONSOLE_WINDOW_MS, async () => {
    await opened.page.goto(url);
    return async () => {
      await opened.page.goto('about:blank');
    };
  });
}

type Row = {
  readonly key: string;
  readonly name: string;
  readonly aim: number;
  readonly pairs: () => Promise<Pair[]>;
};

function rows(collector: string): Row[] {
  const traces = `otlp: "${collector}", sample: 0`;
  return [
    { key: 'noise', name: 'nothing: how much is noise', aim: 0.02, pairs: () => compared('') },
    {
      ...{ key: 'traces', name: 'traces on, unsampled', aim: 0.02 },
      pairs: () => compared(`telemetry: { ${traces} }`),
    },
    {
      ...{ key: 'otlp', name: 'the same, and metrics to OTLP each second', aim: 0.03 },
      pairs: () => compared(`telemetry: { ${traces}, otlp_metrics: 1s }`),
    },
    { key: 'metrics', name: 'metrics, scraped once a second', aim: 0.03, pairs: scraping },
    { key: 'watch', name: 'a watch on another session', aim: 0.02, pairs: watching },
    {
      ...{ key: 'console', name: `a console open, ${IDLE_SESSIONS} sessions`, aim: 0.02 },
      pairs: consoleOpen,
    },
  ];
}

async function main(): Promise<void> {
  const { code, output } = await run('go', ['build', '-o', `${BUILT}load`, '.'], {
    cwd: `${HERE}load`,
  });
  if (code !== 0) throw new Error(`go build of the load failed:\n${output}`);
  const only = process.env['ONLY']?.split(',');
  await using collector = await startCollector();
  console.log(`${ROUNDS} pairs each; CPU of the gateway's process, microseconds per message`);
  const heads = ['without', 'more', 'from', 'to'];
  console.log(''.padEnd(44) + heads.map((head) => head.padStart(10)).join('') + '  aim for "to"');
  for (const { key, name, aim, pairs } of rows(collector.url))
    if (only?.includes(key) !== false) print(name, await pairs(), aim);
}

putToolsOnPath();
await main();
