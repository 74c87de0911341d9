/**
 * Which endpoint a session's messages go to. A session keeps to one while that serves, and moves only with nothing
 * in flight, so an instance sees its messages in order.
 */
import { hash, instanceFor } from '../../routing/route-table.ts';
import type { Session } from '../../session/session.ts';
import type { Call } from '../call.ts';
import { Balancer, type Policy } from './balancer.ts';
import type { Endpoint } from './endpoint.ts';
import type { EndpointPool } from './endpoint-pool.ts';
import type { PooledSession } from './pooled-session.ts';
import type { Transport } from './transport.ts';

export type AffinityOptions = {
  readonly balance: Policy;
  /** With `hash`: `uid` or `data.<key>`; where that is empty the sid counts. */
  readonly hashBy: string;
};

export class SessionAffinity<T extends Transport> {
  readonly #pool: EndpointPool<T>;
  readonly #balancer: Balancer;
  /** Compiled from `hashBy`; null: no hash. */
  readonly #key: readonly { readonly field: string }[] | null;

  constructor({ balance, hashBy }: AffinityOptions, pool: EndpointPool<T>) {
    this.#pool = pool;
    this.#balancer = new Balancer(balance);
    this.#key = balance === 'hash' ? [{ field: hashBy }] : null;
  }

  /** Where `call` goes; null: nowhere now. */
  endpointFor(call: Call, session: PooledSession<T>): Endpoint<T> | null {
    const { endpoint } = session;
    if (call.session.state === 'closed') return this.#afterTheEnd(call, session);
    if (session.visited !== null && !hasOthersInFlight(call)) session.visited = null;
    if (call.instance !== '') {
      const named = this.#named(call, session);
      if (named !== null) return visit(named, session);
      if (call.target.otherwise === 'error') return null;
    }
    if (endpoint !== null && endpoint.serves && !endpoint.isAvoided) {
      // What needs no order heeds a goaway at once; the rest moves when nothing is in flight.
      if (call.unordered && !endpoint.welcomes)
        return visit(this.#pick(call.session) ?? endpoint, session);
      if (this.#key === null || !this.#moves(call, session, endpoint)) return endpoint;
    }
    const picked = this.#pick(call.session);
    if (picked === null) return null;
    const isVisiting = !call.unordered && this.#isVisiting(session, picked.instance);
    if (isVisiting && !session.visited!.isOpen) return this.#follow(call, session);
    // It keeps to that one from now on: what comes next must not go elsewhere either.
    const next = isVisiting ? session.visited! : picked;
    endpoint?.release(session);
    // Nothing is in flight where it was: what names its instance goes by its new one.
    if (!isVisiting) session.visited = null;
    next.take(session);
    return next;
  }

  /**
   * A notify may outlive its session, which is not forgotten a second time: it goes where those before it went. A
   * backend that has had nothing of the session would never hear of its end.
   */
  #afterTheEnd({ instance, target }: Call, session: PooledSession<T>): Endpoint<T> | null {
    const last = session.endpoint ?? session.visited;
    const had = session.had ?? this.#pool.list.filter(({ sessions }) => sessions.has(session));
    const all = (last === null ? had : [last, ...had]).filter(({ serves }) => serves);
    const named = all.find((one) => instance === '' || one.instance === instance);
    return named ?? (target.otherwise === 'error' ? null : (all[0] ?? null));
  }

  /** Addresses, or instances that have attached, which have had messages of it: first the one that it keeps to. */
  placesOf(session: PooledSession<T>): string[] {
    const had = this.#pool.list.filter((one) => one.sessions.has(session));
    const [first = null, ...rest] = session.endpoint === null ? had : [session.endpoint, ...had];
    return first === null ? [] : [...new Set([first, ...rest].map(placeOf))];
  }

  /** What another process knew of it: it keeps to the first of these, if that is there. */
  keepTo(session: PooledSession<T>, places: readonly string[]): void {
    for (const [i, place] of places.entries()) {
      const endpoint = this.#pool.list.find((one) => placeOf(one) === place);
      if (i === 0 && endpoint?.isOpen && session.endpoint === null) endpoint.take(session);
      else if (session.endpoint !== endpoint) endpoint?.sessions.know(session);
    }
  }

  /** The session has ended. Gives the endpoints that have had messages of it, one of each instance. */
  forget(session: PooledSession<T>): Endpoint<T>[] {
    const { endpoint } = session;
    session.endpoint = null;
    session.visited = endpoint ?? session.visited;
    // First where its messages went; that may be given up already, and no longer listed.
    const all = endpoint === null ? this.#pool.list : [endpoint, ...this.#pool.list];
    const had = all.filter(({ sessions }) => sessions.forget(session));
    session.had ??= had;
    return oneOfEach(had);
  }

  /** Several may lead to an instance: the session's own, or always the same one of the others. */
  #named(call: Call, session: PooledSession<T>): Endpoint<T> | null {
    const { instance } = call;
    if (!call.unordered && this.#isVisiting(session, instance)) return this.#follow(call, session);
    const { endpoint: own } = session;
    if (own !== null && own.instance === instance && own.serves) {
      if (own.isOpen) return own;
      // It is being left. What is in flight on it would be overtaken by another way, so what comes next waits for that.
      if (!call.unordered && hasOthersInFlight(call)) {
        call.lane.hold();
        return own;
      }
    }
    const { list } = this.#pool;
    const start = list.length < 2 ? 0 : hash(call.session.sid) % list.length;
    for (let i = 0; i < list.length; i++) {
      const one = list[(start + i) % list.length]!;
      if (one.instance !== instance || !one.isOpen) continue;
      if (!call.unordered) session.visited = one;
      return one;
    }
    return null;
  }

  /** What is in flight went to this instance, by an endpoint that another message would not take. */
  #isVisiting({ visited }: PooledSession<T>, instance: string): boolean {
    return visited !== null && visited.serves && visited.instance === instance;
  }

  /** Goes the same way, so as not to overtake; if that is being left, what comes next waits for these. */
  #follow(call: Call, { visited }: PooledSession<T>): Endpoint<T> {
    if (!visited!.isOpen) call.lane.hold();
    return visited!;
  }

  #pick(session: Session): Endpoint<T> | null {
    const key = this.#key === null ? '' : instanceFor(this.#key, session) || session.sid;
    return this.#balancer.pick(this.#pool.list, key);
  }

  /** True: the session's key, or the pool, has changed, so it belongs elsewhere, and may go there now. */
  #moves(call: Call, known: PooledSession<T>, from: Endpoint<T>): boolean {
    const { lane, session } = call;
    if (known.version === session.version && known.epoch === this.#pool.epoch) return false;
    known.version = session.version;
    known.epoch = this.#pool.epoch;
    const best = this.#pick(session);
    if (best === null || best === from) return false;
    if (!hasOthersInFlight(call)) return true;
    lane.holdUntilEmpty(() => {
      from.release(known);
    });
    return false;
  }
}

/** By what another process finds it again: one that has attached comes from another address then. */
function placeOf<T extends Transport>({ name, spec, instance }: Endpoint<T>): string {
  return spec.isDialled ? name : instance;
}

/**
 * Something is in flight, or on the way without an answer. The message that asks is in flight itself; a handshake, which
 * is repeated before it expires, is not.
 */
function hasOthersInFlight({ isInLane, lane }: Call): boolean {
  return lane.inFlight > (isInLane ? 1 : 0) || lane.isAwaitingReceipt;
}

/** One of each instance that they lead to. */
export function oneOfEach<T extends Transport>(endpoints: readonly Endpoint<T>[]): Endpoint<T>[] {
  return endpoints.filter(
    (one, i) => endpoints.findIndex((other) => isSameInstance(other, one)) === i,
  );
}

/** Links to one address lead to one instance, but several backends may attach by one connection of a proxy. */
function isSameInstance<T extends Transport>(one: Endpoint<T>, other: Endpoint<T>): boolean {
  if (one === other) return true;
  const isKnown = one.spec.isDialled || one.instance !== '';
  return isKnown && one.name === other.name && one.instance === other.instance;
}

/** For this message only; but the backend will hear of the session's end. */
function visit<T extends Transport>(endpoint: Endpoint<T>, session: PooledSession<T>): Endpoint<T> {
  endpoint.sessions.know(session);
  return endpoint;
}
