/** How many sessions a uid may have in this run, on all gateways, and the rules for it. */
import type { Ask } from './records.ts';
import type { SeededRandom } from './random.ts';
import type { Stage } from './stage.ts';

export type UidPolicy = {
  /** Keys of `auth`. */
  readonly yaml: string;
  /** Sessions of one uid; Infinity: any number. */
  readonly sessionsMax: number;
  /** A bind waits for whoever holds the uid. */
  readonly refuses: boolean;
};

const MANY: UidPolicy = { yaml: '', sessionsMax: Infinity, refuses: false };
const POLICIES: readonly UidPolicy[] = [
  ...[MANY, MANY],
  { yaml: 'sessions_per_uid: kick_old', sessionsMax: 1, refuses: false },
  { yaml: 'sessions_per_uid: refuse_new', sessionsMax: 1, refuses: true },
  { yaml: 'max_sessions_per_uid: 2', sessionsMax: 2, refuses: false },
];

export function pickPolicy(random: SeededRandom): UidPolicy {
  return random.pick(POLICIES);
}

const STILL = 'when it is calm, no uid has more sessions than it may';
const REFUSED = 'in fair weather no uid is bound that another client has';

export class UidLimits {
  readonly checks = { [STILL]: 0, [REFUSED]: 0 };
  readonly #stage: Stage;
  readonly #policy: UidPolicy;

  constructor(stage: Stage, policy: UidPolicy) {
    this.#stage = stage;
    this.#policy = policy;
  }

  /** Nobody has asked for anything for a while. */
  expectStill(): void {
    const { sessionsMax } = this.#policy;
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

  /** A client has got the answer to a request that binds it. */
  answered({ n, client, plan: { bind = '' } }: Ask): void {
    const { ledger, players, running, world } = this.#stage;
    if (!this.#policy.refuses || bind === '' || !ledger.fairWeather.isFair) return;
    this.checks[REFUSED]++;
    for (const { client: other, isActive } of players) {
      if (!isActive || other === null || other === client || other.uid !== bind) continue;
      const holds = running.some(({ gateway }) => gateway.registry.bySid(other.sid)?.uid === bind);
      if (holds && client.isOpen)
        world.violate(REFUSED, `${n} binds ${client.name} to ${bind}, which ${other.name} has`);
    }
  }
}
