/**
 * Nano: routes of two parts, no kick packet, and no error answers unless they are configured. Clients that were
 * written for it wait for an answer indefinitely, so consider `answer_errors`.
 */
import { EMPTY_OBJECT } from '../bytes.ts';
import type { Clock } from '../clock.ts';
import type { Failure } from '../errors.ts';
import { CONVERT_BYTES, tooMuch } from '../protocol/conversion-limit.ts';
import { type HandshakeRequest, parseHandshake } from '../protocol/handshake.ts';
import {
  decodeMessage,
  encodePush,
  encodeResponse,
  idOfRaw,
  type Message,
  type MessageFault,
  type RouteOfCode,
} from '../protocol/message.ts';
import { type Encoded, encodeJsonPacket, PacketType } from '../protocol/packet.ts';
import type { RouteDictionary } from '../protocol/route-dictionary.ts';
import { bodyForClient, bodyFromClient } from '../protocol/text.ts';
import { errorJson, ownBody, passesBytes } from './error-body.ts';
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

/** [nano internal/codec/codec.go: a longer packet ends the connection] */
const PACKET_BYTES_MAX = 65_536;

export type NanoOptions = {
  readonly heartbeatSeconds: number;
  readonly dictionary: RouteDictionary | null;
  /** Answer failed requests, which Nano does not. */
  readonly answerErrors: boolean;
  readonly clock: Clock;
  /** Largest body that is converted, in bytes: `limits.convert`; absent: its default. */
  readonly convertBytesMax?: number;
  /** The same of a handshake, and no more than `limits.packet`. Default CONVERT_BYTES. */
  readonly handshakeBytesMax?: number;
  /** `limits.json_depth`. Default JSON_DEPTH. */
  readonly jsonDepthMax?: number;
};

export class NanoDialect implements Dialect {
  readonly name = 'nano';
  readonly traits: DialectTraits = {
    framing: 'packets',
    earlyData: 'close',
    malformed: 'close',
    heartbeat: 'tick',
    activeAtOnce: false,
  };
  readonly packetBytesMax = PACKET_BYTES_MAX;
  readonly wire: Wire;
  readonly #options: NanoOptions;

  constructor(options: NanoOptions) {
    this.#options = options;
    this.wire = new NanoWire(options);
  }

  readHandshake(body: Buffer): HandshakeRequest | null {
    const { handshakeBytesMax, jsonDepthMax } = this.#options;
    return parseHandshake(body, false, handshakeBytesMax, jsonDepthMax);
  }

  wireFor(): Wire {
    return this.wire;
  }

  wireNamed(profile: string): Wire | null {
    return profile === this.wire.profile ? this.wire : null;
  }

  /** [nano cluster/handler.go cache: Go writes the keys of a map in sorted order] */
  accept(_request: HandshakeRequest, user: unknown): Encoded | Failure {
    const { dictionary, heartbeatSeconds, clock } = this.#options;
    const sys = {
      ...(dictionary !== null && { dict: dictionary.codes }),
      heartbeat: heartbeatSeconds,
      servertime: Math.floor(clock.wallNow() / 1_000),
    };
    const body = { code: 200, sys, ...(user !== undefined && { user }) };
    return encodeJsonPacket(PacketType.HANDSHAKE, body) ?? handshakeTooLong();
  }

  refuse(): null {
    return null;
  }

  kick(): null {
    return null;
  }
}

class NanoWire implements Wire {
  readonly profile = '';
  readonly #answerErrors: boolean;
  readonly #convertBytesMax: number;
  readonly #routeOfCode: RouteOfCode;

  constructor({ answerErrors, dictionary, convertBytesMax = CONVERT_BYTES }: NanoOptions) {
    this.#convertBytesMax = convertBytesMax;
    this.#answerErrors = answerErrors;
    this.#routeOfCode = (code) => dictionary?.routeOf(code);
  }

  decode(bytes: Buffer, into: Message): MessageFault | null {
    return decodeMessage(bytes, this.#routeOfCode, into);
  }

  idOf(rawId: number): number {
    return idOfRaw(rawId);
  }

  readBody(_context: CodecContext, { body }: Message, raw: boolean): Buffer | Failure {
    if (raw) return body;
    const bytesMax = this.#convertBytesMax;
    return bodyFromClient(body, bytesMax) ?? tooMuch('BAD_BODY', 'the body', body.length, bytesMax);
  }

  /** Never empty: Nano's codec treats an answer without a body as broken. */
  answer(rawId: number, _route: string, body: Uint8Array, codec: Codec): Encoded | Failure {
    if (codec === 'protobuf') return encodeResponse(rawId, body) ?? tooLong();
    const readable = codec === 'raw' && body.length > 0 ? body : this.#readable(body);
    return readable === null
      ? this.#tooMuch('the answer', body)
      : (encodeResponse(rawId, readable) ?? tooLong());
  }

  failure(rawId: number, _route: string, why: Failure, codec?: Codec): Encoded | null {
    if (!this.#answerErrors) return null;
    const body = ownBody(why, passesBytes(codec)) ?? errorJson(why);
    return encodeResponse(rawId, body) ?? encodeResponse(rawId, errorJson(tooLong()));
  }

  push(route: string, body: Uint8Array): Encoded | Failure {
    const readable = this.#readable(body);
    if (readable === null) return this.#tooMuch(`the push ${route}`, body);
    return encodePush(route, readable) ?? pushTooLong(route);
  }

  #readable(body: Uint8Array): Uint8Array | null {
    return body.length === 0 ? EMPTY_OBJECT : bodyForClient(body, this.#convertBytesMax);
  }

  #tooMuch(what: string, body: Uint8Array): Failure {
    return tooMuch('BAD_REPLY', what, body.length, this.#convertBytesMax);
  }
}
