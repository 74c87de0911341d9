/** Closes the open sessions that have just been blocked: found and closed a part in each turn of the event loop. */
import { type Clock, nextTurn } from '../clock.ts';
import { NO_DETAILS } from '../session/close-reason.ts';
import { CLOSE_COST, EachSession, type Fanouts } from '../session/fanouts.ts';
import type { Registry } from '../session/registry.ts';
import type { Session } from '../session/session.ts';
import type { Metrics } from '../telemetry/metrics.ts';
import type { Block } from './block.ts';
import type { BlockList } from './block-list.ts';

/** Sessions that are looked at in one turn of the event loop: well below a millisecond. */
const LOOKED_AT_PER_TURN = 500;

export type EvictionsParts = {
  readonly blocks: BlockList;
  readonly registry: Registry;
  readonly fanouts: Fanouts;
  readonly clock: Clock;
  readonly metrics: Metrics;
};

export class Evictions {
  readonly #parts: EvictionsParts;

  constructor(parts: EvictionsParts) {
    this.#parts = parts;
  }

  /**
   * Closes whom the list blocks now. Whoever comes meanwhile is checked at the door.
   *
   * @param added What is new on it.
   * @returns How many sessions were closed.
   */
  close(added: readonly Block[]): Promise<number> {
    const areUids = added.every(({ kind }) => kind === 'uid');
    return areUids ? this.#closeAll(this.#ofUids(added)) : this.#closeAny();
  }

  #ofUids(added: readonly Block[]): Map<Session, Block> {
    const found = new Map<Session, Block>();
    for (const block of added)
      for (const session of this.#parts.registry.byUid(block.value)) found.set(session, block);
    return found;
  }

  async #closeAny(): Promise<number> {
    const { registry, blocks, clock } = this.#parts;
    const found = new Map<Session, Block>();
    let n = 0;
    for (const session of [...registry.all()]) {
      if (++n % LOOKED_AT_PER_TURN === 0) await nextTurn(clock);
      const block = blocks.find(session);
      if (block !== null) found.set(session, block);
    }
    return this.#closeAll(found);
  }

  async #closeAll(found: ReadonlyMap<Session, Block>): Promise<number> {
    const { fanouts, metrics } = this.#parts;
    let closed = 0;
    const work = new EachSession(CLOSE_COST, (session) => {
      if (session.state === 'closed') return;
      const { kind, reason } = found.get(session)!;
      metrics.add('pith_blocked_total', [kind]);
      session.close(
        'blocked',
        NO_DETAILS,
        `its ${kind} is blocked${reason === '' ? '' : `: ${reason}`}`,
      );
      closed++;
    });
    fanouts.runAlways([...found.keys()], work);
    await work.whenDone(() => {});
    return closed;
  }
}
