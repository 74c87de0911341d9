/** Each target, policy and event on three gateways with one nats-server: who got what. `make chaos` has a cluster of three, too. */
import { expect, test } from 'vitest';

import { playAll } from '../chaos/scenario.ts';
import { fleetTable } from '../chaos/scenarios/fleet-table.ts';
import { PATIENCE_MS } from '../support/wait.ts';

const CASES = 77;

/**
 * A gateway that does not answer within 250 ms is named, as it should be; and a session that was bound meanwhile is told to be
 * in conflict when it has to go. On a busy machine neither says anything.
 */
const WAS_SLOW = /"silent_gateways":\["|: is [^]*"opened bound conflict closed"[^]*, not /;

test(
  'what is answered is what clients and listeners count',
  async () => {
    const play = () => playAll(fleetTable, { sessions: 0, runs: 1, jobs: 1 });
    const faultsOf = (rows: Awaited<ReturnType<typeof play>>) => rows.flatMap((row) => row.faults);
    let rows = await play();
    const faults = faultsOf(rows);
    if (faults.length > 0 && faults.every((fault) => WAS_SLOW.test(fault))) rows = await play();
    expect(faultsOf(rows)).toEqual([]);
    expect(rows).toHaveLength(CASES);
  },
  // A dozen gateways are started, maybe twice.
  20 * PATIENCE_MS,
);
