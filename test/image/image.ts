/** Builds the image, and runs containers of it as a cluster would: another user, nothing to write to. */
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { type Running, start } from '../support/process.ts';
import { eventually } from '../support/wait.ts';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const HERE = fileURLToPath(new URL('.', import.meta.url));
const BASE = 'localhost/pith-test-base:local';
const RUNTIME = 'localhost/pith-test-runtime:local';

export const IMAGE = 'localhost/pith-test:local';

export type Done = { readonly code: number | null; readonly out: string; readonly err: string };

/** Runs a program to its end. */
export function exec(command: string, args: readonly string[]): Done {
  const done = spawnSync(command, [...args], { encoding: 'utf8', maxBuffer: 64 << 20 });
  if (done.error !== undefined) throw done.error;
  return { code: done.status, out: done.stdout, err: done.stderr };
}

function mustRun(command: string, args: readonly string[]): string {
  const { code, out, err } = exec(command, args);
  if (code !== 0) throw new Error(`${command} ${args.join(' ')}: exit ${code}\n${out}${err}`);
  return out;
}

/** Builds deploy/Dockerfile on bases made from this machine's own Node. @param tag Another one than `IMAGE`. */
export function build(tag = 'local'): Inspected {
  if (tag === 'local') mustRun('sh', [join(HERE, 'base.sh'), BASE, RUNTIME]);
  const npmrc = mustRun('npm', ['config', 'get', 'userconfig']).trim();
  const image = `${IMAGE.replace(/:.*/, '')}:${tag}`;
  mustRun('buildah', [
    'bud',
    ...['--isolation', 'chroot', '--pull=never', '--layers=false', '--format', 'docker', '--quiet'],
    ...['--build-arg', `BASE=${BASE}`, '--build-arg', `RUNTIME=${RUNTIME}`],
    ...['--build-arg', 'REVISION=test', '--timestamp', '1700000000'],
    // What npm needs on this machine to reach its registry; it does not end up in the image.
    ...(existsSync(npmrc) ? ['--secret', `id=npmrc,src=${npmrc}`] : []),
    ...['-f', join(ROOT, 'deploy/Dockerfile'), '-t', image, ROOT],
  ]);
  tags.add(image);
  return inspect(image);
}

const tags = new Set<string>();

/** A line for whoever runs `make image-test`. */
export function report(text: string): void {
  process.stdout.write(`image: ${text}\n`);
}

/** Takes away what `build` made. */
export function remove(): void {
  exec('buildah', ['rmi', '--force', ...tags, BASE, RUNTIME]);
}

export type Inspected = {
  RootFS: { Layers: string[] };
  Config: {
    User: string;
    Entrypoint: string[];
    Cmd: string[];
    Env: string[];
    Labels: Record<string, string>;
    ExposedPorts: Record<string, unknown>;
    WorkingDir: string;
  };
  Healthcheck?: { Test: string[] };
  Size: number;
};

/** What the image says of itself. */
export function inspect(image = IMAGE): Inspected {
  return (JSON.parse(mustRun('podman', ['image', 'inspect', image])) as [Inspected])[0];
}

/** The flags of every container here: not root, nothing writable, no capability, the host's loopback. */
const HARDENED = [
  ...['--runtime', 'runc'],
  'run',
  '--rm',
  // podman would have systemd run it; the test asks itself.
  '--no-healthcheck',
  ...['--network', 'host', '--read-only', '--read-only-tmpfs=false', '--cap-drop=all'],
  ...['--security-opt', 'no-new-privileges'],
  // Both by name: the defaults ask for more than a user without privileges may have.
  ...['--ulimit', 'nofile=8192:8192', '--ulimit', 'nproc=4096:4096'],
];

export type Container = Running & {
  readonly name: string;
  /** Runs Node in the container; `code` is its exit code. */
  node(script: string): Done;
  /** Runs a program in the container. */
  exec(command: readonly string[]): Done;
  /** Sends SIGTERM to PID 1, as a cluster does. */
  stop(): void;
};

let count = 0;

/** Starts the image with a configuration and waits until it is ready. */
export async function serve(configFile: string, healthPort: number): Promise<Container> {
  const name = `pith-test-${process.pid}-${count++}`;
  const running = await start(
    'podman',
    [...HARDENED, '--name', name, '--volume', `${configFile}:/etc/pith/pith.yaml:ro`, IMAGE],
    { cwd: tmpdir() },
  );
  await until(running, `http://127.0.0.1:${healthPort}/readyz`);
  return {
    ...running,
    name,
    node: (script) => exec('podman', ['--runtime', 'runc', 'exec', name, 'node', '-e', script]),
    exec: (command) => exec('podman', ['--runtime', 'runc', 'exec', name, ...command]),
    stop: () => void mustRun('podman', ['--runtime', 'runc', 'kill', '--signal', 'TERM', name]),
    async [Symbol.asyncDispose]() {
      exec('podman', ['--runtime', 'runc', 'rm', '--force', '--time', '0', '--ignore', name]);
      await running[Symbol.asyncDispose]();
    },
  };
}

/** Runs the image to its end with other arguments. */
export function runImage(args: readonly string[], flags: readonly string[] = []): Done {
  return exec('podman', [...HARDENED, ...flags, IMAGE, ...args]);
}

async function until(running: Running, url: string): Promise<void> {
  let ended = false;
  void running.exited.then(() => {
    ended = true;
  });
  const isReady = (): Promise<boolean> =>
    fetch(url).then(
      (response) => response.ok,
      () => false,
    );
  await eventually(async () => ended || (await isReady()), `200 of ${url}`);
  if (ended) throw new Error(`${url} did not answer 200:\n${running.output()}`);
}
