/** What is checked of listening beyond each key alone: keys that go together, ports that collide. */
import { Networks, type Network, parseNetwork } from '../ip.ts';
import { type Address, parseAddress, parseListenUrl } from './address.ts';
import type { ListenConfig } from './schema-listen.ts';
import type { Path } from './schema-tree.ts';
import type { Report, Sections } from './sections.ts';

/** Keys that mean something in one dialect only. */
const DIALECT_KEYS = [
  { key: 'profile', dialect: 'pomelo', fallback: 'auto' },
  { key: 'serializer', dialect: 'pitaya', fallback: 'json' },
  { key: 'compress', dialect: 'pitaya', fallback: true },
  { key: 'answer_errors', dialect: 'nano', fallback: false },
] as const;

/** Checks `listen`. */
export function checkListeners({ listen }: Sections, report: Report, warn: Report): void {
  for (const [index, entry] of listen.entries()) {
    if (entry === undefined) continue;
    const { scheme } = parseListenUrl(entry.url);
    const path = ['listen', index];
    const isTcp = scheme === 'tcp' || scheme === 'tls';
    if ((scheme === 'wss' || scheme === 'tls') && entry.tls.cert === '' && entry.tls.key === '') {
      report([...path, 'tls'], `${scheme}:// needs a certificate: set tls.cert and tls.key`);
    }
    if ((scheme === 'ws' || scheme === 'tcp') && entry.tls.cert !== '') {
      const secured = scheme === 'ws' ? 'wss' : 'tls';
      report(
        [...path, 'tls'],
        `${scheme}:// has no TLS; use ${secured}://, or auto:// for both with and without`,
      );
    }
    if (isTcp && entry.dialect === 'json') {
      report(
        [...path, 'dialect'],
        `json is spoken over WebSocket only; use ${scheme === 'tcp' ? 'ws' : 'wss'}:// or auto://`,
      );
    }
    for (const { key, dialect, fallback } of DIALECT_KEYS) {
      if (entry[key] !== fallback && entry.dialect !== dialect)
        report([...path, key], `only with dialect: ${dialect}; this one is ${entry.dialect}`);
    }
    checkProxies(entry, path, report, warn);
    if (isTcp && entry.path !== '*') warn([...path, 'path'], `${scheme}:// has no paths`);
    if (isTcp && entry.origins.length > 0)
      warn([...path, 'origins'], `${scheme}:// has no origins`);
  }
}

/** Whoever is trusted may claim to be at any address. */
function checkProxies(entry: ListenConfig, path: Path, report: Report, warn: Report): void {
  const { proxy_protocol: header, trusted_proxies: trusted, url } = entry;
  if (header !== 'none' && trusted.length === 0) {
    report(
      [...path, 'proxy_protocol'],
      'needs trusted_proxies, or anybody could claim any address: name the networks of your proxies, as 10.0.0.0/8',
    );
  }
  for (const [i, text] of trusted.entries()) {
    const network = parseNetwork(text);
    const leastBits = network?.family === 6 ? LEAST_BITS_6 : LEAST_BITS_4;
    if (network !== null && (network.bits < leastBits || carriesIpv4(network))) {
      report(
        [...path, 'trusted_proxies', i],
        `"${text}" trusts far more than proxies, and whoever is trusted can claim any address: ` +
          'name only the networks of your proxies, as 10.0.0.0/8',
      );
    }
  }
  const { scheme } = parseListenUrl(url);
  if (trusted.length > 0 && header === 'none' && (scheme === 'tcp' || scheme === 'tls')) {
    warn(
      [...path, 'trusted_proxies'],
      `over ${scheme}:// proxies can tell an address only by proxy_protocol, which is none`,
    );
  }
}

/** The widest networks that somebody may have for himself: 10.0.0.0/8 and fc00::/7. [RFC 1918, RFC 4193] */
const LEAST_BITS_4 = 8;
const LEAST_BITS_6 = 7;

/** True where a network of IPv6 has all of IPv4 in it, `::ffff:0:0/96`. */
function carriesIpv4({ address, bits, family }: Network): boolean {
  return family === 6 && bits < 96 && new Networks([`${address}/${bits}`]).has('::ffff:0.0.0.0');
}

/** Finds ports taken twice. Port 0 never collides: the system chooses another one each time. */
export function checkPorts({ known, listen }: Sections, report: Report): void {
  const taken: { path: string; address: Address }[] = [];
  const take = (path: Path, name: string, address: Address) => {
    const other = taken.find((entry) => collide(entry.address, address));
    if (other === undefined) taken.push({ path: name, address });
    else report(path, `already taken by ${other.path}`);
  };
  for (const [index, entry] of listen.entries()) {
    if (entry === undefined) continue;
    const { host, port } = parseListenUrl(entry.url);
    take(['listen', index, 'url'], `listen[${index}].url`, { kind: 'tcp', host, port });
  }
  for (const name of ['health', 'control', 'admin'] as const) {
    const section = known[name];
    if (section === undefined) continue;
    take([name, 'listen'], `${name}.listen`, parseAddress(section.listen));
  }
}

function collide(left: Address, right: Address): boolean {
  if (left.kind === 'unix' || right.kind === 'unix') return false;
  if (left.port !== right.port || left.port === 0) return false;
  const isWildcard = (host: string) => host === '0.0.0.0' || host === '::';
  return left.host === right.host || isWildcard(left.host) || isWildcard(right.host);
}
