/** What a gateway holds when nobody but those who stay are there, and whether it holds more each time. */
import { readdirSync } from 'node:fs';

import { admin } from '../support/admin.ts';
import type { Gateway } from '../border/gateway.ts';
import { total } from '../border/metrics.ts';
import { eventually } from '../support/wait.ts';

const MIB = 2 ** 20;
/**
 * What compiled code and the libraries' caches may add to heap and external memory, and what a gateway remembers of those
 * who have gone: 10,000 uids for each of the last two periods of five minutes, 0.9 MiB each, and 4,096 failures. From the
 * middle to the end, and in all. Two hundred bytes for each client that comes and goes are more, in the default time.
 */
export const LATE_GROWTH_BYTES = 2 * MIB;
export const GROWTH_BYTES = 5 * MIB;
/** Connections that are kept for a while, or not made yet. */
const SPARE = 3;
const QUIET_MS = 60_000;

export type Sample = {
  readonly at: string;
  readonly heapBytes: number;
  readonly residentBytes: number;
  readonly descriptors: number;
  /** Of Node: all but timers. */
  readonly handles: number;
  readonly timers: number;
  /** As nats-server counts those of the gateway. */
  readonly subscriptions: number;
  readonly sessions: number;
  readonly groups: number;
};

/** @param monitor The port on which nats-server tells of itself. */
export async function sample(
  gateway: Gateway,
  monitor: number,
  at: string,
  sessions: number,
): Promise<Sample> {
  await eventually(
    async () => {
      const metrics = await gateway.metrics();
      return (
        total(metrics, 'pith_sessions') === sessions &&
        total(metrics, 'pith_requests_in_flight') === 0 &&
        total(metrics, 'pith_in_flight_bytes') === 0 &&
        total(metrics, 'pith_unfinished_bytes') === 0 &&
        total(metrics, 'pith_events_waiting') === 0 &&
        total(metrics, 'pith_outbox_bytes') === 0
      );
    },
    'a quiet gateway',
    QUIET_MS,
  ).catch(() => {});
  // What is freed later than a session ends, and what is collected in two steps.
  await gateway.inside('collect');
  await new Promise((resolve) => setTimeout(resolve, 1_000));
  const { heapBytes, externalBytes, residentBytes, resources } = await gateway.inside('collect');
  const { Timeout: timers = 0, Immediate: _, ...handles } = resources;
  const groups = await admin({ adminPort: gateway.ports.admin }, 'ListGroups');
  return {
    at,
    heapBytes: heapBytes + externalBytes,
    residentBytes,
    descriptors: readdirSync(`/proc/${gateway.pid}/fd`).length,
    handles: Object.values(handles).reduce((all, one) => all + one, 0),
    timers,
    subscriptions: await subscriptionsOf(gateway.id, monitor),
    sessions: total(await gateway.metrics(), 'pith_sessions'),
    groups: groups.lines.filter(({ name }) => name !== '').length,
  };
}

async function subscriptionsOf(gateway: string, monitor: number): Promise<number> {
  const answer = await fetch(`http://127.0.0.1:${monitor}/connz`);
  const { connections } = (await answer.json()) as {
    connections: { name?: string; subscriptions: number }[];
  };
  return connections.find(({ name }) => name === `pith/${gateway}`)!.subscriptions;
}

/** What is not flat; none: it is. */
export function growth(first: Sample, middle: Sample, last: Sample): string[] {
  const faults: string[] = [];
  const same = (name: 'subscriptions' | 'sessions' | 'groups'): void => {
    if (first[name] !== last[name])
      faults.push(`${name}: ${first[name]} at the ${first.at}, ${last[name]} at the ${last.at}`);
  };
  const nearly = (name: 'descriptors' | 'handles' | 'timers'): void => {
    if (last[name] > first[name] + SPARE)
      faults.push(`${name}: ${first[name]} at the ${first.at}, ${last[name]} at the ${last.at}`);
  };
  for (const name of ['subscriptions', 'sessions', 'groups'] as const) same(name);
  for (const name of ['descriptors', 'handles', 'timers'] as const) nearly(name);
  for (const [since, most] of [
    [first, GROWTH_BYTES],
    [middle, LATE_GROWTH_BYTES],
  ] as const) {
    const more = last.heapBytes - since.heapBytes;
    if (more > most)
      faults.push(`the heap has grown by ${(more / MIB).toFixed(2)} MiB since the ${since.at}`);
  }
  return faults;
}
