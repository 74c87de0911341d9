/** A client on a fake network and on a clock that a test moves. */
import type { Kick } from '../../../src/client/handshake.ts';
import { type ClientError, type ClientOptions, PithClient } from '../../../src/client/client.ts';
import { ManualClock } from '../../support/clock.ts';
import { FakeServer } from './fake-server.ts';

export type Rig = {
  readonly client: PithClient;
  readonly server: FakeServer;
  readonly clock: ManualClock;
  /** What the client told, in order: states, with the reason of an error and the wait, and kicks and errors. */
  readonly told: string[];
};

/** Not connected yet. */
export function rig(options: ClientOptions = {}): Rig {
  const server = new FakeServer();
  const clock = new ManualClock();
  const client = new PithClient('ws://server', {
    dial: server.dial,
    clock,
    reconnect: { random: () => 0.5 },
    ...options,
  });
  const told: string[] = [];
  client.onState(({ state, error, retryInMs }) => {
    told.push([state, error?.reason, retryInMs].filter((one) => one !== undefined).join(' '));
  });
  client.onKick(({ reason }: Kick) => void told.push(`kick ${reason}`));
  client.onError(({ reason, message }) => void told.push(`error ${reason}: ${message}`));
  return { client, server, clock, told };
}

/** Connected to a server that says this in its handshake. */
export async function openRig(options: ClientOptions = {}, sys: object = {}): Promise<Rig> {
  const all = rig(options);
  const opened = all.client.connect();
  all.server.last.accept(sys);
  await opened;
  return all;
}

/** The error that a promise rejects with. */
export async function failure(promise: Promise<unknown>): Promise<ClientError> {
  const outcome = await promise.then(
    (value) => ({ value }),
    (error: unknown) => ({ error }),
  );
  if ('error' in outcome) return outcome.error as ClientError;
  throw new Error(`it did not fail: ${JSON.stringify(outcome.value)}`);
}
