/** One of several processes that serve together, at the word of the one that has started it. */
import { inBackground } from './background.ts';
import { readAgain } from './cli/read-config.ts';
import { EXIT } from './cli/exit-codes.ts';
import { systemClock } from './clock.ts';
import { keptKeysChanged } from './config/changes.ts';
import type { Config } from './config/schema.ts';
import { shareOf } from './config/worker-share.ts';
import { errorText } from './errors.ts';
import type { Gateway, GatewayParts } from './gateway.ts';
import { begin, exitAfter, fail, makeGateway, openLog, resources, startOrFail } from './serving.ts';
import type { Signals } from './signals.ts';
import { TakeOver } from './takeover/take-over.ts';
import type { Log } from './telemetry/log.ts';
import type { RecentLines } from './telemetry/recent-lines.ts';
import { OwnWorker } from './workers/own-worker.ts';
import type { Begin, ReloadAsk, Status } from './workers/words.ts';

/** One of several gateways, at the word of the process that has started this one. */
export async function serveAsWorker(signals: Signals, version: string): Promise<void> {
  const worker = new OwnWorker(process, systemClock);
  const begun = await worker.begun;
  const { worker: n, workers } = begun;
  begin();
  const logging = openLog(begun.config.log, n);
  const { log } = logging;
  const from = begun.isSuccessor ? new TakeOver(systemClock, worker.line()) : null;
  if (from !== null) beQuietUntilTaken(signals, worker);
  // Another version may have other keys, with other defaults.
  const readsItself = from !== null || begun.version !== version;
  const first = readsItself ? await readOwn(begun, log) : { config: begun.config };
  if ('problems' in first) return giveUp(first.problems, from);
  const config = shareOf(first.config, n, workers);
  const successor = from && { from, id: await beginTakeOver(from, config) };
  let asked: ReloadAsk = { why: '', read: { config: begun.config } };
  let before = config;
  let whole = first.config;
  let wholeBefore = whole;
  worker.config = whole;
  const gateway = await makeGateway(
    config,
    { ...logging, version },
    {
      ...{ resources: shareOfResources(workers), worker },
      ...(successor && { successor }),
      readConfig: async () => {
        if (asked.isBack) {
          whole = wholeBefore;
          return { config: before };
        }
        const next = readsItself ? await readOwn(begun, log) : asked.read;
        if (!('config' in next)) return next;
        whole = next.config;
        return { config: shareOf(whole, n, workers) };
      },
    },
  );
  const reloads: Reloads = {
    asked: (ask) => {
      asked = ask;
      if (ask.isBack) return;
      before = gateway.takeover.live.config;
      wholeBefore = worker.config!;
    },
    applied: () => {
      worker.config = whole;
    },
  };
  obeyParent({ signals, gateway, worker, ...logging, from }, reloads);
  worker.report(() => ({ ...statusOf(gateway), version }));
  exitAfter(gateway, logging);
  await startOrFail(gateway, config, log, from !== null);
}

// ---- a successor ----------------------------------------------------------------------------------------

/** Nobody's clients are its own yet, so it may end without a word. */
function beQuietUntilTaken(signals: Signals, worker: OwnWorker): void {
  signals.stop = () => process.exit(EXIT.OK);
  worker.onOrphaned = () => process.exit(EXIT.OK);
}

async function readOwn(begun: Begin, log: Log): Promise<ReloadAsk['read']> {
  const io = { env: process.env, folder: process.cwd() };
  const read = await readAgain(begun.choice, io, log);
  if ('problems' in read) return read;
  // The parent has these, and the clients know them.
  const changed = keptKeysChanged(begun.config, read.config);
  if (changed.length === 0) return read;
  return { problems: [`${changed.join(', ')}: changed, which needs a restart`] };
}

/** Resolves with the id of the gateway; ends the process where the old one refuses. */
async function beginTakeOver(from: TakeOver, config: Config): Promise<string> {
  const { makeListenerPrints } = await import('./wiring/dialects.ts');
  try {
    return await from.begin(makeListenerPrints(config));
  } catch (error) {
    return giveUp([errorText(error)], from);
  }
}

/** Ends the process. @param from Is told why, unless it is null. */
function giveUp(problems: readonly string[], from: TakeOver | null): never {
  from?.fail(problems.join('; '));
  fail(EXIT.CONFIG, `${problems.join('\n')}\n`);
}

// ---- the parent's word ----------------------------------------------------------------------------------

type WorkerParts = {
  readonly signals: Signals;
  readonly gateway: Gateway;
  readonly worker: OwnWorker;
  readonly log: Log;
  readonly recentLines: RecentLines;
  /** null: it has not taken over from anyone. */
  readonly from: TakeOver | null;
};

/** Is told of each reload: before it is read, and once it is applied. */
type Reloads = { asked(ask: ReloadAsk): void; applied(): void };

function obeyParent(
  { signals, gateway, worker, log, recentLines, from }: WorkerParts,
  reloads: Reloads,
): void {
  let isHurried = false;
  const drain = (ask: {
    readonly budgetMs?: number | undefined;
    readonly reason: string;
  }): void => {
    // Nobody's clients are its own yet.
    if (from?.isTaken === false) process.exit(EXIT.OK);
    inBackground(
      gateway.drain(() => isHurried, ask),
      () => {},
    );
  };
  // Terminals and service managers send their signals to all processes. A second one is the parent's to judge.
  signals.stop = () => {
    drain({ reason: 'a signal to this worker' });
  };
  signals.upgrade = () => {
    log.warn('SIGUSR2 is ignored: it is for the parent of the workers');
  };
  signals.unused = (name) => {
    log.warn(`${name} is ignored`);
  };
  worker.obey({
    drain,
    hurry: () => {
      isHurried = true;
    },
    orphaned: () => {
      log.warn('the parent is gone: stopping');
      drain({ reason: 'the parent is gone' });
    },
    lost: ({ gateway: id, sessions }) => {
      gateway.tellLost(id, sessions);
    },
    handOver: async () => {
      const { makeHandOver } = await import('./wiring/takeover.ts');
      return makeHandOver(gateway.takeover, worker.line()).run();
    },
    leave: () => {
      inBackground(gateway.takeover.shutdown.leave(), () => {});
    },
    metrics: () => gateway.metrics.samples(),
    keepLines: (lines) => {
      for (const line of lines) recentLines.add(line);
    },
    setLogLevel: ({ level, lastsMs }) => {
      gateway.setLogLevel(level, lastsMs);
    },
    reload: async (ask) => {
      reloads.asked(ask);
      gateway.reloadCertificates();
      const outcome = await gateway.reload(ask.why);
      if (outcome.errors.length + outcome.needsRestart.length === 0) reloads.applied();
      return outcome;
    },
  });
}

function statusOf(gateway: Gateway): Omit<Status, 'received' | 'version'> {
  const { id, state, sendsElsewhere, registry, forced } = gateway;
  return {
    ...{ gateway: id, state, notReady: gateway.notReady(), sendsElsewhere },
    ...{ sessions: registry.size, open: gateway.clients },
    ...{ forced, facts: state === 'ready' ? gateway.addresses : null },
  };
}

/** Descriptors each process has of its own. */
function shareOfResources(workers: number): GatewayParts['resources'] {
  const { memoryBytes, descriptors } = resources();
  return { memoryBytes: Math.floor(memoryBytes / workers), descriptors };
}
