/**
 * What happened, as clients and backends see it, and the rules that it is held against. It knows nothing of the
 * gateways but their names: a rule is about what went in and what came out.
 */
import { FairWeather } from './fair-weather.ts';
import { brokenBy } from './gateway-errors.ts';
import { isByBus, Orders } from './orders.ts';
import { isMeant } from './records.ts';
import type { Ask, Client, Facts, Outcome, Pushed, PushPlan, RouteRules, Way } from './records.ts';
import { SessionEnds } from './session-ends.ts';
import type { World } from './world.ts';

/** How long a push is remembered: longer than anything can hold it back. */
const PUSH_KEPT_MS = 600_000;
/** Longer than any request can be sent again, or be answered late. */
const ASK_KEPT_MS = 300_000;
const SWEEP_MS = 10_000;

export class Ledger {
  readonly world: World;
  readonly asks = new Map<number, Ask>();
  readonly pushes = new Map<number, Pushed>();
  readonly counts = {
    asked: 0,
    answered: 0,
    refused: 0,
    lost: 0,
    pushed: 0,
    received: 0,
    closed: 0,
  };
  readonly fairWeather: FairWeather;
  readonly ends: SessionEnds;
  readonly #routes: ReadonlyMap<string, RouteRules>;
  readonly #bySid = new Map<string, Client>();
  readonly #orders: Orders;
  #n = 0;
  #p = 0;

  constructor(world: World, routes: ReadonlyMap<string, RouteRules>) {
    this.world = world;
    this.#routes = routes;
    this.fairWeather = new FairWeather(world, routes);
    this.ends = new SessionEnds(world);
    this.#orders = new Orders(world, () => this.mayOvertake());
    this.#sweepLater();
  }

  // ---- the client's side --------------------------------------------------------------------------------

  asking(
    client: Client,
    what: Pick<Ask, 'k' | 'route' | 'plan' | 'isNotify'> & { padding: string },
  ): Ask {
    const n = ++this.#n;
    const { padding, ...rest } = what;
    const { isNotify } = what;
    const body = padding === '' ? `{"n":${n}}` : `{"n":${n},"padding":"${padding}"}`;
    const { bind, join = [] } = what.plan;
    const ask: Ask = {
      ...rest,
      n,
      client,
      body,
      sentMs: this.world.nowMs,
      uid: client.uid,
      binds: client.binds,
      reached: [],
      stamps: [],
      isSettled: false,
      isDone: isNotify,
    };
    if (bind !== undefined) {
      client.binds++;
      client.uid = null;
      if (bind !== '') client.uids.add(bind);
    }
    for (const group of join) client.groups.add(group);
    if (what.plan.closes === true) client.isToldToGo = true;
    this.asks.set(n, ask);
    this.counts.asked++;
    return ask;
  }

  /** @param stamp What the backend wrote into its answer; '': an error of the gateway. */
  answered(ask: Ask, code: number, reason: string, stamp: string): void {
    this.counts.answered++;
    const { n, plan, client } = ask;
    const late = this.world.nowMs - ask.sentMs;
    this.world.trace(`${client.name} ${n} ${code} ${reason} ${Math.round(late)}`);
    if (ask.isDone) this.world.violate('each request is answered once', `${n} again: ${code}`);
    if (code === 200 || code === 555) {
      if (!ask.stamps.includes(stamp))
        this.world.violate(
          'an answer is a backend’s',
          `${n} was answered by ${stamp}, of ${ask.stamps.join()}`,
        );
      if (plan.bind !== undefined && code === 200 && !client.isMeddled) client.uid = plan.bind;
      if (code === 200) this.onChanged(ask);
      // One that binds may wait for whoever holds the uid, and be overtaken. [proto/README.md]
      if (!this.bindsWait() || !plan.bind) this.#orders.arrived(client, stamp);
    } else {
      this.counts.refused++;
      const { timeoutMs } = this.#routes.get(ask.route)!;
      const broken = brokenBy({ code, reason, late, timeoutMs });
      if (broken !== '')
        this.world.violate(broken, `${n} to ${ask.route} after ${late} ms: ${code} ${reason}`);
    }
    ask.isDone = true;
  }

  /** The connection has ended, or the client does not wait for it any longer. */
  lost(ask: Ask): void {
    this.counts.lost++;
    ask.isDone = true;
  }

  received(client: Client, p: number, body: string): void {
    this.counts.received++;
    const push = this.pushes.get(p);
    this.world.trace(`${client.name} push ${p}`);
    if (push === undefined) {
      this.world.violate('a push is somebody’s', `${client.name} got push ${p}, which nobody sent`);
      return;
    }
    if (body !== push.body) this.world.violate('bodies are opaque', `push ${p} arrived as ${body}`);
    if (push.received.has(client.name) && !(isByBus(push.way.name, client) && this.mayOvertake()))
      this.world.violate('a push arrives once', `${client.name} got push ${p} twice`);
    push.received.add(client.name);
    if (!isMeant(client, push))
      this.world.violate(
        'a push reaches those it is for',
        `${client.name} got push ${p} for ${JSON.stringify(push.plan.to)}`,
      );
    if (push.plan.delivery === 'must')
      this.#orders.arrived(client, `${push.way.name}!${push.order}`);
  }

  closed(client: Client, why: string): void {
    if (!client.isOpen) return;
    client.isOpen = false;
    this.counts.closed++;
    this.world.trace(`${client.name} closed ${why}`);
  }

  // ---- the backend's side -------------------------------------------------------------------------------

  /** A request has reached a backend. null: nobody sent it. */
  reached(way: Way, facts: Facts): Ask | null {
    const ask = this.asks.get(facts.n);
    this.world.trace(`${way.name} got ${facts.n}`);
    if (ask === undefined) return this.#gone(facts);
    const { client, route, body, isNotify, uid, binds, plan } = ask;
    const wrong = (rule: string, what: string): void => {
      this.world.violate(rule, `${facts.n} of ${client.name} at ${way.name}: ${what}`);
    };
    if (facts.body !== body) wrong('bodies are opaque', `arrived as ${facts.body}`);
    if (facts.route !== route) wrong('routes are kept', `${route} arrived as ${facts.route}`);
    if (facts.wantsAnswer === isNotify) wrong('kinds are kept', 'a notify is no request');
    const { timeoutMs, idempotent, ordered } = this.#routes.get(route)!;
    if (!isNotify && (facts.timeoutMs <= 0 || facts.timeoutMs > timeoutMs))
      wrong('backends are told the deadline', `${facts.timeoutMs} ms of ${timeoutMs}`);
    this.#know(client, facts.sid, wrong);
    const isChanged = client.binds - binds > (plan.bind === undefined ? 0 : 1);
    if (uid !== null && !client.isMeddled && !isChanged && facts.uid !== uid)
      wrong('a bind is seen by what follows', `uid ${facts.uid}, bound ${uid}`);
    if (!idempotent && ask.reached.length > 0)
      wrong('a request goes to a backend once', `it was at ${ask.reached.join(', ')} already`);
    ask.reached.push(way.process);
    // One that was given up may still be somewhere, and arrive when the others have gone another way; the client may
    // not know yet that it was.
    const isOrdered = ordered === 'all' || (ordered === 'requests' && !isNotify);
    const isWaitedFor = !ask.isDone && this.world.nowMs - ask.sentMs < timeoutMs;
    if (isOrdered && way.keepsOrder && (isNotify || isWaitedFor)) this.#orders.reached(way, ask);
    this.fairWeather.reached(way, ask);
    // One that waited for its turn may come after the end: its backend has been told.
    const isLate = isNotify && this.ends.isTold(way.process, facts.sid);
    if (way.tellsEnds && !isLate) this.ends.saw(way.process, facts.sid);
    return ask;
  }

  /** What the backend writes into its answer. */
  answering(way: Way, ask: Ask): string {
    const stamp = `${way.name}!${++way.order}`;
    ask.stamps.push(stamp);
    return stamp;
  }

  pushing(way: Way, plan: PushPlan, sid: string): Pushed {
    const p = ++this.#p;
    const order = ++way.order;
    const body = `{"p":${p}}`;
    const sentMs = this.world.nowMs;
    const push: Pushed = {
      p,
      way,
      plan,
      sid,
      order,
      body,
      sentMs,
      received: new Set(),
      outcome: null,
    };
    this.pushes.set(p, push);
    this.world.trace(`${way.name} pushes ${p} to ${plan.to.kind} ${plan.to.name}`);
    this.counts.pushed++;
    return push;
  }

  /** The same outside of an answer, which may be refused or late, and its pushes with it. */
  pushingApart(way: Way, plan: PushPlan, sid: string): Pushed {
    const push = this.pushing(way, plan, sid);
    this.fairWeather.pushing(push, this.#bySid.values());
    return push;
  }

  /** What became of a push that was counted. */
  pushed(push: Pushed, outcome: Outcome): void {
    // Only a sid names the gateway that is to answer.
    const isPartial =
      outcome.isPartial || (push.plan.to.kind !== 'session' && this.mayBeUnheardOf());
    push.outcome = { ...outcome, isPartial };
    this.world.trace(`push ${push.p} ${outcome.delivered} ${outcome.dropped} ${outcome.refused}`);
  }

  /** A backend is told that a session has ended. */
  ended(way: Way, sid: string): void {
    this.world.trace(`${way.name} ended ${sid}`);
    this.ends.told(way.process, sid);
    const client = this.#bySid.get(sid);
    // A request that was taken back before it was sent may be all that this backend was to get of it.
    if (client === undefined && !this.isGateway(sid.slice(0, sid.lastIndexOf('.'))))
      this.world.violate('ends are of sessions', `${sid} to ${way.name}`);
    else if (client !== undefined && client.isOpen && !this.mayEndBefore(client))
      this.world.violate('ends are true', `${sid} to ${way.name}, and ${client.name} is connected`);
  }

  /** A backend is told that another gateway is gone, or cut off. */
  lostGateway(way: Way, id: string): void {
    this.world.trace(`${way.name} lost ${id}`);
    if (!this.isGateway(id))
      this.world.violate('who is lost was there', `${id || 'nobody'} to ${way.name}`);
  }

  /**
   * A gateway that gets another connection to the bus leaves what it has sent on the old one to itself: a push that it
   * forwards then may overtake one that it has forwarded before. And a push that has reached a gateway may reach it
   * again, if it moves to a server that has been sent the same for others, and has not got it yet: nothing tells a
   * message of NATS from its copy. Overridden by who knows of such times.
   */
  mayOvertake: () => boolean = () => false;

  /** A gateway may not have heard of another yet, nor miss its answer; overridden by who knows of their starts. */
  mayBeUnheardOf: () => boolean = () => false;

  /** There is, or was, a gateway of this id; overridden by who starts them. */
  isGateway: (id: string) => boolean = () => true;

  /** The gateway may know of an end before the client does; overridden by who knows what is on its way. */
  mayEndBefore: (client: Client) => boolean = () => true;

  /** An answer that binds waits for others; overridden by who configures the gateways. */
  bindsWait: () => boolean = () => false;

  /** A request that changes its session was answered; overridden by who looks at the bus. */
  onChanged: (ask: Ask) => void = () => {};

  isIdempotent({ route }: Ask): boolean {
    return this.#routes.get(route)!.idempotent;
  }

  clientOf(sid: string): Client | undefined {
    return this.#bySid.get(sid);
  }

  // ---- rules --------------------------------------------------------------------------------------------

  #gone({ n, sid }: Facts): null {
    if (n > this.#n || n < 1)
      this.world.violate('a request is somebody’s', `${n} of ${sid} was never sent`);
    return null;
  }

  #know(client: Client, sid: string, wrong: (rule: string, what: string) => void): void {
    if (sid === '') wrong('backends are told who asks', 'no sid');
    if (client.sid === '') {
      const other = this.#bySid.get(sid);
      if (other !== undefined && other !== client)
        wrong('sids are not used again', `${sid} was ${other.name}'s`);
      client.sid = sid;
      this.#bySid.set(sid, client);
    } else if (client.sid !== sid)
      wrong('nobody is taken for another', `${sid}, and it was ${client.sid}`);
  }

  /** A push that must arrive, and was said to be delivered once to whom it is for, was. */
  #checkDelivered(push: Pushed): void {
    const { outcome, received, plan, p, sid } = push;
    if (outcome === null) return;
    if (received.size > outcome.delivered && !outcome.isPartial)
      this.world.violate(
        'counts are true',
        `push ${p} was delivered ${outcome.delivered} times, and received ${received.size} times`,
      );
    if (plan.to.kind !== 'session' || plan.delivery !== 'must') return;
    const client = this.#bySid.get(sid);
    if (outcome.delivered > 0 && received.size === 0 && client?.isOpen === true)
      this.world.violate('what is delivered arrives', `push ${p} did not reach ${client.name}`);
  }

  #sweepLater(): void {
    this.world.after(SWEEP_MS, () => {
      const before = this.world.nowMs - PUSH_KEPT_MS;
      for (const [p, push] of this.pushes) {
        if (push.sentMs > before) break;
        this.#checkDelivered(push);
        this.pushes.delete(p);
      }
      for (const [n, ask] of this.asks) {
        if (ask.sentMs > this.world.nowMs - ASK_KEPT_MS) break;
        // One that is still waited for is the client's to complain of.
        this.asks.delete(n);
      }
      this.#sweepLater();
    });
  }

  /** A connection is over, and nothing can come of it any more. */
  forgetClient(client: Client): void {
    this.#bySid.delete(client.sid);
    this.#orders.forgetClient(client);
    this.ends.forgetSession(client.sid);
  }

  /** A backend has changed, of its own will, who a session belongs to: the client does not know any more. */
  meddled(sid: string): void {
    const client = this.#bySid.get(sid);
    if (client === undefined) return;
    client.uid = null;
    client.isMeddled = true;
  }

  /** A process is over. */
  forgetProcess(name: string): void {
    this.fairWeather.processEnded(name);
    this.#orders.forgetProcess(name);
    this.ends.forgetProcess(name);
  }
}
