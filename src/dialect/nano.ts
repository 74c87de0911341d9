/**
 * Nano: routes of two parts, no kick packet, and no error answers unless they are configured. Clients that were
 * written for it wait for an answer indefinitely, so consider `answer_errors`.
 */
import { EMPTY_OBJECT } from '../bytes.ts';
import type { Clock } from '../clock.ts';
import type { Failure } from '../errors.ts';
import { CONVERT_BYTES, tooMuch } from '../protocol/conversion-limit.ts';
import type { HandshakeRequest } from '../protocol/handshake.ts';
import { encodePush, encodeResponse, type Message } from '../protocol/message.ts';
import { type Encoded, encodeJsonPacket, PacketType } from '../protocol/packet.ts';
import { bodyForClient, bodyFromClient } from '../protocol/text.ts';
import { errorJson, ownBody, passesBytes } from './error-body.ts';
import { GoDialect, type GoDialectOptions, GoWire } from './go-dialect.ts';
import { type Codec, type CodecContext, handshakeTooLong, pushTooLong, tooLong } from './wire.ts';

/** [nano internal/codec/codec.go: a longer packet ends the connection] */
const PACKET_BYTES_MAX = 65_536;

export type NanoOptions = GoDialectOptions & {
  /** Answer failed requests, which Nano does not. */
  readonly answerErrors: boolean;
  readonly clock: Clock;
};

export class NanoDialect extends GoDialect<NanoOptions> {
  readonly name = 'nano';
  readonly packetBytesMax = PACKET_BYTES_MAX;

  constructor(options: NanoOptions) {
    super(options, new NanoWire(options));
  }

  /** [nano cluster/handler.go cache: Go writes the keys of a map in sorted order] */
  accept(_request: HandshakeRequest, user: unknown): Encoded | Failure {
    const { dictionary, heartbeatSeconds, clock } = this.options;
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

class NanoWire extends GoWire {
  readonly #answerErrors: boolean;
  readonly #convertBytesMax: number;

  constructor(options: NanoOptions) {
    super(options);
    this.#convertBytesMax = options.convertBytesMax ?? CONVERT_BYTES;
    this.#answerErrors = options.answerErrors;
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
