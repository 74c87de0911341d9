#!/usr/bin/env node
/** The process: arguments, configuration, signals, exit codes. With the files of `serve` the only one that touches `process`. */
import { readFileSync } from 'node:fs';

import type { AskIo } from './cli/admin-options.ts';
import { type Arguments, type ConfigChoice, readArguments } from './cli/arguments.ts';
import { EXIT } from './cli/exit-codes.ts';
import type { Printed } from './cli/inspect.ts';
import type { ConfigIo, ReadWell } from './cli/read-config.ts';
import { checkSupervision, type Supervision } from './cli/supervision.ts';
import { writeAll } from './cli/write-all.ts';
import { systemClock } from './clock.ts';
import { errorText } from './errors.ts';
import { startSmall } from './heap.ts';
import { listenToSignals, type Signals } from './signals.ts';
import { WORKER } from './workers/words.ts';

// What only one command needs is imported by it: `pith client` need not wait for the gateway's libraries.

const VERSION = (
  JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8')) as {
    version: string;
  }
).version;

if (['serve', WORKER].includes(process.argv[2] ?? '')) startSmall();

// Not a command of people: a parent that serves by workers starts its own program so.
if (process.argv[2] === WORKER && process.send !== undefined) {
  const { serveAsWorker } = await import('./serve-worker.ts');
  await serveAsWorker(listenToSignals(process, EXIT.OK), VERSION);
} else await main(process.argv.slice(2));

async function main(args: readonly string[]): Promise<void> {
  const asked = readArgumentsOrFail(args);
  // The reader of our output may close the pipe, as `head` does.
  if (asked.command !== 'serve') process.stdout.on('error', () => process.exit(EXIT.OK));
  switch (asked.command) {
    case 'serve': {
      const signals = listenToSignals(process, EXIT.OK);
      superviseOrFail(asked.supervision, signals);
      const read = await readOrFail(asked.config);
      if (read.config.routes.length === 0)
        complain('warning: there are no routes: every request is answered 404 NO_ROUTE\n');
      const { serve } = await import('./serve.ts');
      await serve(read, { ...asked, signals, version: VERSION });
      return;
    }
    case 'check':
      report(await (await import('./cli/inspect.ts')).inspectConfig(asked, configIo()));
      return;
    case 'routes':
      report(await (await import('./cli/inspect.ts')).inspectRoute(asked, configIo()));
      return;
    case 'health':
      return health(asked);
    case 'upgrade':
      return upgrade(asked);
    case 'top':
      report(await (await import('./cli/top.ts')).showTop(asked, askIo()));
      return;
    case 'why':
      report(await (await import('./cli/why.ts')).explainWhy(asked, askIo()));
      return;
    case 'init': {
      const { writeProject } = await import('./cli/init.ts');
      report(writeProject(asked, { folder: process.cwd(), env: process.env }));
      return;
    }
    case 'docs':
      report((await import('./cli/docs.ts')).writeDocs(asked, process.cwd()));
      return;
    case 'dev':
      await dev();
      return;
    case 'completion':
      print((await import('./cli/completion.ts')).completionFor(asked.shell));
      return;
    case 'mock-backend':
      await mockBackend(asked.args);
      return;
    case 'probe': {
      const { runProbe } = await import('./cli/probe.ts');
      report(await runProbe({ args: asked.args, clock: systemClock, version: VERSION }));
      return;
    }
    case 'watch':
      return watch(asked.args);
    case 'profile':
      return profile(asked.args);
    case 'client':
      return client(asked.args);
    case 'schema':
      return schema();
    case 'version':
      print(`${asked.json ? JSON.stringify(versions()) : VERSION}\n`);
      return;
    case 'help':
      print(asked.text);
      return;
  }
}

function readArgumentsOrFail(args: readonly string[]): Arguments {
  try {
    return readArguments(args);
  } catch (error) {
    return fail(EXIT.USAGE, `pith: ${errorText(error)}\n`);
  }
}

/** Prints warnings about the configuration; ends the process if it has errors. */
async function readOrFail(choice: ConfigChoice): Promise<ReadWell> {
  const { readConfig } = await import('./cli/read-config.ts');
  const read = await readConfig(choice, configIo());
  if ('problems' in read) fail(EXIT.CONFIG, `${read.problems.join('\n')}\n`);
  for (const warning of read.warnings) complain(`warning: ${warning}\n`);
  return read;
}

function configIo(): ConfigIo {
  return { env: process.env, folder: process.cwd() };
}

function askIo(): AskIo {
  return { env: process.env, clock: systemClock };
}

/** Ends once it is written: a request that was not answered would keep the process. */
function report({ code, out, err }: Printed): void {
  complain(err);
  process.stdout.write(out, () => process.exit(code));
}

function versions(): Record<string, string> {
  const { versions: engine, platform, arch } = process;
  return { pith: VERSION, node: engine.node, platform: `${platform}-${arch}` };
}

function superviseOrFail(supervision: Supervision, signals: Signals): void {
  try {
    checkSupervision(supervision);
  } catch (error) {
    fail(EXIT.USAGE, `pith: ${errorText(error)}\nsee pith serve --help\n`);
  }
  if (!supervision.exitWithParent) return;
  // After an error, too: a socket may be reset instead of ended.
  process.stdin
    .on('error', () => {})
    .once('close', () => signals.orphaned())
    .resume();
}

async function client(args: readonly string[]): Promise<void> {
  const { runClient } = await import('./cli/client.ts');
  const { stdin, stdout, stderr } = process;
  process.exit(
    await runClient({ args, stdin, stdout, stderr, clock: systemClock, version: VERSION }),
  );
}

async function health(asked: Extract<Arguments, { readonly command: 'health' }>): Promise<void> {
  const say = (line: string): void => complain(`${line}\n`);
  const io = { ...configIo(), say, clock: systemClock };
  report(await (await import('./cli/inspect.ts')).inspectHealth(asked, io));
}

async function schema(): Promise<void> {
  const { configJsonSchema } = await import('./config/json-schema.ts');
  print(`${JSON.stringify(configJsonSchema(), null, 2)}\n`);
}

async function upgrade(asked: Extract<Arguments, { readonly command: 'upgrade' }>): Promise<void> {
  const { runUpgrade } = await import('./cli/upgrade.ts');
  process.exit(await runUpgrade(asked, { uid: process.getuid?.() ?? 0, print, complain }));
}

async function watch(args: readonly string[]): Promise<void> {
  const { runWatch } = await import('./cli/watch.ts');
  const print = (text: string): Promise<void> =>
    new Promise((resolve) => process.stdout.write(text, () => resolve()));
  process.exit(await runWatch({ ...askIo(), args, print, say: complain }));
}

async function profile(args: readonly string[]): Promise<void> {
  const { runProfile } = await import('./cli/profile.ts');
  report(await runProfile({ ...askIo(), args, folder: process.cwd() }));
}

async function dev(): Promise<void> {
  const { Demo } = await import('./cli/dev.ts');
  const { stdout, stderr, env, execPath: node } = process;
  const main = process.argv[1]!;
  const demo = new Demo({ stdout, stderr, env, clock: systemClock, node, main });
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'])
    process.on(signal, () => {
      demo.stop(EXIT.OK);
    });
  process.exit(await demo.run());
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

function print(text: string): void {
  process.stdout.write(text);
}

/** Writes all of it to stderr. If there is no reader, the exit code reports a failure too. */
function complain(text: string): void {
  writeAll(2, text);
}

function fail(code: number, text: string): never {
  complain(text);
  process.exit(code);
}
