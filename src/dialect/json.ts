/**
 * Messages as JSON text, one in each WebSocket message: for people, and for clients without the Pomelo protocol. The
 * format is in README.md beside this file.
 */
import { isUtf8 } from 'node:buffer';

import { EMPTY_OBJECT } from '../bytes.ts';
import { type Failure, failure } from '../errors.ts';
import {
  CONVERT_BYTES,
  JSON_DEPTH,
  nestsDeeper,
  weightOfJson,
} from '../protocol/conversion-limit.ts';
import {
  isObject,
  isRawNumber,
  parseAsWritten,
  parseExact,
  wholeOf,
} from '../protocol/exact-json.ts';
import { type HandshakeCode, type HandshakeRequest, readHandshake } from '../protocol/handshake.ts';
import { isJson, Members } from '../protocol/json-scan.ts';
import { type Message, type MessageFault, MessageKind } from '../protocol/message.ts';
import {
  type Encoded,
  encodeText,
  encodeTextAround,
  PACKET_BODY_BYTES_MAX,
} from '../protocol/packet.ts';
import { errorObject, ownBody, passesBytes, refusalFields } from './error-body.ts';
import {
  type Codec,
  type Dialect,
  handshakeTooLong,
  type DialectTraits,
  pushTooLong,
  type CodecContext,
  tooLong,
  type Wire,
} from './wire.ts';
import { parseJsonText } from '../protocol/json-parse.ts';

export class JsonDialect implements Dialect {
  readonly name = 'json';
  readonly traits: DialectTraits = {
    framing: 'text',
    earlyData: 'ignore',
    malformed: 'drop',
    heartbeat: 'ping',
    activeAtOnce: true,
  };
  readonly packetBytesMax = Infinity;
  readonly wire: Wire = new JsonWire();
  readonly #handshakeBytesMax: number;
  readonly #jsonDepthMax: number;

  /**
   * @param handshakeBytesMax Largest handshake, in bytes, since it is parsed: `limits.convert`, and no more than `limits.packet`.
   * @param jsonDepthMax How deep it may be nested, with all around it: `limits.json_depth`.
   */
  constructor(handshakeBytesMax = CONVERT_BYTES, jsonDepthMax = JSON_DEPTH) {
    this.#handshakeBytesMax = handshakeBytesMax;
    this.#jsonDepthMax = jsonDepthMax;
  }

  /** `{"handshake":{"sys":{…},"user":{…}}}`; both may be omitted. */
  readHandshake(body: Buffer): HandshakeRequest | null {
    const isTooMuch =
      weightOfJson(body, this.#handshakeBytesMax) > this.#handshakeBytesMax ||
      nestsDeeper(body, this.#jsonDepthMax);
    const value = isTooMuch ? undefined : parse(body);
    return isObject(value) ? readHandshake(value['handshake'], false) : null;
  }

  wireFor(): Wire {
    return this.wire;
  }

  wireNamed(profile: string): Wire | null {
    return profile === this.wire.profile ? this.wire : null;
  }

  accept(_request: HandshakeRequest, user: unknown): Encoded | Failure {
    return encodeText(JSON.stringify({ handshake: { code: 200, user } })) ?? handshakeTooLong();
  }

  refuse(code: HandshakeCode, why?: Failure): Encoded | null {
    const fields = why === undefined ? {} : refusalFields(why);
    return (
      encodeText(JSON.stringify({ handshake: { code, ...fields } })) ??
      encodeText(JSON.stringify({ handshake: { code } }))
    );
  }

  kick(body: Readonly<Record<string, unknown>>): Encoded | null {
    return encodeText(JSON.stringify({ kick: body }));
  }
}

/** How deep a message may be nested. Go's decoder reads no deeper, and rejects the whole document otherwise. */
const DEPTH_MAX = 10_000;
/** Bytes of the longest id or route as JSON; a longer one is invalid. */
const MEMBER_BYTES_MAX = 2_048;
/** The members of a client's message. */
const message = new Members(['id', 'route', 'body']);

class JsonWire implements Wire {
  readonly profile = '';
  /** After any fault `into` can still be answered, with the id if there is one. The body stays as the bytes that came. */
  decode(bytes: Buffer, into: Message): MessageFault | null {
    into.kind = MessageKind.NOTIFY;
    into.rawId = 0;
    into.wantsAnswer = true;
    into.route = '';
    if (!isUtf8(bytes) || !message.read(bytes)) return 'not_json';
    const id = idOf(message.get('id'));
    const route = small(message.get('route'));
    const body = message.get('body');
    message.forget();
    if (id === null) return 'bad_id';
    into.rawId = id;
    if (typeof route !== 'string' || message.depth > DEPTH_MAX) return 'bad_message';
    into.wantsAnswer = id !== 0;
    if (into.wantsAnswer) into.kind = MessageKind.REQUEST;
    into.route = route;
    into.routeWasCode = false;
    into.compressed = false;
    into.body = body ?? EMPTY_OBJECT;
    return null;
  }

  /** The number itself: in this dialect an id is a JSON number, not bytes of a packet. */
  idOf(rawId: number): number {
    return rawId;
  }

  readBody(_context: CodecContext, { body }: Message): Buffer {
    return body;
  }

  answer(rawId: number, _route: string, body: Uint8Array): Encoded | Failure {
    if (body.length > PACKET_BODY_BYTES_MAX) return tooLong();
    const json = jsonOf(body);
    if (json === null) return failure('BAD_REPLY', "the backend's answer is not JSON");
    return encodeTextAround(`{"id":${rawId},"body":`, json, '}') ?? tooLong();
  }

  /** Whatever the route's codec: in this dialect a message can only hold JSON. */
  failure(rawId: number, _route: string, why: Failure, codec?: Codec): Encoded | null {
    const body = ownBody(why, passesBytes(codec));
    // What does not fit into a packet need not be checked.
    const fits = body === null || body.length <= PACKET_BODY_BYTES_MAX;
    const own = body === null || !fits ? null : jsonOf(body);
    return (
      (fits ? encodeError(rawId, own ?? jsonBytes(errorObject(why))) : null) ??
      encodeError(rawId, jsonBytes(errorObject(tooLong())))
    );
  }

  push(route: string, body: Uint8Array): Encoded | Failure {
    if (body.length > PACKET_BODY_BYTES_MAX) return pushTooLong(route);
    const json = jsonOf(body);
    if (json === null)
      return failure(
        'BAD_ARGUMENT',
        `the push ${route} is not JSON, which is all that its client reads`,
      );
    const head = `{"route":${JSON.stringify(route)},"body":`;
    return encodeTextAround(head, json, '}') ?? pushTooLong(route);
  }
}

function encodeError(rawId: number, error: Uint8Array): Encoded | null {
  return encodeTextAround(rawId === 0 ? '{"error":' : `{"id":${rawId},"error":`, error, '}');
}

function jsonBytes(value: unknown): Buffer {
  return Buffer.from(JSON.stringify(value));
}

/** The body unchanged, `{}` for none; null: not JSON, which would break the message around it. */
function jsonOf(body: Uint8Array): Uint8Array | null {
  if (body.length === 0) return EMPTY_OBJECT;
  return isUtf8(body) && isJson(body) ? body : null;
}

/** 0 for none; null: not a whole number that answers can repeat. Other notations (1.0, 1e2) are accepted. */
function idOf(json: Buffer | null): number | null {
  const id = small(json, parseExact);
  if (id === undefined || id === null) return 0;
  const number = isRawNumber(id) ? Number(wholeOf(id.rawJSON) ?? Number.NaN) : id;
  return Number.isSafeInteger(number) && (number as number) >= 0
    ? Math.abs(number as number)
    : null;
}

/** The value of a short member; undefined: there is none; false: it is too long. */
function small(json: Buffer | null, parse: (text: string) => unknown = parseJsonText): unknown {
  if (json === null) return undefined;
  return json.length <= MEMBER_BYTES_MAX && parse(json.toString());
}

/** undefined: not JSON. */
function parse(bytes: Buffer): unknown {
  try {
    return parseAsWritten(bytes.toString());
  } catch {
    return undefined;
  }
}
