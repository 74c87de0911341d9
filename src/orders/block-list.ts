/** The blocks of this gateway: those that operators set through Control, and those that `blocks.file` lists. */
import type { Clock } from '../clock.ts';
import { type Failure, failure } from '../errors.ts';
import type { Metrics } from '../telemetry/metrics.ts';
import type { Block } from './block.ts';
import { BlockIndex, type ClientFacts } from './block-index.ts';

const BLOCKED_UID: Failure = failure('FORBIDDEN', 'this user is blocked');

export const BLOCK_SOURCES = ['control', 'file'] as const;
export type BlockSource = (typeof BLOCK_SOURCES)[number];

export class BlockList {
  readonly #clock: Clock;
  readonly #metrics: Metrics;
  /** Set through Control, on this gateway or another one. */
  readonly control = new BlockIndex();
  /** Of `blocks.file`; replaced when it has changed. */
  file = new BlockIndex();

  constructor(clock: Clock, metrics: Metrics) {
    this.#clock = clock;
    this.#metrics = metrics;
    for (const kind of ['network', 'uid', 'client'] as const)
      for (const source of BLOCK_SOURCES)
        metrics.watch('pith_block_list_size', [kind, source], () => this[source].sizeOf(kind));
  }

  /** It has not ended. */
  readonly counts = ({ until }: Block): boolean => until === 0 || until > this.#clock.wallNow();

  /** Whatever of it blocks the client; null: nothing does. */
  find(client: ClientFacts): Block | null {
    return this.control.find(client, this.counts) ?? this.file.find(client, this.counts);
  }

  /** A connection that must be closed. @param address As `ipAddress` gives it. */
  refusesAddress(address: string): boolean {
    const { control, file, counts } = this;
    // Usually there is none.
    if (control.sizeOf('network') + file.sizeOf('network') === 0) return false;
    const block = control.ofAddress(address, counts) ?? file.ofAddress(address, counts);
    return this.#counted(block) !== null;
  }

  /** Why this kind of client may not come in; null: it may. */
  ofClient(type: string, version: string): Block | null {
    const { control, file, counts } = this;
    return this.#counted(
      control.ofClient(type, version, counts) ?? file.ofClient(type, version, counts),
    );
  }

  /** Why no session may be bound to the uid; null: one may. */
  readonly uidRefusal = (uid: string): Failure | null => {
    const { control, file, counts } = this;
    const block = this.#counted(control.ofUid(uid, counts) ?? file.ofUid(uid, counts));
    return block === null ? null : { ...BLOCKED_UID, detail: block.reason };
  };

  #counted(block: Block | null): Block | null {
    if (block !== null) this.#metrics.add('pith_blocked_total', [block.kind]);
    return block;
  }
}
