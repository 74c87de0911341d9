/** Makes what decides where newcomers should go. */
import type { Capacity } from '../config/auto-limits.ts';
import { FleetMembers } from '../placement/members.ts';
import { Placement } from '../placement/placement.ts';
import { Rebalance } from '../placement/rebalance.ts';
import type { LiveTokens } from '../reload/live-tokens.ts';
import type { Registry } from '../session/registry.ts';
import type { Nats } from './nats.ts';
import type { Shared } from './shared.ts';

export type PlacementParts = Shared & {
  readonly capacity: Capacity;
  readonly registry: Registry;
  /** null: clients need no tokens. */
  readonly liveTokens: LiveTokens | null;
  /** null: no other gateway is heard. */
  readonly nats: Nats | null;
};

export function makePlacement(parts: PlacementParts): Placement {
  const { config, registry, capacity, nats, liveTokens } = parts;
  const isClosed = (): boolean => liveTokens !== null && liveTokens.notReady !== '';
  const members = new FleetMembers({
    ...parts,
    generation: config.generation,
    sessions: () => registry.size,
    // Without keys for their tokens it could let no one in.
    room: () => (isClosed() ? 0 : capacity.connections),
  });
  nats?.bus.watch.tellOf(members);
  const rebalance = new Rebalance({ ...parts, members });
  return new Placement({ ...parts, members, rebalance });
}
