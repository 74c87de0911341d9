/**
 * The inner Pomelo message of a DATA packet: flag, id, route, body.
 *
 * A request's id is kept as the bytes that came and goes back byte for byte: clients built from Pomelo's old templates
 * write it most significant group first, and this way both kinds work.
 */
import { NOTHING } from '../bytes.ts';
import { allocatePacket, type Encoded, PacketType } from './packet.ts';

/** Bits 1 to 3 of the flag. */
export const MessageKind = { REQUEST: 0, NOTIFY: 1, RESPONSE: 2, PUSH: 3 } as const;
export type MessageKind = (typeof MessageKind)[keyof typeof MessageKind];

const FLAG_ROUTE_CODE = 0x01;
/** Pitaya: the body is compressed. */
export const FLAG_COMPRESSED = 0x10;
/** Pitaya: the response is an error. */
export const FLAG_ERROR = 0x20;
/** Groups of seven bits in an id: 35 bits, more than any known client uses. */
const ID_BYTES_MAX = 5;
/** What one byte of length can express. */
export const ROUTE_BYTES_MAX = 255;

export type MessageFault =
  | 'empty'
  | 'bad_kind'
  | 'bad_id'
  | 'truncated'
  | 'unknown_route_code'
  | 'not_json'
  | 'bad_message';

/** One decoded message. Made once and filled again for every packet: copy out what must outlive the call. */
export class Message {
  kind: MessageKind = MessageKind.REQUEST;
  /** The id's bytes as they came, first byte lowest (base 256); 0 where the message has none. */
  rawId = 0;
  /** True for a request whose id is not zero: the client expects an answer. [pomelo connector.js: an id of 0 is a notify] */
  wantsAnswer = false;
  route = '';
  /** The route came as a code of the dictionary. */
  routeWasCode = false;
  /** Bit 0x10: Pitaya's clients compress the body; Pomelo's never do. */
  compressed = false;
  /** Bit 0x20 of a response: Pitaya's error flag. */
  error = false;
  /** A view into the packet. */
  body: Buffer = NOTHING;
}

/** The route of a code; undefined: unknown code. */
export type RouteOfCode = (code: number) => string | undefined;

/** Decodes the body of a DATA packet into `into`. Returns what is wrong; then `into` is invalid. */
export function decodeMessage(
  bytes: Buffer,
  routeOfCode: RouteOfCode,
  into: Message,
): MessageFault | null {
  if (bytes.length === 0) return 'empty';
  const flag = bytes[0]!;
  const kind = (flag >> 1) & 7;
  if (kind > 3) return 'bad_kind';
  into.kind = kind as MessageKind;
  into.compressed = (flag & FLAG_COMPRESSED) !== 0;
  into.error = (flag & FLAG_ERROR) !== 0;
  into.rawId = 0;
  into.wantsAnswer = false;
  let at = 1;
  if (kind === MessageKind.REQUEST || kind === MessageKind.RESPONSE) {
    const after = readId(bytes, at, into);
    if (after < 0) return after === -1 ? 'truncated' : 'bad_id';
    at = after;
  }
  const previous = into.route;
  into.route = '';
  into.routeWasCode = false;
  if (kind !== MessageKind.RESPONSE) {
    if ((flag & FLAG_ROUTE_CODE) !== 0) {
      if (bytes.length - at < 2) return 'truncated';
      const route = routeOfCode((bytes[at]! << 8) | bytes[at + 1]!);
      if (route === undefined) return 'unknown_route_code';
      into.route = route;
      into.routeWasCode = true;
      at += 2;
    } else {
      if (at >= bytes.length) return 'truncated';
      const length = bytes[at]!;
      at++;
      if (bytes.length - at < length) return 'truncated';
      // Clients often repeat a route: reusing the string saves creating and hashing it.
      into.route = isText(bytes, at, length, previous)
        ? previous
        : readText(bytes, at, at + length);
      at += length;
    }
  }
  into.body = bytes.subarray(at);
  return null;
}

/** Returns where the id ends; -1: truncated; -2: too long. */
function readId(bytes: Buffer, start: number, into: Message): number {
  let raw = 0;
  let scale = 1;
  let groups = 0;
  for (let i = 0; i < ID_BYTES_MAX; i++) {
    if (start + i >= bytes.length) return -1;
    const byte = bytes[start + i]!;
    raw += byte * scale;
    scale *= 256;
    groups |= byte & 0x7f;
    if (byte < 0x80) {
      into.rawId = raw;
      into.wantsAnswer = groups !== 0 && into.kind === MessageKind.REQUEST;
      return start + i + 1;
    }
  }
  return -2;
}

/** True if the bytes are exactly the ASCII string `text`. */
function isText(bytes: Buffer, start: number, length: number, text: string): boolean {
  if (text.length !== length) return false;
  for (let i = 0; i < length; i++) {
    const byte = bytes[start + i]!;
    if (byte >= 0x80 || byte !== text.charCodeAt(i)) return false;
  }
  return true;
}

function readText(bytes: Buffer, start: number, end: number): string {
  for (let i = start; i < end; i++) {
    if (bytes[i]! >= 0x80) return bytes.toString('utf8', start, end);
  }
  return bytes.toString('latin1', start, end);
}

/** `id` as current clients write it (least significant group first), in the form of `Message.rawId`. */
export function rawIdOf(id: number): number {
  let raw = 0;
  let scale = 1;
  let rest = id;
  while (rest > 0x7f) {
    raw += ((rest % 128) + 128) * scale;
    scale *= 256;
    rest = Math.floor(rest / 128);
  }
  return raw + rest * scale;
}

/** The number in `rawId`, read least significant group first. For backends and logs: answers carry the raw bytes. */
export function idOfRaw(rawId: number): number {
  let id = 0;
  let scale = 1;
  for (let rest = rawId; rest > 0; rest = Math.floor(rest / 256)) {
    id += (rest % 128) * scale;
    scale *= 128;
  }
  return id;
}

function idBytes(rawId: number): number {
  let bytes = 1;
  for (let rest = rawId; rest % 256 >= 128; rest = Math.floor(rest / 256)) bytes++;
  return bytes;
}

function writeId(into: Buffer, start: number, rawId: number): number {
  let at = start;
  let rest = rawId;
  for (;;) {
    const byte = rest % 256;
    into[at++] = byte;
    if (byte < 128) return at;
    rest = Math.floor(rest / 256);
  }
}

/** The answer to the request that came with `rawId`, as one packet; null: too long. `flags`: 0, or Pitaya's. */
export function encodeResponse(rawId: number, body: Uint8Array, flags = 0): Encoded | null {
  const headBytes = 1 + idBytes(rawId);
  const encoded = allocatePacket(PacketType.DATA, headBytes + body.length);
  if (encoded === null) return null;
  const start = encoded.length - headBytes - body.length;
  encoded[start] = (MessageKind.RESPONSE << 1) | flags;
  writeId(encoded, start + 1, rawId);
  encoded.set(body, encoded.length - body.length);
  return encoded;
}

/** A push as one packet. `route` is a name of at most 255 UTF-8 bytes, or a code of the dictionary. null: too long. */
export function encodePush(route: string | number, body: Uint8Array, flags = 0): Encoded | null {
  return encodeRouted({ kind: MessageKind.PUSH, rawId: 0, route, flags }, body);
}

/** A request as a client sends it; used by tests. null: too long. */
export function encodeRequest(
  rawId: number,
  route: string | number,
  body: Uint8Array,
): Encoded | null {
  return encodeRouted({ kind: MessageKind.REQUEST, rawId, route, flags: 0 }, body);
}

/** See `encodeRequest`. */
export function encodeNotify(route: string | number, body: Uint8Array): Encoded | null {
  return encodeRouted({ kind: MessageKind.NOTIFY, rawId: 0, route, flags: 0 }, body);
}

type Head = {
  readonly kind: MessageKind;
  readonly rawId: number;
  readonly route: string | number;
  readonly flags: number;
};

function encodeRouted({ kind, rawId, route, flags }: Head, body: Uint8Array): Encoded | null {
  const isCode = typeof route === 'number';
  const routeBytes = isCode ? 2 : Buffer.byteLength(route);
  if (isCode ? !(route >= 0 && route <= 0xffff) : routeBytes > ROUTE_BYTES_MAX) return null;
  const idSize = kind === MessageKind.REQUEST ? idBytes(rawId) : 0;
  const headBytes = 1 + idSize + (isCode ? 0 : 1) + routeBytes;
  const encoded = allocatePacket(PacketType.DATA, headBytes + body.length);
  if (encoded === null) return null;
  let at = encoded.length - headBytes - body.length;
  encoded[at++] = (kind << 1) | (isCode ? FLAG_ROUTE_CODE : 0) | flags;
  if (idSize > 0) at = writeId(encoded, at, rawId);
  if (isCode) {
    encoded[at++] = route >>> 8;
    encoded[at++] = route & 0xff;
  } else {
    encoded[at++] = routeBytes;
    at += encoded.write(route, at);
  }
  encoded.set(body, at);
  return encoded;
}
