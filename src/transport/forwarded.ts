/**
 * Where a client is that came through HTTP proxies: X-Forwarded-For and Forwarded [RFC 7239]. Pure.
 *
 * Each proxy adds what it sees at the right end. So the lists are read from there, only as far as the one who wrote an
 * entry is trusted: what a client has written itself is further left, and never reached.
 */
import { ipAddress, type Networks } from '../ip.ts';

/** The two headers of one request; several lines of one name joined by commas, '' if there is none. */
export type ForwardedHeaders = { readonly xForwardedFor: string; readonly forwarded: string };

/**
 * The first address that is not a trusted proxy's, beginning with the one that the connection comes from.
 *
 * @param peer Where the connection comes from, as `ipAddress` gives it.
 * @returns null: each header names another client. A proxy that writes one of them passes the other on as the client
 *   sent it, and nothing says which.
 */
export function forwardedAddress(
  peer: string,
  { xForwardedFor, forwarded }: ForwardedHeaders,
  trusted: Networks,
): string | null {
  if (!trusted.has(peer)) return peer;
  const byX = follow(peer, fromRight(xForwardedFor, false), nodeAddress, trusted);
  // Proxies may use it for the scheme or the host alone.
  if (!/(?:^|[,;\s])for\s*=/i.test(forwarded)) return byX.address;
  const byForwarded = follow(peer, fromRight(forwarded, true), forAddress, trusted);
  if (byX.end === 'list') return byForwarded.address;
  if (byForwarded.end === 'list' || byX.address === byForwarded.address) return byX.address;
  return byX.end === 'hidden' && byForwarded.end === 'hidden' ? peer : null;
}

/** How following a list ended: at a client, at an entry that is not an address, or with the list. */
type Followed = { readonly address: string; readonly end: 'client' | 'hidden' | 'list' };

function follow(
  peer: string,
  entries: Iterable<string>,
  addressIn: (entry: string) => string,
  trusted: Networks,
): Followed {
  let address = peer;
  for (const entry of entries) {
    const before = addressIn(entry);
    // `unknown`, a name that hides it, or nonsense: the proxy that has written it is the last one known.
    if (before === '') return { address, end: 'hidden' };
    address = before;
    if (!trusted.has(address)) return { address, end: 'client' };
  }
  return { address, end: 'list' };
}

/**
 * The entries of a list from its right end, without empty ones. Commas between double quotes do not separate. Reading
 * backwards, an open quote in what a client wrote cannot swallow what proxies have added.
 */
function* fromRight(list: string, hasQuotes: boolean): Generator<string, void> {
  let end = list.length;
  let isQuoted = false;
  for (let at = list.length - 1; at >= -1; at--) {
    if (hasQuotes && list[at] === '"') isQuoted = !isQuoted || isEscaped(list, at);
    if (at >= 0 && (list[at] !== ',' || isQuoted)) continue;
    const entry = list.slice(at + 1, end).trim();
    end = at;
    if (entry !== '') yield entry;
  }
}

/** True behind an odd number of backslashes. [RFC 9110 5.6.4] */
function isEscaped(text: string, at: number): boolean {
  let from = at;
  while (text[from - 1] === '\\') from--;
  return (at - from) % 2 === 1;
}

/** One `name=value` of an entry of Forwarded, with what ends it. */
const PAIR = /\s*([^\s=;"]+)\s*=\s*("(?:[^"\\]|\\.)*"|[^\s;"]*)\s*(?:;|$)/y;

/** The address in an entry of Forwarded; '': none. */
function forAddress(entry: string): string {
  let address: string | null = null;
  PAIR.lastIndex = 0;
  while (PAIR.lastIndex < entry.length) {
    const [, name = '', value = ''] = PAIR.exec(entry) ?? [];
    if (name === '') return '';
    if (name.toLowerCase() !== 'for') continue;
    // Twice in one entry it says nothing.
    if (address !== null) return '';
    address = nodeAddress(value);
  }
  return address ?? '';
}

/** Number, or a name that hides it. [RFC 7239 6.2, 6.3] */
const PORT = ':(?:\\d{1,5}|_[A-Za-z0-9._-]+)';
const BRACKETED = new RegExp(`^\\[([^\\]]*:[^\\]]*)\\](?:${PORT})?$`);
const WITH_PORT = new RegExp(`^([\\d.]+)${PORT}$`);

/** The address in `192.0.2.1`, `192.0.2.1:80`, `2001:db8::1`, `[2001:db8::1]` or `[2001:db8::1]:80`, quoted or not. */
function nodeAddress(text: string): string {
  const node = /^"(.*)"$/.exec(text)?.[1] ?? text;
  const [, inside] = BRACKETED.exec(node) ?? WITH_PORT.exec(node) ?? [];
  return ipAddress(inside ?? node);
}
