/**
 * What becomes of requests when the connection is lost by which they went to a backend: their clients are told at once,
 * and not when their time is over. What may be sent again is not looked at.
 */
import type { Ask } from './records.ts';
import type { Stage } from './stage.ts';

const LOOK_MS = 500;
/** Looks at which nothing kept the answer from coming. */
const LOOKS = 6;
const RULE = 'what a lost connection carried is answered at once';

export class LostCalls {
  readonly checks = { [RULE]: 0 };
  readonly #stage: Stage;

  constructor(stage: Stage) {
    this.#stage = stage;
  }

  /**
   * A connection is lost.
   *
   * @param gateway Its place; '': all of them.
   * @param carried Whether it carried what has reached this place of a backend.
   */
  lost(gateway: string, carried: (place: string) => boolean): void {
    for (const ask of this.#stage.ledger.asks.values()) {
      if (ask.isDone || ask.reached.length === 0 || this.#stage.ledger.isIdempotent(ask)) continue;
      const [process] = ask.reached;
      const holder = this.#stage.holderOf(ask.client);
      if (holder === null || (gateway !== '' && holder !== gateway)) continue;
      if (carried(process!.replace(/#.*/, ''))) this.#follow(ask, holder, 0);
    }
  }

  #follow(ask: Ask, gateway: string, looks: number): void {
    this.#stage.world.after(LOOK_MS, () => {
      if (ask.isDone || !ask.client.isOpen) {
        this.checks[RULE]++;
        return;
      }
      const isFree = this.#stage.canHear(ask.client, gateway);
      if (isFree && looks + 1 >= LOOKS)
        this.#stage.world.violate(
          RULE,
          `${ask.n} of ${ask.client.name} to ${ask.route} on ${gateway}`,
        );
      else this.#follow(ask, gateway, isFree ? looks + 1 : looks);
    });
  }
}
