/**
 * Pitaya 2 and 3: bodies and handshakes may be compressed, errors have a flag and codes of their own, heartbeats
 * tick. Its clients ignore the dictionary or fail on it, so pushes never use route codes. [protocol.md 2.3, 3.2, 9]
 */
import { deflateSync, unzipSync } from 'node:zlib';

import { EMPTY_OBJECT } from '../bytes.ts';
import { type Failure, failure, isOwnReason } from '../errors.ts';
import { CONVERT_BYTES } from '../protocol/conversion-limit.ts';
import type { HandshakeCode, HandshakeRequest } from '../protocol/handshake.ts';
import {
  encodePush,
  encodeResponse,
  FLAG_COMPRESSED,
  FLAG_ERROR,
  type Message,
} from '../protocol/message.ts';
import { clientJsonBytes, type Encoded, encodePacket, PacketType } from '../protocol/packet.ts';
import { errorObject, ownBody, passesBytes } from './error-body.ts';
import { GoDialect, type GoDialectOptions, GoWire } from './go-dialect.ts';
import { type Codec, type CodecContext, handshakeTooLong, pushTooLong, tooLong } from './wire.ts';
import { parseJsonText } from '../protocol/json-parse.ts';

/** Smaller bodies hardly shrink, and cost as much to compress. */
const COMPRESS_BYTES_MIN = 128;
/** A longer error is not parsed for its code. */
const OWN_CODE_BYTES_MAX = 64 * 1024;

export type PitayaOptions = GoDialectOptions & {
  /** The body format that the handshake announces; errors are written in it. */
  readonly serializer: 'json' | 'protobuf';
  /** Compress bodies that get smaller. */
  readonly compress: boolean;
  /** Largest body after inflating, in bytes. */
  readonly inflateBytesMax: number;
};

export class PitayaDialect extends GoDialect<PitayaOptions> {
  readonly name = 'pitaya';
  readonly packetBytesMax = Infinity;

  constructor(options: PitayaOptions) {
    super(options, new PitayaWire(options));
  }

  accept(_request: HandshakeRequest, user: unknown): Encoded | Failure {
    return this.#answer(200, user) ?? handshakeTooLong();
  }

  refuse(code: HandshakeCode): Encoded | null {
    return this.#answer(code === 503 ? 503 : 400, undefined);
  }

  /** Empty: its clients ignore the body. */
  kick(): Encoded {
    return encodePacket(PacketType.KICK);
  }

  /** [pitaya agent.go hbdEncode: Go writes the keys of a map in sorted order] */
  #answer(code: number, user: unknown): Encoded | null {
    const { dictionary, heartbeatSeconds, serializer, compress } = this.options;
    const sys = {
      ...(dictionary !== null && { dict: dictionary.codes }),
      heartbeat: heartbeatSeconds,
      serializer,
    };
    const body = clientJsonBytes({ code, sys, ...(user !== undefined && { user }) });
    return encodePacket(PacketType.HANDSHAKE, (compress && smaller(body, this.options)) || body);
  }
}

class PitayaWire extends GoWire {
  readonly #options: PitayaOptions;

  constructor(options: PitayaOptions) {
    super(options);
    this.#options = options;
  }

  readBody(_context: CodecContext, { body, compressed }: Message): Buffer | Failure {
    if (!compressed) return body;
    const { inflateBytesMax } = this.#options;
    try {
      return unzipSync(body, { maxOutputLength: inflateBytesMax });
    } catch (error) {
      const tooMuch = (error as { code?: unknown }).code === 'ERR_BUFFER_TOO_LARGE';
      return failure(
        'BAD_BODY',
        tooMuch
          ? `the body is more than ${inflateBytesMax} bytes when inflated`
          : 'the body is flagged as compressed but is neither zlib nor gzip',
      );
    }
  }

  answer(rawId: number, _route: string, body: Uint8Array, codec: Codec): Encoded | Failure {
    const { compress, serializer } = this.#options;
    const shrunk = compress ? smaller(body, this.#options) : null;
    if (shrunk !== null) return encodeResponse(rawId, shrunk, FLAG_COMPRESSED) ?? tooLong();
    const isEmpty = body.length === 0 && serializer === 'json' && codec !== 'protobuf';
    return encodeResponse(rawId, isEmpty ? EMPTY_OBJECT : body) ?? tooLong();
  }

  /** Never empty: the C client aborts on an empty error. */
  failure(rawId: number, _route: string, why: Failure, codec?: Codec): Encoded | null {
    const takesBytes =
      this.#options.serializer === 'protobuf' || passesBytes(codec) || hasOwnCode(why.bytes);
    const own = ownBody(why, takesBytes);
    return (
      encodeResponse(rawId, own ?? this.#errorBody(why), FLAG_ERROR) ??
      encodeResponse(rawId, this.#errorBody(tooLong()), FLAG_ERROR)
    );
  }

  #errorBody(why: Failure): Buffer {
    const error = pitayaError(why);
    return this.#options.serializer === 'json' ? clientJsonBytes(error) : errorMessage(error);
  }

  push(route: string, body: Uint8Array): Encoded | Failure {
    const { compress, serializer } = this.#options;
    const shrunk = compress ? smaller(body, this.#options) : null;
    if (shrunk !== null) return encodePush(route, shrunk, FLAG_COMPRESSED) ?? pushTooLong(route);
    const isEmpty = body.length === 0 && serializer === 'json';
    return encodePush(route, isEmpty ? EMPTY_OBJECT : body) ?? pushTooLong(route);
  }
}

/** Pitaya's own errors have a string as their code. */
function hasOwnCode(bytes: Uint8Array | null): boolean {
  if (bytes === null || bytes.length > OWN_CODE_BYTES_MAX) return false;
  try {
    const value = parseJsonText(Buffer.from(bytes).toString());
    return typeof (value as { code?: unknown } | null)?.code === 'string';
  } catch {
    return false;
  }
}

/** null: it would not get smaller. */
function smaller(
  body: Uint8Array,
  { convertBytesMax = CONVERT_BYTES }: PitayaOptions,
): Buffer | null {
  // Compressing larger ones would block the event loop for too long; they go out uncompressed.
  if (body.length < COMPRESS_BYTES_MIN || body.length > convertBytesMax) return null;
  const shrunk = deflateSync(body);
  return shrunk.length < body.length ? shrunk : null;
}

type PitayaError = {
  readonly code: string;
  readonly msg: string;
  readonly metadata?: Readonly<Record<string, string>>;
};

/** [pitaya errors.go: PIT- and the number; PIT-000 for anything unknown] */
function pitayaError(why: Failure): PitayaError {
  const known = isOwnReason(why.reason) || (why.code >= 400 && why.code <= 599);
  const { msg } = errorObject(why);
  const metadata: Record<string, string> = {};
  if (why.reason !== '') metadata['reason'] = why.reason;
  if (why.retryAfterMs > 0) metadata['retry_after_ms'] = String(why.retryAfterMs);
  if (why.ref !== undefined) metadata['ref'] = why.ref;
  for (const [path, problem] of Object.entries(why.fields ?? {})) metadata[path] = problem;
  return {
    code: known ? `PIT-${why.code}` : 'PIT-000',
    msg: String(msg),
    ...(Object.keys(metadata).length > 0 && { metadata }),
  };
}

/** `protos.Error` of Pitaya: code 1, msg 2, metadata 3, a map of strings. */
function errorMessage({ code, msg, metadata }: PitayaError): Buffer {
  const entries = Object.entries(metadata ?? {}).map(([key, value]) =>
    field(3, Buffer.concat([field(1, key), field(2, value)])),
  );
  return Buffer.concat([field(1, code), field(2, msg), ...entries]);
}

function field(number: number, value: string | Buffer): Buffer {
  const bytes = Buffer.from(value as string);
  const head = [(number << 3) | 2];
  let length = bytes.length;
  for (; length > 0x7f; length >>>= 7) head.push((length & 0x7f) | 0x80);
  head.push(length);
  return Buffer.concat([Buffer.from(head), bytes]);
}
