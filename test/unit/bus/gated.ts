/** A gateway with a gate, on the exchange in memory. */
import { Gate, type GateAddresses } from '../../../src/bus/gate.ts';
import type { ManualClock } from '../../support/clock.ts';
import { seededRandom } from '../../support/random.ts';
import { type Exchange, makeGateway } from './support.ts';

/** Where the gateway of this name is reached. */
export const at = (host: string): GateAddresses => ({
  ws: { host, port: 3010 },
  tcp: { host, port: 3011 },
});

/** A gateway with a gate on the exchange; its load is the test's. */
export function makeGated(
  id: string,
  exchange: Exchange,
  clock: ManualClock,
  random = seededRandom(),
) {
  const load = { sessions: 0, room: 100 };
  let gate!: Gate;
  const made = makeGateway(id, exchange, clock, 0, (parts, bus) => {
    const addresses = at(id.slice(0, 1));
    const publish = (payload: Buffer): void => bus.publishGate(payload);
    return (gate = new Gate({ ...parts, random, addresses, load: () => load, publish }));
  });
  return { ...made, gate, load };
}
