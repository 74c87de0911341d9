/** Each target, policy and event on three gateways, with one nats-server and with a cluster of three: who got what. */
import { expect, test } from 'vitest';

import { playAll } from '../chaos/scenario.ts';
import { fleetTable } from '../chaos/scenarios/fleet-table.ts';
import { PATIENCE_MS } from '../support/wait.ts';

const CASES = 77;

test(
  'what is answered is what clients and listeners count',
  async () => {
    const rows = await playAll(fleetTable, { sessions: 0, runs: 2, jobs: 2 });
    expect(rows.flatMap(({ faults }) => faults)).toEqual([]);
    expect(rows).toHaveLength(2 * CASES);
  },
  // Two dozen gateways are started.
  10 * PATIENCE_MS,
);
