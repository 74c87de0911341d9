/** What a backend does now and then without being asked: pushes, changes and ends of sessions that it knows. */
import type { Ledger } from '../ledger.ts';
import type { Facts, PushPlan } from '../records.ts';
import type { SeededRandom } from '../random.ts';
import type { Node } from '../world.ts';
import type { Courier } from './courier.ts';

/** Recent sessions, users and groups that it knows. */
const KNOWN_MAX = 64;

export type OwnWillOptions = {
  readonly node: Node;
  readonly ledger: Ledger;
  readonly random: SeededRandom;
  /** Mean milliseconds between two things. */
  readonly everyMs: number;
  /** What it may speak on now; none while it is to rest. */
  readonly couriers: () => readonly Courier[];
};

export class OwnWill {
  readonly #node: Node;
  readonly #ledger: Ledger;
  readonly #random: SeededRandom;
  readonly #everyMs: number;
  readonly #couriers: OwnWillOptions['couriers'];
  readonly #sids = new Set<string>();
  readonly #uids = new Set<string>();
  readonly #groups = new Set<string>();

  constructor({ node, ledger, random, everyMs, couriers }: OwnWillOptions) {
    this.#node = node;
    this.#ledger = ledger;
    this.#random = random;
    this.#everyMs = everyMs;
    this.#couriers = couriers;
    if (everyMs < Infinity) this.#later();
  }

  /** A request has come. @param groups That it joins. */
  saw({ sid, uid }: Facts, groups: readonly string[]): void {
    remember(this.#sids, sid);
    if (uid !== '') remember(this.#uids, uid);
    for (const group of groups) remember(this.#groups, group);
  }

  ended(sid: string): void {
    this.#sids.delete(sid);
  }

  #later(): void {
    this.#node.after(this.#random.exponential(this.#everyMs), () => {
      const couriers = this.#couriers().filter(({ isOver, speaks }) => speaks && !isOver);
      if (couriers.length > 0 && this.#sids.size > 0) this.#act(this.#random.pick(couriers));
      this.#later();
    });
  }

  #act(courier: Courier): void {
    const random = this.#random;
    const sid = random.pick([...this.#sids]);
    const dice = random.number();
    if (dice < 0.67) this.#push(courier, sid, this.#whom(dice));
    else if (dice < 0.82) courier.change(sid, { set: { tick: random.int(0, 1_000) } }, () => {});
    else if (dice < 0.92) this.#join(courier, sid);
    else if (dice < 0.97) courier.change(sid, { leave: [this.#group] }, () => {});
    else if (dice < 0.98) this.#bind(courier, sid);
    else this.#close(courier, sid);
  }

  #whom(dice: number): PushPlan['to'] {
    const random = this.#random;
    if (dice < 0.02) return { kind: 'all', name: '' };
    if (dice < 0.17 && this.#uids.size > 0)
      return { kind: 'user', name: random.pick([...this.#uids]) };
    if (dice < 0.32 && this.#groups.size > 0)
      return { kind: 'group', name: random.pick([...this.#groups]) };
    return { kind: 'session', name: '' };
  }

  #push(courier: Courier, sid: string, to: PushPlan['to']): void {
    const random = this.#random;
    const delivery = random.pick(['must', 'must', 'must', 'droppable', 'latest'] as const);
    const plan = { to, counted: random.chance(0.5), delivery };
    courier.push(this.#ledger.pushingApart(courier.way, plan, sid));
  }

  /** Whoever the session belongs to. */
  #bind(courier: Courier, sid: string): void {
    const client = this.#ledger.clientOf(sid);
    if (client === undefined) return;
    const isUnbind = this.#uids.size === 0 || this.#random.chance(0.5);
    const uid = isUnbind ? '' : this.#random.pick([...this.#uids]);
    this.#ledger.meddled(sid);
    if (uid !== '') client.uids.add(uid);
    courier.change(sid, { uid, ifVersion: 0 }, () => {});
  }

  #close(courier: Courier, sid: string): void {
    const client = this.#ledger.clientOf(sid);
    if (client !== undefined) client.isToldToGo = true;
    courier.close(sid, this.#random.chance(0.5));
  }

  #join(courier: Courier, sid: string): void {
    const client = this.#ledger.clientOf(sid);
    if (client === undefined) return;
    client.groups.add(this.#group);
    remember(this.#groups, this.#group);
    courier.change(sid, { join: [this.#group] }, () => {});
  }

  get #group(): string {
    return `own.${this.#node.place}`;
  }
}

function remember(known: Set<string>, name: string): void {
  known.add(name);
  if (known.size > KNOWN_MAX) known.delete(known.values().next().value!);
}
