/** The handshake's JSON, both ways. Pure: who may connect is decided elsewhere. */
import { CONVERT_BYTES, JSON_DEPTH, nestsDeeper, weightOfJson } from './conversion-limit.ts';
import { isObject, parseAsWritten } from './exact-json.ts';
import { encodeJsonPacket, type Encoded, PacketType } from './packet.ts';
import type { RouteDictionary } from './route-dictionary.ts';
import { textFromClient } from './text.ts';

/** Bytes of a client's type or version that are kept; the rest is cut off. */
const CLIENT_NAME_BYTES_MAX = 64;

/** A client's handshake. A client may claim anything: none of it is proof. */
export type HandshakeRequest = {
  readonly clientType: string;
  readonly clientVersion: string;
  /** '': the client has no dictionary. */
  readonly dictVersion: string;
  readonly protoVersion: string;
  /** The client library's own block, as it came. */
  readonly sys: Readonly<Record<string, unknown>>;
  /** The application's own block, as it came, but without `pith`. */
  readonly user: unknown;
  /** What of that block is for the gateway, as it came: `user.pith`; empty: nothing. Not for backends, logs or traces. */
  readonly pith: Readonly<Record<string, unknown>>;
};

/**
 * Reads a request of at most `convertBytesMax` bytes, where small values count as more, that is nested at most `jsonDepthMax` deep. null: not a JSON object with a `sys` object, which Pomelo answers
 * with code 500; Pitaya and Nano do not need `sys`.
 */
export function parseHandshake(
  body: Buffer,
  needsSys = true,
  convertBytesMax = CONVERT_BYTES,
  jsonDepthMax = JSON_DEPTH,
): HandshakeRequest | null {
  if (weightOfJson(body, convertBytesMax) > convertBytesMax) return null;
  if (nestsDeeper(body, jsonDepthMax)) return null;
  try {
    return readHandshake(parseAsWritten(textFromClient(body)), needsSys);
  } catch {
    return null;
  }
}

/** See `parseHandshake`. */
export function readHandshake(value: unknown, needsSys: boolean): HandshakeRequest | null {
  if (!isObject(value)) return null;
  const sys = value['sys'] ?? (needsSys ? null : {});
  if (!isObject(sys)) return null;
  return {
    clientType: clientName(sys['type'] ?? sys['platform']),
    clientVersion: clientName(sys['version'] ?? sys['clientVersion']),
    dictVersion: text(sys['dictVersion']),
    protoVersion: text(sys['protoVersion']),
    sys,
    ...splitUser(value['user']),
  };
}

/** Takes out what is for the gateway; without that the block stays the very same. */
function splitUser(user: unknown): Pick<HandshakeRequest, 'user' | 'pith'> {
  if (!isObject(user) || !Object.hasOwn(user, 'pith')) return { user, pith: {} };
  const { pith, ...rest } = user;
  return { user: rest, pith: isObject(pith) ? pith : {} };
}

function text(value: unknown): string {
  return typeof value === 'string' ? value : '';
}

function clientName(value: unknown): string {
  const name = Buffer.from(text(value)).subarray(0, CLIENT_NAME_BYTES_MAX).toString('utf8');
  // Control characters, C1 too, must not reach a log line or a header.
  return name.replace(/[\u0000-\u001f\u007f-\u009f]|\ufffd$/g, '');
}

/** pomelo-protobuf definitions, parsed as Pomelo parses them. */
export type HandshakeProtos = {
  readonly server: object;
  readonly client: object;
  readonly version: string;
};

export type HandshakeAnswer = {
  /** Whole seconds, since the C clients read an integer; 0: none. */
  readonly heartbeatSeconds: number;
  readonly dictionary?: RouteDictionary;
  readonly protos?: HandshakeProtos;
  /** The application's own block; omitted if undefined. */
  readonly user?: unknown;
};

/**
 * The answer that accepts a client, with its keys in Pomelo 2.2.7's order; null: longer than a packet. Dictionary and
 * protos are omitted, with all their keys, only if the client already has the same version.
 */
export function encodeHandshakeOk(
  request: HandshakeRequest,
  answer: HandshakeAnswer,
): Encoded | null {
  const sys: Record<string, unknown> = {};
  if (answer.heartbeatSeconds > 0) sys['heartbeat'] = answer.heartbeatSeconds;
  const { dictionary, protos } = answer;
  if (dictionary !== undefined) {
    if (request.dictVersion !== dictionary.version) {
      sys['dict'] = dictionary.codes;
      sys['routeToCode'] = dictionary.codes;
      sys['codeToRoute'] = dictionary.routes;
      sys['dictVersion'] = dictionary.version;
    }
    sys['useDict'] = true;
  }
  if (protos !== undefined) {
    if (request.protoVersion !== protos.version) sys['protos'] = protos;
    sys['useProto'] = true;
  }
  const body: Record<string, unknown> = { code: 200, sys };
  if (answer.user !== undefined) body['user'] = answer.user;
  return encodeJsonPacket(PacketType.HANDSHAKE, body);
}

/**
 * Why a client is rejected: 501 for a client type or version that is not allowed, 503 where trying again later may help,
 * what `maintenance.handshake_code` says, 500 for anything else.
 */
export type HandshakeCode = number;

/** The answer that rejects a client; null: too long with these fields. [pomelo connectors/commands/handshake.js: only the code] */
export function encodeHandshakeRefusal(
  code: HandshakeCode,
  fields: Readonly<Record<string, unknown>> = {},
): Encoded | null {
  return encodeJsonPacket(PacketType.HANDSHAKE, { code, ...fields });
}
