/** A block: of a network, a uid or a kind of client. Reads, checks and names one. Pure. */
import { type ClientRule, parseClientRule } from '../config/client-rules.ts';
import { type Network, parseNetwork } from '../ip.ts';
import { networkText } from './network-map.ts';

/** Characters of a reason, and of a rule for clients. */
export const REASON_CHARS_MAX = 256;
const CLIENT_CHARS_MAX = 128;
/** The last time that can be told, in milliseconds since the epoch: a block ends by then. [timestamp.proto: year 9999] */
export const TIME_MAX = 253_402_300_799_999;
/** Bytes of a uid; sessions cannot have longer ones. */
const UID_BYTES_MAX = 256;

export type BlockKind = 'network' | 'uid' | 'client';

/** What is blocked. Written in one way only, so two that mean the same are equal. */
export type Blocked = { readonly kind: BlockKind; readonly value: string };

export type Block = Blocked & {
  /** For operators; clients are not told. '': none was given. */
  readonly reason: string;
  /** When it ends, in milliseconds since the epoch; 0: it does not. */
  readonly until: number;
};

/** As operators name it: one of the three, and the others '' or absent. */
export type BlockNames = {
  readonly network?: string | undefined;
  readonly uid?: string | undefined;
  readonly client?: string | undefined;
};

/** What the names mean; a text says what is wrong with them. */
export function readBlocked({ network = '', uid = '', client = '' }: BlockNames): Blocked | string {
  const given = [network, uid, client].filter((name) => name !== '').length;
  if (given !== 1) return 'expected one of network, uid and client';
  if (network !== '') return readNetwork(network);
  if (uid !== '') return readUid(uid);
  return readClient(client);
}

function readNetwork(text: string): Blocked | string {
  const network = parseNetwork(text);
  if (network === null)
    return `network: expected 203.0.113.0/24, 2001:db8::/32 or one address, not ${shown(text)}`;
  return { kind: 'network', value: networkText(network) };
}

function readUid(uid: string): Blocked | string {
  if (Buffer.byteLength(uid) > UID_BYTES_MAX) return `uid: longer than ${UID_BYTES_MAX} bytes`;
  if (!uid.isWellFormed()) return 'uid: holds half a character, which is not valid UTF-8';
  return { kind: 'uid', value: uid };
}

function readClient(text: string): Blocked | string {
  if (text.length > CLIENT_CHARS_MAX) return `client: longer than ${CLIENT_CHARS_MAX} characters`;
  try {
    const { type, bounds } = parseClientRule(text.trim());
    const versions = bounds.map(({ operator, version }) => `${operator}${version}`);
    return { kind: 'client', value: [type, ...versions].join(' ') };
  } catch (error) {
    return `client: ${(error as Error).message}`;
  }
}

/** What is wrong with a reason; '': nothing. */
export function faultInReason(reason: string): string {
  if (reason.length > REASON_CHARS_MAX) return `reason: longer than ${REASON_CHARS_MAX} characters`;
  return reason.isWellFormed() ? '' : 'reason: holds half a character, which is not valid UTF-8';
}

/** As gateways name it to each other. */
export function keyOf({ kind, value }: Blocked): string {
  return `${kind}:${value}`;
}

/** null: it is not the key of a block that this release knows. */
export function blockedOf(key: string): Blocked | null {
  const colon = key.indexOf(':');
  const [kind, value] = [key.slice(0, colon), key.slice(colon + 1)];
  if (kind !== 'network' && kind !== 'uid' && kind !== 'client') return null;
  const blocked = readBlocked({ [kind]: value });
  return typeof blocked === 'string' || blocked.value !== value ? null : blocked;
}

/** Of a block that `readBlocked` has read. */
export function networkOf({ value }: Blocked): Network {
  return parseNetwork(value)!;
}

/** The same. */
export function clientRuleOf({ value }: Blocked): ClientRule {
  return parseClientRule(value);
}

function shown(text: string): string {
  return JSON.stringify(text.slice(0, 64));
}
