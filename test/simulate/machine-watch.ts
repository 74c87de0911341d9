/**
 * Finds what a simulation takes from the machine by itself: the time, timers, chance, sockets and files, in our code or
 * in a library. As a program it plays a run and prints what it found, one line for each:
 *
 *     node test/simulate/machine-watch.ts SEED HOURS GATEWAYS CLIENTS
 */
import async_hooks from 'node:async_hooks';
import crypto from 'node:crypto';
import fs from 'node:fs';
import { syncBuiltinESMExports } from 'node:module';
import perf_hooks from 'node:perf_hooks';
import { fileURLToPath } from 'node:url';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
/** The only one that may wait for the event loop. */
const WORLD = 'test/simulate/world.ts';

/** What Node makes of promises, and of the functions that are watched by name. */
const NO_HANDLES = new Set(['PROMISE', 'Immediate', 'Timeout', 'Microtask', 'TickObject']);

type Functions = Record<string, (...args: unknown[]) => unknown>;

const WATCHED: readonly [string, object, readonly string[]][] = [
  ['', globalThis, ['setTimeout', 'setInterval', 'setImmediate']],
  ['Math.', Math, ['random']],
  ['Date.', Date, ['now']],
  ['performance.', performance, ['now']],
  ['process.', process, ['hrtime', 'memoryUsage', 'uptime']],
  ['crypto.', crypto, ['randomBytes', 'randomFillSync', 'randomInt', 'randomUUID']],
  ['crypto.webcrypto.', crypto.webcrypto, ['getRandomValues']],
  ['perf_hooks.', perf_hooks, ['monitorEventLoopDelay']],
  ['fs.', fs, ['readFileSync', 'openSync', 'statSync', 'existsSync', 'readdirSync', 'watch']],
];

/** Watches from now on. @returns What was taken, and by whom. */
export function watchMachine(): { found(): string[] } {
  const found = new Set<string>();
  let isNoting = false;
  const note = (what: string): void => {
    if (isNoting) return;
    isNoting = true;
    const where = whoAsks(new Error().stack ?? '');
    if (!where.startsWith(WORLD)) found.add(`${what} by ${where}`);
    isNoting = false;
  };
  for (const [owner, object, names] of WATCHED)
    for (const name of names) watch(object as Functions, name, () => note(owner + name));
  globalThis.Date = new Proxy(Date, {
    construct(target, args: []) {
      if (args.length === 0) note('new Date');
      return Reflect.construct(target, args) as object;
    },
  });
  syncBuiltinESMExports();
  async_hooks
    .createHook({
      init(_id, type) {
        if (!NO_HANDLES.has(type)) note(type);
      },
    })
    .enable();
  return { found: () => [...found].sort() };
}

function watch(object: Functions, name: string, tell: () => void): void {
  const real = object[name]!;
  const watched = function (this: unknown, ...args: unknown[]): unknown {
    tell();
    return Reflect.apply(real, this, args);
  };
  object[name] = Object.assign(watched, real);
}

/** The innermost file of the stack that is not Node's own, this one aside, with the line. */
function whoAsks(stack: string): string {
  for (const line of stack.split('\n').slice(1)) {
    const at = line.indexOf(ROOT);
    if (at < 0 || line.includes('machine-watch.ts')) continue;
    return line.slice(at + ROOT.length).replace(/:\d+\)?$/, '');
  }
  return 'Node';
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const [seed = '', hours, gateways, clients] = process.argv.slice(2);
  const { simulate } = await import('./simulation.ts');
  const machine = watchMachine();
  const { steps } = await simulate({
    seed,
    hours: Number(hours),
    gateways: Number(gateways),
    clients: Number(clients),
  });
  for (const what of machine.found()) console.log(what);
  console.log(`${steps} steps`);
}
