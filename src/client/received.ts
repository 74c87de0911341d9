/** One message of the server, read when somebody asks for its body. */
import { encodeText } from './text.ts';

/** What came: bytes and how to read them, or a value that was read already. */
export type Source =
  | { readonly bytes: Uint8Array; readonly read: (bytes: Uint8Array) => unknown }
  | { readonly value: unknown };

/** An answer or a push. */
export class Received {
  /** Of the push, or of the request that this answers. */
  readonly route: string;
  /** An error answer: Pitaya's flag, or the json dialect's `error`. Pomelo's servers have no such thing. */
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

  /** As they came, inflated. In the json dialect: the body as JSON. Not yours to change. */
  get bytes(): Uint8Array {
    if ('bytes' in this.#source) return this.#source.bytes;
    return encodeText(JSON.stringify(this.#source.value) ?? '');
  }

  /**
   * The body, read. An empty one is `{}`, as in Pomelo.
   *
   * @throws {ClientError} BAD_BODY when it is not what it should be.
   */
  get body(): unknown {
    const source = this.#source;
    this.#value ??= { body: 'bytes' in source ? source.read(source.bytes) : source.value };
    return this.#value.body;
  }
}
