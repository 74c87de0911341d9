#!/usr/bin/env node
/** The process: arguments, configuration, signals, exit codes. The only file that touches `process`. */
import { readFileSync, writeSync } from 'node:fs';
import { totalmem } from 'node:os';
import { parseArgs } from 'node:util';

import { inBackground } from './background.ts';
import { systemClock } from './clock.ts';
import type { Config } from './config/schema.ts';
import { errorText } from './errors.ts';

// What only one command needs is imported there: `pith client` need not wait for the gateway's libraries.

/** Exit codes. [sysexits.h] */
const EXIT = { OK: 0, NOT_FOUND: 1, USAGE: 64, SOFTWARE: 70, OS: 71, CONFIG: 78 } as const;

/** File descriptors kept for everything but clients. */
const SPARE_DESCRIPTORS = 256;
/** What an idle session and its buffers may come to, in bytes, for `limits.connections: auto`. */
const BYTES_PER_CONNECTION = 65_536;

const USAGE = `pith: a gateway between Pomelo clients and backends in any language

  pith serve [--config FILE] [--set KEY=VALUE …]   run the gateway
  pith check [--config FILE] [--set KEY=VALUE …]   is the configuration right? exit code 78 if not
  pith routes ROUTE [--uid U] [--data JSON]        where a client's message would go, and why; exit code 1: nowhere
  pith mock-backend [--answers FILE]               a backend with canned answers; mock-backend --help says more
  pith client [URL] [--request ROUTE --data JSON]  talk to a gateway as a Pomelo client; client --help says more
  pith version                                     print the version

FILE is pith.yaml in this folder unless it is given. Every key is in deploy/pith.yaml; PITH_A__B=… in the
environment sets the key a.b, and --set goes before both.
`;

const VERSION = (
  JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8')) as {
    version: string;
  }
).version;

await main(process.argv.slice(2));

async function main(args: readonly string[]): Promise<void> {
  const [command = 'help', ...rest] = args;
  // Whoever reads what we print may go, as `head` does.
  if (command !== 'serve') process.stdout.on('error', () => process.exit(EXIT.OK));
  switch (command) {
    case 'serve':
      await serve(await readConfig(rest));
      return;
    case 'check':
      await check(await readConfig(rest));
      return;
    case 'routes':
      await routes(rest);
      return;
    case 'mock-backend':
      await mockBackend(rest);
      return;
    case 'client':
      await client(rest);
      return;
    case 'version':
    case '--version':
      print(`${VERSION}\n`);
      return;
    case 'help':
    case '--help':
    case '-h':
      print(USAGE);
      return;
    default:
      fail(EXIT.USAGE, `pith: there is no command ${command}\n\n${USAGE}`);
  }
}

async function readConfig(args: readonly string[]): Promise<Config> {
  const { file, explicit, flags } = readFlags(args);
  let text = '';
  try {
    text = readFileSync(file, 'utf8');
  } catch (error) {
    // Without a file the defaults and the environment are the configuration, as containers like it.
    if (explicit) fail(EXIT.CONFIG, `${file}: cannot be read: ${errorText(error)}\n`);
  }
  const [{ loadConfig }, { formatProblem }, { checkFiles }] = await Promise.all([
    import('./config/load.ts'),
    import('./config/problem.ts'),
    import('./wiring/files.ts'),
  ]);
  const result = loadConfig({
    text,
    file,
    env: process.env,
    flags,
    readFile: (path) => readFileSync(path, 'utf8'),
  });
  if ('problems' in result)
    fail(EXIT.CONFIG, result.problems.map((problem) => `${formatProblem(problem)}\n`).join(''));
  for (const warning of result.warnings) writeSync(2, `warning: ${formatProblem(warning)}\n`);
  const files = await checkFiles(result.config);
  for (const warning of files.warnings) writeSync(2, `warning: ${warning}\n`);
  if (files.problems.length > 0) fail(EXIT.CONFIG, `${files.problems.join('\n')}\n`);
  return result.config;
}

function readFlags(args: readonly string[]): {
  file: string;
  explicit: boolean;
  flags: Record<string, string>;
} {
  try {
    const { values } = parseArgs({
      args: [...args],
      options: { config: { type: 'string', short: 'c' }, set: { type: 'string', multiple: true } },
    });
    const flags: Record<string, string> = {};
    for (const setting of values.set ?? []) {
      const equals = setting.indexOf('=');
      if (equals < 1)
        throw new Error(`--set ${setting}: KEY=VALUE is expected, as --set log.level=debug`);
      flags[setting.slice(0, equals)] = setting.slice(equals + 1);
    }
    return { file: values.config ?? 'pith.yaml', explicit: values.config !== undefined, flags };
  } catch (error) {
    return fail(EXIT.USAGE, `pith: ${errorText(error)}\n`);
  }
}

async function check(config: Config): Promise<void> {
  const { describeRoutes } = await import('./cli/routes.ts');
  print(`ok: ${Object.keys(config.backends).length} backends, ${config.routes.length} routes\n`);
  if (config.limits.connections_per_address === 0) {
    print(
      'note: limits.connections_per_address is 0: one address may open any number of connections\n',
    );
  }
  print(describeRoutes(config));
}

async function routes(args: readonly string[]): Promise<void> {
  const { config, session, route } = readRoutesFlags(args);
  const { explainRoute } = await import('./cli/routes.ts');
  const { found, text } = explainRoute(await readConfig(config), route, session);
  print(text);
  if (!found) process.exitCode = EXIT.NOT_FOUND;
}

function readRoutesFlags(args: readonly string[]) {
  const text = { type: 'string' } as const;
  try {
    const { values, positionals } = parseArgs({
      args: [...args],
      allowPositionals: true,
      options: {
        config: { ...text, short: 'c' },
        set: { ...text, multiple: true },
        uid: { ...text, default: '' },
        sid: { ...text, default: 'pith-0000000000.1' },
        data: { ...text, default: '{}' },
      },
    });
    const [route, ...more] = positionals;
    if (route === undefined || more.length > 0)
      throw new Error('one route is expected, as pith routes chat.room.join');
    const { uid, sid } = values;
    const data = JSON.parse(values.data) as Record<string, unknown>;
    const config = [
      ...(values.config === undefined ? [] : ['--config', values.config]),
      ...(values.set ?? []).flatMap((setting) => ['--set', setting]),
    ];
    return { config, session: { uid, sid, data }, route };
  } catch (error) {
    return fail(EXIT.USAGE, `pith: ${errorText(error)}\n`);
  }
}

async function serve(config: Config): Promise<void> {
  const { level, format } = config.log;
  const [{ Gateway }, { makeLog }, { describeRoutes }] = await Promise.all([
    import('./gateway.ts'),
    import('./telemetry/log.ts'),
    import('./cli/routes.ts'),
  ]);
  const log = makeLog({
    level,
    format: format === 'auto' ? (process.stdout.isTTY ? 'pretty' : 'json') : format,
    write: (line) => {
      process.stdout.write(line);
    },
  });
  // A reader of the log that goes away must not take the clients with it.
  process.stdout.on('error', () => {});
  process.on('uncaughtException', (error) => {
    // A fault of ours: say so, and let the container start anew rather than go on in an unknown state.
    writeSync(2, `pith: internal error\n${error.stack ?? String(error)}\n`);
    process.exit(EXIT.SOFTWARE);
  });
  const gateway = new Gateway({
    config,
    clock: systemClock,
    log,
    version: VERSION,
    nodeVersion: process.versions.node,
    connectionsAuto: connectionsAuto(),
    memory: () => process.memoryUsage(),
  });
  process.on('SIGHUP', () => {
    gateway.reloadCertificates();
    log.warn(
      'SIGHUP: certificates are read again; for the rest of the configuration this release needs a restart',
    );
  });
  if (level === 'debug')
    for (const line of describeRoutes(config).trimEnd().split('\n')) log.debug(line);
  let signals = 0;
  const stop = (): void => {
    signals++;
    if (signals > 1) return;
    const drained = gateway.drain(() => signals > 1);
    inBackground(
      drained.then(() => process.exit(EXIT.OK)),
      (error) => fail(EXIT.SOFTWARE, `pith: it could not stop in order: ${errorText(error)}\n`),
    );
  };
  process.on('SIGTERM', stop);
  process.on('SIGINT', stop);
  try {
    await gateway.start();
  } catch (error) {
    fail(EXIT.OS, `pith: ${errorText(error)}\n`);
  }
}

async function client(args: readonly string[]): Promise<void> {
  const { runClient } = await import('./cli/client.ts');
  const { stdin, stdout, stderr } = process;
  process.exit(
    await runClient({ args, stdin, stdout, stderr, clock: systemClock, version: VERSION }),
  );
}

async function mockBackend(args: readonly string[]): Promise<void> {
  const { runMockBackend } = await import('./cli/mock-backend.ts');
  const { stdout, stderr } = process;
  const stopped = new Promise<void>((resolve) => {
    process.on('SIGTERM', resolve);
    process.on('SIGINT', resolve);
  });
  process.exit(await runMockBackend({ args, stdout, stderr, clock: systemClock, stopped }));
}

/** As many clients as file descriptors and memory allow. */
function connectionsAuto(): number {
  const report = process.report.getReport() as {
    userLimits?: { open_files?: { soft: number | 'unlimited' } };
  };
  const soft = report.userLimits?.open_files?.soft ?? 1_024;
  const descriptors = soft === 'unlimited' ? 1_000_000 : Math.max(64, soft - SPARE_DESCRIPTORS);
  const memory = Math.min(totalmem(), process.constrainedMemory() || Infinity);
  return Math.min(descriptors, Math.floor(memory / 2 / BYTES_PER_CONNECTION));
}

function print(text: string): void {
  process.stdout.write(text);
}

function fail(code: number, text: string): never {
  writeSync(2, text);
  process.exit(code);
}
