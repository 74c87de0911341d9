/**
 * Rules for the time in which nothing goes wrong, and players still play: what storms excuse, a connection that was
 * lost, a process that was stopped, is no excuse then.
 */
import type { Ask, Client, Pushed, RouteRules, Way } from './records.ts';
import type { World } from './world.ts';

/** In which a push is with whom it is for. */
const PUSH_MS_MAX = 5_000;
/** In which a gateway does not find out by itself that a way is lost, of which it is not told. */
const LOSS_NOTICED_MS = 5_000;
/** In which word of the end of a way has come to its other end. */
const WORD_MS_MAX = 1_000;

type InFlight = { readonly ask: Ask; readonly way: Way; readonly untilMs: number };

export class FairWeather {
  /** How often each rule was looked at. */
  readonly checks = { [PUSH_ARRIVES]: 0, [COUNT_COMES]: 0, [MOVES_IDLE]: 0 };
  readonly #world: World;
  readonly #routes: ReadonlyMap<string, RouteRules>;
  readonly #inFlight = new WeakMap<Client, InFlight[]>();
  /** Processes that were killed, or lost. */
  readonly #ended = new Set<string>();
  #isFair = false;

  constructor(world: World, routes: ReadonlyMap<string, RouteRules>) {
    this.#world = world;
    this.#routes = routes;
  }

  get isFair(): boolean {
    return this.#isFair;
  }

  begin(): void {
    this.#isFair = true;
  }

  end(): void {
    this.#isFair = false;
  }

  /** A push is sent to a user: whoever is bound, and knows it, gets it. */
  pushing(push: Pushed, clients: Iterable<Client>): void {
    const { p, plan } = push;
    if (this.#isFair && plan.counted) this.#expectCount(push);
    if (!this.#isFair || plan.to.kind !== 'user' || plan.delivery !== 'must') return;
    const meant = [...clients]
      .filter((client) => client.isOpen && client.uid === plan.to.name)
      .map((client) => ({ client, binds: client.binds }));
    if (meant.length === 0) return;
    this.#world.after(PUSH_MS_MAX, () => {
      if (!this.#isFair) return;
      for (const { client, binds } of meant) {
        const isSame = client.isOpen && client.uid === plan.to.name && client.binds === binds;
        if (!isSame) continue;
        this.checks[PUSH_ARRIVES]++;
        if (!push.received.has(client.name))
          this.#world.violate(
            PUSH_ARRIVES,
            `${p} for ${plan.to.name} did not reach ${client.name}`,
          );
      }
    });
  }

  #expectCount(push: Pushed): void {
    this.#world.after(PUSH_MS_MAX, () => {
      if (!this.#isFair || push.way.isOver === true) return;
      this.checks[COUNT_COMES]++;
      if (push.outcome === null) this.#world.violate(COUNT_COMES, `${push.p} of ${push.way.name}`);
    });
  }

  /**
   * A request has reached a backend: what its session has in flight at that backend is on the same way. In a storm one
   * way may be lost, which the backend at its other end learns a little later; and who is on the bus, never.
   */
  reached(way: Way, ask: Ask): void {
    const rules = this.#routes.get(ask.route)!;
    if (rules.isSpread === true || rules.ordered === 'none') return;
    if (!way.keepsOrder || ask.isNotify) return;
    // One that was given up meanwhile keeps its session from nothing.
    if (ask.isDone || this.#world.nowMs - ask.sentMs >= rules.timeoutMs) return;
    const { client } = ask;
    const before = (this.#inFlight.get(client) ?? []).filter((one) => this.#isInFlight(one));
    for (const other of before) {
      if (backendOf(other.ask) !== backendOf(ask)) continue;
      if (other.way !== way && (this.#isFair || other.way.tellsEnds))
        this.#suspect(other, way, ask);
      else this.checks[MOVES_IDLE]++;
    }
    before.push({ ask, way, untilMs: ask.sentMs + Math.min(rules.timeoutMs, LOSS_NOTICED_MS) });
    this.#inFlight.set(client, before);
  }

  /** It is too late for it to learn that its ways are lost. */
  processEnded(name: string): void {
    this.#ended.add(name);
  }

  /** The one that arrives last may have been sent first: if either way is lost, its session had to move. */
  #suspect({ ask: other, way: otherWay }: InFlight, way: Way, ask: Ask): void {
    this.#world.after(WORD_MS_MAX, () => {
      this.checks[MOVES_IDLE]++;
      if ([way, otherWay].some((one) => one.isOver === true || this.#ended.has(one.process)))
        return;
      this.#world.violate(
        MOVES_IDLE,
        `${ask.n} of ${ask.client.name} was at ${way.name}, and ${other.n} not answered at ${otherWay.name}`,
      );
    });
  }

  #isInFlight({ ask, untilMs }: InFlight): boolean {
    const isOver = ask.isDone || ask.isSettled || ask.stamps.length > 0;
    return !isOver && this.#world.nowMs < untilMs;
  }
}

const PUSH_ARRIVES = 'in fair weather a push reaches its user';
const COUNT_COMES = 'in fair weather a backend is told what became of a push';
const MOVES_IDLE = 'a session moves with nothing in flight';

/** Routes are called after their backend. */
function backendOf({ route }: Ask): string {
  return route.slice(0, route.indexOf('.'));
}
