/**
 * A message that was admitted, from its turn in the lane to its one end.
 *
 * Every way out of here goes through `#release`, which is where a call leaves the session, the lane and the
 * wheel; so a request is answered once, whatever dies. Guarded by test/integration/invariants.test.ts.
 */
import { inBackground } from '../background.ts';
import { NOTHING } from '../bytes.ts';
import type { Push, Reply } from '../contract/commands.ts';
import type { Cursor } from '../contract/cursor.ts';
import { type Failure, failure, isFailure, isOwnReason } from '../errors.ts';
import type { Message } from '../protocol/message.ts';
import { instanceFor } from '../routing/route-table.ts';
import type { Target } from '../routing/rule.ts';
import type { Queued } from '../session/lane.ts';
import type { GroupView } from '../session/group-view.ts';
import type { InFlight } from '../session/in-flight.ts';
import type { Session } from '../session/session.ts';
import { Call } from '../upstream/call.ts';
import { changeSession } from './change-session.ts';
import type { Failed } from './message-report.ts';
import type { Relay } from './relay.ts';

/** What a call needs of the relay. */
export type CallOwner = Pick<Relay, 'parts' | 'retries' | 'upstreams' | 'breakers'> & {
  free(call: RelayCall): void;
};

/**
 * free: for the next message · waiting: for its turn in the lane · joining: until its session hears its group · sent:
 * with the upstream · retrying: will be, again.
 */
type CallState = 'free' | 'waiting' | 'joining' | 'sent' | 'retrying';

/** A pooled slot: nothing is allocated per message, and `generation` counts its uses. */
export class RelayCall extends Call implements Queued, InFlight {
  state: CallState = 'free';
  inFlightBefore: InFlight | null = null;
  inFlightAfter: InFlight | null = null;
  exclusive = false;
  /** Of its body, as the admission counts them. */
  heldBytes = 0;
  /** How often it was sent again. */
  retries = 0;
  /** A bit for each watch that has shown it. Owned by `MessageWatch`. */
  watchers = 0;
  /** It did not start at once. */
  hasWaited = false;
  /** When its turn came; as `startedAt`. */
  turnAt = 0;
  /** Its answer is for the client, who may get a snapshot with it. */
  readonly answersClient: boolean = true;
  /** What its session has of the group that it joins; null: it joins none. */
  #view: GroupView | null = null;
  /** What the answer has of that group; null: it does not say. */
  #from: Cursor | null = null;
  readonly #relay: CallOwner;

  constructor(relay: CallOwner) {
    super();
    this.#relay = relay;
  }

  fill(session: Session, message: Message, target: Target, now: number): void {
    const upstream = this.#relay.upstreams[target.backendOrdinal]!;
    this.state = 'waiting';
    this.session = session;
    this.lane = session.lane(target.backendOrdinal);
    this.target = target;
    this.upstream = upstream;
    this.clientRoute = message.route;
    this.rawId = message.rawId;
    this.wantsAnswer = message.wantsAnswer;
    this.seq = ++session.seq;
    this.startedAt = now;
    this.turnAt = now;
    this.deadline = now + target.timeoutMs;
    this.instance = '';
    this.idempotent = target.idempotent;
    this.unordered = target.order === 'none';
    this.exclusive = target.order === 'serial' || (target.order === 'keep' && upstream.oneAtATime);
  }

  /** Its turn in the lane has come. */
  start(): void {
    this.state = 'sent';
    const { session, target } = this;
    if (this.hasWaited) this.turnAt = this.#relay.parts.wheel.now();
    // Its session is ending, and what it waited for was ended a moment ago.
    if (this.wantsAnswer && session.state === 'closed') {
      this.#release(this.generation, 'client_gone');
      return;
    }
    // Read now, not when the message came: a bind by an earlier answer counts.
    if (target.instance !== null) this.instance = instanceFor(target.instance, session);
    if (target.group !== null && this.wantsAnswer && this.answersClient)
      this.#joinFirst(instanceFor(target.group, session));
    else this.#send();
  }

  #send(): void {
    const { target } = this;
    // A method may say it too, but only when it is looked up.
    if (this.idempotent || target.method !== '') this.#relay.retries.began(target.backendOrdinal);
    this.upstream.send(this);
  }

  /** Sends it once its session hears the group, so that no push is missed between the snapshot and what follows. */
  #joinFirst(group: string): void {
    if (group === '') {
      this.#send();
      return;
    }
    const { generation, lane, session, unordered } = this;
    const joined = this.#relay.parts.joins.begin(session, group);
    if (isFailure(joined)) {
      // What had begun to be done to the session was done first, and may have ended it, and this message with it.
      if (this.generation === generation) this.#refused(joined);
      return;
    }
    this.#view = joined.view;
    if (joined.confirmed === null) {
      this.#send();
      return;
    }
    this.state = 'joining';
    if (!unordered) lane.pause();
    const goOn = (): void => {
      if (this.generation !== generation || this.state !== 'joining') return;
      this.state = 'sent';
      this.#send();
      if (!unordered) lane.resume();
    };
    inBackground(joined.confirmed.then(goOn), () => {
      if (this.generation === generation) this.fail(failure('INTERNAL'));
    });
  }

  // ---- ends ---------------------------------------------------------------------------------------------

  // What is sent, pushed or cancelled here may end the session, and this call with it, and others may go on: then the
  // slot serves another client's message before the line that follows. So each end is of one `generation`.

  override succeed(body: Uint8Array): void {
    const { generation, session } = this;
    if (this.wantsAnswer && session.state !== 'closed') {
      const unsent = this.sendAnswer(body);
      if (unsent !== null) {
        this.#relay.parts.report.badReply(this, unsent);
        this.reported = true;
        this.fail(unsent);
        return;
      }
    }
    this.#release(generation, 'ok');
  }

  /** To whoever asked: the client. Returns why it cannot be told the answer; null: it was. */
  protected sendAnswer(body: Uint8Array): Failure | null {
    const { session, rawId, clientRoute, target } = this;
    const encoded = session.wire.answer(rawId, clientRoute, body, target.codec);
    if (isFailure(encoded)) return encoded;
    if (session.watchers !== 0) this.#relay.parts.report.watching.answered(this, body);
    session.send(encoded);
    return null;
  }

  /** The same with why there is no answer. */
  protected sendFailure(why: Failure): void {
    const { session, rawId, clientRoute, target } = this;
    if (session.watchers !== 0) this.#relay.parts.report.watching.failed(this, why);
    const named = this.#relay.parts.report.named(why, session.sid, this.seq);
    const encoded = session.wire.failure(rawId, clientRoute, named, target.codec);
    if (encoded !== null) session.send(encoded);
  }

  override fail(why: Failure): void {
    if (this.idempotent && this.#relay.retries.again(this, why)) return;
    this.#endWith(why, true);
  }

  /** The backend itself has refused: that is not its fault, and is not tried again. */
  #refused(why: Failure): void {
    this.#endWith(why, false);
  }

  #endWith(why: Failure, isTrouble: boolean): void {
    const { generation, session } = this;
    if (this.wantsAnswer && session.state !== 'closed') this.sendFailure(why);
    const outcome = isOwnReason(why.reason) ? why.reason : 'BACKEND';
    this.#release(generation, outcome, { why, isTrouble });
  }

  override answer(reply: Reply): void {
    const { generation, session } = this;
    if (session.state === 'closed') {
      this.#pushToOthers(reply, session);
      this.#release(generation, 'ok');
      return;
    }
    // In this order: changes take effect, pushes before the answer, the answer, pushes after it, the close.
    const { patch } = reply;
    if (patch === null) {
      this.#carryOut(reply, null);
      return;
    }
    // It has answered: there is nothing to take back any more.
    this.pending = null;
    const isOpen = changeSession(
      this.#relay.parts,
      session,
      { ...reply, patch },
      {
        goesOn: () => this.state === 'sent' && this.generation === generation,
        done: (kept, refused) => {
          this.#carryOut(kept, refused);
        },
      },
    );
    if (!isOpen) this.#pushToOthers(reply, session);
  }

  /** Its client is gone; what the backend says to others still goes out. */
  #pushToOthers({ pushes }: Reply, session: Session): void {
    this.#tracePushes(pushes);
    for (const push of pushes) if (push.target !== null) this.#push(push, session);
  }

  #carryOut(reply: Reply, refused: Failure | null): void {
    const { generation, session } = this;
    if (refused !== null) {
      this.#refused(refused);
      return;
    }
    this.#tracePushes(reply.pushes);
    for (const push of reply.pushes) if (!push.afterReply) this.#push(push, session);
    if (this.generation === generation) {
      this.#from = reply.from ?? null;
      if (reply.failure !== null) this.#refused(reply.failure);
      else this.succeed(reply.body ?? NOTHING);
    }
    for (const push of reply.pushes) if (push.afterReply) this.#push(push, session);
    if (reply.close !== null) this.#relay.parts.sessionCommands.close(session, reply.close);
  }

  /** What comes with the answer is of the message's trace, unless the backend names another. */
  #tracePushes(pushes: readonly Push[]): void {
    if (this.trace === null || pushes.length === 0) return;
    const { traceparent } = this.trace;
    for (const push of pushes) push.traceparent ??= traceparent;
  }

  #push(push: Push, from: Session): void {
    const { fleetCommands, report } = this.#relay.parts;
    const refused = fleetCommands.push(push, from);
    if (refused !== null) report.pushRefused(from, push, refused);
  }

  override sent(): void {
    this.#release(this.generation, 'ok');
  }

  override onLate(): void {
    const unsent = this.state === 'sent' ? this.pending?.unsentBecause?.(this) : null;
    if (!this.#takeBack()) return;
    // Its time is up before anybody was there who could have had it: that is no timeout, and nobody need fear that it counts.
    if (unsent) this.#endWith(unsent, true);
    else this.fail(failure('TIMEOUT'));
  }

  /** The gateway waits no longer, though the client does. A notify still goes where it was going. */
  giveUp(why: Failure): void {
    if (this.wantsAnswer && this.#takeBack()) this.fail(why);
  }

  /** The client is gone, and its answer with it. A notify still goes where it was going. */
  abandon(): void {
    if (this.wantsAnswer && this.#takeBack()) this.#release(this.generation, 'client_gone');
  }

  /** Takes it back from the upstream; false: it has ended meanwhile, and its slot may be in use again. */
  #takeBack(): boolean {
    const { generation } = this;
    if (this.state === 'sent') this.pending?.cancel(this);
    return this.state !== 'free' && this.generation === generation;
  }

  /** Harmless if it has ended since it was of this `generation`. */
  #release(generation: number, outcome: string, failed: Failed | null = null): void {
    const { lane, session, state, target, unordered } = this;
    if (state === 'free' || this.generation !== generation) return;
    const { breakers, parts } = this.#relay;
    const { admission, report, wheel } = parts;
    wheel.cancel(this);
    admission.leave(target.backendOrdinal, this.heldBytes);
    const now = wheel.now();
    breakers[target.backendOrdinal]?.done(outcome, now);
    if (failed !== null) report.failed(this, failed);
    report.done(this, outcome, now);
    this.state = 'free';
    this.generation++;
    // Before the session reads on, and maybe ends: the lane would start what it finds waiting.
    if (state === 'waiting') lane.abandon(this);
    if (this.#view !== null) this.#endJoin(outcome === 'ok');
    // Last of the counts: the session may read on, and send more, when this one is gone.
    session.untrack(this);
    this.#clear();
    this.#relay.free(this);
    // Last of all: what comes next in the lane starts here.
    if (state === 'joining' && !unordered) lane.resume();
    if (state !== 'waiting') lane.leave(this);
  }

  /** The answer was sent, and the group's pushes follow it. */
  #endJoin(isAnswered: boolean): void {
    const view = this.#view!;
    const from = this.#from;
    this.#view = null;
    this.#relay.parts.joins.end(this.session, view, isAnswered ? { from } : null);
  }

  /** An idle slot must keep nothing alive, and leak nothing into the next message. */
  #clear(): void {
    // After a burst it may be long until the slot is used again.
    this.session = undefined!;
    this.lane = undefined!;
    this.body = NOTHING;
    this.pending = null;
    this.pendingId = 0;
    this.extended = false;
    this.retries = 0;
    this.hasWaited = false;
    this.reported = false;
    this.watchers = 0;
    this.why = '';
    this.#from = null;
    this.trace = null;
  }
}
