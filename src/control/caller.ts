/**
 * Which requests over HTTP are refused whatever they show. Without a token the port listens on loopback, but a web page in a browser on the same machine
 * can reach it too: with a cross-origin request, or with a name of its own that resolves to 127.0.0.1 (DNS rebinding).
 * Browsers reveal both, in Origin and Host. [RFC 6454 section 7, RFC 9110 section 7.2]
 */
import type { IncomingHttpHeaders } from 'node:http';
import { isIP } from 'node:net';

/** Characters of a header that an answer repeats. */
const HEADER_CHARS_MAX = 64;

export type Came = {
  /** Over TLS. */
  readonly isSecure?: boolean;
  /** It has to show a token or a certificate as well. */
  readonly isGuarded?: boolean;
  /** Names that may be asked for besides addresses and localhost (`admin.hosts`); with some, no other may. */
  readonly hosts?: readonly string[];
};

/** Why the caller is rejected; null: it is not. */
export function refusedCaller(
  { host, origin }: IncomingHttpHeaders,
  { isSecure = false, isGuarded = false, hosts = [] }: Came = {},
): string | null {
  if (host === undefined) return 'the header Host is missing: send an address or localhost';
  const isListed = hosts.includes(nameIn(host));
  // Where a token is needed a page that has come to the port by such a name can do nothing.
  const mayBeAny = isGuarded && hosts.length === 0;
  if (!mayBeAny && !isListed && !isLocalName(host)) {
    const names = hosts.length === 0 ? 'not a name' : 'or a name of admin.hosts';
    return `the header Host is ${shown(host)}: use an address or localhost, ${names}`;
  }
  const own = [`${isSecure ? 'https' : 'http'}://${host}`];
  // A proxy in front may end TLS.
  if (isListed) own.push(`https://${host}`);
  if (origin !== undefined && !own.includes(origin))
    return `the header Origin is ${shown(origin)}: pages of other sites may not call; other clients must not send it`;
  return null;
}

/** Without its port, in small letters. */
function nameIn(host: string): string {
  return host.replace(/:[0-9]*$/, '').toLowerCase();
}

/** True for an IP address or localhost, with or without a port. */
function isLocalName(host: string): boolean {
  const name = /^(?:\[([^\]]*)\]|([^:]*))(?::[0-9]*)?$/.exec(host);
  if (name === null) return false;
  const [, bracketed, plain] = name;
  if (bracketed !== undefined) return isIP(bracketed) === 6;
  return isIP(plain!) === 4 || plain!.toLowerCase() === 'localhost';
}

function shown(header: string): string {
  return JSON.stringify(header.slice(0, HEADER_CHARS_MAX));
}
