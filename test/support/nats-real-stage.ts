/** Real nats-servers as a stage for scripts; clients connect as the gateway does. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { dialNats } from '../../src/upstream/nats/dial.ts';
import type { NatsConnection } from '../../src/upstream/nats/nats-connection.ts';
import type { NatsUser } from '../simulate/nats-permissions.ts';
import type { Deed, Dialled, Stage, StageOptions } from '../simulate/nats-stage.ts';
import { Cables } from './nats-cables.ts';
import { freePort, type Running, start } from './process.ts';
import { eventually, PATIENCE_MS } from './wait.ts';

type Server = {
  readonly file: string;
  readonly port: number;
  readonly near: number;
  running: Running | null;
};

/** @param options Cluster or not: every connection goes over a cable. */
export async function realStage(options: StageOptions): Promise<Stage> {
  const stage = new RealStage(options);
  await stage.begin();
  return stage;
}

class RealStage implements Stage {
  readonly servers: readonly string[];
  readonly #options: StageOptions;
  readonly #cables = new Cables();
  readonly #running = new Map<string, Server>();
  readonly #dir = mkdtempSync(join(tmpdir(), 'pith-nats-'));
  readonly #connections: NatsConnection[] = [];

  constructor(options: StageOptions) {
    this.#options = options;
    this.servers = Array.from({ length: options.servers }, (_, i) => `n${i + 1}`);
  }

  async begin(): Promise<void> {
    const routePorts: number[] = [];
    for (const name of this.servers) {
      const port = await freePort();
      const near = await this.#cables.lay(port);
      const routePort = await freePort();
      const routes = [];
      for (const [i, to] of routePorts.entries())
        routes.push(await this.#cables.lay(to, pairOf(this.servers[i]!, name)));
      routePorts.push(routePort);
      const file = join(this.#dir, `${name}.conf`);
      const cluster = this.servers.length === 1 ? '' : clusterOf(routePort, routes);
      writeFileSync(file, configOf(name, port, near, this.#options) + cluster);
      this.#running.set(name, { file, port, near, running: null });
    }
    await Promise.all(this.servers.map((name) => this.#start(name)));
  }

  async #start(name: string): Promise<void> {
    const server = this.#server(name);
    server.running = await start('nats-server', ['-c', server.file], { ready: /Server is ready/ });
  }

  #server(name: string): Server {
    return this.#running.get(name)!;
  }

  addressOf(server: string): string {
    return `127.0.0.1:${this.#server(server).near}`;
  }

  async dial(
    name: string,
    servers: readonly string[],
    { isDirect, ...as }: Dialled,
  ): Promise<NatsConnection> {
    this.#cables.next = name;
    const none = { inboxPrefix: `_INBOX.${name}`, creds: '', token: '', nkey: '' };
    const addresses = servers.map((one) =>
      isDirect ? `127.0.0.1:${this.#server(one).port}` : this.addressOf(one),
    );
    const nc = await dialNats({ gatewayId: name, ...as, ...none }, addresses);
    this.#connections.push(nc);
    return nc;
  }

  async act(name: string, deed: Deed): Promise<void> {
    const { running } = this.#server(name);
    if (deed === 'start') {
      await this.#start(name);
    } else if (deed === 'pause') {
      await running!.freeze();
    } else {
      const signals = { kill: 'SIGKILL', stop: 'SIGTERM', resume: 'SIGCONT', 'lame duck': 'SIGUSR2' } as const; // prettier-ignore
      running!.kill(signals[deed]);
      if (deed === 'kill' || deed === 'stop') await running!.exited;
    }
  }

  hold(...ends: readonly string[]): void {
    this.#cables.hold(pairOf(...ends));
  }

  release(...ends: readonly string[]): void {
    this.#cables.release(pairOf(...ends));
  }

  cut(...ends: readonly string[]): void {
    this.#cables.cut(pairOf(...ends));
  }

  stopReading(client: string): void {
    this.#cables.deafen(client);
  }

  readAgain(client: string): void {
    this.#cables.undeafen(client);
  }

  wait<T>(promise: Promise<T>, what: string): Promise<T> {
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        reject(new Error(`waited for ${what}`));
      }, PATIENCE_MS);
      promise.then(resolve, reject).finally(() => {
        clearTimeout(timer);
      });
    });
  }

  async until(isTrue: () => boolean, what: string): Promise<void> {
    await eventually(isTrue, what);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const nc of this.#connections) nc.discard();
    this.#cables.close();
    for (const { running } of this.#running.values()) {
      running?.kill('SIGCONT');
      await running?.[Symbol.asyncDispose]();
    }
    rmSync(this.#dir, { recursive: true, force: true });
  }
}

function pairOf(...ends: readonly string[]): string {
  return [...ends].sort().join(' ');
}

function configOf(name: string, port: number, near: number, options: StageOptions): string {
  const { payloadBytesMax, pendingBytesMax, writeMs, pingMs, pingsOutMax, lameDuckGraceMs, users } =
    options;
  const lines = [
    `server_name: ${name}`,
    `listen: "127.0.0.1:${port}"`,
    `client_advertise: "127.0.0.1:${near}"`,
  ];
  if (payloadBytesMax !== undefined) lines.push(`max_payload: ${payloadBytesMax}`);
  if (pendingBytesMax !== undefined) lines.push(`max_pending: ${pendingBytesMax}`);
  if (writeMs !== undefined) lines.push(`write_deadline: "${writeMs}ms"`);
  if (pingMs !== undefined) lines.push(`ping_interval: "${pingMs}ms"`);
  if (pingsOutMax !== undefined) lines.push(`ping_max: ${pingsOutMax}`);
  if (lameDuckGraceMs !== undefined)
    lines.push(`lame_duck_grace_period: "${lameDuckGraceMs}ms"`, 'lame_duck_duration: "30s"');
  if (users !== undefined)
    lines.push(`authorization { users: ${JSON.stringify(users.map(userOf))} }`);
  return `${lines.join('\n')}\n`;
}

function userOf({ user, password, publish, subscribe, responses }: NatsUser): object {
  const allow_responses = responses && { max: responses.max, expires: `${responses.expiresMs}ms` };
  return { user, password, permissions: { publish, subscribe, allow_responses } };
}

/**
 * The routes are the cables to the servers before this one. What servers tell each other leads nowhere, or they would
 * connect past the cables.
 */
function clusterOf(port: number, routes: readonly number[]): string {
  const urls = routes.map((near) => `"nats://127.0.0.1:${near}"`).join(', ');
  return `cluster { name: pins, listen: "127.0.0.1:${port}", advertise: "127.0.0.1:1", routes: [${urls}] }\n`;
}
