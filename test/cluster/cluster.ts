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
  readonly #dir = mkdtempSync(join(tmpdir(), 'pith-cluster-'));
  #files = 0;

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
    const cluster = new Cluster();
    const images = join(cluster.#dir, 'images');
    mustRun('sh', [join(HERE, 'images.sh'), images, join(cache, 'pause')]);
    try {
      const started = exec('bash', [
        join(HERE, 'start.sh'),
        cluster.#dir,
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
    exec('bash', [join(HERE, 'stop.sh'), this.#dir]);
    if (process.env['KEEP'] !== '1') rmSync(this.#dir, { recursive: true, force: true });
  }

  #inside(command: readonly string[]): string[] {
    const namespace = readFileSync(join(this.#dir, 'run/namespace.pid'), 'utf8').trim();
    return [
      ...['-t', namespace, '-n', '-m', `--wd=${ROOT}`, '--'],
      ...['env', `KUBECONFIG=${this.#dir}/kubeconfig`, ...command],
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
    const file = join(this.#dir, `values-${this.#files++}.json`);
    writeFileSync(file, JSON.stringify(values));
    return this.run(['helm', ...args, '--values', file]);
  }

  /** The chat in Go, for running it beside the pods. */
  get chat(): string {
    return join(this.#dir, 'images/chat');
  }

  /** A new file in the cluster's folder. */
  file(name: string): string {
    const dir = join(this.#dir, 'files');
    mkdirSync(dir, { recursive: true });
    return join(dir, `${this.#files++}-${name}`);
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
  async players(namespace: string, count: number): Promise<Players> {
    const file = this.file('players.json');
    const running = await this.start([
      process.execPath,
      join(HERE, 'players.ts'),
      ...[file, namespace, 'pith', String(count), '3010'],
    ]);
    const players = new Players(running, file);
    await eventually(() => players.seen().connected === count, `${count} players`);
    return players;
  }
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
