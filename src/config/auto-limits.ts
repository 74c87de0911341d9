/** What fits on this machine: what `auto` comes to in `limits`, and how many connections each port may have. Pure. */
import type { Config, LimitsConfig } from './schema.ts';

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
  /** Bytes of the bodies in flight, all together. */
  readonly inFlightBytes: number;
  /** Bytes of packets that are not whole, all together. */
  readonly unfinishedBytes: number;
};

/** What the rest of the configuration asks for. */
type Needs = { readonly keepsHandshakes?: boolean; readonly isDialledIn?: boolean };

/**
 * What one connection can hold at most, measured with the crowds of test/border/crowds: a session in TLS, 9 KiB of heap and
 * about 30 outside of it.
 */
const SESSION_BYTES = 49_152;
/** What a WebSocket message may hold besides one packet, and the overhead of the pieces in which it comes. */
const MESSAGE_BYTES = 65_536;
/** Packets that are not whole: the end of one message, and the next message. */
const PACKETS = 2;
/** Share of memory for what clients have not taken. */
const OUTBOXES_SHARE = 1 / 4;
/** Share of memory for the bodies of requests that wait for their answers; at least the largest one fits. */
const IN_FLIGHT_SHARE = 1 / 16;
/** Share of memory for packets that are not whole; at least two of the largest fit. */
const UNFINISHED_SHARE = 1 / 16;
/** Share of the rest for connections; what is left is for backends, and for the program. */
const CONNECTIONS_SHARE = 2 / 3;
/** Health, admin and control. */
const PORTS = 3;
/**
 * Each of those ports may have this share of all descriptors, within bounds; where they are few, a larger share. Probes,
 * scrapes and operators do not grow with the number of clients: a few dozen connections at a time are many.
 */
const PORT_SHARE = 1 / 32;
const PORT_CONNECTIONS_FEW = 64;
const PORT_SHARE_OF_FEW = 1 / 6;
const PORT_CONNECTIONS_MAX = 256;
/** Backends that dial in come to the admin or control port, each process with a connection, so both may have more. */
const DIAL_IN_SHARE = 1 / 16;
const DIAL_IN_CONNECTIONS_MAX = 1_024;
/**
 * Descriptors for backends, the bus, files and the program itself, which has about 30: this share of all, within bounds.
 * A larger gateway has more backends, and more connections to each.
 */
const SPARE_SHARE = 1 / 64;
const SPARE_DESCRIPTORS_MIN = 64;
const SPARE_DESCRIPTORS_MAX = 512;
/** So few are always allowed, though descriptors may run out then. */
const CONNECTIONS_MIN = 64;

/**
 * A number in `limits` counts as long as there are descriptors for it.
 *
 * @param needs.keepsHandshakes Sessions keep their handshakes, each as large as a packet: a backend is asked again about
 *   them.
 * @param needs.isDialledIn Backends connect to the ports of operators.
 */
export function autoLimits(
  limits: LimitsConfig,
  { memoryBytes, descriptors }: Resources,
  { keepsHandshakes, isDialledIn }: Needs = {},
): Capacity {
  const [share, most] = isDialledIn
    ? [DIAL_IN_SHARE, DIAL_IN_CONNECTIONS_MAX]
    : [PORT_SHARE, PORT_CONNECTIONS_MAX];
  const few = Math.min(PORT_CONNECTIONS_FEW, Math.floor(descriptors * PORT_SHARE_OF_FEW));
  const portConnections = Math.min(most, Math.max(few, Math.floor(descriptors * share)));
  const spare = Math.min(
    SPARE_DESCRIPTORS_MAX,
    Math.max(SPARE_DESCRIPTORS_MIN, Math.floor(descriptors * SPARE_SHARE)),
  );
  const outboxesBytes =
    limits.outboxes === 'auto'
      ? Math.max(limits.outbox, Math.floor(memoryBytes * OUTBOXES_SHARE))
      : limits.outboxes;
  const inFlightBytes =
    limits.in_flight_bytes === 'auto'
      ? Math.max(limits.packet, limits.inflate, Math.floor(memoryBytes * IN_FLIGHT_SHARE))
      : limits.in_flight_bytes;
  const unfinishedBytes =
    limits.unfinished === 'auto'
      ? Math.max(2 * limits.packet + MESSAGE_BYTES, Math.floor(memoryBytes * UNFINISHED_SHARE))
      : limits.unfinished;
  const byDescriptors = Math.max(CONNECTIONS_MIN, descriptors - PORTS * portConnections - spare);
  const bytes = Math.max(0, memoryBytes - outboxesBytes) * CONNECTIONS_SHARE;
  const packets = (PACKETS + (keepsHandshakes ? 1 : 0)) * limits.packet;
  const each = SESSION_BYTES + MESSAGE_BYTES + packets;
  const byMemory = Math.max(CONNECTIONS_MIN, Math.floor(bytes / each));
  const wanted = limits.connections === 'auto' ? byMemory : limits.connections;
  const portCrowdedAt = Math.floor(portConnections / 2);
  return {
    connections: Math.min(wanted, byDescriptors),
    portConnections,
    portCrowdedAt,
    outboxesBytes,
    inFlightBytes,
    unfinishedBytes,
  };
}

export function needsOf({ auth, backends }: Pick<Config, 'auth' | 'backends'>): Needs {
  return {
    keepsHandshakes: auth.mode !== 'none',
    isDialledIn: Object.values(backends).some(({ kind }) => kind === 'dial_in'),
  };
}
