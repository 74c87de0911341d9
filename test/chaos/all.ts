/** The scenarios, in the order in which they are played. */
import type { Scenario } from './scenario.ts';
import { cut, stall } from './scenarios/away.ts';
import { backendsRollout, examplesRollout } from './scenarios/backends-rollout.ts';
import { busLoss } from './scenarios/bus-loss.ts';
import { fleetTable } from './scenarios/fleet-table.ts';
import { kill500, kill5000 } from './scenarios/kill.ts';
import { rebalance } from './scenarios/rebalance.ts';
import { rolling } from './scenarios/rolling.ts';
import { rollout } from './scenarios/rollout.ts';

export const SCENARIOS: readonly Scenario[] = [
  kill5000,
  kill500,
  stall,
  cut,
  busLoss,
  rolling,
  rollout,
  rebalance,
  backendsRollout,
  examplesRollout,
  fleetTable,
];
