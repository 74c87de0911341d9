/** Makes what decides where newcomers should go. */
import type { Capacity } from '../config/auto-limits.ts';
import { FleetMembers } from '../placement/members.ts';
import { Placement } from '../placement/placement.ts';
import type { Registry } from '../session/registry.ts';
import type { Nats } from './bus.ts';
import type { Shared } from './shared.ts';

export type PlacementParts = Shared & {
  readonly capacity: Capacity;
  readonly registry: Registry;
  /** null: no other gateway is heard. */
  readonly nats: Nats | null;
};

export function makePlacement(parts: PlacementParts): Placement {
  const { config, registry, capacity, nats } = parts;
  const members = new FleetMembers({
    ...parts,
    generation: config.generation,
    sessions: () => registry.size,
    room: () => capacity.connections,
  });
  nats?.bus.watch.tellOf(members);
  return new Placement({ ...parts, members });
}
