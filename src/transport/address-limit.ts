/** How many connections there are from one address, on all ports for clients. */
import { addressBlock } from '../ip.ts';
import type { PendingConnection } from './pending-connection.ts';

/** Counts connections by their addresses over several processes. */
export interface SharedCount {
  /**
   * Counts one. @param onOver Called, a little later, if there are more than `max` (0: no limit) in all processes.
   * @returns Takes it off the count.
   */
  enterAddress(block: string, max: number, onOver: () => void): () => void;
}

export class AddressLimit {
  /** Connections from one address, or one network of 64 bits of IPv6; 0: no limit. May be set at any time. */
  max: number;
  /** Without a limit too, so that one that is set later holds for those that are open. */
  readonly #counts = new Map<string, number>();

  readonly #shared: SharedCount | undefined;

  /** @param shared Absent: this process is the only one. */
  constructor(max: number, shared?: SharedCount) {
    this.max = max;
    this.#shared = shared;
  }

  /** Addresses that have connections. */
  get addresses(): number {
    return this.#counts.size;
  }

  /**
   * Counts a connection whose client's address is known, once, until its socket is closed, however that comes about.
   *
   * @param onOver Called later if there are too many together with those of other processes.
   * @returns False: there are too many already, and this one is not counted.
   */
  enter(pending: PendingConnection, onOver: () => void = () => {}): boolean {
    const { raw, remoteAddress } = pending;
    const block = addressBlock(remoteAddress);
    // One that is closed already says so no more.
    if (block === '' || pending.isCounted || raw.closed) return true;
    const count = this.#counts.get(block) ?? 0;
    if (this.max > 0 && count >= this.max) return false;
    this.#counts.set(block, count + 1);
    pending.isCounted = true;
    const leave = this.#shared?.enterAddress(block, this.max, onOver);
    raw.on('close', () => {
      this.#leave(block);
      leave?.();
    });
    return true;
  }

  #leave(block: string): void {
    const count = this.#counts.get(block)!;
    if (count === 1) this.#counts.delete(block);
    else this.#counts.set(block, count - 1);
  }
}
