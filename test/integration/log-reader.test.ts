/** Who reads the log, and stops: the real process goes on, and says what it has left out. */
import { type ChildProcessByStdio, spawn } from 'node:child_process';
import { once } from 'node:events';
import type { Readable } from 'node:stream';
import { describe, expect, test } from 'vitest';

import { TestClient } from '../support/client.ts';
import type { LogLine } from '../support/gateway.ts';
import { configFile, ROOT } from '../support/serve.ts';
import { eventually } from '../support/wait.ts';

const CONFIG = `
listen: [{ url: "auto://127.0.0.1:0" }]
health: { listen: 127.0.0.1:0 }
control: { listen: 127.0.0.1:0 }
admin: { listen: 127.0.0.1:0 }
log: { level: debug, format: json }
limits: { messages_per_second: 1000000, burst: 1000000 }
`;

/** A gateway whose stdout the test reads by itself, and a client that has it write lines. */
class Noisy implements AsyncDisposable {
  readonly #file = configFile(CONFIG);
  readonly child: ChildProcessByStdio<null, Readable, null>;
  readonly exited: Promise<unknown[]>;
  client!: TestClient;
  #healthPort = 0;
  #text = '';

  /** `terminal`: its stdout is one, which the child passes on. */
  constructor(terminal = false) {
    const args = ['src/main.ts', 'serve', '--config', this.#file.path];
    const command = `exec ${[process.execPath, ...args].join(' ')}`;
    const stdio: ['ignore', 'pipe', 'ignore'] = ['ignore', 'pipe', 'ignore'];
    const options = { cwd: ROOT, stdio };
    this.child = terminal
      ? spawn('script', ['-qfc', `echo pid=$$ && ${command}`, '/dev/null'], options)
      : spawn(process.execPath, args, options);
    this.exited = once(this.child, 'exit');
  }

  async start(): Promise<void> {
    this.child.stdout.setEncoding('utf8').on('data', (some: string) => (this.#text += some));
    const listening = await eventually(
      () => this.lines().find(({ msg }) => msg === 'listening'),
      'listening',
    );
    const [url] = listening['clients'] as string[];
    this.#healthPort = Number(listening['healthPort']);
    this.client = await TestClient.connect(Number(url!.split(':').pop()));
  }

  /** Of the gateway, whoever has started it. */
  get pid(): number {
    return Number(/^pid=(\d+)/.exec(this.#text)?.[1] ?? this.child.pid);
  }

  lines(): LogLine[] {
    const whole = this.#text.split('\n').slice(0, -1);
    return whole.filter((line) => line.startsWith('{')).map((line) => JSON.parse(line) as LogLine);
  }

  async dropped(): Promise<number> {
    const page = await (await fetch(`http://127.0.0.1:${this.#healthPort}/metrics`)).text();
    return Number(/^pith_log_lines_dropped_total (.*)$/m.exec(page)![1]);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#file[Symbol.dispose]();
    if (this.child.exitCode !== null) return;
    process.kill(this.pid, 'SIGKILL');
    this.child.kill('SIGKILL');
    await this.exited;
  }
}

/** Each is answered 404, and logged at debug. */
async function ask(client: TestClient, times: number): Promise<void> {
  const route = `${'x'.repeat(60)}.${'y'.repeat(60)}`;
  for (let n = 0; n < times; n += 1)
    expect(await client.request(route)).toMatchObject({ code: 404 });
}

describe('a reader that', () => {
  test('stops reading: lines are dropped and counted, the gateway goes on, and the reader is told', async () => {
    await using one = new Noisy();
    await one.start();
    one.child.stdout.pause();
    await eventually(async () => {
      await ask(one.client, 500);
      return (await one.dropped()) > 0;
    }, 'dropped lines');
    await ask(one.client, 100);
    const dropped = await one.dropped();
    expect(dropped).toBeGreaterThanOrEqual(100);
    one.child.stdout.resume();
    await eventually(() => one.lines().length > 1_000, 'the lines that were kept');
    await ask(one.client, 1);
    const told = await eventually(
      () => one.lines().find(({ dropped: n }) => n !== undefined),
      'the line that tells',
    );
    expect(told).toMatchObject({
      level: 'warn',
      dropped,
      msg: 'log lines dropped; stdout was not read in time',
    });
    one.child.kill('SIGTERM');
    expect(await one.exited).toEqual([0, null]);
    expect(one.lines().at(-1)).toMatchObject({ msg: 'stopped' });
  });

  test('is a terminal that is stopped costs the same', async () => {
    await using one = new Noisy(true);
    await one.start();
    one.child.stdout.pause();
    await eventually(async () => {
      await ask(one.client, 500);
      return (await one.dropped()) > 0;
    }, 'dropped lines');
    process.kill(one.pid, 'SIGTERM');
    one.child.stdout.resume();
    expect(await one.exited).toEqual([0, null]);
  });

  test('goes away: the gateway goes on, counts, and stops with 0', async () => {
    await using one = new Noisy();
    await one.start();
    one.child.stdout.destroy();
    await eventually(async () => {
      await ask(one.client, 10);
      return (await one.dropped()) > 20;
    }, 'dropped lines');
    one.child.kill('SIGTERM');
    expect(await one.exited).toEqual([0, null]);
  });
});
