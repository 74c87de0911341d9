/** Which addresses a gRPC backend has. */
import { lookup } from 'node:dns/promises';

/** How often a name is looked up again; a headless service changes its addresses without a word. */
export const RESOLVE_EVERY_MS = 15_000;

/** Addresses as grpc-js takes them, each of one backend instance. */
export type Resolve = () => Promise<readonly string[]>;

/**
 * What `backends.<name>.grpc` says: `unix:/path`, `ipv4:a:p,b:p`, `ipv6:[a]:p`, `dns:///host:port` or `host:port`.
 * A name that has IPv4 addresses is used by these alone, since both families usually reach the same program.
 */
export function resolverOf(url: string): { readonly resolve: Resolve; readonly changes: boolean } {
  if (url.startsWith('unix:')) return fixed([`unix:${url.replace(/^unix:(\/\/)?/, '')}`]);
  if (/^ipv[46]:/.test(url)) {
    const family = url.slice(0, 5);
    return fixed(
      url
        .slice(5)
        .split(',')
        .map((address) => family + address.trim()),
    );
  }
  const { host, port } = hostPort(url.replace(/^dns:\/{0,3}/, ''));
  return {
    changes: true,
    resolve: async () => {
      const found = await lookup(host, { all: true });
      const family = found.some((address) => address.family === 4) ? 4 : 6;
      const addresses = found
        .filter((address) => address.family === family)
        .map(({ address }) => address);
      return [...new Set(addresses)]
        .sort()
        .map((address) => (family === 4 ? `ipv4:${address}:${port}` : `ipv6:[${address}]:${port}`));
    },
  };
}

function fixed(addresses: readonly string[]): {
  readonly resolve: Resolve;
  readonly changes: boolean;
} {
  return { changes: false, resolve: () => Promise.resolve(addresses) };
}

function hostPort(text: string): { host: string; port: string } {
  const colon = text.lastIndexOf(':');
  return { host: text.slice(0, colon).replace(/^\[|\]$/g, ''), port: text.slice(colon + 1) };
}
