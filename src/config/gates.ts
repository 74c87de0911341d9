/** Backends of the kind `gate`: which of their addresses a client is told, and whether those are given. Pure. */
import { parseHostPort, parseListenUrl } from './address.ts';
import type { GateBackendConfig } from './schema-backends.ts';
import type { ListenConfig } from './schema-listen.ts';
import type { Report, Sections } from './sections.ts';

const TRANSPORTS = ['ws', 'wss', 'tcp', 'tls'] as const;
/** How a client is connected. */
type Transport = (typeof TRANSPORTS)[number];
type Advertise = GateBackendConfig['gate']['advertise'];

/** What clients on each transport are told; a transport without an address is absent. */
export type AdvertisedAddresses = Partial<Record<Transport, { host: string; port: number }>>;

/** Where a gateway with this backend is reached, by transport. */
export function advertisedAddresses({ gate }: GateBackendConfig): AdvertisedAddresses {
  const addresses: AdvertisedAddresses = {};
  for (const transport of TRANSPORTS) {
    const address = addressFor(gate.advertise, transport);
    if (address !== '') addresses[transport] = parseHostPort(address);
  }
  return addresses;
}

/** There is one gate at most, and every client that may ask it gets an address. */
export function checkGates(sections: Sections, report: Report, warn: Report): void {
  const gates = [...sections.backends].filter(
    (entry): entry is [string, GateBackendConfig] => entry[1]?.kind === 'gate',
  );
  const [first, ...others] = gates;
  if (first === undefined) return;
  for (const [name] of others)
    report(['backends', name, 'gate'], `there is one gate already: backends.${first[0]}`);
  const [name, { gate }] = first;
  const clients = clientsOf(sections.listen);
  for (const kind of ['ws', 'tcp'] as const) {
    const untold = clients.find(
      ({ transport }) => plain(transport) === kind && addressFor(gate.advertise, transport) === '',
    );
    if (untold === undefined) continue;
    const { index, entry } = untold;
    report(
      ['backends', name, 'gate', 'advertise'],
      `needs ${kind}: host:port, for clients of listen[${index}] (${entry.url})`,
    );
  }
  warnOfDialects(clients, warn);
}

type Clients = {
  readonly index: number;
  readonly entry: ListenConfig;
  readonly transport: Transport;
};

/** All clients that may come, by listener and transport. */
function clientsOf(listen: Sections['listen']): Clients[] {
  return listen.flatMap((entry, index) =>
    entry === undefined
      ? []
      : transportsOf(entry).map((transport) => ({ index, entry, transport })),
  );
}

/** Clients of two servers are told the same address where they ask over the same transport. */
function warnOfDialects(clients: readonly Clients[], warn: Report): void {
  const warned = new Set<number>();
  for (const { index, entry, transport } of clients) {
    const first = clients.find((other) => other.transport === transport)!;
    if (first.entry.dialect === entry.dialect || warned.has(index)) continue;
    warned.add(index);
    const where = `the same address as those of listen[${first.index}] (${first.entry.dialect})`;
    warn(['listen', index, 'dialect'], `a gate tells these clients ${where}`);
  }
}

/** Without an address of its own, TLS is on the port of the plain transport. */
function addressFor(advertise: Advertise, transport: Transport): string {
  return advertise[transport] || advertise[plain(transport)];
}

function plain(transport: Transport): 'ws' | 'tcp' {
  return transport === 'ws' || transport === 'wss' ? 'ws' : 'tcp';
}

/** How the clients of a listener may be connected. */
function transportsOf({ url, dialect, tls }: ListenConfig): Transport[] {
  const { scheme } = parseListenUrl(url);
  if (scheme !== 'auto') return [scheme];
  const withTls: Transport[] = tls.cert === '' ? [] : ['wss', 'tls'];
  const without: Transport[] = tls.require_client_cert ? [] : ['ws', 'tcp'];
  return [...without, ...withTls].filter(
    (transport) => dialect !== 'json' || plain(transport) === 'ws',
  );
}
