/** What a player wants to happen, as its random numbers decide. */
import { JOINS, TAKES_LONG } from './faults.ts';
import type { Surroundings } from './player-link.ts';
import type { Plan, PushPlan } from './records.ts';
import type { SeededRandom } from './random.ts';

export type RouteChoice = {
  readonly route: string;
  readonly timeoutMs: number;
  /** How often it is taken, among all. */
  readonly weight: number;
  /** Backends of it can send pushes in the reply, and over the same connection. */
  readonly binds: boolean;
};

const BURST = 20;

export class Wishes {
  readonly #random: SeededRandom;
  readonly #around: Surroundings;

  constructor(random: SeededRandom, around: Surroundings) {
    this.#random = random;
    this.#around = around;
  }

  /** Mostly one thing at a time; now and then several at once, which overtake each other where they may. */
  burst(): number {
    const dice = this.#random.number();
    if (dice < 0.02) return BURST;
    return dice < 0.2 ? this.#random.int(2, 5) : 1;
  }

  /** One of the routes, by their weights. */
  route(): RouteChoice {
    const { routes } = this.#around;
    let at = this.#random.number() * routes.reduce((sum, { weight }) => sum + weight, 0);
    return routes.find(({ weight }) => (at -= weight) < 0) ?? routes[0]!;
  }

  /** One by which it can log in. */
  login(): RouteChoice {
    return this.#random.pick(this.#around.routes.filter(({ binds }) => binds));
  }

  /** Some play on two devices. */
  user(): string {
    return `u${this.#random.int(0, this.#around.users - 1)}`;
  }

  /** @param isBinding A bind is not answered yet: another one waits. */
  plan({ binds }: RouteChoice, isBinding: boolean): Plan {
    const random = this.#random;
    const dice = random.number();
    const plan: { -readonly [K in keyof Plan]: Plan[K] } = {};
    if (dice < 0.39) return plan;
    if (dice < 0.42 && binds && !isBinding) return { bind: this.#userOrNobody() };
    if (dice < 0.5) plan.delayMs = random.exponential(2_000);
    else if (dice < 0.6) plan.join = [this.#group()];
    else if (dice < 0.64) plan.leave = [this.#group()];
    else if (dice < 0.66) plan.set = this.#data();
    else if (dice < 0.672) plan.closes = true;
    else if (dice < 0.69) plan.fails = true;
    else if (dice < 0.72) plan.delayMs = random.exponential(1_500);
    else if (dice < 0.84) plan.before = this.#pushes();
    else if (dice < 0.92) plan.inReply = this.#pushes();
    else plan.after = this.#pushes();
    return plan;
  }

  /** @param what What all ask for, as `faults.ts` says. @returns undefined: anything. */
  inRush(what: string): Plan | undefined {
    const random = this.#random;
    // A group that nobody is in: its gateway has to subscribe for it.
    if (what === JOINS) return { join: [`room.${random.int(1_000, 1_000_000)}`] };
    return what === TAKES_LONG ? { delayMs: random.between(500, 4_000) } : undefined;
  }

  #group(): string {
    return `room.${this.#random.int(1, this.#around.groups)}`;
  }

  #userOrNobody(): string {
    return this.#random.chance(0.3) ? '' : this.user();
  }

  /** Anything, or what chooses the instance on some routes; '' chooses none. */
  #data(): Plan['set'] & object {
    const random = this.#random;
    const { choices } = this.#around;
    if (choices.length === 0 || random.chance(0.5))
      return { [`key${random.int(1, 5)}`]: random.int(0, 1_000_000) };
    const [key, instances] = random.pick(choices);
    return { [key]: random.pick(['', ...instances]) };
  }

  #pushes(): PushPlan[] {
    return Array.from({ length: this.#random.int(1, 3) }, () => this.#push());
  }

  #push(): PushPlan {
    const random = this.#random;
    const dice = random.number();
    const to: PushPlan['to'] =
      dice < 0.6
        ? { kind: 'session', name: '' }
        : dice < 0.8
          ? { kind: 'user', name: this.user() }
          : dice < 0.998
            ? { kind: 'group', name: this.#group() }
            : { kind: 'all', name: '' };
    const kind = random.number();
    const delivery = kind < 0.8 ? 'must' : kind < 0.9 ? 'droppable' : 'latest';
    return { to, counted: random.chance(0.3), delivery };
  }
}
