/** What a client is doing, and what it tells of that. */
import type { ClientError } from './client-error.ts';

/**
 * `idle` before the first `connect()`; `reconnecting` while it waits for the next attempt, and during it; `closed` after
 * `close()`, a kick or a refusal, or when there are no attempts left. `connect()` starts again from `closed`.
 */
export type ClientState = 'idle' | 'connecting' | 'open' | 'reconnecting' | 'closed';

export type StateChange = {
  readonly state: ClientState;
  /** Why; undefined: nothing went wrong. */
  readonly error?: ClientError;
  /** In `reconnecting`: milliseconds until the next attempt. */
  readonly retryInMs?: number;
  /** In `open`: the session goes on from the one that was lost, with its user, data and groups: no login is needed. */
  readonly resumed?: true;
};
