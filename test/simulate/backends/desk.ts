/**
 * What a backend process does with what it is sent, whichever way that comes: it carries out the client's plan, does
 * something of its own now and then, and is wrong when it is told to be.
 */
import type { Ledger } from '../ledger.ts';
import type { Ask, Facts, Plan, PushPlan, Way } from '../records.ts';
import type { SeededRandom } from '../random.ts';
import type { Node } from '../world.ts';
import type { PatchShape } from './write-frames.ts';
import {
  type Answer,
  type Asked,
  type AskedConnect,
  type Courier,
  type LetIn,
  NOBODY,
} from './courier.ts';
import { OwnWill } from './own-will.ts';
import { Mischief, type Wrong } from './wrong.ts';

export type DeskOptions = {
  readonly node: Node;
  readonly ledger: Ledger;
  /** Mean milliseconds between two things that it does of its own. */
  readonly ownMs: number;
  /** What it may speak on now. */
  readonly couriers: () => readonly Courier[];
};

/** Ends of sessions that it remembers. */
const ENDED_MAX = 256;
/** Handshakes that it remembers. */
const ASKED_MAX = 4_096;
/** Longer than a Link's extension makes a client wait beyond the timeout of its route. */
const EXTENSION_MS = 800;
/** Of a slow backend, in the mean. */
const SLOW_MS = 2_500;
/** Longer than a handshake may take. */
const LATE_CONNECT_MS = 8_000;
const NOT_NOW = { code: 403, reason: 'NOT_NOW', message: 'the second answer' };
export class Desk {
  readonly node: Node;
  readonly ledger: Ledger;
  readonly random: SeededRandom;
  readonly mischief: Mischief;
  /** Requests that it works on. */
  working = 0;
  readonly #own: OwnWill;
  /** Told that they have ended. */
  readonly #ended = new Set<string>();
  /** Asked to be let in here and not refused; no request has come yet. */
  readonly #asked = new Set<string>();

  constructor({ node, ledger, ownMs, couriers }: DeskOptions) {
    this.node = node;
    this.ledger = ledger;
    this.random = node.world.random(`${node.name}/desk`);
    this.mischief = new Mischief(node.world, node.world.random(`${node.name}/mischief`));
    const { random } = this;
    this.#own = new OwnWill({ node, ledger, random, everyMs: ownMs, couriers });
  }

  // ---- requests -----------------------------------------------------------------------------------------

  take(courier: Courier, asked: Asked, facts: Facts): void {
    const ask = this.ledger.reached(courier.way, facts);
    this.#asked.delete(facts.sid);
    if (ask === null) return;
    this.#own.saw(facts, ask.plan.join ?? []);
    const wrong = this.mischief.next();
    if (wrong === 'never') return;
    const delayMs = this.#delayMs(courier, asked, facts, { plan: ask.plan, wrong });
    this.working++;
    const work = (): void => {
      this.working--;
      // One that stops when it can, and one that does not look.
      if (courier.isOver || (asked.isCancelled && this.random.chance(0.5))) return;
      this.#work(courier, asked, ask, { facts, wrong });
    };
    if (delayMs === 0) work();
    else this.node.after(delayMs, work);
  }

  #delayMs(
    courier: Courier,
    asked: Asked,
    { timeoutMs, wantsAnswer }: Facts,
    { plan, wrong }: { plan: Plan; wrong: Wrong | null },
  ): number {
    const { random } = this;
    if (wrong === 'late' && wantsAnswer) return timeoutMs + random.between(50, 3_000);
    let delayMs = plan.delayMs ?? (random.chance(0.3) ? random.exponential(2) : 0);
    if (wrong === 'slow') delayMs += random.exponential(SLOW_MS);
    const isLong = delayMs > timeoutMs / 2 && wantsAnswer;
    if (isLong && courier.canExtend && random.chance(0.7)) {
      const leftMs = Math.ceil(timeoutMs / 2) + EXTENSION_MS;
      this.node.after(timeoutMs / 2, () => {
        if (!courier.isOver) asked.extend(leftMs);
      });
      delayMs = Math.min(delayMs, timeoutMs + EXTENSION_MS / 2);
    }
    return delayMs;
  }

  #work(
    courier: Courier,
    asked: Asked,
    ask: Ask,
    { facts, wrong }: { facts: Facts; wrong: Wrong | null },
  ): void {
    const { random } = this;
    const { plan } = ask;
    const { sid } = facts;
    if (wrong === 'strange') courier.strange(this.mischief, asked);
    if (courier.speaks) this.#pushAll(courier, plan.before, sid);
    if (!facts.wantsAnswer) {
      this.#instead(courier, plan, asked, sid);
      return;
    }
    if (wrong === 'garbage') {
      ask.isSettled = true;
      asked.garbage(this.mischief);
      return;
    }
    if (wrong === 'refused') {
      ask.isSettled = true;
      this.#askTooMuch(courier, asked);
      return;
    }
    const patch = patchOf(plan);
    if (patch !== null && courier.speaks && random.chance(0.3) && canBeApart(patch, asked)) {
      // On the bus it cannot know that its client has given up, and has perhaps been bound to another since.
      if (patch.uid !== undefined && ask.isDone) this.ledger.meddled(sid);
      courier.change(sid, bounded(patch, asked), (isDone) => {
        if (courier.isOver) return;
        this.#answer(courier, asked, ask, {
          sid,
          wrong,
          patch: null,
          fails: !isDone || plan.fails === true,
        });
      });
      return;
    }
    this.#answer(courier, asked, ask, { sid, wrong, patch, fails: plan.fails === true });
  }

  #answer(
    courier: Courier,
    asked: Asked,
    ask: Ask,
    how: { sid: string; wrong: Wrong | null; patch: PatchShape | null; fails: boolean },
  ): void {
    const { ledger, random } = this;
    const { plan } = ask;
    const { sid, wrong, patch, fails } = how;
    const { way, pushesInAnswers, speaks } = courier;
    const { after = [], inReply = [] } = plan;
    const isFuture = wrong === 'future';
    if (!pushesInAnswers) this.#pushAll(courier, inReply, sid);
    // In the order in which the client gets them.
    const early = speaks ? [] : (plan.before ?? []);
    const pushes = pushesInAnswers
      ? [...early, ...inReply].map((one) => ledger.pushing(way, one, sid))
      : [];
    const stamp = ledger.answering(way, ask);
    const isLate = pushesInAnswers && (!speaks || random.chance(0.3));
    const pushesAfter = isLate ? after.map((one) => ledger.pushing(way, one, sid)) : [];
    const body = `{"n":${ask.n},"by":"${stamp}"}`;
    const refusal = fails ? stamp : null;
    const closes = plan.closes === true;
    asked.answer({ body, refusal, patch, pushes, pushesAfter, closes, isFuture });
    if (wrong === 'twice') this.#answerAgain(asked, ask.n);
    if (!isLate) this.#pushAll(courier, after, sid);
  }

  /** At once, or when the gateway may have forgotten that it was answered. */
  #answerAgain(asked: Asked, n: number): void {
    const again = (): void => {
      asked.answer(secondAnswer(n));
    };
    if (this.random.chance(0.5)) again();
    else this.node.after(this.random.between(10, 5_000), again);
  }

  /** An answer that must have no effect: the gateway refuses its change, and nothing of it is carried out. */
  #askTooMuch(courier: Courier, asked: Asked): void {
    const { ledger } = this;
    const patch = this.mischief.oneOf<PatchShape>([
      { ifVersion: 999_999_999, set: { never: 1 } },
      { uid: 'u'.repeat(300) },
      { join: ['never', 'g'.repeat(300)] },
      { join: ['never'], set: { ['k'.repeat(300)]: 1 } },
    ]);
    const plan: PushPlan = { to: { kind: 'session', name: '' }, counted: false, delivery: 'must' };
    const pushes = courier.pushesInAnswers ? [ledger.pushing(courier.way, plan, NOBODY)] : [];
    const body = '{"by":"refused"}';
    asked.answer({ ...NO_MORE, body, refusal: null, patch, pushes });
  }

  /** A notify has no answer: what the plan has is said outside of one. */
  #instead(courier: Courier, plan: Plan, asked: Asked, sid: string): void {
    const patch = patchOf(plan);
    if (!courier.speaks) {
      const toPush = [...(plan.before ?? []), ...(plan.inReply ?? []), ...(plan.after ?? [])];
      const pushes = toPush.map((one) => this.ledger.pushing(courier.way, one, sid));
      const closes = plan.closes === true;
      asked.answer({ ...NO_MORE, body: '', refusal: null, patch, pushes, closes });
      return;
    }
    if (patch !== null && canBeApart(patch, asked))
      courier.change(sid, bounded(patch, asked), () => {});
    this.#pushAll(courier, plan.inReply, sid);
    this.#pushAll(courier, plan.after, sid);
    if (plan.closes === true) courier.close(sid, false);
  }

  #pushAll(courier: Courier, plans: readonly PushPlan[] | undefined, sid: string): void {
    if (plans === undefined) return;
    for (const plan of plans) courier.push(this.ledger.pushingApart(courier.way, plan, sid));
  }

  // ---- sessions -----------------------------------------------------------------------------------------

  /** A client wants to connect. */
  takeConnect(courier: Pick<Courier, 'isOver' | 'way'>, asked: AskedConnect, letIn: LetIn): void {
    const { random } = this;
    const isAgain = this.#asked.has(asked.sid) || this.ledger.clientOf(asked.sid) !== undefined;
    this.#asked.add(asked.sid);
    if (this.#asked.size > ASKED_MAX) this.#asked.delete(this.#asked.values().next().value!);
    const wrong = this.mischief.next();
    if (wrong === 'never') return;
    const decide = (): void => {
      if (courier.isOver || asked.isCancelled) return;
      if (wrong === 'garbage') {
        asked.garbage(this.mischief);
        return;
      }
      const outcome = letIn(random, asked.isRefresh);
      // Its end is told to whom it was asked of, unless that refused it.
      if ('error' in outcome && !isAgain) this.#asked.delete(asked.sid);
      this.ledger.world.trace(`${courier.way.name} let in ${asked.sid}: ${'accept' in outcome}`);
      asked.answer(outcome);
      if (wrong === 'twice') asked.answer({ error: NOT_NOW });
    };
    const delayMs =
      wrong === 'late' ? LATE_CONNECT_MS : wrong === 'slow' ? random.exponential(SLOW_MS) : 0;
    if (delayMs === 0) decide();
    else this.node.after(delayMs, decide);
  }

  /** It is told that a session has ended. */
  ended(way: Way, sid: string): void {
    const { world } = this.ledger;
    if (this.#ended.has(sid)) world.violate('an end is told once', `${sid} to ${way.process}`);
    this.#ended.add(sid);
    if (this.#ended.size > ENDED_MAX) this.#ended.delete(this.#ended.values().next().value!);
    this.#own.ended(sid);
    // Nothing else was ever heard of it.
    const isNew = this.#asked.delete(sid) && this.ledger.clientOf(sid) === undefined;
    if (isNew) world.trace(`${way.name} ended ${sid}`);
    else this.ledger.ended(way, sid);
  }
}

const NO_MORE = {
  pushes: [],
  pushesAfter: [],
  patch: null,
  closes: false,
  isFuture: false,
} as const;

/** It must have no effect: the first one counts. Not all of them ask for what a session that is bound would refuse. */
function secondAnswer(n: number): Answer {
  const patch = { join: ['second'], ...(n % 2 === 0 && { uid: 'second' }) };
  return { ...NO_MORE, body: `{"n":${n},"by":"second"}`, refusal: null, patch, closes: true };
}

function patchOf({ bind, set, join, leave }: Plan): PatchShape | null {
  if (bind === undefined && set === undefined && join === undefined && leave === undefined)
    return null;
  return {
    ...(bind !== undefined && { uid: bind }),
    ...(set !== undefined && { set: set as PatchShape['set'] & object }),
    ...(join !== undefined && { join }),
    ...(leave !== undefined && { leave }),
  };
}

/** A change of the user may arrive late, when another has been answered: it must know what it is to follow. */
function canBeApart(patch: PatchShape, { version }: Asked): boolean {
  return patch.uid === undefined || version !== 0;
}

function bounded(patch: PatchShape, { version }: Asked): PatchShape {
  return patch.uid === undefined || version === null ? patch : { ...patch, ifVersion: version };
}
