/**
 * How large a fleet is, drawn from the seed: what small ones do is seen in many more hours than a large one could be
 * played, and some mistakes show only where few are there. [Groce 2012, swarm testing]
 */
import type { Options } from './simulation.ts';
import { SeededRandom } from './random.ts';

const GATEWAYS = [2, 2, 3, 3, 4] as const;
const CLIENTS = { from: 6, to: 40 } as const;

export function sizeOf(seed: string): Pick<Options, 'gateways' | 'clients'> {
  const random = new SeededRandom(`${seed}/size`);
  return { gateways: random.pick(GATEWAYS), clients: random.int(CLIENTS.from, CLIENTS.to) };
}
