/** What Pitaya and Nano have in common, both written in Go after Pomelo: their traits, one wire for all clients, and no route codes in pushes. */
import type { Failure } from '../errors.ts';
import {
  type HandshakeCode,
  type HandshakeRequest,
  parseHandshake,
} from '../protocol/handshake.ts';
import {
  decodeMessage,
  idOfRaw,
  type Message,
  type MessageFault,
  type RouteOfCode,
} from '../protocol/message.ts';
import type { Encoded } from '../protocol/packet.ts';
import type { RouteDictionary } from '../protocol/route-dictionary.ts';
import type {
  BadSignature,
  Codec,
  CodecContext,
  Dialect,
  DialectName,
  DialectTraits,
  Wire,
} from './wire.ts';

export type GoDialectOptions = {
  readonly heartbeatSeconds: number;
  readonly dictionary: RouteDictionary | null;
  /** Largest body that is converted, or compressed, in bytes: `limits.convert`; absent: its default. */
  readonly convertBytesMax?: number;
  /** The same of a handshake, and no more than `limits.packet`. Default CONVERT_BYTES. */
  readonly handshakeBytesMax?: number;
  /** `limits.json_depth`. Default JSON_DEPTH. */
  readonly jsonDepthMax?: number;
};

export abstract class GoDialect<Options extends GoDialectOptions> implements Dialect {
  abstract readonly name: DialectName;
  abstract readonly packetBytesMax: number;
  readonly traits: DialectTraits = {
    framing: 'packets',
    earlyData: 'close',
    malformed: 'close',
    heartbeat: 'tick',
    activeAtOnce: false,
  };
  readonly wire: Wire;
  protected readonly options: Options;

  constructor(options: Options, wire: Wire) {
    this.options = options;
    this.wire = wire;
  }

  readHandshake(body: Buffer): HandshakeRequest | null {
    const { handshakeBytesMax, jsonDepthMax } = this.options;
    return parseHandshake(body, false, handshakeBytesMax, jsonDepthMax);
  }

  wireFor(): Wire {
    return this.wire;
  }

  wireNamed(profile: string): Wire | null {
    return profile === this.wire.profile ? this.wire : null;
  }

  abstract accept(request: HandshakeRequest, user: unknown): Encoded | Failure;
  abstract refuse(code: HandshakeCode): Encoded | null;
  abstract kick(): Encoded | null;
}

export abstract class GoWire implements Wire {
  readonly profile = '';
  readonly #routeOfCode: RouteOfCode;

  constructor({ dictionary }: GoDialectOptions) {
    this.#routeOfCode = (code) => dictionary?.routeOf(code);
  }

  decode(bytes: Buffer, into: Message): MessageFault | null {
    return decodeMessage(bytes, this.#routeOfCode, into);
  }

  idOf(rawId: number): number {
    return idOfRaw(rawId);
  }

  abstract readBody(
    context: CodecContext,
    message: Message,
    raw: boolean,
  ): Buffer | Failure | BadSignature;
  abstract answer(rawId: number, route: string, body: Uint8Array, codec: Codec): Encoded | Failure;
  abstract failure(rawId: number, route: string, why: Failure, codec?: Codec): Encoded | null;
  abstract push(route: string, body: Uint8Array): Encoded | Failure;
}
