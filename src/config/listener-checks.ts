/** What is checked of listening beyond each key alone: keys that go together, ports that collide. */
import { type Address, isLoopback, parseAddress, parseListenUrl } from './address.ts';
import type { Path } from './schema-tree.ts';
import type { Report, Sections } from './sections.ts';
import { isAvailable } from './unavailable-keys.ts';

/** Keys that mean something in one dialect only. */
const DIALECT_KEYS = [
  { key: 'profile', dialect: 'pomelo', fallback: 'auto' },
  { key: 'serializer', dialect: 'pitaya', fallback: 'json' },
  { key: 'compress', dialect: 'pitaya', fallback: true },
  { key: 'answer_errors', dialect: 'nano', fallback: false },
] as const;

/** Checks `listen`, and where `control` and `admin` listen. */
export function checkListeners({ known, listen }: Sections, report: Report, warn: Report): void {
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
    if (isTcp && entry.path !== '*') warn([...path, 'path'], `${scheme}:// has no paths`);
    if (isTcp && entry.origins.length > 0)
      warn([...path, 'origins'], `${scheme}:// has no origins`);
  }
  for (const name of ['control', 'admin'] as const) {
    const section = known[name];
    if (section === undefined) continue;
    const hasClientCertificates = section.tls.require_client_cert && section.tls.ca !== '';
    if (isLoopback(parseAddress(section.listen)) || section.token !== '' || hasClientCertificates) {
      continue;
    }
    report([name, 'listen'], beyondLoopback(name));
  }
}

function beyondLoopback(name: 'control' | 'admin'): string {
  const loopback = `127.0.0.1${name === 'control' ? ' or unix:/path' : ''}`;
  const guards = [
    ...(isAvailable(`${name}.token`) ? [`${name}.token`] : []),
    ...(isAvailable(`${name}.tls`)
      ? [`client certificates (${name}.tls with ca and require_client_cert)`]
      : []),
  ];
  return guards.length === 0
    ? `this release serves it on loopback only: listen on ${loopback}`
    : `beyond loopback this needs ${guards.join(', or ')}; else listen on ${loopback}`;
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
