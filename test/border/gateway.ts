/** The real process, `node src/main.ts serve`, with what watches it from outside. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readdirSync, writeFileSync } from 'node:fs';
import http from 'node:http';
import net from 'node:net';
import { join } from 'node:path';

import { unlessLagIsMeant } from '../support/gateway.ts';
import { configFile, ROOT } from '../support/serve.ts';
import { eventually } from '../support/wait.ts';
import type { Inside } from './inside.ts';
import { type Metrics, parseMetrics } from './metrics.ts';

/** The last of what it has printed, for whoever asks why it is gone. */
const OUTPUT_BYTES = 20_000;
const PROBE_EVERY_MS = 30;

type Ports = { readonly clients: number[]; control: number; admin: number; health: number };

function withPorts(yaml: string): string {
  return `
health: { listen: 127.0.0.1:0 }
control: { listen: 127.0.0.1:0 }
admin: { listen: 127.0.0.1:0 }
${yaml}`;
}

export class Gateway implements AsyncDisposable {
  readonly ports: Ports = { clients: [], control: 0, admin: 0, health: 0 };
  /** As it calls itself. */
  id = '';
  /** How it ended; null while it lives. */
  exit: string | null = null;
  /** Longest time in which /livez was not answered, milliseconds, since `takeWorstProbe`. */
  #worstProbeMs = 0;
  /** Since when a probe is under way. */
  #probeSince = 0;
  #probing = true;
  output = '';
  readonly #child: ChildProcess;
  readonly #file: ReturnType<typeof configFile>;
  #inside: net.Socket | null = null;
  readonly #insidePath: string;
  readonly #agent = new http.Agent({ keepAlive: true, maxSockets: 1 });

  private constructor(yaml: string) {
    const file = configFile(yaml);
    this.#file = file;
    this.#insidePath = join(file.path, '..', 'inside.sock');
    this.#child = spawn(
      process.execPath,
      [
        '--import',
        new URL('inside.ts', import.meta.url).href,
        join(ROOT, 'src/main.ts'),
        'serve',
        '--config',
        file.path,
        '--set',
        'log.format=json',
      ],
      {
        cwd: ROOT,
        env: { ...process.env, ...unlessLagIsMeant(yaml), BORDER_INSIDE: this.#insidePath },
        stdio: ['ignore', 'pipe', 'pipe'],
      },
    );
    const take = (chunk: Buffer): void => {
      this.output = (this.output + chunk.toString()).slice(-OUTPUT_BYTES);
    };
    this.#child.stdout!.on('data', take);
    this.#child.stderr!.on('data', take);
    this.#child.on('exit', (code, signal) => {
      this.exit = `exit ${code ?? signal}`;
    });
  }

  /** Starts it with `yaml`, which names the listeners; all other ports are free ones. */
  static async start(yaml: string): Promise<Gateway> {
    const gateway = new Gateway(withPorts(yaml));
    const line = await gateway.#listening().catch(async (error: unknown) => {
      await gateway[Symbol.asyncDispose]();
      throw error;
    });
    type Listening = Record<'controlPort' | 'adminPort' | 'healthPort', number> & {
      clients: string[];
      gateway: string;
    };
    const said = JSON.parse(line) as Listening;
    gateway.id = said.gateway;
    gateway.ports.clients.push(...said.clients.map((url) => Number(url.split(':').pop())));
    gateway.ports.control = said.controlPort;
    gateway.ports.admin = said.adminPort;
    gateway.ports.health = said.healthPort;
    gateway.#inside = net.connect(gateway.#insidePath);
    await once(gateway.#inside, 'connect');
    void gateway.#probe();
    return gateway;
  }

  /** Writes another configuration to its file. */
  rewrite(yaml: string): void {
    writeFileSync(this.#file.path, withPorts(yaml));
  }

  #listening(): Promise<string> {
    return eventually(
      () => {
        if (this.exit !== null) throw new Error(`${this.exit}: ${this.output}`);
        return /\{[^\n]*"msg":"listening"\}\n/.exec(this.output)?.[0];
      },
      'the gateway to listen',
      60_000,
    );
  }

  get pid(): number {
    return this.#child.pid!;
  }

  kill(signal: NodeJS.Signals): void {
    this.#child.kill(signal);
  }

  /** How many files and sockets it has open; 0 where that cannot be seen. */
  descriptors(): number {
    const folder = `/proc/${this.pid}/fd`;
    return existsSync(folder) ? readdirSync(folder).length : 0;
  }

  /** Reads no more of its log, until `readLog`. */
  leaveLog(): void {
    this.#child.stdout!.pause();
  }

  readLog(): void {
    this.#child.stdout!.resume();
  }

  /** Heap and external memory after a collection, bytes. */
  async held(): Promise<number> {
    const { heapBytes, externalBytes } = await this.inside('collect');
    return heapBytes + externalBytes;
  }

  /** The longest that /livez took since this was asked the last time; milliseconds. */
  takeWorstProbe(): number {
    const now = this.#probeSince === 0 ? 0 : performance.now() - this.#probeSince;
    const worst = Math.max(this.#worstProbeMs, now);
    this.#worstProbeMs = 0;
    return worst;
  }

  /** What it says of itself; `collect`: after a full collection. */
  async inside(word: 'look' | 'collect' = 'look', ms = 120_000): Promise<Inside> {
    if (this.exit !== null) throw new Error(`the gateway has ended: ${this.exit}`);
    this.#inside!.write(`${word}\n`);
    const [said] = (await once(this.#inside!, 'data', { signal: AbortSignal.timeout(ms) })) as [
      Buffer,
    ];
    return JSON.parse(said.toString()) as Inside;
  }

  async metrics(): Promise<Metrics> {
    return parseMetrics(await this.get('/metrics'));
  }

  /** The body of a path on the health port. */
  async get(path: string, ms = 120_000): Promise<string> {
    const { health: port } = this.ports;
    const request = http.get({ port, host: '127.0.0.1', path, agent: this.#agent, timeout: ms });
    request.on('timeout', () => request.destroy(new Error(`${path}: nothing in ${ms} ms`)));
    let response: http.IncomingMessage;
    try {
      [response] = (await once(request, 'response')) as [http.IncomingMessage];
    } catch (error) {
      // It was idle for as long as the gateway keeps one, which ended it while this was on its way.
      if (request.reusedSocket && isReset(error)) return this.get(path, ms);
      throw error;
    }
    let body = '';
    for await (const part of response) body += String(part);
    return body;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#probing = false;
    this.#agent.destroy();
    if (this.exit === null) {
      this.#child.kill('SIGCONT');
      this.#child.kill('SIGTERM');
      const late = setTimeout(() => this.#child.kill('SIGKILL'), 5_000);
      await once(this.#child, 'exit');
      clearTimeout(late);
    }
    this.#inside?.destroy();
    this.#file[Symbol.dispose]();
  }

  async #probe(): Promise<void> {
    const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });
    const { health: port } = this.ports;
    while (this.#probing && this.exit === null) {
      this.#probeSince = performance.now();
      try {
        const request = http.get({ port, host: '127.0.0.1', path: '/livez', agent });
        const [response] = (await once(request, 'response')) as [http.IncomingMessage];
        response.resume();
        await once(response, 'end');
        this.#worstProbeMs = Math.max(this.#worstProbeMs, performance.now() - this.#probeSince);
      } catch {
        // Its connection was closed between two probes, or the process is gone, which `exit` tells.
      }
      this.#probeSince = 0;
      await new Promise((resolve) => setTimeout(resolve, PROBE_EVERY_MS));
    }
    agent.destroy();
  }
}

function isReset(error: unknown): boolean {
  return error instanceof Error && 'code' in error && error.code === 'ECONNRESET';
}
