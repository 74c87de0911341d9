/** The rules for how many sessions a uid may have, on all gateways. */
import type { Ask, Client } from './records.ts';
import type { Seasons } from './seasons.ts';
import type { Stage } from './stage.ts';

const STILL = 'when it is calm, no uid has more sessions than it may';
const REFUSED = 'in fair weather no uid is bound that another client has';

export class UidLimits {
  readonly checks = { [STILL]: 0, [REFUSED]: 0 };
  readonly #stage: Stage;
  readonly #seasons: Seasons;

  constructor(stage: Stage, seasons: Seasons) {
    this.#stage = stage;
    this.#seasons = seasons;
  }

  /** Nobody has asked for anything for a while. */
  expectStill(): void {
    const { sessionsMax } = this.#seasons.current.policy;
    if (sessionsMax === Infinity) return;
    const sids = new Map<string, string[]>();
    for (const { gateway } of this.#stage.running)
      for (const { uid, sid } of gateway.registry.all())
        if (uid !== '') sids.set(uid, [...(sids.get(uid) ?? []), sid]);
    for (const [uid, all] of sids) {
      this.checks[STILL]++;
      if (all.length > sessionsMax)
        this.#stage.world.violate(STILL, `${uid} has ${all.join(' and ')}`);
    }
  }

  /** In fair weather nobody has gone who has a uid, so nobody loses it. */
  kicked({ name, uid }: Client, why: string): void {
    const { fairWeather } = this.#stage.ledger;
    if (!this.#seasons.current.policy.refuses || !fairWeather.isFair) return;
    if (why.includes('logged_in_elsewhere'))
      this.#stage.world.violate(REFUSED, `${name} had ${uid}, and was told: ${why}`);
  }

  /** A client has got the answer to a request that binds it. */
  answered({ n, client, plan: { bind = '' } }: Ask): void {
    const { ledger, players, running, world } = this.#stage;
    const { refuses } = this.#seasons.current.policy;
    if (!refuses || bind === '' || !ledger.fairWeather.isFair) return;
    this.checks[REFUSED]++;
    for (const { client: other, isActive } of players) {
      if (!isActive || other === null || other === client || other.uid !== bind) continue;
      const holds = running.some(({ gateway }) => gateway.registry.bySid(other.sid)?.uid === bind);
      if (holds && client.isOpen)
        world.violate(REFUSED, `${n} binds ${client.name} to ${bind}, which ${other.name} has`);
    }
  }
}
