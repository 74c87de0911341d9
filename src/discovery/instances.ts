/** Reads the answer of Consul's health endpoint as gRPC addresses. Pure. */
import { isIP } from 'node:net';

/** Instances of one service that are used; the rest is ignored, and logged. */
export const INSTANCES_MAX = 1_000;
/** The largest weight. [Consul: as in DNS SRV records] */
const WEIGHT_MAX = 65_535;

export type Instance = {
  /** In grpc-js syntax: `ipv4:10.0.0.1:9000`, `ipv6:[::1]:9000`, `dns:host:9000`. */
  readonly address: string;
  /** 1 to 65535. */
  readonly weight: number;
};

export type Instances = {
  /** Sorted by address, each once. */
  readonly list: readonly Instance[];
  /** Entries that could not be used: without a port, or over the limit. */
  readonly leftOut: number;
};

/**
 * Reads an answer of `/v1/health/service/<name>`: the service's own address, or its node's if it has none.
 * Two services at one address are one instance, with the larger weight.
 *
 * @throws {Error} It is not such an answer.
 */
export function readInstances(text: string): Instances {
  const entries = parse(text);
  const weights = new Map<string, number>();
  let leftOut = 0;
  for (const entry of entries) {
    const service = mapOf(mapOf(entry)['Service']);
    const address = addressOf(
      textOf(service['Address']) || textOf(mapOf(mapOf(entry)['Node'])['Address']),
      service['Port'],
    );
    const isNew = address !== null && !weights.has(address);
    if (address === null || (isNew && weights.size >= INSTANCES_MAX)) {
      leftOut++;
      continue;
    }
    const weight = weightOf(mapOf(service['Weights'])['Passing']);
    weights.set(address, Math.max(weight, weights.get(address) ?? 0));
  }
  const list = [...weights].map(([address, weight]) => ({ address, weight }));
  list.sort((a, b) => (a.address < b.address ? -1 : 1));
  return { list, leftOut };
}

function parse(text: string): unknown[] {
  let entries: unknown;
  try {
    entries = JSON.parse(text);
  } catch {
    entries = undefined;
  }
  // Some versions of the agent send null for an empty list.
  if (entries === null) return [];
  if (!Array.isArray(entries)) throw new Error('the answer is not a list: is this a Consul agent?');
  return entries;
}

function addressOf(host: string, port: unknown): string | null {
  if (typeof port !== 'number' || !Number.isInteger(port) || port < 1 || port > 65_535) return null;
  switch (isIP(host)) {
    case 4:
      return `ipv4:${host}:${port}`;
    case 6:
      return `ipv6:[${host}]:${port}`;
    default:
      return isName(host) ? `dns:${host}:${port}` : null;
  }
}

/** Digits and dots that are no address are no name either, as in the configuration. */
function isName(host: string): boolean {
  return /^[A-Za-z0-9_]([A-Za-z0-9_.-]{0,252})$/.test(host) && !/^[\d.]+$/.test(host);
}

function weightOf(weight: unknown): number {
  return typeof weight === 'number' && weight >= 1 ? Math.min(Math.floor(weight), WEIGHT_MAX) : 1;
}

function mapOf(value: unknown): Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {};
}

function textOf(value: unknown): string {
  return typeof value === 'string' ? value : '';
}
