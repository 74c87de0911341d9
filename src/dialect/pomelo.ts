/** Pomelo 2.2.7, and Pinus 1.7.4, which looks the same to clients. */
import { EMPTY_OBJECT } from '../bytes.ts';
import { type Failure, failure } from '../errors.ts';
import {
  encodeHandshakeOk,
  encodeHandshakeRefusal,
  type HandshakeCode,
  type HandshakeProtos,
  type HandshakeRequest,
  parseHandshake,
} from '../protocol/handshake.ts';
import {
  decodeMessage,
  encodePush,
  encodeResponse,
  idOfRaw,
  type Message,
  type MessageFault,
  type RouteOfCode,
} from '../protocol/message.ts';
import {
  type Encoded,
  encodeJsonPacket,
  PACKET_BODY_BYTES_MAX,
  PacketType,
} from '../protocol/packet.ts';
import { CONVERT_BYTES, tooMuch, weightOfJson } from '../protocol/conversion-limit.ts';
import { isJson } from '../protocol/json-scan.ts';
import type { ProtoFault } from '../protocol/protobuf/fault.ts';
import type { Protos, WrittenBy } from '../protocol/protobuf/protos.ts';
import type { RouteDictionary } from '../protocol/route-dictionary.ts';
import { bodyForClient, bodyFromClient, utf8FromClient } from '../protocol/text.ts';
import { type ClientProfile, profileOf, type ProfileName, PROFILES } from './client-profile.ts';
import { errorJson, ownBody, passesBytes, refusalFields } from './error-body.ts';
import { verified } from './signature.ts';
import {
  type BadSignature,
  type Codec,
  type Dialect,
  handshakeTooLong,
  type DialectTraits,
  pushTooLong,
  type CodecContext,
  tooLong,
  type Wire,
} from './wire.ts';

const BRACE = 0x7b;
const SPACES = new Set([0x20, 0x0a, 0x0d, 0x09]);
const BYTE_ORDER_MARK = [0xef, 0xbb, 0xbf];

export type PomeloOptions = {
  /** 0: none. */
  readonly heartbeatSeconds: number;
  /** null: no route has a code. */
  readonly dictionary: RouteDictionary | null;
  /** What is protobuf, from clients and to clients; null: nothing. */
  readonly protos: PomeloProtos | null;
  /** What happens to a body without a valid signature; null: bodies are not signed. */
  readonly signatures: 'drop' | 'error' | 'close' | null;
  /** auto: chosen by the client's handshake. */
  readonly profile: ProfileName | 'auto';
  /** Largest body that is converted, in bytes: `limits.convert`; absent: its default. */
  readonly convertBytesMax?: number;
  /** The same of a handshake, and no more than `limits.packet`. Default CONVERT_BYTES. */
  readonly handshakeBytesMax?: number;
  /** `limits.json_depth`. Default JSON_DEPTH. */
  readonly jsonDepthMax?: number;
};

export type PomeloProtos = {
  readonly client: Protos;
  readonly server: Protos;
  /** As Pomelo computes it. */
  readonly version: string;
};

export class PomeloDialect implements Dialect {
  readonly name = 'pomelo';
  readonly traits: DialectTraits = {
    framing: 'packets',
    earlyData: 'ignore',
    malformed: 'drop',
    heartbeat: 'answer',
    activeAtOnce: false,
  };
  readonly packetBytesMax = Infinity;
  readonly wire: Wire;
  readonly #options: PomeloOptions;
  readonly #wires: Readonly<Record<ProfileName, PomeloWire>>;
  readonly #protos: HandshakeProtos | undefined;

  constructor(options: PomeloOptions) {
    this.#options = options;
    const wires = {} as Record<ProfileName, PomeloWire>;
    for (const name of Object.keys(PROFILES) as ProfileName[])
      wires[name] = new PomeloWire(options, name, wires);
    this.#wires = wires;
    this.wire = wires[options.profile === 'auto' ? 'pomelo' : options.profile];
    const { protos } = options;
    if (protos !== null) {
      const { server, client, version } = protos;
      this.#protos = { server: server.parsed, client: client.parsed, version };
    }
  }

  readHandshake(body: Buffer): HandshakeRequest | null {
    const { handshakeBytesMax, jsonDepthMax } = this.#options;
    return parseHandshake(body, true, handshakeBytesMax, jsonDepthMax);
  }

  wireFor(request: HandshakeRequest): Wire {
    const { profile } = this.#options;
    return this.#wires[profile === 'auto' ? profileOf(request) : profile];
  }

  wireNamed(profile: string): Wire | null {
    return Object.hasOwn(this.#wires, profile) ? this.#wires[profile as ProfileName] : null;
  }

  accept(request: HandshakeRequest, user: unknown): Encoded | Failure {
    const { heartbeatSeconds, dictionary } = this.#options;
    const encoded = encodeHandshakeOk(request, {
      heartbeatSeconds,
      ...(dictionary !== null && { dictionary }),
      ...(this.#protos !== undefined && { protos: this.#protos }),
      user,
    });
    return encoded ?? handshakeTooLong();
  }

  refuse(code: HandshakeCode, why?: Failure): Encoded | null {
    return encodeHandshakeRefusal(code, why && refusalFields(why)) ?? encodeHandshakeRefusal(code);
  }

  /** Always a JSON object: JS clients parse it. */
  kick(body: Readonly<Record<string, unknown>>): Encoded | null {
    return encodeJsonPacket(PacketType.KICK, body);
  }
}

class PomeloWire implements Wire {
  readonly profile: ProfileName;
  readonly #profile: ClientProfile;
  readonly #wires: Readonly<Record<ProfileName, PomeloWire>>;
  readonly #routeOfCode: RouteOfCode;
  readonly #dictionary: RouteDictionary | null;
  readonly #protos: PomeloProtos | null;
  readonly #signatures: PomeloOptions['signatures'];
  readonly #mayChange: boolean;
  readonly #convertBytesMax: number;
  readonly #jsonDepthMax: number | undefined;

  constructor(
    options: PomeloOptions,
    profile: ProfileName,
    wires: Readonly<Record<ProfileName, PomeloWire>>,
  ) {
    const { dictionary } = options;
    this.profile = profile;
    this.#profile = PROFILES[profile];
    this.#wires = wires;
    this.#dictionary = dictionary;
    this.#routeOfCode = (code) => dictionary?.routeOf(code);
    this.#protos = options.protos;
    this.#signatures = options.signatures;
    this.#mayChange = options.profile === 'auto';
    this.#convertBytesMax = options.convertBytesMax ?? CONVERT_BYTES;
    this.#jsonDepthMax = options.jsonDepthMax;
  }

  decode(bytes: Buffer, into: Message): MessageFault | null {
    return decodeMessage(bytes, this.#routeOfCode, into);
  }

  idOf(rawId: number): number {
    return idOfRaw(rawId);
  }

  readBody(context: CodecContext, message: Message, raw: boolean): Buffer | Failure | BadSignature {
    let { body } = message;
    const bytesMax = this.#convertBytesMax;
    if (this.#signatures !== null) {
      if (body.length > bytesMax) return tooMuch('BAD_BODY', 'the body', body.length, bytesMax);
      const signed =
        context.publicKey === null
          ? null
          : verified(utf8FromClient(body), context.publicKey, this.#jsonDepthMax);
      if (signed === null) {
        if (this.#signatures !== 'error') return this.#signatures;
        return failure('FORBIDDEN', 'the message is not signed with the key from the handshake');
      }
      body = signed;
    }
    if (raw) return body;
    const { route } = message;
    const protos = this.#protos?.client;
    // No protobuf message of a client begins with this byte, but JSON from clients without protobuf does.
    if (protos?.knows(route) === true && body[0] !== BRACE) {
      if (body.length > bytesMax) return tooMuch('BAD_BODY', 'the body', body.length, bytesMax);
      const decoded = protos.decodeJson(route, body);
      if ('fault' in decoded) return unreadable(decoded.fault);
      if (this.#mayChange) this.#learn(context, decoded.writtenBy);
      return decoded.json;
    }
    return bodyFromClient(body, bytesMax) ?? tooMuch('BAD_BODY', 'the body', body.length, bytesMax);
  }

  /** How the client writes protobuf shows how it reads strings. [protocol.md 6.2: wire types of browsers] */
  #learn(context: CodecContext, writtenBy: WrittenBy): void {
    if (context.wire !== this) return;
    const { strings } = this.#profile;
    if (writtenBy === 'browser' && strings === 'utf8' && this === this.#wires.pomelo)
      context.wire = this.#wires.browser;
    else if (writtenBy === 'node' && this === this.#wires.browser)
      context.wire = this.#wires.pomelo;
  }

  answer(rawId: number, route: string, body: Uint8Array, codec: Codec): Encoded | Failure {
    if (body.length > PACKET_BODY_BYTES_MAX) return tooLong();
    if (codec !== 'auto') return fitting(rawId, body, codec === 'protobuf');
    const json = this.#profile.protobufAnswers ? this.#jsonFor(route, body) : null;
    if (json !== null) {
      const encoded = this.#encode(route, json, 'the answer');
      return 'message' in encoded ? encoded : fitting(rawId, encoded.bytes, true);
    }
    const readable = bodyForClient(body, this.#convertBytesMax);
    return readable === null ? this.#tooMuch('the answer', body) : fitting(rawId, readable);
  }

  /** The JSON of a body that the protos cover; null: it goes out unchanged, as does what is protobuf already. */
  #jsonFor(route: string, body: Uint8Array): Uint8Array | null {
    return this.#protos?.server.knows(route) === true ? objectIn(body) : null;
  }

  #encode(route: string, json: Uint8Array, what: string): { bytes: Buffer } | Failure {
    const weight = weightOfJson(json, this.#convertBytesMax);
    if (weight > this.#convertBytesMax)
      return tooMuch('BAD_REPLY', what, weight, this.#convertBytesMax);
    const encoded = this.#protos!.server.encode(route, json, this.#profile.strings);
    return 'fault' in encoded ? unencodable(encoded.fault) : encoded;
  }

  #tooMuch(what: string, body: Uint8Array): Failure {
    return tooMuch('BAD_REPLY', what, body.length, this.#convertBytesMax);
  }

  failure(rawId: number, route: string, why: Failure, codec?: Codec): Encoded | null {
    return (
      encodeResponse(rawId, this.#errorBody(route, why, codec)) ??
      encodeResponse(rawId, this.#errorBody(route, tooLong()))
    );
  }

  #errorBody(route: string, why: Failure, codec?: Codec): Uint8Array {
    const { protobufAnswers, strings } = this.#profile;
    const protos =
      protobufAnswers && this.#protos?.server.knows(route) ? this.#protos.server : null;
    const { body, bytes } = why;
    // A backend may write the client's protobuf itself, errors included.
    const isProtobuf =
      protos !== null && body === null && bytes !== null && objectIn(bytes) === null;
    const takesBytes = passesBytes(codec) || isProtobuf;
    const own = ownBody(why, takesBytes);
    // What does not fit into a packet need not be checked.
    if (own !== null && (takesBytes || own.length > PACKET_BODY_BYTES_MAX)) return own;
    const json = own ?? errorJson(why);
    if (protos === null)
      return (
        bodyForClient(json, this.#convertBytesMax) ?? errorJson(this.#tooMuch('the error', json))
      );
    const isMuch = weightOfJson(json, this.#convertBytesMax) > this.#convertBytesMax;
    const encodable = isMuch ? errorJson(this.#tooMuch('the error', json)) : json;
    return protos.encodeLoosely(route, encodable, strings);
  }

  push(route: string, body: Uint8Array): Encoded | Failure {
    if (body.length > PACKET_BODY_BYTES_MAX) return pushTooLong(route);
    const { protobuf, codeMax } = this.#profile;
    const code = this.#dictionary?.codeOf(route) ?? Infinity;
    const name = code <= codeMax ? code : route;
    const json = protobuf ? this.#jsonFor(route, body) : null;
    if (json !== null) {
      const encoded = this.#encode(route, json, `the push ${route}`);
      if ('message' in encoded) return encoded;
      return encodePush(name, encoded.bytes) ?? pushTooLong(route);
    }
    // JavaScript clients parse every body, and throw on an empty one.
    const readable = body.length === 0 ? EMPTY_OBJECT : bodyForClient(body, this.#convertBytesMax);
    if (readable === null) return this.#tooMuch(`the push ${route}`, body);
    return encodePush(name, readable) ?? pushTooLong(route);
  }
}

function fitting(rawId: number, body: Uint8Array, mayBeEmpty = false): Encoded | Failure {
  return encodeResponse(rawId, body.length === 0 && !mayBeEmpty ? EMPTY_OBJECT : body) ?? tooLong();
}

/**
 * The body as a JSON object, for a route that the protos cover; `{}` for an empty one; null: it must be protobuf
 * already, which a backend may write itself. No protobuf message begins with a brace; one may begin with white space
 * and a brace, so then the whole body is checked to be JSON.
 */
function objectIn(body: Uint8Array): Uint8Array | null {
  if (body.length === 0) return EMPTY_OBJECT;
  if (body[0] === BRACE) return body;
  let at = isMarked(body) ? BYTE_ORDER_MARK.length : 0;
  while (SPACES.has(body[at]!)) at++;
  return body[at] === BRACE && isJson(body.subarray(at)) ? body.subarray(at) : null;
}

/** True with a byte order mark, which some programs write before UTF-8 text. */
function isMarked(body: Uint8Array): boolean {
  return BYTE_ORDER_MARK.every((byte, i) => body[i] === byte);
}

function unreadable(fault: ProtoFault): Failure {
  return failure('BAD_BODY', `${fault.path === '' ? 'the body' : fault.path}: ${fault.message}`);
}

function unencodable(fault: ProtoFault): Failure {
  const where = fault.path === '' ? 'the answer' : fault.path;
  return failure(
    'BAD_REPLY',
    `the backend's answer does not fit serverProtos: ${where}: ${fault.message}`,
  );
}
