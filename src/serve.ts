/** `pith serve`: one gateway, or a parent whose workers are gateways (`workers`). */
import { fork } from 'node:child_process';
import { availableParallelism } from 'node:os';

import { inBackground } from './background.ts';
import type { ConfigChoice } from './cli/arguments.ts';
import { EXIT } from './cli/exit-codes.ts';
import { type ReadWell, readAgain } from './cli/read-config.ts';
import { listenForUpgrade } from './cli/upgrade-socket.ts';
import { type ReadyFacts, type Supervision, writeReady } from './cli/supervision.ts';
import { watchFiles } from './cli/watch-files.ts';
import { systemClock } from './clock.ts';
import { workersOf } from './config/worker-share.ts';
import { errorText } from './errors.ts';
import type { Gateway } from './gateway.ts';
import { systemRandom } from './random.ts';
import type { ReadConfig } from './reload/reload.ts';
import {
  begin,
  complain,
  exitAfter,
  fail,
  FLUSH_MS,
  type Logging,
  makeGateway,
  openLog,
  startOrFail,
} from './serving.ts';
import type { Signals } from './signals.ts';
import type { Log } from './telemetry/log.ts';
import type { Parent } from './workers/parent.ts';
import { WORKER } from './workers/words.ts';

export type ServeOptions = {
  /** Where the configuration is read again. */
  readonly config: ConfigChoice;
  readonly signals: Signals;
  readonly supervision: Supervision;
  /** Of the program. */
  readonly version: string;
};

/** Serves until it is told to stop. */
export async function serve(read: ReadWell, options: ServeOptions): Promise<void> {
  const workers = workersOf(read.config, availableParallelism());
  begin();
  const logging = openLog(read.config.log);
  if (workers > 1 || options.supervision.upgradable)
    await serveByWorkers(read, workers, { ...options, ...logging });
  else await serveAlone(read, { ...options, ...logging });
}

// ---- one gateway ----------------------------------------------------------------------------------------

async function serveAlone(
  { config, ...read }: ReadWell,
  options: ServeOptions & Logging,
): Promise<void> {
  const { signals, supervision, log } = options;
  const watched = makeWatched(read, options);
  const gateway = await makeGateway(config, options, { readConfig: watched.readConfig });
  obeySignals(signals, gateway, log);
  exitAfter(gateway, options);
  await startOrFail(gateway, config, log);
  const { readyFd } = supervision;
  if (readyFd !== undefined && gateway.state === 'ready')
    tellReady(readyFd, readyFacts(gateway, options.version), log);
  if (!config.reload.watch) return;
  watchFiles(watched.files, systemClock, (file) => {
    inBackground(gateway.reload(`${file} has changed`), () => {});
  });
}

/** Reads the configuration again, and knows which files to watch for that. */
function makeWatched(
  first: Pick<ReadWell, 'watchedFiles' | 'written'>,
  { config, log }: Pick<ServeOptions & Logging, 'config' | 'log'>,
): { readonly files: () => readonly string[]; readonly readConfig: ReadConfig } {
  let { watchedFiles, written: known } = first;
  const own = [config.file, config.live].filter((file) => file !== '');
  return {
    files: () => [...own, ...watchedFiles],
    readConfig: async () => {
      const io = { env: process.env, folder: process.cwd() };
      const again = await readAgain({ ...config, known }, io, log);
      if ('config' in again) ({ watchedFiles, written: known } = again);
      return again;
    },
  };
}

/** Until now each of them ended the process at once. */
function obeySignals(signals: Signals, gateway: Gateway, log: Log): void {
  signals.reload = () => {
    gateway.reloadCertificates();
    inBackground(gateway.reload('SIGHUP'), () => {});
  };
  signals.unused = (name) => {
    log.warn(`${name} is ignored`);
  };
  signals.upgrade = () => {
    log.warn(
      'SIGUSR2 is ignored: only pith serve with workers, or with --upgradable, can be upgraded',
    );
  };
  let stops = 0;
  // Its end, and its fault, is that of `stopped`.
  const drain = (): void =>
    inBackground(
      gateway.drain(() => stops > 1),
      () => {},
    );
  signals.stop = () => {
    stops++;
    if (stops === 1) drain();
  };
  // Not a second SIGTERM where the parent has sent one before its end.
  signals.orphaned = () => {
    log.warn('stdin has ended, so the parent is gone: stopping');
    drain();
  };
}

function readyFacts(gateway: Gateway, version: string): ReadyFacts {
  const { id, addresses } = gateway;
  const facts = { gateway: id, version, pid: process.pid, ...addresses };
  return { ...facts, notReady: gateway.notReady() };
}

function tellReady(readyFd: number, facts: ReadyFacts, log: Log): void {
  if (!writeReady(readyFd, facts)) log.warn({ fd: readyFd }, 'nobody reads --ready-fd');
}

// ---- the parent of workers ------------------------------------------------------------------------------

async function serveByWorkers(
  { config, ...read }: ReadWell,
  workers: number,
  options: ServeOptions & Logging,
): Promise<void> {
  const { signals, supervision, log, sink, recentLines } = options;
  const { Parent } = await import('./workers/parent.ts');
  const watched = makeWatched(read, options);
  const main = process.argv[1]!;
  const parent = new Parent({
    ...{ config, workers, clock: systemClock, random: systemRandom, log, recentLines },
    readConfig: watched.readConfig,
    own: { choice: { ...options.config, known: read.written }, version: options.version },
    fork: () => fork(main, [WORKER], { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] }),
    complain,
    exits: EXIT,
  });
  obeyAsParent(signals, parent, log);
  inBackground(
    parent.ended
      .then((code) => sink.flush(systemClock, FLUSH_MS).then(() => code))
      .then((code) => process.exit(code)),
    (error) => fail(EXIT.SOFTWARE, `pith: could not stop cleanly: ${errorText(error)}\n`),
  );
  parent.start();
  const facts = await parent.ready;
  await listenToUpgrades(parent, log);
  log.info({ workers, pid: process.pid }, 'all workers are ready');
  if (supervision.readyFd !== undefined) {
    const { version } = options;
    tellReady(supervision.readyFd, { version, pid: process.pid, ...facts }, log);
  }
  if (!config.reload.watch) return;
  watchFiles(watched.files, systemClock, (file) => {
    inBackground(parent.reload(`${file} has changed`), () => {});
  });
}

async function listenToUpgrades(parent: Parent, log: Log): Promise<void> {
  try {
    const own = { uid: process.getuid?.() ?? 0, pid: process.pid };
    const socket = await listenForUpgrade(own, (tell) => parent.upgrade(tell));
    process.on('exit', () => {
      socket[Symbol.dispose]();
    });
  } catch (error) {
    log.warn({ error: errorText(error) }, 'pith upgrade will not find this process; SIGUSR2 works');
  }
}

type ParentOfWorkers = {
  drain(ask: { readonly reason: string }): void;
  hurry(): void;
  reload(why: string): Promise<unknown>;
  upgrade(tell: (line: string) => void): Promise<unknown>;
};

function obeyAsParent(signals: Signals, parent: ParentOfWorkers, log: Log): void {
  signals.reload = () => {
    inBackground(parent.reload('SIGHUP'), () => {});
  };
  signals.upgrade = () => {
    inBackground(
      parent.upgrade(() => {}),
      () => {},
    );
  };
  signals.unused = (name) => {
    log.warn(`${name} is ignored`);
  };
  let stops = 0;
  signals.stop = () => {
    if (++stops > 1) parent.hurry();
    else parent.drain({ reason: '' });
  };
  signals.orphaned = () => {
    log.warn('stdin has ended, so the parent is gone: stopping');
    parent.drain({ reason: '' });
  };
}
