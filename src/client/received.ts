/** One message from the server, decoded when its body is first used. */
import { encodeText } from './text.ts';

/** An answer or a push. */
export class Received {
  /** The route of the push, or of the request that this answers. */
  declare readonly route: string;
  /** True for an error answer: Pitaya's flag, or the json dialect's `error`. Pomelo does not mark errors. */
  declare readonly isError: boolean;
  /** The body came in pomelo-protobuf. */
  declare readonly isProtobuf: boolean;
  readonly #read: () => unknown;
  readonly #bytes: Uint8Array | undefined;
  #value: { readonly body: unknown } | null = null;

  /** @param bytes As they came, but inflated; undefined: the body is JSON that has been decoded already. */
  constructor(
    route: string,
    read: () => unknown,
    bytes?: Uint8Array,
    { isError = false, isProtobuf = false } = {},
  ) {
    this.route = route;
    this.#read = read;
    this.#bytes = bytes;
    this.isError = isError;
    this.isProtobuf = isProtobuf;
  }

  /** As they came, but inflated. In the json dialect: the body as JSON. Must not be modified. */
  get bytes(): Uint8Array {
    return this.#bytes ?? encodeText(JSON.stringify(this.body));
  }

  /**
   * The decoded body. An empty one is `{}`, as in Pomelo.
   *
   * @throws {ClientError} BAD_BODY: it cannot be decoded.
   */
  get body(): unknown {
    this.#value ??= { body: this.#read() };
    return this.#value.body;
  }
}
