/** Blocks of one source, to look clients up in. */
import { type ClientRule, mayConnect } from '../config/client-rules.ts';
import { type Block, type BlockKind, clientRuleOf, keyOf, networkOf } from './block.ts';
import { NetworkMap } from './network-map.ts';

/** What is known of a client; '': not yet. */
export type ClientFacts = {
  readonly remoteIp: string;
  readonly uid: string;
  readonly clientType: string;
  readonly clientVersion: string;
};

/** A block that still counts. */
type Counts = (block: Block) => boolean;
type OfClient = { readonly block: Block; readonly rules: readonly [ClientRule] };

export class BlockIndex {
  readonly #blocks = new Map<string, Block>();
  readonly #networks = new NetworkMap<Block>();
  readonly #uids = new Map<string, Block>();
  /** By the type of client; in each by the rule. */
  readonly #clients = new Map<string, Map<string, OfClient>>();
  #clientsSize = 0;
  /** null: there was a change. Sorting all takes tens of milliseconds. */
  #sorted: readonly Block[] | null = null;

  get size(): number {
    return this.#blocks.size;
  }

  sizeOf(kind: BlockKind): number {
    if (kind === 'network') return this.#networks.size;
    return kind === 'uid' ? this.#uids.size : this.#clientsSize;
  }

  /** Sorted by key. A later change makes another array of it. */
  all(): readonly Block[] {
    this.#sorted ??= [...this.#blocks]
      .toSorted(([a], [b]) => (a < b ? -1 : 1))
      .map(([, block]) => block);
    return this.#sorted;
  }

  /** Blocks that another has not, or has otherwise. */
  newTo(other: BlockIndex): Block[] {
    const found: Block[] = [];
    for (const [key, block] of this.#blocks) {
      const before = other.get(key);
      const isSame = before?.reason === block.reason && before.until === block.until;
      if (!isSame) found.push(block);
    }
    return found;
  }

  get(key: string): Block | undefined {
    return this.#blocks.get(key);
  }

  /** In place of one of the same. */
  add(block: Block): void {
    const { kind, value } = block;
    this.remove(keyOf(block));
    this.#sorted = null;
    this.#blocks.set(keyOf(block), block);
    if (kind === 'network') this.#networks.set(networkOf(block), block);
    else if (kind === 'uid') this.#uids.set(value, block);
    else {
      const rule = clientRuleOf(block);
      const ofType = this.#clients.get(rule.type) ?? new Map<string, OfClient>();
      this.#clients.set(rule.type, ofType.set(value, { block, rules: [rule] }));
      this.#clientsSize++;
    }
  }

  remove(key: string): void {
    const block = this.#blocks.get(key);
    if (block === undefined) return;
    const { kind, value } = block;
    this.#sorted = null;
    this.#blocks.delete(key);
    if (kind === 'network') this.#networks.delete(networkOf(block));
    else if (kind === 'uid') this.#uids.delete(value);
    else {
      const { type } = clientRuleOf(block);
      const ofType = this.#clients.get(type)!;
      ofType.delete(value);
      if (ofType.size === 0) this.#clients.delete(type);
      this.#clientsSize--;
    }
  }

  /** @param address As `ipAddress` gives it. */
  ofAddress(address: string, counts: Counts): Block | null {
    return this.#networks.find(address, counts);
  }

  ofUid(uid: string, counts: Counts): Block | null {
    const block = this.#uids.get(uid);
    return block !== undefined && counts(block) ? block : null;
  }

  ofClient(type: string, version: string, counts: Counts): Block | null {
    for (const { block, rules } of this.#clients.get(type)?.values() ?? [])
      if (counts(block) && mayConnect(rules, type, version)) return block;
    return null;
  }

  /** Whatever of it blocks the client. */
  find({ remoteIp, uid, clientType, clientVersion }: ClientFacts, counts: Counts): Block | null {
    return (
      this.ofAddress(remoteIp, counts) ??
      (uid === '' ? null : this.ofUid(uid, counts)) ??
      (clientType === '' ? null : this.ofClient(clientType, clientVersion, counts))
    );
  }
}
