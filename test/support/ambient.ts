/**
 * Who in src/ reads the time, waits for a turn of the event loop or draws a random number for itself. All others take
 * a Clock and a Random from whoever makes them, so that a test can own time and chance. A module of Node that has more
 * of the kind, as `node:timers`, is a matter of the layers.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { sourceFiles } from './layers.ts';
import { findAmbient } from './syntax.ts';

/** By file. What a file no longer takes is deleted here as well. */
export const AMBIENT_ALLOWED: Readonly<Record<string, readonly string[]>> = {
  'clock.ts': [
    ...['performance', 'Date.now', 'setTimeout', 'setInterval', 'setImmediate', 'systemClock'],
  ],
  'random.ts': ['Math.random', 'randomBytes', 'systemRandom'],
  // Where a process begins.
  'main.ts': ['systemClock', 'process'],
  'serve.ts': ['systemClock', 'systemRandom'],
  'serve-worker.ts': ['systemClock', 'process'],
  'serving.ts': ['systemClock', 'systemRandom', 'process'],
  // The process is about to exit: no timer would fire any more.
  'cli/write-all.ts': ['Atomics.wait'],
  'cli/check-files.ts': ['systemClock'],
  // Measures the process itself; main.ts makes it.
  'telemetry/event-loop.ts': ['monitorEventLoopDelay'],
  'telemetry/process-use.ts': ['performance'],
  // At the sockets themselves, or around grpc-js and NATS's library: nothing of that is there when a test owns time.
  'transport/port.ts': ['setImmediate'],
  'transport/raw-io.ts': ['process'],
  'upstream/nats/dial.ts': ['queueMicrotask'],
  'control/json-api.ts': ['socket.setTimeout'],
  'upstream/grpc-client/grpc-js-connection.ts': ['setImmediate'],
  // Frees memory; what is answered does not depend on it.
  'protocol/large-json.ts': ['WeakRef'],
  // Our own client is a package of its own, with a clock of its own.
  'client/clock.ts': ['performance', 'setTimeout'],
  'client/backoff.ts': ['Math.random'],
  'client/listeners.ts': ['queueMicrotask'],
  // So have the pages.
  'web/shell/clock.ts': ['performance', 'Date.now', 'setTimeout', 'setInterval'],
};

/** What is wrong with the files under `root`, or with `allowed`; one line for each. */
export function checkAmbient(
  root: string,
  allowed: Readonly<Record<string, readonly string[]>>,
): string[] {
  const found = sourceFiles(root)
    .filter((file) => !file.startsWith('gen/'))
    .flatMap((file) =>
      findAmbient(file, readFileSync(join(root, file), 'utf8')).map((one) => ({ ...one, file })),
    );
  const added = found
    .filter(({ file, what }) => !allowed[file]?.includes(what))
    .map(
      ({ file, line, what }) =>
        `${file}:${line}: ${what}: take a Clock (src/clock.ts) or a Random (src/random.ts) from whoever makes this`,
    );
  const gone = Object.entries(allowed).flatMap(([file, names]) =>
    names
      .filter((name) => !found.some((one) => one.file === file && one.what === name))
      .map((name) => `${file} has no ${name} any more: delete it from test/support/ambient.ts`),
  );
  return [...added, ...gone];
}
