/**
 * The machine's time, chance and I/O, none of which may be used while a simulation runs. The structure tests find who in
 * src/ names them; this finds who reaches them, by way of a library too.
 */
import { createRequire, syncBuiltinESMExports } from 'node:module';
import { fileURLToPath } from 'node:url';

const SRC = fileURLToPath(new URL('../../src/', import.meta.url));
/** Frames of a stack that are looked at for one of src/. */
const FRAMES = 100;

type Holder = Record<string, unknown>;
type Anything = (...args: unknown[]) => unknown;

const require = createRequire(import.meta.url);
const PARTS: readonly (readonly [name: string, holder: object, members: readonly string[]])[] = [
  ['', globalThis, ['setTimeout', 'setInterval', 'setImmediate', 'Date', 'MessageChannel']],
  ['Date.', Date, ['now']],
  ['Math.', Math, ['random']],
  ['performance.', performance, ['now']],
  ['AbortSignal.', AbortSignal, ['timeout']],
  ['Atomics.', Atomics, ['wait', 'waitAsync']],
  [
    'crypto.',
    Object.getPrototypeOf(globalThis.crypto) as object,
    ['getRandomValues', 'randomUUID'],
  ],
  ['process.', process, ['hrtime', 'uptime', 'memoryUsage', 'cpuUsage', 'resourceUsage']],
  ['process.hrtime.', process.hrtime, ['bigint']],
  ...Object.entries({
    child_process: ['spawn', 'exec', 'execFile', 'fork'],
    crypto: ['randomBytes', 'randomFill', 'randomFillSync', 'randomInt', 'randomUUID', 'scrypt'],
    dns: ['lookup', 'resolve', 'resolve4', 'resolve6'],
    'dns/promises': ['lookup', 'resolve', 'resolve4', 'resolve6'],
    fs: ['readFile', 'writeFile', 'readdir', 'stat', 'open', 'watch', 'watchFile'],
    'fs/promises': ['readFile', 'writeFile', 'readdir', 'stat', 'open'],
    http: ['request', 'get', 'createServer'],
    http2: ['connect', 'createServer', 'createSecureServer'],
    https: ['request', 'get', 'createServer'],
    net: ['connect', 'createConnection', 'createServer'],
    os: ['hostname', 'freemem', 'totalmem', 'loadavg'],
    perf_hooks: ['monitorEventLoopDelay'],
    timers: ['setTimeout', 'setInterval', 'setImmediate'],
    'timers/promises': ['setTimeout', 'setInterval', 'setImmediate'],
    tls: ['connect', 'createServer'],
    zlib: ['deflate', 'inflate', 'gzip', 'gunzip', 'unzip'],
  }).map(
    ([name, members]) => [`node:${name} `, require(`node:${name}`) as object, members] as const,
  ),
];

const watchers = new Set<(what: string) => void>();
const restore: (() => void)[] = [];

/**
 * Calls `tell` whenever code of src/ uses one of these, or has it used, until it is disposed; what is used works as
 * before. Whoever needs them in a simulation keeps them from before.
 */
export function watchMachine(tell: (what: string) => void): Disposable {
  if (watchers.size === 0) replaceAll();
  // One for each call, also where two are the same function.
  const watcher = (what: string): void => {
    tell(what);
  };
  watchers.add(watcher);
  return {
    [Symbol.dispose]() {
      watchers.delete(watcher);
      if (watchers.size > 0) return;
      for (const back of restore.splice(0).toReversed()) back();
      syncBuiltinESMExports();
    },
  };
}

function replaceAll(): void {
  for (const [name, holder, members] of PARTS)
    for (const member of members) replace(holder as Holder, member, name + member);
  syncBuiltinESMExports();
}

function replace(holder: Holder, member: string, name: string): void {
  const was = Object.getOwnPropertyDescriptor(holder, member);
  const real = holder[member] as Anything;
  // `Date()` and `new Date()` read the clock; with arguments it only converts.
  const isIt = (args: readonly unknown[]): boolean => member !== 'Date' || args.length === 0;
  const value = new Proxy(real, {
    apply(target, self, args: unknown[]) {
      if (isIt(args)) tellAll(name);
      return Reflect.apply(target, self, args) as unknown;
    },
    construct(target, args: unknown[], newTarget) {
      if (isIt(args)) tellAll(`new ${name}`);
      return Reflect.construct(target, args, newTarget) as object;
    },
  });
  Object.defineProperty(holder, member, { configurable: true, writable: true, value });
  restore.push(() => {
    if (was === undefined) delete holder[member];
    else Object.defineProperty(holder, member, was);
  });
}

/** Only if it is on behalf of src/: the program around the simulation has a life of its own. */
function tellAll(name: string): void {
  const { stackTraceLimit } = Error;
  Error.stackTraceLimit = FRAMES;
  const lines = new Error().stack!.split('\n');
  Error.stackTraceLimit = stackTraceLimit;
  const frame = lines.find((line) => line.includes(SRC));
  if (frame === undefined) return;
  const where = frame.slice(frame.indexOf(SRC) + SRC.length).replace(/:\d+\)?$/, '');
  for (const watcher of watchers) watcher(`src/${where} has used ${name}`);
}
