/** A real Kubernetes on this machine: builds and starts it, and runs kubectl, helm and others inside. */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { homedir, tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { type Running, start } from '../support/process.ts';
import { eventually } from '../support/wait.ts';
import type { Seen } from './players.ts';

export const ROOT = fileURLToPath(new URL('../..', import.meta.url));
export const CHART = join(ROOT, 'deploy/helm/pith');
const HERE = fileURLToPath(new URL('.', import.meta.url));
/** Where the machine's own programs are reached from pods: NATS and the chat that the gateways call. */
export const HOST = '10.41.5.1';
const PROGRAMS_VERSION = '1.35.4';

export type Done = { readonly code: number | null; readonly out: string; readonly err: string };

/** Loose, as Kubernetes' own objects are. */
// eslint-disable-next-line typescript/no-explicit-any -- as deep and loose as Kubernetes' own types
export type KubeObject = any;

function exec(command: string, args: readonly string[], input?: string): Done {
  const done = spawnSync(command, [...args], {
    encoding: 'utf8',
    maxBuffer: 64 << 20,
    ...(input !== undefined && { input }),
  });
  if (done.error !== undefined) throw done.error;
  return { code: done.status, out: done.stdout, err: done.stderr };
}

function mustRun(command: string, args: readonly string[]): string {
  const { code, out, err } = exec(command, args);
  if (code !== 0) throw new Error(`${command} ${args.join(' ')}: exit ${code}\n${out}${err}`);
  return out;
}

export class Cluster implements Disposable {
  /** Where everything of this cluster is. */
  readonly dir: string;

  /** One that runs already. */
  constructor(dir: string) {
    this.dir = dir;
  }

  /** Builds what is missing, which takes long the first time, and starts everything. */
  static start(fakeNodes = 0): Cluster {
    const cache = join(
      process.env['XDG_CACHE_HOME'] || join(homedir(), '.cache'),
      `pith/cluster/${PROGRAMS_VERSION}`,
    );
    const built = spawnSync('sh', [join(HERE, 'build.sh'), PROGRAMS_VERSION], {
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    if (built.status !== 0) throw new Error('the cluster could not be built');
    const cluster = new Cluster(mkdtempSync(join(tmpdir(), 'pith-cluster-')));
    const images = join(cluster.dir, 'images');
    try {
      mustRun('sh', [join(HERE, 'images.sh'), images, cache]);
      const started = exec('bash', [
        join(HERE, 'start.sh'),
        cluster.dir,
        cache,
        images,
        String(fakeNodes),
      ]);
      if (started.code !== 0) throw new Error(started.err);
    } catch (error) {
      cluster[Symbol.dispose]();
      throw error;
    }
    return cluster;
  }

  [Symbol.dispose](): void {
    exec('bash', [join(HERE, 'stop.sh'), this.dir]);
    rmSync(this.dir, { recursive: true, force: true });
  }

  #inside(command: readonly string[]): string[] {
    const namespace = readFileSync(join(this.dir, 'run/namespace.pid'), 'utf8').trim();
    return [
      ...['-t', namespace, '-n', '-m', `--wd=${ROOT}`, '--'],
      ...['env', `KUBECONFIG=${this.dir}/kubeconfig`, ...command],
    ];
  }

  /** Runs a program inside to its end. */
  run(command: readonly string[], input?: string): Done {
    return exec('nsenter', this.#inside(command), input);
  }

  /** Starts a program inside. */
  start(command: readonly string[], ready?: RegExp): Promise<Running> {
    return start('nsenter', this.#inside(command), { ...(ready && { ready }) });
  }

  /** @throws {Error} With what kubectl said. */
  kubectl(...args: string[]): string {
    return mustRun('nsenter', this.#inside(['kubectl', ...args]));
  }

  get(...args: string[]): KubeObject {
    return JSON.parse(this.kubectl('get', ...args, '-o', 'json')) as KubeObject;
  }

  apply(text: string): void {
    const { code, err } = this.run(['kubectl', 'apply', '-f', '-'], text);
    if (code !== 0) throw new Error(err);
  }

  /** helm, with values of its own. */
  helm(args: readonly string[], values: object = {}): Done {
    const file = this.file('values.json');
    writeFileSync(file, JSON.stringify(values));
    return this.run(['helm', ...args, '--values', file]);
  }

  /** A chat in Go, for running it beside the pods. */
  chat(on: 'grpc' | 'nats'): string {
    return join(this.dir, 'images', on === 'grpc' ? 'chat' : 'chat-nats');
  }

  /** A new file in the cluster's folder. */
  file(name: string): string {
    const dir = join(this.dir, 'files');
    mkdirSync(dir, { recursive: true });
    return join(mkdtempSync(join(dir, 'file-')), name);
  }

  /** A namespace that enforces the restricted standard of Pod Security. */
  namespace(name: string): void {
    this.kubectl('create', 'namespace', name);
    const levels = ['enforce', 'warn', 'audit'];
    const labels = levels.map((mode) => `pod-security.kubernetes.io/${mode}=restricted`);
    this.kubectl('label', 'namespace', name, ...labels);
  }

  /** Pods of a release, as the API server has them, those that are going left out. */
  pods(namespace: string): KubeObject[] {
    const { items } = this.get('pods', '-n', namespace) as { items: KubeObject[] };
    return items.filter(
      ({ metadata }) =>
        metadata.labels['app.kubernetes.io/name'] === 'pith' &&
        metadata.deletionTimestamp === undefined,
    );
  }

  /** Starts COUNT players of a Service, and waits until they are all in. */
  async players(namespace: string, count: number, scheme = 'ws'): Promise<Players> {
    const file = this.file('players.json');
    const running = await this.start([
      process.execPath,
      join(HERE, 'players.ts'),
      ...[file, namespace, 'pith', String(count), '3010', scheme],
    ]);
    const players = new Players(running, file);
    await eventually(() => players.seen().connected === count, `${count} players`);
    return players;
  }
}

/** `more` on top of `base`: maps are merged, everything else is replaced. */
export function merge(base: object, more: object): object {
  const merged: Record<string, unknown> = { ...base };
  for (const [key, value] of Object.entries(more)) {
    const old = merged[key];
    const isMap = (x: unknown): x is object =>
      typeof x === 'object' && x !== null && !Array.isArray(x);
    merged[key] = isMap(old) && isMap(value) ? merge(old, value) : value;
  }
  return merged;
}

export class Players implements AsyncDisposable {
  readonly #running: Running;
  readonly #file: string;

  constructor(running: Running, file: string) {
    this.#running = running;
    this.#file = file;
  }

  seen(): Seen {
    if (!existsSync(this.#file))
      return { connected: 0, answers: {}, unanswered: {}, ends: [], refused: 0 };
    return JSON.parse(readFileSync(this.#file, 'utf8')) as Seen;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#running.kill('SIGTERM');
    await this.#running.exited;
  }
}
