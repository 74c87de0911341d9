/** Which pages the admin port serves. Pure. */
import { isLoopback, parseAddress } from './address.ts';
import type { AdminConfig } from './schema-listen.ts';

const PAGES = ['playground', 'console'] as const;

/** By `admin.playground` and `admin.console`; `auto` is on while only this machine reaches the port. */
export function pagesOf(admin: AdminConfig): (typeof PAGES)[number][] {
  const isLocal = isLoopback(parseAddress(admin.listen));
  return PAGES.filter((page) => (admin[page] === 'auto' ? isLocal : admin[page]));
}
