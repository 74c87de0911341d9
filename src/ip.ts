/** IP addresses as text, in one form each, and networks of them. */
import { BlockList, isIP, isIPv4, SocketAddress } from 'node:net';

/**
 * The usual form of an address: IPv6 in lower case and shortened [RFC 5952 4], without a zone, which means nothing on
 * another machine [RFC 4007 6], and the address itself where IPv6 only carries one of IPv4 [RFC 4291 2.5.5.2].
 *
 * @returns '': the text is not an address.
 */
export function ipAddress(text: string): string {
  if (isIPv4(text)) return text;
  const [bare = ''] = text.split('%', 1);
  if (isIP(bare) !== 6) return '';
  const { address } = new SocketAddress({ address: bare, family: 'ipv6' });
  return /^::ffff:\d+\./.test(address) ? address.slice('::ffff:'.length) : address;
}

/** The same of what a socket says of its peer; other text, as of a Unix socket, stays. */
export function plainAddress(text: string): string {
  return ipAddress(text) || text;
}

/** Groups of 16 bits in an address of IPv6, and those of them that name a network, which one customer has. [RFC 6177 2] */
const GROUPS = 8;
const NETWORK_GROUPS = 4;

/**
 * What is counted as one client: an address of IPv4, and of IPv6 the network of its first 64 bits, in which every machine
 * chooses addresses as it likes.
 *
 * @param address As `ipAddress` gives it. @returns '' for any other text.
 */
export function addressBlock(address: string): string {
  if (!address.includes(':')) return isIPv4(address) ? address : '';
  const [front = '', back] = address.split('::');
  const groups = front === '' ? [] : front.split(':');
  // The two colons stand for as many zeros as are missing; what follows them is at the end.
  const behind = back === undefined || back === '' ? [] : back.split(':');
  const taken = behind.length + (behind.at(-1)?.includes('.') ? 1 : 0);
  while (groups.length + taken < GROUPS) groups.push('0');
  return `${[...groups, ...behind].slice(0, NETWORK_GROUPS).join(':')}::/64`;
}

/** A network: all addresses that begin with the same bits. */
export type Network = { readonly address: string; readonly bits: number; readonly family: 4 | 6 };

/** Bits in front of an address of IPv4 that IPv6 carries: `::ffff:0:0/96`. */
const CARRIED_BITS = 96;

/** Reads `10.0.0.0/8`, `fd00::/8`, or one address, which is a network by itself. null: not a network. */
export function parseNetwork(text: string): Network | null {
  const [, start = '', length] = /^([0-9A-Fa-f.:]+)(?:\/(\d{1,3}))?$/.exec(text) ?? [];
  const address = ipAddress(start);
  if (address === '') return null;
  const written = isIPv4(start) ? 32 : 128;
  const bits = length === undefined ? written : Number(length);
  if (bits > written) return null;
  if (written === 32) return { address, bits, family: 4 };
  if (isIPv4(address) && bits >= CARRIED_BITS) {
    return { address, bits: bits - CARRIED_BITS, family: 4 };
  }
  return { address: isIPv4(address) ? `::ffff:${address}` : address, bits, family: 6 };
}

/** Several networks, to look an address up in. */
export class Networks {
  readonly #list = new BlockList();

  /** @throws {RangeError} for a text that is not a network. */
  constructor(texts: readonly string[]) {
    for (const text of texts) {
      const network = parseNetwork(text);
      if (network === null) throw new RangeError(`not a network: ${text}`);
      this.#list.addSubnet(network.address, network.bits, network.family === 4 ? 'ipv4' : 'ipv6');
    }
  }

  /** @param address As `ipAddress` gives it; false for any other text. */
  has(address: string): boolean {
    const family = isIP(address);
    return family !== 0 && this.#list.check(address, family === 4 ? 'ipv4' : 'ipv6');
  }
}

/** How much of a client's address people see: `log.client_ip`. */
export type ClientIp = 'full' | 'masked' | 'off';

/** Groups of an IPv6 address that stay when it is masked: what a provider gives to a site. [RFC 6177 2] */
const SITE_GROUPS = 3;

/** An address as people see it; masked: the network of 24 bits that it is in, or of 48 bits. What is no address is left out. */
export function shownAddress(address: string, how: ClientIp): string {
  if (how === 'full' || address === '') return address;
  if (how === 'off') return '';
  const plain = ipAddress(address);
  if (isIPv4(plain)) return `${plain.slice(0, plain.lastIndexOf('.'))}.0/24`;
  const block = addressBlock(plain);
  if (block === '') return '';
  return `${ipAddress(`${block.split(':').slice(0, SITE_GROUPS).join(':')}::`)}/48`;
}
