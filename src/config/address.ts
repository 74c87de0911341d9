/**
 * Where something listens, and the addresses of servers that we dial. Parsers throw a RangeError whose message says
 * what to write instead; the schema has called them before anyone else does.
 */
import { BlockList, isIP } from 'node:net';
import { errorText } from '../errors.ts';
import { isConsulService, parseConsulService } from './consul-service.ts';

/** A place to listen on: a TCP port of an interface, or a Unix socket. */
export type Address = { kind: 'tcp'; host: string; port: number } | { kind: 'unix'; path: string };

/** How a client listener speaks: WebSocket or TCP, plain or TLS; `auto` tells them apart by the first bytes. */
export type ListenScheme = 'ws' | 'wss' | 'tcp' | 'tls' | 'auto';

/** A client listener's URL, taken apart. IPv6 hosts come without brackets; port 0 lets the system choose. */
export type ListenUrl = {
  scheme: ListenScheme;
  host: string;
  port: number;
};

/** The bus: inside this process, or NATS servers as `host:port` in the order given. */
export type BusAddress = { kind: 'embedded' } | { kind: 'nats'; servers: string[]; tls: boolean };

/** Linux keeps 108 bytes for the path of a Unix socket, the last one a zero. */
const UNIX_PATH_BYTES_MAX = 107;
const NATS_PORT = 4222;

const LOOPBACK = new BlockList();
LOOPBACK.addSubnet('127.0.0.0', 8, 'ipv4');
LOOPBACK.addAddress('::1', 'ipv6');

/** Reads `host:port`, `[::1]:port` or `unix:/path`. */
export function parseAddress(text: string): Address {
  if (!text.startsWith('unix:')) return { kind: 'tcp', ...parseHostPort(text) };
  const path = text.slice('unix:'.length).replace(/^\/+/, '/');
  if (!path.startsWith('/') || path === '/') {
    throw new RangeError('expected an absolute path: unix:/run/pith.sock');
  }
  if (Buffer.byteLength(path) > UNIX_PATH_BYTES_MAX) {
    throw new RangeError(`the path of a Unix socket has at most ${UNIX_PATH_BYTES_MAX} bytes`);
  }
  return { kind: 'unix', path };
}

/** Reads `host:port`; the host may be a name, IPv4, or IPv6 in brackets, the port 0 to 65535. */
export function parseHostPort(text: string): { host: string; port: number } {
  const [, bracketed, plain, digits] = /^(?:\[([^\]]*)\]|([^:[\]/@\s]*)):(\d+)$/.exec(text) ?? [];
  if (digits === undefined) {
    throw new RangeError('expected host:port, as 0.0.0.0:3010, [::]:3010 or localhost:3010');
  }
  const host = bracketed ?? plain ?? '';
  if (host === '') throw new RangeError('the host is missing; write 0.0.0.0 for every interface');
  const isValid = bracketed === undefined ? isHostName(host) : isIP(host) === 6;
  if (!isValid) throw new RangeError(`not a host: "${host}"`);
  const port = Number(digits);
  if (port > 65_535) throw new RangeError('a port is 0 to 65535');
  return { host, port };
}

/** Says what is wrong with an address that others are told to connect to, or nothing. */
export function checkDialled(text: string): string | undefined {
  try {
    const { host, port } = parseHostPort(text);
    if (port === 0) return 'the port that clients dial is 1 to 65535';
    if (/^(0\.0\.0\.0|::)$/.test(host))
      return `nobody can connect to ${host}; name this gateway's host`;
    return undefined;
  } catch (error) {
    return errorText(error);
  }
}

/** Reads a client listener's `scheme://host:port`. */
export function parseListenUrl(text: string): ListenUrl {
  const [, scheme, rest] = /^([a-z]+):\/\/(.*)$/.exec(text) ?? [];
  if (scheme === undefined || rest === undefined || !isListenScheme(scheme)) {
    throw new RangeError('expected ws, wss, tcp, tls or auto://host:port, as auto://0.0.0.0:3010');
  }
  const authority = rest.replace(/\/$/, '');
  if (authority.includes('/')) {
    throw new RangeError('expected no path after the port; it goes to the key "path" beside it');
  }
  return { scheme, ...parseHostPort(authority) };
}

/** Reads `embedded`, or a comma-separated list of `nats://host:port` (port 4222 unless given). */
export function parseBus(text: string): BusAddress {
  if (text === 'embedded') return { kind: 'embedded' };
  const urls = text.split(',').map((url) => url.trim());
  return {
    kind: 'nats',
    servers: urls.map((url) => parseNatsUrl(url)),
    tls: urls.some((url) => url.startsWith('tls://')),
  };
}

/** True where only this machine can connect: 127.0.0.0/8, ::1, `localhost`, a Unix socket. */
export function isLoopback(address: Address): boolean {
  if (address.kind === 'unix') return true;
  const family = isIP(address.host);
  if (family === 0) return address.host.toLowerCase() === 'localhost';
  return LOOPBACK.check(address.host, family === 6 ? 'ipv6' : 'ipv4');
}

/** Says what is wrong with the address of a gRPC backend, or nothing. */
export function checkGrpcAddress(text: string): string | undefined {
  const expected = 'expected dns:///host:port, unix:///path, consul:///service or host:port';
  if (isConsulService(text)) {
    try {
      parseConsulService(text);
      return undefined;
    } catch (error) {
      return error instanceof Error ? error.message : expected;
    }
  }
  const [, scheme, rest] = /^(dns|unix|ipv4|ipv6):(.*)$/.exec(text) ?? [];
  if (scheme === 'unix') return /^(\/\/)?\/[^/]/.test(rest ?? '') ? undefined : expected;
  const hosts = (rest ?? text).replace(scheme === 'dns' ? /^\/\/[^/]*\// : /^\/\//, '');
  const targets = scheme === 'ipv4' || scheme === 'ipv6' ? hosts.split(',') : [hosts];
  try {
    for (const target of targets) parseHostPort(target);
  } catch {
    return expected;
  }
  return undefined;
}

function parseNatsUrl(url: string): string {
  const [, authority] = /^(?:nats|tls):\/\/([^/]+)\/?$/.exec(url) ?? [];
  if (authority === undefined) {
    throw new RangeError(
      'expected embedded, or nats://host:4222 or tls://host:4222, or several joined by commas',
    );
  }
  if (authority.includes('@')) {
    throw new RangeError('user and password go to nats.user and nats.password, not into the URL');
  }
  const { host, port } = parseHostPort(
    /:\d+$/.test(authority) ? authority : `${authority}:${NATS_PORT}`,
  );
  return isIP(host) === 6 ? `[${host}]:${port}` : `${host}:${port}`;
}

function isListenScheme(text: string): text is ListenScheme {
  return /^(ws|wss|tcp|tls|auto)$/.test(text);
}

export function isHostName(host: string): boolean {
  if (/^[\d.]+$/.test(host)) return isIP(host) === 4;
  return /^[A-Za-z0-9_]([A-Za-z0-9_.-]{0,252})$/.test(host);
}
