/** Which pages the admin port serves. Pure. */
import { isLoopback, parseAddress } from './address.ts';
import type { AdminConfig } from './schema-listen.ts';

const PAGES = ['playground', 'console'] as const;

/** By `admin.playground` and `admin.console`; `auto` is on while only this machine reaches the port. */
export function pagesOf(admin: AdminConfig): (typeof PAGES)[number][] {
  const isLocal = isLoopback(parseAddress(admin.listen));
  return PAGES.filter((page) => (admin[page] === 'auto' ? isLocal : admin[page]));
}

/** The pages as URLs for browsers on this machine. @param port The real one. */
export function pageUrls(admin: AdminConfig, port: number): string[] {
  const address = parseAddress(admin.listen);
  if (address.kind !== 'tcp') return [];
  const { host } = address;
  const isAny = host === '0.0.0.0' || host === '::';
  const name = isAny ? '127.0.0.1' : host.includes(':') ? `[${host}]` : host;
  const scheme = admin.tls.cert === '' ? 'http' : 'https';
  return pagesOf(admin).map((page) => `${scheme}://${name}:${port}/${page}`);
}
