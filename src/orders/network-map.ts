/**
 * Values by network. An address is looked up once for each length of prefix that there is, at most 33 or 129 times,
 * however many networks there are.
 */
import { ipAddress, type Network } from '../ip.ts';
import { isIPv4 } from 'node:net';

/** The bits of an address: of IPv4 as a number, of IPv6 as a bigint. */
type Bits = number | bigint;

const IPV6_BITS = 128n;

export class NetworkMap<T> {
  /** By the length of the prefix, the longest first; in each by the prefix. */
  readonly #lengths: { readonly [family: number]: Map<number, Map<Bits, T>> } = {
    4: new Map(),
    6: new Map(),
  };
  #size = 0;

  get size(): number {
    return this.#size;
  }

  /** Replaces what the same network had. */
  set({ address, bits, family }: Network, value: T): void {
    const lengths = this.#lengths[family]!;
    let prefixes = lengths.get(bits);
    if (prefixes === undefined) {
      prefixes = new Map();
      const sorted = [...lengths, [bits, prefixes] as const].toSorted(([a], [b]) => b - a);
      lengths.clear();
      for (const [length, each] of sorted) lengths.set(length, each);
    }
    const prefix = prefixOf(bitsOf(address), bits);
    if (!prefixes.has(prefix)) this.#size++;
    prefixes.set(prefix, value);
  }

  delete({ address, bits, family }: Network): void {
    const lengths = this.#lengths[family]!;
    const prefixes = lengths.get(bits);
    if (prefixes?.delete(prefixOf(bitsOf(address), bits)) !== true) return;
    this.#size--;
    if (prefixes.size === 0) lengths.delete(bits);
  }

  /**
   * The value of the smallest network that holds the address and whose value `counts`; null: there is none.
   *
   * @param address As `ipAddress` gives it; other text, as of a Unix socket, is in no network.
   */
  find(address: string, counts: (value: T) => boolean): T | null {
    if (this.#size === 0 || ipAddress(address) === '') return null;
    const own = bitsOf(address);
    for (const [bits, prefixes] of this.#lengths[typeof own === 'number' ? 4 : 6]!) {
      const value = prefixes.get(prefixOf(own, bits));
      if (value !== undefined && counts(value)) return value;
    }
    return null;
  }
}

/** The network as it is usually written, without the bits that do not count: `203.0.113.7/24` is `203.0.113.0/24`. */
export function networkText({ address, bits, family }: Network): string {
  const prefix = prefixOf(bitsOf(address), bits);
  if (family === 4) {
    const octets = [24, 16, 8, 0].map((shift) => ((prefix as number) >>> shift) & 0xff);
    return bits === 32 ? octets.join('.') : `${octets.join('.')}/${bits}`;
  }
  const digits = (prefix as bigint).toString(16).padStart(32, '0');
  const text = wellWritten(digits.match(/.{4}/g)!.join(':'));
  return bits === 128 ? text : `${text}/${bits}`;
}

/** Shortened. Below `::ffff:0:0/96` nothing comes here: that is IPv4. */
function wellWritten(address: string): string {
  return ipAddress(address) || address;
}

function prefixOf(address: Bits, bits: number): Bits {
  if (typeof address === 'number')
    return bits === 0 ? 0 : ((address >>> (32 - bits)) << (32 - bits)) >>> 0;
  const rest = IPV6_BITS - BigInt(bits);
  return (address >> rest) << rest;
}

function bitsOf(address: string): Bits {
  if (isIPv4(address)) return ipv4Bits(address);
  // The last two groups may be written as an address of IPv4. [RFC 4291 2.2]
  const text = address.replace(/\d+\.\d+\.\d+\.\d+$/, (dotted) => hexOf(ipv4Bits(dotted)));
  const [left = '', right] = text.split('::');
  const groups = left === '' ? [] : left.split(':');
  const last = right === undefined || right === '' ? [] : right.split(':');
  const zeros = right === undefined ? 0 : 8 - groups.length - last.length;
  let bits = 0n;
  for (const group of [...groups, ...Array<string>(zeros).fill('0'), ...last])
    bits = (bits << 16n) | BigInt(Number.parseInt(group, 16));
  return bits;
}

function hexOf(bits: number): string {
  return `${(bits >>> 16).toString(16)}:${(bits & 0xffff).toString(16)}`;
}

function ipv4Bits(address: string): number {
  let bits = 0;
  for (const octet of address.split('.')) bits = bits * 256 + Number(octet);
  return bits;
}
