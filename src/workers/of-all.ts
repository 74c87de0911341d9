/** What several workers are together. */
import type { WorkerFacts } from '../control/gateway-methods.ts';
import type { Child } from './child.ts';
import type { Facts, Others, Status } from './words.ts';

/** What `--ready-fd` is told of all: the addresses are those of each. */
export type ReadyOfAll = Facts & {
  /** Of the first worker. */
  readonly gateway: string;
  readonly notReady: readonly string[];
  readonly workers: readonly { readonly gateway: string; readonly pid: number }[];
};

/** All are ready. */
export function readyOf(children: readonly Child[]): ReadyOfAll {
  const workers = children.map(({ program: { pid = 0 }, status: { gateway } }) => {
    return { gateway, pid };
  });
  const { status } = children[0]!;
  const notReady = [...new Set(children.flatMap((child) => child.status.notReady))];
  return { gateway: status.gateway, ...status.facts!, notReady, workers };
}

/** All but one. */
export function othersOf(own: Child, children: readonly Child[]): Others {
  const others = children.filter((child) => child !== own).map(({ status }) => status);
  const sum = (of: (status: Status) => number): number =>
    others.reduce((total, status) => total + of(status), 0);
  return {
    ready: children.filter((child) => child !== own && takesNewcomers(child)).length,
    sendElsewhere: sum(({ sendsElsewhere }) => (sendsElsewhere ? 1 : 0)),
    sessions: sum(({ sessions }) => sessions),
    forced: sum(({ forced }) => forced ?? 0),
    notReady: [...new Set(others.flatMap(({ notReady }) => notReady))],
  };
}

function takesNewcomers({ isSilent, status }: Child): boolean {
  return !isSilent && status.notReady.length === 0;
}

/** For operators. */
export function factsOf({ n: worker, program: { pid = 0 }, status, isSilent }: Child): WorkerFacts {
  const { gateway, sessions } = status;
  return { worker, gateway, state: isSilent ? 'silent' : status.state, sessions, pid };
}
