/**
 * Packets that are not whole, of all clients together: what has come of each is kept until the rest does. Bounded, so that
 * thousands who leave out the last byte do not hold what as many largest packets take.
 */
import { type CloseDetails, type CloseReason, NO_DETAILS } from './close-reason.ts';

/** A session in the middle of receiving a packet. */
export interface Unfinishing {
  readonly connection: { destroy(): void };
  close(reason: CloseReason, details: CloseDetails, cause: string): void;
}

/** So much of a packet counts as the session's own memory, with which `limits.connections` reckons. */
export const UNFINISHED_FREE_BYTES = 4_096;

export class Unfinished {
  readonly bytesMax: number;
  #bytes = 0;
  /** In the order in which they have begun. */
  readonly #all = new Map<Unfinishing, number>();

  /** @param bytesMax What all of them may hold together: `limits.unfinished`. */
  constructor(bytesMax: number) {
    this.bytesMax = bytesMax;
  }

  get bytes(): number {
    return this.#bytes;
  }

  /**
   * So much of a packet of this session is there; 0: none, or it does not count. Where there is too much, those who began
   * first are closed: who goes on sending is done before.
   */
  set(session: Unfinishing, bytes: number): void {
    const before = this.#all.get(session) ?? 0;
    // Less than before: that packet is whole, and another one has begun.
    if (bytes < before) this.#all.delete(session);
    if (bytes > 0) this.#all.set(session, bytes);
    this.#bytes += bytes - before;
    while (this.#bytes > this.bytesMax) this.#closeFirst();
  }

  #closeFirst(): void {
    const [first, bytes] = this.#all.entries().next().value!;
    // At once: in order, its socket would keep what has come.
    first.connection.destroy();
    const cause = `limits.unfinished is ${this.bytesMax} bytes, and no session has waited longer for the rest of its packet`;
    first.close('assemble_timeout', NO_DETAILS, cause);
    // It has taken itself out by now.
    if (this.#all.delete(first)) this.#bytes -= bytes;
  }
}
