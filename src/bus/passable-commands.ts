/** The commands to the fleet, which wait or go elsewhere while another process takes the sessions over. */
import { inBackground } from '../background.ts';
import type { SessionVerb } from '../contract/backend-frames.ts';
import type { Close, Patch, Push, Target } from '../contract/commands.ts';
import type { DoneFields } from '../contract/gateway-frames.ts';
import type { SessionJson } from '../contract/json-shapes.ts';
import { errorText, type Failure, isFailure } from '../errors.ts';
import type { Session } from '../session/session.ts';
import type { GroupChange, Page, PushOutcome } from './bus.ts';
import type { Changes, Incomplete } from './change-outcome.ts';
import { CommandPassage, commandOf, LEFT } from './command-passage.ts';
import {
  FleetCommands,
  type GroupOutcome,
  type GroupsOutcome,
  type KickOutcome,
  type PresenceOutcome,
  type SessionsOutcome,
} from './fleet-commands.ts';
import { notDone, runSessionVerb } from './session-verbs.ts';

/** What became of it is known elsewhere, and nobody asks. */
const PASSED: DoneFields = { changed: 0, version: 0, failure: null };

export class PassableCommands extends FleetCommands {
  readonly passage = new CommandPassage();
  /** A command had waited, or had come from the process before, and nobody can be answered; set once. */
  onRefused: (what: 'push' | 'change', why: string) => void = () => {};

  /** Carries out what the process before passes on, ahead of what waits here. */
  carryOut(text: string): void {
    const command = commandOf(text);
    this.passage.ahead(() => {
      if ('push' in command) this.#pushLate(command.push, null);
      else
        inBackground(this.#told(runSessionVerb(command.verb, this)), (error) =>
          this.onRefused('change', errorText(error)),
        );
    });
  }

  async #told(verb: Promise<DoneFields>): Promise<void> {
    const { failure: why } = await verb;
    if (why !== null) this.onRefused('change', why.message);
  }

  #pushLate(push: Push, from: Session | null): void {
    const why = super.push(push, from);
    if (why !== null) this.onRefused('push', why.message);
  }

  override push(push: Push, from: Session | null): Failure | null {
    const { passage } = this;
    // Until its request is answered, a session is here, and what comes with the answer comes before it.
    const isAnswering = from !== null && from.inFlight > 0 && !passage.isLeft;
    if (passage.isOpen || isAnswering) return super.push(push, from);
    const refused = this.check(push);
    if (refused !== null || (push.target === null && from === null))
      return refused ?? super.push(push, from);
    const target = push.target ?? (push.keep ? { uids: [from!.uid] } : { sids: [from!.sid] });
    const whole = { ...push, target };
    const late = { ...whole, body: Buffer.from(push.body) };
    return passage.take({ push: whole }, () => this.#pushLate(late, null));
  }

  /** What a backend asks for over its Link or Unix socket. @param isAwaited It waits for the answer. */
  async verb(verb: SessionVerb, isAwaited: boolean): Promise<DoneFields> {
    const { passage } = this;
    const run = (): Promise<DoneFields> => runSessionVerb(verb, this);
    if (passage.isOpen) return run();
    if (isAwaited) {
      const done = await passage.ask(run);
      return isFailure(done) ? notDone(done) : done;
    }
    const { promise, resolve } = Promise.withResolvers<DoneFields>();
    const full = passage.take(
      { verb },
      () => resolve(run()),
      () => resolve(PASSED),
    );
    return full === null ? promise : notDone(full);
  }

  // ---- those that are answered --------------------------------------------------------------------------

  #asked<T>(run: () => Promise<T>, bytes = 0): Promise<T | Failure> {
    return this.passage.isOpen ? run() : this.passage.ask(run, bytes);
  }

  override inTurn<T>(run: () => Promise<T>): Promise<T | Failure> {
    return this.#asked(run);
  }

  /** Until another process has the sessions, this one knows best. */
  #known<T>(run: () => Promise<T>): Promise<T | Failure> {
    return this.passage.isLeft ? Promise.resolve(LEFT) : run();
  }

  override async pushCounted(push: Push, waitMs: number): Promise<PushOutcome | Failure> {
    if (this.passage.isOpen) return super.pushCounted(push, waitMs);
    const kept = { ...push, body: Buffer.from(push.body) };
    return this.#asked(() => super.pushCounted(kept, waitMs), push.body.length);
  }

  override async close(
    target: Target,
    close: Close,
    waitMs?: number,
  ): Promise<KickOutcome | Failure> {
    return this.#asked(() => super.close(target, close, waitMs));
  }

  override async changeGroups(change: GroupChange): Promise<GroupOutcome | Failure> {
    return this.#asked(() => super.changeGroups(change));
  }

  override async patch(sid: string, patch: Patch): Promise<Changes | Failure> {
    return this.#asked(() => super.patch(sid, patch));
  }

  override async patchAll(target: Target, patch: Patch): Promise<Changes | Incomplete> {
    const outcome = await this.#asked(() => super.patchAll(target, patch));
    return isFailure(outcome) ? { changed: 0, version: 0, ...outcome } : outcome;
  }

  override async list(target: Target, page: Page): Promise<SessionsOutcome | Failure> {
    return this.#known(() => super.list(target, page));
  }

  override async presence(uids: readonly string[]): Promise<PresenceOutcome | Failure> {
    return this.#known(() => super.presence(uids));
  }

  override async groups(prefix: string, page: Page): Promise<GroupsOutcome | Failure> {
    return this.#known(() => super.groups(prefix, page));
  }

  override async get(sid: string, stats?: boolean): Promise<SessionJson | Failure> {
    return this.#known(() => super.get(sid, stats));
  }
}
