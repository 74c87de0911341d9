/** A push on its way to many sessions, which may be spoken to in different ways. */
import type { Push } from '../contract/commands.ts';
import type { Wire } from '../dialect/wire.ts';
import { type Failure, isFailure } from '../errors.ts';
import type { Encoded } from '../protocol/packet.ts';

/** One push, encoded once for each wire; nearly always there is only one. */
export class PushEncodings {
  readonly #push: Push;
  /** Why it could not be encoded for some wire; null: it could for all. */
  failed: Failure | null = null;
  /** Of all encodings together. */
  bytes = 0;
  #wire: Wire | null = null;
  #encoded: Encoded | null = null;
  /** Those before the last; made when there is a second. */
  #others: Map<Wire, Encoded | null> | null = null;

  constructor(push: Push) {
    this.#push = push;
  }

  /** null: the push cannot be encoded for this client, or not in one packet. */
  of(wire: Wire): Encoded | null {
    if (wire === this.#wire) return this.#encoded;
    if (this.#wire !== null) (this.#others ??= new Map()).set(this.#wire, this.#encoded);
    const known = this.#others?.get(wire);
    this.#wire = wire;
    this.#encoded = known === undefined ? this.#encode(wire) : known;
    return this.#encoded;
  }

  #encode(wire: Wire): Encoded | null {
    const { route, body } = this.#push;
    const encoded = wire.push(route, body);
    if (!isFailure(encoded)) {
      this.bytes += encoded.length;
      return encoded;
    }
    this.failed = encoded;
    return null;
  }
}
