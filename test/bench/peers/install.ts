/**
 * Brings what is measured into `.cache/bench-peers`, each peer from its registry at the version that stands in `apps/` or
 * below. A peer that can't be had is left out by name; its reason goes into the results.
 */
import { createHash } from 'node:crypto';
import {
  cpSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { run } from '../../support/process.ts';

const HERE = fileURLToPath(new URL('.', import.meta.url));
export const ROOT = fileURLToPath(new URL('../../../', import.meta.url));
export const CACHE = join(ROOT, '.cache/bench-peers');
export const BIN = join(CACHE, 'bin');
/** The originals in Node, with the lock file of test/oracle. */
const ORIGINALS = join(ROOT, 'test/oracle');
export const NODE_PEERS = join(CACHE, 'node');

const CENTRIFUGO = 'github.com/centrifugal/centrifugo/v6@v6.9.1';
const ANYCABLE = 'github.com/anycable/anycable-go/cmd/anycable-go';
/** Building etcd or Centrifugo for the first time takes minutes; a registry that gives no answer must not take an hour. */
const STEP_MS = 15 * 60_000;

/** What was installed, and what was not, with the reason. */
export type Installed = {
  readonly parts: ReadonlySet<string>;
  readonly failed: ReadonlyMap<string, string>;
};

type Part = {
  readonly name: string;
  /** Files whose change makes it be built again. */
  readonly from: readonly string[];
  readonly key?: string;
  readonly build: () => Promise<void>;
};

const app = (name: string): string => join(HERE, 'apps', name);

/** A Go program of ours, as `bin/bench-NAME`. */
function go(name: string, packageName = '.', program = `bench-${name}`): Part {
  return {
    name,
    from: [app(name)],
    key: packageName,
    build: () => sh('go', ['build', '-o', join(BIN, program), packageName], app(name)),
  };
}

const PARTS: readonly Part[] = [
  {
    name: 'generator',
    from: [join(HERE, 'gen')],
    build: () => sh('gcc', ['-O2', '-o', join(BIN, 'gen'), join(HERE, 'gen/gen.c')], HERE),
  },
  go('goecho'),
  go('pith'),
  go('rpc'),
  go('nano'),
  go('pitaya'),
  go('etcd'),
  go('anycable', ANYCABLE, 'anycable-go'),
  {
    name: 'centrifugo',
    from: [],
    key: CENTRIFUGO,
    build: () => sh('go', ['install', CENTRIFUGO], '/', { GOBIN: BIN }),
  },
  {
    name: 'node',
    from: [join(ORIGINALS, 'package-lock.json'), app('pinus'), app('pomelo')],
    build: buildOriginals,
  },
  {
    name: 'certificate',
    from: [join(HERE, 'apps/goecho')],
    build: () => sh(join(BIN, 'bench-goecho'), ['-make-cert', CACHE], CACHE),
  },
];

/** Does only what is missing or has changed. */
export async function install(say: (line: string) => void): Promise<Installed> {
  mkdirSync(BIN, { recursive: true });
  const parts = new Set<string>();
  const failed = new Map<string, string>();
  for (const part of PARTS) {
    const stamp = join(CACHE, `${part.name}.stamp`);
    const key = digest(part.from) + (part.key ?? '');
    if (!existsSync(stamp) || readFileSync(stamp, 'utf8') !== key) {
      const begun = performance.now();
      try {
        await part.build();
      } catch (error) {
        const why = (error as Error).message;
        failed.set(part.name, why);
        say(`${part.name} could not be installed: ${why}`);
        continue;
      }
      writeFileSync(stamp, key);
      say(`${part.name}: built in ${((performance.now() - begun) / 1_000).toFixed(0)} s`);
    }
    parts.add(part.name);
  }
  const nats = await run('nats-server', ['--version']).catch(() => null);
  if (nats?.code === 0) parts.add('nats-server');
  else failed.set('nats-server', 'nats-server is not there: make tools');
  return { parts, failed };
}

async function sh(
  command: string,
  args: readonly string[],
  cwd: string,
  env: Record<string, string> = {},
): Promise<void> {
  // Not what the machine says of other projects.
  const signal = AbortSignal.timeout(STEP_MS);
  const done = await Promise.race([
    run(command, args, { cwd, env: { GOFLAGS: '', ...env } }),
    new Promise<never>((_resolve, reject) => {
      signal.addEventListener('abort', () => reject(new Error(`${command} took too long`)));
    }),
  ]);
  if (done.code !== 0) {
    const lines = done.output.split('\n').filter((line) => line && !line.includes('downloading'));
    throw new Error(`${command} ${args[0]}: ${lines.slice(-3).join(' ').slice(-300)}`);
  }
}

/** Pomelo and Pinus, and for each the folder that it runs in: our app, and the rest of its own template. */
async function buildOriginals(): Promise<void> {
  rmSync(NODE_PEERS, { recursive: true, force: true });
  mkdirSync(NODE_PEERS, { recursive: true });
  for (const file of ['package.json', 'package-lock.json', '.npmrc'])
    cpSync(join(ORIGINALS, file), join(NODE_PEERS, file));
  const args = ['ci', '--omit=optional', '--ignore-scripts', '--no-audit', '--no-fund'];
  await sh('npm', args, NODE_PEERS);
  // Theirs are CommonJS.
  for (const name of ['pomelo', 'pinus']) {
    const folder = join(NODE_PEERS, name);
    cpSync(app(name), folder, { recursive: true });
    writeFileSync(join(folder, 'package.json'), '{ "name": "bench", "private": true }\n');
    mkdirSync(join(folder, 'logs'));
    const template = join(NODE_PEERS, 'node_modules', name, 'template/game-server/config');
    cpSync(template, join(folder, 'config'), { recursive: true });
    const config = (file: string, value: unknown): void =>
      writeFileSync(join(folder, 'config', file), JSON.stringify(value));
    config('dictionary.json', []);
    config('clientProtos.json', {});
    config('serverProtos.json', {});
    const [{ token }] = JSON.parse(readFileSync(join(template, 'adminServer.json'), 'utf8'));
    config(
      'adminServer.json',
      ['connector', 'area', 'other'].map((type) => ({ type, token })),
    );
    config('log4js.json', quiet(readFileSync(join(template, 'log4js.json'), 'utf8')));
  }
}

/** The template of Pinus logs each request twice: only errors, as a game in production. */
function quiet(text: string): unknown {
  const log4js = JSON.parse(text) as {
    categories?: Record<string, { level: string }>;
    levels?: Record<string, string>;
  };
  for (const category of Object.values(log4js.categories ?? {})) category.level = 'error';
  if (log4js.levels) {
    for (const name of Object.keys(log4js.levels)) log4js.levels[name] = 'ERROR';
    log4js.levels['[all]'] = 'ERROR';
  }
  return log4js;
}

function digest(paths: readonly string[]): string {
  const hash = createHash('sha256');
  for (const path of paths) {
    const files = path.includes('.')
      ? [path]
      : readdirSync(path, { recursive: true, withFileTypes: true })
          .filter((entry) => entry.isFile())
          .map((entry) => join(entry.parentPath, entry.name))
          .toSorted();
    for (const file of files) hash.update(file).update(readFileSync(file));
  }
  return hash.digest('hex').slice(0, 16);
}

/** Versions, as the files that pin them have them. */
export function versions(): Record<string, string> {
  const goVersion = (name: string, module: string): string => {
    const text = readFileSync(join(app(name), 'go.mod'), 'utf8');
    return new RegExp(`${module.replaceAll('.', '\\.')} (v\\S+)`).exec(text)?.[1] ?? '';
  };
  const npmVersion = (folder: string, name: string): string => {
    const file = join(folder, 'node_modules', name, 'package.json');
    if (!existsSync(file)) return '';
    return (JSON.parse(readFileSync(file, 'utf8')) as { version: string }).version;
  };
  return {
    ws: npmVersion(ROOT, 'ws'),
    gorilla: goVersion('goecho', 'github.com/gorilla/websocket'),
    pitaya: goVersion('pitaya', 'github.com/topfreegames/pitaya/v3'),
    etcd: goVersion('etcd', 'go.etcd.io/etcd/server/v3'),
    nano: goVersion('nano', 'github.com/lonng/nano'),
    anycable: goVersion('anycable', 'github.com/anycable/anycable-go'),
    centrifugo: CENTRIFUGO.split('@')[1]!,
    pinus: npmVersion(NODE_PEERS, 'pinus'),
    pomelo: npmVersion(NODE_PEERS, 'pomelo'),
    nats: goVersion('pith', 'github.com/nats-io/nats.go'),
    grpc: goVersion('pith', 'google.golang.org/grpc'),
  };
}
