/** One session at a backend that has several endpoints: which of them it keeps to. */
import type { ClosedSession } from '../../contract/facts.ts';
import type { Lane, BackendSession } from '../../session/lane.ts';
import type { Endpoint } from './endpoint.ts';
import type { Transport } from './transport.ts';

export abstract class PooledSession<T extends Transport> implements BackendSession {
  /** null: none yet, or the one that it had is lost or left. */
  endpoint: Endpoint<T> | null = null;
  /** Where messages that name their instance have gone; null: none of them is in flight. After the end: where the last went. */
  visited: Endpoint<T> | null = null;
  /** Those that have had messages of it; null: it has not ended. */
  had: readonly Endpoint<T>[] | null = null;
  readonly lane: Lane;
  /** Of the session, and of the pool, when its key was last read. */
  version = -1;
  epoch = -1;

  constructor(lane: Lane) {
    this.lane = lane;
  }

  abstract readonly places: readonly string[];

  abstract forget(closed: ClosedSession): void;
}

/** The address that a session's messages go to, for the log; none while it has none. */
export function addressOf({ backendSession }: Lane): { readonly address?: string } {
  if (!(backendSession instanceof PooledSession)) return {};
  const { endpoint, visited } = backendSession as PooledSession<Transport>;
  const { name } = endpoint ?? visited ?? {};
  return name === undefined ? {} : { address: name };
}
