/** Which addresses a gRPC backend has. */
import { lookup, Resolver as NameServers } from 'node:dns/promises';

/** How often a name is looked up again; a headless service changes its addresses without a word. */
export const RESOLVE_EVERY_MS = 15_000;
/** The least time between two lookups, when an address is lost. */
export const RESOLVE_SOON_MS = 1_000;
/** How long a name server that the URL names may take, and how often it is asked. */
const ASK_MS = 2_000;
const ASK_TIMES = 2;

/** Addresses as grpc-js takes them, each of one backend instance. */
export type Resolve = () => Promise<readonly string[]>;

export type Resolver = {
  readonly resolve: Resolve;
  /** Another lookup may give others. */
  readonly changes: boolean;
  /** host:port of the name, which the addresses don't say; '' for addresses that were given. */
  readonly authority: string;
  /** Called when the addresses have changed; set by the user. Absent: it never notices changes on its own. */
  onChange?: () => void;
  /** By address, 1 or more; an address that is missing has 1. */
  weights?(): ReadonlyMap<string, number>;
};

/**
 * What `backends.<name>.grpc` says: `unix:/path`, `ipv4:a:p,b:p`, `ipv6:[a]:p`, `dns:///host:port`,
 * `dns://name-server/host:port` or `host:port`. [github.com/grpc/grpc/blob/master/doc/naming.md]
 * A name that has IPv4 addresses is used by these alone, since both families usually reach the same program.
 */
export function resolverOf(url: string): Resolver {
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
  const [, server = '', authority = ''] = /^(?:dns:(?:\/\/([^/]*)\/|\/*))?(.*)$/.exec(url) ?? [];
  const { host, port } = hostPort(authority);
  const find = server === '' ? bySystem : byServer(server);
  return {
    changes: true,
    authority,
    resolve: async () => {
      const { family, addresses } = await find(host);
      return [...new Set(addresses)]
        .sort()
        .map((address) => (family === 4 ? `ipv4:${address}:${port}` : `ipv6:[${address}]:${port}`));
    },
  };
}

type Found = { readonly family: number; readonly addresses: readonly string[] };

/** As every program on this machine: /etc/hosts, search domains and all. */
async function bySystem(host: string): Promise<Found> {
  const found = await lookup(host, { all: true });
  const family = found.some((address) => address.family === 4) ? 4 : 6;
  return {
    family,
    addresses: found.filter((address) => address.family === family).map(({ address }) => address),
  };
}

/** By one name server, asked for the name as it is. */
function byServer(server: string): (host: string) => Promise<Found> {
  const resolver = new NameServers({ timeout: ASK_MS, tries: ASK_TIMES });
  resolver.setServers([server]);
  return async (host) => {
    try {
      return { family: 4, addresses: await resolver.resolve4(host) };
    } catch (error) {
      if ((error as { code?: string }).code !== 'ENODATA') throw error;
      return { family: 6, addresses: await resolver.resolve6(host) };
    }
  };
}

function fixed(addresses: readonly string[]): Resolver {
  return { changes: false, authority: '', resolve: () => Promise.resolve(addresses) };
}

function hostPort(text: string): { host: string; port: string } {
  const colon = text.lastIndexOf(':');
  return { host: text.slice(0, colon).replace(/^\[|\]$/g, ''), port: text.slice(colon + 1) };
}
