/**
 * A new version takes over while clients stay: for each worker in turn a successor is begun from the program that is on
 * disk now, the worker hands everything over to it, and ends. The two talk by `takeover/line.ts`, which passes through
 * here. The moment at which it is decided is the old one's `go`: until then the successor can end, and nothing has
 * changed; from then on the successor is the worker, and the old one only has to leave.
 */
import { type Clock, within } from '../clock.ts';
import { errorText } from '../errors.ts';
import type { RawHandle } from '../transport/raw-handle.ts';
import type { HandedOver } from '../takeover/hand-over.ts';
import type { Log } from '../telemetry/log.ts';
import type { AddressCounts } from './address-counts.ts';
import type { Child, Place } from './child.ts';
import type { Doors } from './doors.ts';
import type { MetricsOfAll } from './metrics-of-all.ts';
import type { ReloadOfAll } from './reload-all.ts';
import type { StandingOrders } from './standing-orders.ts';
import { type DrainAsk, GONE, TAKEOVER } from './words.ts';

/** How long one worker may take to hand everything over: the bounds of all its steps together, and some. */
const HAND_OVER_MS = 240_000;
/** How long a successor may take to listen, once the clients are its own. */
const READY_MS = 30_000;
/** How long the old process may take to leave; then it is killed. */
const LEAVE_MS = 30_000;
/** How long the end of one that was killed is waited for. */
const GONE_MS = 5_000;

/** What an upgrade needs of the parent. */
export type UpgradeParts = {
  readonly clock: Clock;
  readonly log: Log;
  readonly places: readonly Place[];
  readonly doors: Doors;
  readonly addresses: AddressCounts<Child>;
  readonly metrics: MetricsOfAll;
  readonly reload: ReloadOfAll;
  readonly standing: StandingOrders;
  /** Begins a process that is to take over from the worker of this number. */
  readonly beginSuccessor: (n: number) => Child;
  /** The worker has ended unexpectedly. */
  readonly crashed: (child: Child) => void;
  /** null: it serves. */
  readonly drain: () => DrainAsk | null;
};

export type UpgradedWorker = {
  readonly worker: number;
  readonly gateway: string;
  /** Versions of the program. */
  readonly from: string;
  readonly to: string;
  readonly pid: number;
  /** Clients that it has now, and clients that could not move and were closed. */
  readonly moved: number;
  readonly closed: number;
  /** The longest time that nobody was read from. */
  readonly pausedMs: number;
};

export type Upgraded = {
  readonly workers: readonly UpgradedWorker[];
  /** Why the rest were not upgraded; '': there is no rest. */
  readonly why: string;
  /** The rest serve as before; false: one of them has ended, and its clients have lost their connections. */
  readonly isIntact: boolean;
};

/** What a person is told meanwhile. */
export type Told = (line: string, upgraded?: UpgradedWorker) => void;

type Move = {
  readonly old: Child;
  readonly next: Child;
  /** The old one has said `go`. */
  isDecided: boolean;
  /** How the successor ended; '': it is there. */
  nextEnd: string;
  readonly oldGone: PromiseWithResolvers<void>;
  readonly nextReady: PromiseWithResolvers<void>;
  readonly nextGone: PromiseWithResolvers<void>;
};

export class Upgrades {
  readonly #parts: UpgradeParts;
  #move: Move | null = null;
  #isRunning = false;
  /** Have handed over, and are about to end. */
  readonly #leaving = new Set<Child>();

  constructor(parts: UpgradeParts) {
    this.#parts = parts;
  }

  /** Whose counts are those of the process: all workers, and those that are about to leave. */
  measured(): readonly Child[] {
    return [...this.#parts.places.flatMap(({ child }) => child ?? []), ...this.#leaving];
  }

  /** One at a time: who asks meanwhile is refused. Waits for a reload that is under way. Never rejects. */
  async run(tell: Told): Promise<Upgraded> {
    if (this.#isRunning)
      return { workers: [], why: 'an upgrade is under way already', isIntact: true };
    this.#isRunning = true;
    try {
      return await this.#parts.reload.inTurn(() => this.#all(tell));
    } finally {
      this.#isRunning = false;
    }
  }

  async #all(tell: Told): Promise<Upgraded> {
    const { log, metrics, places } = this.#parts;
    const workers: UpgradedWorker[] = [];
    let why = '';
    let isIntact = true;
    for (const place of places) {
      why = this.#refusal();
      const { child: old } = place;
      if (why !== '' || old === null) break;
      const { n, status, program } = old;
      tell(`worker ${n} (${status.gateway}, pid ${program.pid}): beginning its successor`);
      const done = await this.#one(old);
      if (typeof done === 'string') {
        // What one of the two says then is what came of the drain.
        why = this.#parts.drain() === null ? `worker ${n}: ${done}` : DRAINS;
        isIntact = place.child === old;
        metrics.upgrades.ended(isIntact ? 'refused' : 'failed');
        break;
      }
      workers.push(done);
      metrics.upgrades.upgraded(done);
      const closed = done.closed > 0 ? `, ${done.closed} closed` : '';
      tell(
        `worker ${n}: version ${done.from} is followed by ${done.to} (pid ${done.pid}): ${done.moved} clients moved${closed}, paused for ${done.pausedMs} ms`,
        done,
      );
    }
    if (why === '') log.info({ workers: workers.length }, 'upgraded');
    else log.error({ why, upgraded: workers.length }, 'not upgraded');
    return { workers, why, isIntact };
  }

  #refusal(): string {
    if (this.#parts.drain() !== null) return DRAINS;
    const isWhole = this.#parts.places.every(({ child }) => child?.status.state === 'ready');
    return isWhole ? '' : 'not all workers are ready';
  }

  /** Or why it did not move. */
  async #one(old: Child): Promise<UpgradedWorker | string> {
    const next = this.#parts.beginSuccessor(old.n);
    const move: Move = {
      ...{ old, next, isDecided: false, nextEnd: '' },
      oldGone: Promise.withResolvers<void>(),
      nextReady: Promise.withResolvers<void>(),
      nextGone: Promise.withResolvers<void>(),
    };
    this.#move = move;
    try {
      const said = await this.#handedOver(old);
      if (!move.isDecided) {
        const { nextEnd } = move;
        next.program.kill('SIGKILL');
        this.#parts.doors.goOn(old);
        await within(this.#parts.clock, GONE_MS, move.nextGone.promise, undefined);
        return nextEnd === '' ? whyOf(said) : `${whyOf(said)} (${nextEnd})`;
      }
      await this.#letGo(move);
      const isReady = move.nextReady.promise.then(() => true);
      if (!(await within(this.#parts.clock, READY_MS, isReady, false)) || move.nextEnd !== '')
        return `its successor has its clients, and ${move.nextEnd === '' ? 'does not listen in time' : `then failed: ${move.nextEnd}`}`;
      const { moved = 0, drained: closed = 0, pausedMs = 0 } = 'moved' in said ? said : {};
      return {
        ...{ worker: old.n, gateway: next.status.gateway, from: old.status.version },
        ...{ to: next.status.version, pid: next.program.pid ?? 0, moved, closed, pausedMs },
      };
    } finally {
      this.#move = null;
    }
  }

  /** Never rejects. */
  async #handedOver(old: Child): Promise<HandedOver> {
    try {
      return await old.channel.ask('handOver', null, HAND_OVER_MS);
    } catch (error) {
      return { why: `the old process: ${errorText(error)}` };
    }
  }

  /** Ends the old process. */
  async #letGo({ old, oldGone }: Move): Promise<void> {
    await this.#parts.metrics.ask(old);
    old.channel.tell('leave', null);
    const isGone = oldGone.promise.then(() => true);
    if (await within(this.#parts.clock, LEAVE_MS, isGone, false)) return;
    this.#parts.log.warn({ worker: old.n }, 'the old process does not leave: it is killed');
    old.program.kill('SIGKILL');
  }

  // ---- what the parent hears of them --------------------------------------------------------------------

  /** Passes on what one of the two says to the other. @returns False: it is not for them. */
  pass(from: Child, name: string, body: unknown, handle: RawHandle | undefined): boolean {
    const move = this.#move;
    if (move === null || name !== TAKEOVER || (from !== move.old && from !== move.next))
      return false;
    const isGo = from === move.old && (body as { say?: string } | null)?.say === 'go';
    from.isAlive();
    const other = from === move.old ? move.next : move.old;
    other.channel.tell('passed', { from: from.n, name, body }, handle);
    if (isGo) {
      move.isDecided = true;
      this.#leaving.add(move.old);
      this.#replace(move);
      // It had ended already.
      if (move.nextEnd !== '') this.#parts.crashed(move.next);
    }
    return true;
  }

  #replace({ old, next }: Move): void {
    const { addresses, doors, drain, places, standing } = this.#parts;
    places[old.n - 1]!.child = next;
    standing.tellSuccessor(next);
    doors.left(old, []);
    addresses.forget(old);
    const ask = drain();
    if (ask !== null) next.channel.tell('drain', ask);
  }

  /** It may listen, unless it is a successor that has not taken over. */
  mayListen(child: Child): boolean {
    const move = this.#move;
    if (move === null || child !== move.next || move.isDecided) return true;
    move.nextEnd = 'the program on disk does not know how to take over';
    child.program.kill('SIGKILL');
    return false;
  }

  /** One of the two is ready. */
  ready(child: Child): void {
    if (child === this.#move?.next) this.#move.nextReady.resolve();
  }

  /** @returns False: it was a worker, and its end is that of a worker. */
  ended(child: Child, code: number | null, signal: NodeJS.Signals | null): boolean {
    const move = this.#move;
    const how = signal === null ? `it ended with exit code ${code}` : `it was ended by ${signal}`;
    if (this.#leaving.delete(child)) {
      const { n: worker } = child;
      if (code !== 0)
        this.#parts.log.warn({ worker, code, signal }, 'the old process did not end well');
      if (move?.old === child) {
        move.next.channel.tell('passed', { from: worker, name: TAKEOVER, body: GONE });
        move.oldGone.resolve();
      }
      return true;
    }
    if (move === null || (child !== move.old && child !== move.next)) return false;
    if (child === move.next) {
      if (move.nextEnd === '') move.nextEnd = how;
      move.nextReady.resolve();
      move.nextGone.resolve();
      move.old.channel.tell('passed', { from: child.n, name: TAKEOVER, body: GONE });
      return !move.isDecided;
    }
    // Without the one that it was to follow it has nobody's clients.
    move.next.program.kill('SIGKILL');
    return false;
  }
}

const DRAINS = 'the gateway drains';

function whyOf(said: HandedOver): string {
  return 'why' in said ? said.why : 'it has not handed over';
}
