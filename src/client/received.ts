/** One message from the server, decoded when its body is first used. */
import { encodeText } from './text.ts';

/** Bytes and how to decode them, or a value that has been decoded already. */
export type Source =
  | { readonly bytes: Uint8Array; readonly read: (bytes: Uint8Array) => unknown }
  | { readonly value: unknown };

/** An answer or a push. */
export class Received {
  /** The route of the push, or of the request that this answers. */
  readonly route: string;
  /** True for an error answer: Pitaya's flag, or the json dialect's `error`. Pomelo does not mark errors. */
  readonly isError: boolean;
  /** The body came in pomelo-protobuf. */
  readonly isProtobuf: boolean;
  readonly #source: Source;
  #value: { readonly body: unknown } | null = null;

  constructor(
    route: string,
    source: Source,
    kind: { isError?: boolean; isProtobuf?: boolean } = {},
  ) {
    this.route = route;
    this.#source = source;
    this.isError = kind.isError === true;
    this.isProtobuf = kind.isProtobuf === true;
  }

  /** As they came, but inflated. In the json dialect: the body as JSON. Must not be modified. */
  get bytes(): Uint8Array {
    if ('bytes' in this.#source) return this.#source.bytes;
    return encodeText(JSON.stringify(this.#source.value) ?? '');
  }

  /**
   * The decoded body. An empty one is `{}`, as in Pomelo.
   *
   * @throws {ClientError} BAD_BODY: it cannot be decoded.
   */
  get body(): unknown {
    const source = this.#source;
    this.#value ??= { body: 'bytes' in source ? source.read(source.bytes) : source.value };
    return this.#value.body;
  }
}
