/** The real process: `node src/main.ts …`, with a configuration file of its own and free ports. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { type LogLine, unlessLagIsMeant } from './gateway.ts';
import { run, type Running, start } from './process.ts';

export const ROOT = fileURLToPath(new URL('../../', import.meta.url));
export const MAIN = join(ROOT, 'src/main.ts');

export type ConfigFile = Disposable & { readonly path: string };

/** Writes `yaml` to a file that is gone afterwards. */
export function configFile(yaml: string): ConfigFile {
  const dir = mkdtempSync(join(tmpdir(), 'pith-serve-'));
  const path = join(dir, 'pith.yaml');
  writeFileSync(path, yaml);
  return {
    path,
    [Symbol.dispose]() {
      rmSync(dir, { recursive: true, force: true });
    },
  };
}

/** Runs a command of the program to its end. */
export function pith(
  ...args: readonly string[]
): Promise<{ code: number | string; output: string }> {
  return run(process.execPath, [MAIN, ...args], { cwd: ROOT });
}

export type Served = AsyncDisposable & {
  readonly running: Running;
  readonly port: number;
  /** The URLs of its listeners. */
  readonly clients: readonly string[];
  readonly controlPort: number;
  readonly adminPort: number;
  readonly healthPort: number;
  /** Writes another configuration to its file; the ports stay free ones. */
  rewrite(yaml: string): void;
  /** What it has logged so far. */
  log(): LogLine[];
  /** Waits for a line with this text. */
  logged(msg: string): Promise<LogLine>;
};

const PORTS = `
listen: [{ url: "auto://127.0.0.1:0" }]
health: { listen: 127.0.0.1:0 }
control: { listen: 127.0.0.1:0 }
admin: { listen: 127.0.0.1:0 }
`;

/** With free ports where it names none. */
function withPorts(yaml: string): string {
  const defaults = PORTS.split('\n').filter((line) => {
    const [, key] = /^([a-z]+):/.exec(line) ?? [];
    return key === undefined || !new RegExp(`^${key}:`, 'm').test(yaml);
  });
  return `${defaults.join('\n')}${yaml}`;
}

/** Starts `serve` with `yaml`, on free ports where it names none, and waits until it listens. */
export function serve(yaml: string, ...args: readonly string[]): Promise<Served> {
  return launch([process.execPath, MAIN], yaml, args);
}

/** The same with these variables, too. */
export function serveWith(env: Readonly<Record<string, string>>, yaml: string): Promise<Served> {
  return launch([process.execPath, MAIN], yaml, [], { ...unlessLagIsMeant(yaml), ...env });
}

/** The same with another copy of the program, by its main file. */
export function serveOther(
  main: string,
  yaml: string,
  ...args: readonly string[]
): Promise<Served> {
  return launch([process.execPath, main], yaml, args);
}

/** The same with an earlier release, by its main file: it may not know the keys of today. */
export function serveRelease(main: string, yaml: string): Promise<Served> {
  return launch([process.execPath, main], yaml, [], {});
}

/** The same with so many file descriptors (`ulimit -n`). */
export function serveWithin(descriptors: number, yaml: string): Promise<Served> {
  const within = ['sh', '-c', `ulimit -n ${descriptors} && exec "$0" "$@"`];
  return launch([...within, process.execPath, MAIN], yaml, []);
}

async function launch(
  program: readonly string[],
  yaml: string,
  args: readonly string[],
  env: Readonly<Record<string, string>> = unlessLagIsMeant(yaml),
): Promise<Served> {
  const file = configFile(withPorts(yaml));
  const [command, ...rest] = [
    ...program,
    ...['serve', '--config', file.path, '--set', 'log.format=json'],
    ...args,
  ];
  const running = await start(command!, rest, { cwd: ROOT, env });
  const log = (): LogLine[] =>
    running
      .output()
      .split('\n')
      .slice(0, -1)
      .filter((line) => line.startsWith('{'))
      .map((line) => JSON.parse(line) as LogLine);
  const logged = async (msg: string): Promise<LogLine> => {
    await running.waitFor(new RegExp(`"msg":"${msg}"}\n`));
    return log().find((line) => line.msg === msg)!;
  };
  const line = (await logged('listening').catch(async (error: unknown) => {
    await running[Symbol.asyncDispose]();
    file[Symbol.dispose]();
    throw error;
  })) as LogLine & {
    clients: string[];
    controlPort: number;
    adminPort: number;
    healthPort: number;
  };
  return {
    running,
    port: Number(line.clients[0]!.split(':').pop()),
    clients: line.clients,
    controlPort: line.controlPort,
    adminPort: line.adminPort,
    healthPort: line.healthPort,
    rewrite: (next) => {
      writeFileSync(file.path, withPorts(next));
    },
    log,
    logged,
    async [Symbol.asyncDispose]() {
      await running[Symbol.asyncDispose]();
      file[Symbol.dispose]();
    },
  };
}
