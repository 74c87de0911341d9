/** What fits on this machine: what `auto` comes to in `limits`, and how many connections each port may have. Pure. */
import type { LimitsConfig } from './schema.ts';

/** What the process may use. */
export type Resources = {
  /** Bytes: of the container, or of the machine where it has no limit. */
  readonly memoryBytes: number;
  /** Files that may be open at once. */
  readonly descriptors: number;
};

export type Capacity = {
  /** Connections of clients, over all listeners, those that are no sessions yet included. */
  readonly connections: number;
  /** Connections of each of the ports for probes, operators and backends that dial in. */
  readonly portConnections: number;
  /** From this many on, one that has not asked anything makes room for the next. */
  readonly portCrowdedAt: number;
  /** Bytes that wait in all outboxes together. */
  readonly outboxesBytes: number;
};

/** An idle session with its socket. A packet on its way comes on top of it. */
const IDLE_BYTES = 65_536;
/** Share of memory for what clients have not taken. */
const OUTBOXES_SHARE = 1 / 4;
/** Share of the rest for connections; what is left is for backends, and for the program. */
const CONNECTIONS_SHARE = 2 / 3;
/** Health, admin and control. */
const PORTS = 3;
/** Each of those ports may have this share of all descriptors, within bounds; where they are few, a larger share. */
const PORT_SHARE = 1 / 16;
const PORT_CONNECTIONS_FEW = 64;
const PORT_SHARE_OF_FEW = 1 / 6;
const PORT_CONNECTIONS_MAX = 1_024;
/** Descriptors for backends, the bus, files and the program itself. */
const SPARE_DESCRIPTORS = 64;
/** So few are always allowed, though descriptors may run out then. */
const CONNECTIONS_MIN = 64;

/** A number in `limits` counts as long as there are descriptors for it. */
export function autoLimits(
  limits: LimitsConfig,
  { memoryBytes, descriptors }: Resources,
): Capacity {
  const few = Math.min(PORT_CONNECTIONS_FEW, Math.floor(descriptors * PORT_SHARE_OF_FEW));
  const share = Math.max(few, Math.floor(descriptors * PORT_SHARE));
  const portConnections = Math.min(PORT_CONNECTIONS_MAX, share);
  const outboxesBytes =
    limits.outboxes === 'auto'
      ? Math.max(limits.outbox, Math.floor(memoryBytes * OUTBOXES_SHARE))
      : limits.outboxes;
  const byDescriptors = Math.max(
    CONNECTIONS_MIN,
    descriptors - PORTS * portConnections - SPARE_DESCRIPTORS,
  );
  const bytes = Math.max(0, memoryBytes - outboxesBytes) * CONNECTIONS_SHARE;
  const byMemory = Math.max(CONNECTIONS_MIN, Math.floor(bytes / (IDLE_BYTES + limits.packet)));
  const wanted = limits.connections === 'auto' ? byMemory : limits.connections;
  const portCrowdedAt = Math.floor(portConnections / 2);
  return {
    connections: Math.min(wanted, byDescriptors),
    portConnections,
    portCrowdedAt,
    outboxesBytes,
  };
}
