/** What is checked of TLS beyond each key alone: keys that go together, and those by which nothing is protected. Pure. */
import type { ClientTlsConfig, ServerTlsConfig } from './schema-listen.ts';
import type { Path } from './schema-tree.ts';
import type { Report, Sections } from './sections.ts';

export function checkTls(sections: Sections, report: Report, warn: Report): void {
  checkServers(sections, report, warn);
  checkClients(sections, report);
}

type Server = {
  readonly path: Path;
  readonly tls: ServerTlsConfig | undefined;
  /** Besides `require_client_cert`, what asks for certificates; '': nothing does. */
  readonly otherKey: string;
  readonly asksForCerts: boolean;
};

function serversOf({ known, listen }: Sections): Server[] {
  return [
    ...listen.map((entry, index): Server => {
      return { path: ['listen', index], tls: entry?.tls, otherKey: '', asksForCerts: false };
    }),
    ...(['control', 'admin'] as const).map((name): Server => {
      const asksForCerts = (known[name]?.spiffe.length ?? 0) > 0;
      return { path: [name], tls: known[name]?.tls, otherKey: `${name}.spiffe`, asksForCerts };
    }),
  ];
}

function checkServers(sections: Sections, report: Report, warn: Report): void {
  for (const { path: of, tls, otherKey, asksForCerts } of serversOf(sections)) {
    if (tls === undefined) continue;
    const path = [...of, 'tls'];
    if ((tls.cert === '') !== (tls.key === '')) report(path, 'cert and key go together');
    else if (tls.require_client_cert && tls.cert === '') {
      report(path, 'require_client_cert needs cert and key');
    }
    if (tls.require_client_cert && tls.ca === '') report(path, 'require_client_cert needs ca');
    if (tls.ca !== '' && !tls.require_client_cert && !asksForCerts) {
      const or = otherKey === '' ? '' : ` or ${otherKey}`;
      warn(
        [...path, 'ca'],
        `no client is asked for a certificate: it takes require_client_cert: true${or}`,
      );
    }
  }
}

function checkClients({ known, backends }: Sections, report: Report): void {
  const clients: [Path, ClientTlsConfig | undefined][] = [
    [['nats', 'tls'], known.nats?.tls],
    [['consul', 'tls'], known.consul?.tls],
    [['auth', 'jwt', 'tls'], known.auth?.jwt.tls],
    ...[...backends].map(([name, backend]): [Path, ClientTlsConfig | undefined] => {
      return [['backends', name, 'tls'], backend && 'tls' in backend ? backend.tls : undefined];
    }),
  ];
  for (const [path, tls] of clients) {
    if (tls !== undefined && (tls.cert === '') !== (tls.key === ''))
      report(path, 'cert and key go together');
  }
  // Whoever sets them means to be protected by them.
  for (const [name, backend] of backends) {
    if (backend?.kind === 'http' && backend.http.startsWith('http:') && isSet(backend.tls))
      report(['backends', name, 'tls'], 'http:// has no TLS; use https://');
  }
  const { consul } = known;
  if (consul !== undefined && consul.address !== '' && isSet(consul.tls)) {
    if (!consul.address.startsWith('https:'))
      report(['consul', 'tls'], 'only https:// has TLS; set consul.address: https://host:port');
  }
}

function isSet({ ca, cert, key }: ClientTlsConfig): boolean {
  return ca !== '' || cert !== '' || key !== '';
}
