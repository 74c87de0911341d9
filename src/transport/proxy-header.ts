/**
 * The header of the PROXY protocol: with it a load balancer says where a connection comes from, in front of the
 * client's own bytes and of TLS. Pure. [HAProxy, proxy-protocol.txt: version 1 in section 2.1, version 2 in 2.2]
 */
import { isIPv4, isIPv6 } from 'node:net';

import { ipAddress } from '../ip.ts';

/** Bytes of a whole header of version 2. Addresses take at most 232; the rest is for the balancer's own fields. */
export const PROXY_HEADER_BYTES_MAX = 4_096;
/** Bytes of a whole line of version 1. [2.1] */
export const PROXY_LINE_BYTES_MAX = 107;

const LINE_START = Buffer.from('PROXY ');
const SIGNATURE = Buffer.from('0d0a0d0a000d0a515549540a', 'hex');
/** Signature, version and command, family, length. */
const HEAD_BYTES = 16;
const COMMANDS = { local: 0, proxy: 1 } as const;
/** By the address family: how many bytes the addresses and ports of both sides take. */
const ADDRESS_BYTES = [0, 12, 36, 216] as const;
/** The transport that a client of ours comes by. */
const STREAM = 1;

/** What the first bytes of a connection are. */
export type ProxyHeader =
  /** `source`: the client's address; '' where the balancer speaks for itself, as in its probes, or does not know it. */
  | { readonly kind: 'header'; readonly bytes: number; readonly source: string }
  /** The beginning of a header. */
  | { readonly kind: 'partial' }
  /** Something else. */
  | { readonly kind: 'none' }
  | { readonly kind: 'bad'; readonly what: string };

/** @param bytes Everything received so far. */
export function readProxyHeader(bytes: Buffer): ProxyHeader {
  if (agrees(bytes, LINE_START))
    return bytes.length < LINE_START.length ? PARTIAL : readLine(bytes);
  if (agrees(bytes, SIGNATURE)) return bytes.length < HEAD_BYTES ? PARTIAL : readBinary(bytes);
  return NONE;
}

/** True where bytes can be nothing but a header, complete or not. */
export function beginsWithProxyHeader(bytes: Buffer): boolean {
  return [LINE_START, SIGNATURE].some(
    (start) => bytes.length >= start.length && agrees(bytes, start),
  );
}

const PARTIAL: ProxyHeader = { kind: 'partial' };
const NONE: ProxyHeader = { kind: 'none' };

function bad(what: string): ProxyHeader {
  return { kind: 'bad', what };
}

function agrees(bytes: Buffer, start: Buffer): boolean {
  const length = Math.min(bytes.length, start.length);
  return bytes.compare(start, 0, length, 0, length) === 0;
}

/** After UNKNOWN anything may follow, and is ignored. [2.1] */
const LINE =
  /^PROXY (?:UNKNOWN(?: [^\r\n]*)?|TCP([46]) ([\d.A-Fa-f:]+) ([\d.A-Fa-f:]+) (0|[1-9]\d{0,4}) (0|[1-9]\d{0,4}))$/;

function readLine(bytes: Buffer): ProxyHeader {
  const end = bytes.subarray(0, PROXY_LINE_BYTES_MAX).indexOf('\n');
  if (end < 0) {
    return bytes.length < PROXY_LINE_BYTES_MAX
      ? PARTIAL
      : bad(`a line of version 1 has at most ${PROXY_LINE_BYTES_MAX} bytes`);
  }
  const text = bytes.toString('latin1', 0, end + 1);
  if (!text.endsWith('\r\n')) return bad('a line of version 1 ends with CR and LF');
  const found = LINE.exec(text.slice(0, -2));
  if (found === null)
    return bad('a line of version 1 is PROXY, TCP4, TCP6 or UNKNOWN, two addresses, two ports');
  const [, family, source = '', destination = '', ...ports] = found;
  const header = { kind: 'header', bytes: end + 1 } as const;
  if (family === undefined) return { ...header, source: '' };
  const isAddress = family === '4' ? isIPv4 : isIPv6;
  if (!isAddress(source) || !isAddress(destination)) return bad(`not an address of IPv${family}`);
  if (ports.some((port) => Number(port) > 65_535)) return bad('a port is 0 to 65535');
  return { ...header, source: ipAddress(source) };
}

function readBinary(bytes: Buffer): ProxyHeader {
  const version = bytes[12]! >> 4;
  const command = bytes[12]! & 0x0f;
  const family = bytes[13]! >> 4;
  const transport = bytes[13]! & 0x0f;
  const length = bytes.readUInt16BE(14);
  if (version !== 2) return bad(`version ${version}; after this signature it is 2`);
  if (command > COMMANDS.proxy) return bad(`command ${command}; there are 0 and 1`);
  if (HEAD_BYTES + length > PROXY_HEADER_BYTES_MAX) {
    return bad(`${HEAD_BYTES + length} bytes; a header has at most ${PROXY_HEADER_BYTES_MAX}`);
  }
  const isLocal = command === COMMANDS.local;
  // Of a balancer's own connection the addresses are to be ignored, whatever they say. [2.2]
  const needed = isLocal ? 0 : ADDRESS_BYTES[family];
  if (needed === undefined) return bad(`address family ${family}; there are 0 to 3`);
  if (!isLocal && transport > 2) return bad(`transport ${transport}; there are 0 to 2`);
  if (length < needed) return bad(`${length} bytes of addresses; family ${family} has ${needed}`);
  if (bytes.length < HEAD_BYTES + length) return PARTIAL;
  const header = { kind: 'header', bytes: HEAD_BYTES + length } as const;
  const isTold = !isLocal && transport === STREAM;
  return { ...header, source: isTold ? sourceOf(bytes, family) : '' };
}

/** '': a Unix socket, or unspecified. */
function sourceOf(bytes: Buffer, family: number): string {
  if (family === 1) return bytes.subarray(HEAD_BYTES, HEAD_BYTES + 4).join('.');
  if (family !== 2) return '';
  const groups = Array.from({ length: 8 }, (_, i) => bytes.readUInt16BE(HEAD_BYTES + 2 * i));
  return ipAddress(groups.map((group) => group.toString(16)).join(':'));
}
