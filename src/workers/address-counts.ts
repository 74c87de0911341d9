/** How many connections of clients there are from each address, over all workers. */

export class AddressCounts<Owner> {
  readonly #counts = new Map<string, number>();
  /** By the worker, and the number that it has given the connection. */
  readonly #blocks = new Map<Owner, Map<number, string>>();

  /** Addresses that have connections. */
  get addresses(): number {
    return this.#counts.size;
  }

  /** Counts one. @param max 0: no limit. @returns False: there are too many now. */
  enter(owner: Owner, n: number, block: string, max: number): boolean {
    let blocks = this.#blocks.get(owner);
    if (blocks === undefined) this.#blocks.set(owner, (blocks = new Map()));
    blocks.set(n, block);
    const count = (this.#counts.get(block) ?? 0) + 1;
    this.#counts.set(block, count);
    return max === 0 || count <= max;
  }

  leave(owner: Owner, n: number): void {
    const blocks = this.#blocks.get(owner);
    const block = blocks?.get(n);
    if (block === undefined) return;
    blocks!.delete(n);
    this.#take(block);
  }

  /** The worker has gone, and all its connections with it. */
  forget(owner: Owner): void {
    for (const block of this.#blocks.get(owner)?.values() ?? []) this.#take(block);
    this.#blocks.delete(owner);
  }

  #take(block: string): void {
    const count = this.#counts.get(block)!;
    if (count === 1) this.#counts.delete(block);
    else this.#counts.set(block, count - 1);
  }
}
