/**
 * `auth.sessions_per_uid: refuse_new`: whether a uid is free, asked before it is bound. Whoever holds it asks its client
 * for a sign of life, and answers; who answers nothing within that time has lost its place.
 *
 * Two gateways may ask for the same uid at once. Each first subscribes to what is said of the uid, then asks, on the
 * same connection; so of two that overlap, at least one hears the other's question while it waits itself, and answers it:
 * the smaller sid goes first. The server gives a gateway nothing of its own back, and does not count it as a listener.
 */
import type { Clock, CancelTimer } from '../clock.ts';
import { type Failure, failure, isFailure } from '../errors.ts';
import type { Registry } from '../session/registry.ts';
import type { Session } from '../session/session.ts';
import { showsLife, SIGN_OF_LIFE_MS } from '../session/signs-of-life.ts';
import type { ClaimChannel, Peers } from './bus.ts';

/** How long the answer of a holder may travel. */
const TRAVEL_MS = 500;
/** Others than gateways may hear the question too, and say nothing: after this the gateways themselves are asked. */
const CHECK_AFTER_MS = 250;
/** The longest that a bind waits for those who hold its uid. */
export const ASK_MS_MAX = 2 * (SIGN_OF_LIFE_MS + TRAVEL_MS);
/** Binds that wait at once. */
export const ASKS_MAX = 10_000;

export type UidAsksParts = {
  readonly gatewayId: string;
  readonly registry: Registry;
  readonly channel: ClaimChannel;
  readonly peers: Pick<Peers, 'presence'>;
  readonly clock: Clock;
};

/** The uid may be bound now. */
export type Permit = {
  /** It was bound, or nobody wants it any more. */
  release(): void;
};

type Ask = {
  readonly sid: string;
  /** Another one goes first. */
  givesWay: boolean;
  /** Ends the question that is under way. */
  end(): void;
};

/** nobody: no one holds it · free: who held it has closed its session · silent: a holder says nothing. */
type Heard = 'nobody' | 'free' | 'held' | 'silent';

export class UidAsks {
  readonly #parts: UidAsksParts;
  readonly #asks = new Map<string, Ask>();
  /** Sessions that are being asked for a sign of life. */
  readonly #alive = new Map<Session, Promise<boolean>>();

  constructor(parts: UidAsksParts) {
    this.#parts = parts;
  }

  /** Binds that wait. */
  get size(): number {
    return this.#asks.size;
  }

  async ask(session: Session, uid: string): Promise<Permit | Failure> {
    if (this.#asks.has(uid)) return failure('UID_IN_USE');
    if (this.#asks.size >= ASKS_MAX)
      return failure('OVERLOADED', `${ASKS_MAX} binds wait for the holders of their uids`);
    const ask: Ask = { sid: session.sid, givesWay: false, end() {} };
    this.#asks.set(uid, ask);
    let isFree = false;
    try {
      isFree = (await this.#isFreeHere(uid)) && (await this.#isFreeElsewhere(uid, ask));
    } finally {
      if (!isFree) this.#release(uid);
    }
    if (!isFree) return failure('UID_IN_USE');
    return {
      release: () => {
        this.#release(uid);
      },
    };
  }

  /** Another gateway asks, for the session `sid`, whether the uid is held here. Resolves with the answer. */
  async answer(uid: string, sid: string): Promise<boolean> {
    if (this.#parts.registry.byUid(uid).size > 0) return !(await this.#isFreeHere(uid));
    const ask = this.#asks.get(uid);
    if (ask === undefined) return false;
    if (sid < ask.sid) {
      ask.givesWay = true;
      ask.end();
    }
    return !ask.givesWay;
  }

  #release(uid: string): void {
    this.#asks.delete(uid);
    const { registry } = this.#parts;
    if (registry.byUid(uid).size === 0) registry.unhold(uid);
  }

  /** Closes the sessions whose clients are gone. False: there is one that is not. */
  async #isFreeHere(uid: string): Promise<boolean> {
    const sessions = [...this.#parts.registry.byUid(uid)];
    if (sessions.length === 0) return true;
    const alive = await Promise.all(sessions.map((session) => this.#isAlive(session)));
    if (alive.includes(true)) return false;
    for (const session of sessions) if (session.uid === uid) session.close('logged_in_elsewhere');
    return this.#parts.registry.byUid(uid).size === 0;
  }

  #isAlive(session: Session): Promise<boolean> {
    let alive = this.#alive.get(session);
    if (alive === undefined) {
      alive = showsLife(session, this.#parts.clock).finally(() => {
        this.#alive.delete(session);
      });
      this.#alive.set(session, alive);
    }
    return alive;
  }

  async #isFreeElsewhere(uid: string, ask: Ask): Promise<boolean> {
    const { channel, clock, registry } = this.#parts;
    if (!channel.up) return true;
    // From now on this gateway is asked, too.
    const held = registry.hold(uid);
    const until = clock.now() + ASK_MS_MAX;
    let heard: Heard = 'free';
    // When one has given way there may be another.
    while (heard === 'free' && !ask.givesWay && clock.now() < until)
      heard = await this.#askHolders(uid, ask);
    await held;
    return (heard === 'nobody' || heard === 'silent') && !ask.givesWay;
  }

  async #askHolders(uid: string, ask: Ask): Promise<Heard> {
    const { channel, clock, gatewayId } = this.#parts;
    let heard: Heard = 'silent';
    const question = { sid: ask.sid, uid, gateway: gatewayId, ask: 'alive' };
    const waitMs = SIGN_OF_LIFE_MS + TRAVEL_MS;
    const asked = channel.ask(uid, question, waitMs, ({ gateway, fields: { alive } }) => {
      if (gateway === gatewayId || typeof alive !== 'boolean') return false;
      heard = alive ? 'held' : 'free';
      return true;
    });
    if (isFailure(asked)) return 'silent';
    ask.end = () => {
      asked.end();
    };
    let cancel: CancelTimer = () => {};
    const checked = new Promise<Heard>((resolve) => {
      cancel = clock.setTimer(CHECK_AFTER_MS, () => {
        this.#whenNobody(uid, () => {
          asked.end();
          resolve('nobody');
        });
      });
    });
    const ended = asked.ended.then((outcome) => (outcome === 'nobody' ? outcome : heard));
    const outcome = await Promise.race([ended, checked]);
    cancel();
    ask.end = () => {};
    return outcome;
  }

  /** Calls `then` if every gateway says that it does not hold the uid. */
  #whenNobody(uid: string, then: () => void): void {
    const call = this.#parts.peers.presence([uid], CHECK_AFTER_MS);
    if (isFailure(call)) return;
    call.then(
      ({ answers, silentGateways }) => {
        const isHeld = answers.some(({ presence = [] }) => presence.length > 0);
        if (!isHeld && silentGateways.length === 0) then();
      },
      () => {},
    );
  }
}
