/** Makes what operators ask of the gateway answer for its process, where that is one of several workers. */
import type { OwnGateway } from '../control/gateway-methods.ts';
import type { Readiness } from '../placement/placement.ts';
import type { OwnWorker } from '../workers/own-worker.ts';

/** Ready while at least one worker is, as the parent hands newcomers to those alone. */
export function makeReadiness(own: Readiness, worker: OwnWorker | undefined): Readiness {
  if (worker === undefined) return own;
  const areOthersReady = (): boolean => !worker.isDraining && worker.others.ready > 0;
  return {
    notReady: () => {
      const why = own.notReady();
      if (why.length === 0 || areOthersReady()) return [];
      return [...new Set([...why, ...worker.others.notReady])];
    },
    sendsElsewhere: () => own.sendsElsewhere() || worker.others.sendElsewhere > 0,
  };
}

export type OfProcessParts = Pick<OwnGateway, 'drain' | 'reload'> & {
  readonly worker?: OwnWorker | undefined;
  readonly registry: { readonly size: number };
  /** Sessions that its drain closed because the budget was over; null: it has not ended. */
  readonly forced: () => number | null;
};

/** All workers drain, and reload, where one is told to. */
export function makeOfProcess(parts: OfProcessParts): Pick<OwnGateway, 'drain' | 'reload'> {
  const { worker, registry, forced } = parts;
  if (worker === undefined) {
    return { drain: (options) => parts.drain(options), reload: () => parts.reload() };
  }
  const own = { sessions: () => registry.size, forced: () => forced() ?? 0 };
  return {
    drain: (options) => worker.follow(options, own),
    reload: () => worker.reload('Control.Reload'),
  };
}
