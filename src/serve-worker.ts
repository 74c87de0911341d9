/** One of several processes that serve together, at the word of the one that has started it. */
import { inBackground } from './background.ts';
import { systemClock } from './clock.ts';
import { shareOf } from './config/worker-share.ts';
import type { Gateway, GatewayParts } from './gateway.ts';
import { begin, exitAfter, makeGateway, openLog, resources, startOrFail } from './serving.ts';
import type { Signals } from './signals.ts';
import type { Log } from './telemetry/log.ts';
import { OwnWorker } from './workers/own-worker.ts';
import type { ReloadAsk, Status } from './workers/words.ts';

/** One of several gateways, at the word of the process that has started this one. */
export async function serveAsWorker(signals: Signals, version: string): Promise<void> {
  const worker = new OwnWorker(process, systemClock);
  const { config: whole, worker: n, workers } = await worker.begun;
  begin();
  const config = shareOf(whole, n, workers);
  const logging = openLog(config.log, n);
  const { log } = logging;
  let next: ReloadAsk['read'] = { config: whole };
  const gateway = await makeGateway(
    config,
    { ...logging, version },
    {
      ...{ resources: shareOfResources(workers), worker },
      readConfig: async () => {
        return 'config' in next ? { config: shareOf(next.config, n, workers) } : next;
      },
    },
  );
  obeyParent({ signals, gateway, worker, log }, (read) => {
    next = read;
  });
  worker.report(() => statusOf(gateway));
  exitAfter(gateway, logging);
  await startOrFail(gateway, config, log);
}

type WorkerParts = {
  readonly signals: Signals;
  readonly gateway: Gateway;
  readonly worker: OwnWorker;
  readonly log: Log;
};

function obeyParent(
  { signals, gateway, worker, log }: WorkerParts,
  setNext: (read: ReloadAsk['read']) => void,
): void {
  let isHurried = false;
  const drain = (ask: { readonly budgetMs?: number | undefined; readonly reason: string }): void =>
    inBackground(
      gateway.drain(() => isHurried, ask),
      () => {},
    );
  // Terminals and service managers send their signals to all processes. A second one is the parent's to judge.
  signals.stop = () => {
    drain({ reason: 'a signal to this worker' });
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
    metrics: () => gateway.metrics.samples(),
    setLogLevel: ({ level, lastsMs }) => {
      gateway.setLogLevel(level, lastsMs);
    },
    reload: ({ why, read }) => {
      setNext(read);
      gateway.reloadCertificates();
      return gateway.reload(why);
    },
  });
}

function statusOf(gateway: Gateway): Omit<Status, 'received'> {
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
