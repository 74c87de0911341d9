/**
 * The process that `pith serve` is where `workers` is more than 1. It holds the ports and hands out their connections,
 * begins workers again that have crashed, and makes of many one: one drain, one reload, one count of addresses. It
 * relays no message of a client and knows nothing of sessions.
 */
import { Backoff } from '../backoff.ts';
import { inBackground } from '../background.ts';
import { type Clock, sleep } from '../clock.ts';
import type { Config } from '../config/schema.ts';
import type { ReloadOutcome } from '../control/gateway-methods.ts';
import { errorText } from '../errors.ts';
import type { Random } from '../random.ts';
import type { ReadConfig } from '../reload/reload.ts';
import type { Log } from '../telemetry/log.ts';
import type { RecentLines } from '../telemetry/recent-lines.ts';
import { AddressCounts } from './address-counts.ts';
import { Child, type Place, type WorkerProcess } from './child.ts';
import { DoorRefusals } from './door-refusals.ts';
import { Doors, placeOf } from './doors.ts';
import { FirstStart } from './first-start.ts';
import { endHung } from './hung.ts';
import { LostWorkers } from './lost-workers.ts';
import { MetricsOfAll } from './metrics-of-all.ts';
import { othersOf, type ReadyOfAll, readyOf } from './of-all.ts';
import { passLines } from './own-lines.ts';
import { relayFrom } from './relay-between.ts';
import { ReloadOfAll } from './reload-all.ts';
import { StandingOrders } from './standing-orders.ts';
import { type Told, type Upgraded, Upgrades } from './upgrade.ts';
import type { Begin, DrainAsk, ListenAsk, Listening } from './words.ts';

/** The longest first wait before a worker that could not start is begun again, and the longest of all. */
const AGAIN_MS = { min: 500, max: 10_000 } as const;
/** More workers than this that crash within that time are one crash after another: the process ends. */
const CRASHES_MAX = 10;
const CRASHES_MS = 300_000;
/** How often workers are told of the others, at most. */
const OTHERS_EVERY_MS = 250;
/** How much longer than `drain` says a stop may take, before what is left is killed. */
const STOP_EXTRA_MS = 30_000;

export type ParentParts = {
  readonly config: Config;
  readonly workers: number;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  /** Of that log. */
  readonly recentLines: RecentLines;
  readonly readConfig: ReadConfig;
  /** Of this program, and where its configuration is read. */
  readonly own: Pick<Begin, 'version' | 'choice'>;
  readonly fork: () => WorkerProcess;
  /** Says on stderr why the process ends. */
  readonly complain: (text: string) => void;
  /** Exit codes. */
  readonly exits: { readonly OK: number; readonly SOFTWARE: number; readonly OS: number };
};

export class Parent {
  /** The exit code, when all workers have ended after a stop. */
  readonly ended: Promise<number>;
  /** Resolves when all take clients for the first time, with where they listen. */
  readonly ready: Promise<ReadyOfAll>;
  readonly #parts: ParentParts;
  readonly #places: Place[];
  readonly #doors: Doors;
  readonly #addresses = new AddressCounts<Child>();
  readonly #metrics: MetricsOfAll;
  readonly #lost = new LostWorkers();
  readonly #firstStart: FirstStart;
  readonly #onEnded: (code: number) => void;
  readonly #onReady: (facts: ReadyOfAll) => void;
  /** null: it runs. */
  #exitCode: number | null = null;
  #isReady = false;
  #isTelling = false;
  /** When the last crashes were. */
  #crashes: number[] = [];
  #drain: DrainAsk | null = null;
  #isHurried = false;
  readonly #reload: ReloadOfAll;
  readonly #upgrades: Upgrades;
  readonly #standing: StandingOrders;
  readonly #there = (): readonly Child[] => this.children;

  constructor(parts: ParentParts) {
    const { random, workers } = parts;
    this.#parts = parts;
    this.#reload = new ReloadOfAll(parts, this.#there);
    this.#standing = new StandingOrders(parts.clock, this.#there, () => this.#reload.config);
    const ended = Promise.withResolvers<number>();
    const ready = Promise.withResolvers<ReadyOfAll>();
    this.ended = ended.promise;
    this.#onEnded = ended.resolve;
    this.ready = ready.promise;
    this.#onReady = ready.resolve;
    const refusals = new DoorRefusals(parts);
    this.#doors = new Doors(refusals);
    this.#metrics = new MetricsOfAll(refusals);
    this.#places = Array.from({ length: workers }, () => ({
      child: null,
      backoff: new Backoff(AGAIN_MS.min, AGAIN_MS.max, random),
    }));
    this.#firstStart = new FirstStart(parts.clock, workers);
    this.#upgrades = new Upgrades({
      ...{ ...parts, places: this.#places, doors: this.#doors, addresses: this.#addresses },
      ...{ metrics: this.#metrics, reload: this.#reload, standing: this.#standing },
      beginSuccessor: (n) => this.#fork(n, true),
      crashed: (child) => this.#onExit(child, null, null),
      drain: () => this.#drain,
    });
  }

  /** Begins all workers. */
  start(): void {
    for (const i of this.#places.keys()) this.#begin(i + 1);
    endHung(this.#parts, this.#there, () => this.#reload.config.worker_timeout);
    passLines(this.#parts, this.#there);
  }

  /** Those that are there. */
  get children(): readonly Child[] {
    return this.#places.flatMap(({ child }) => child ?? []);
  }

  // ---- a worker's life ----------------------------------------------------------------------------------

  #begin(n: number): void {
    this.#places[n - 1]!.child = this.#fork(n, false);
  }

  #fork(n: number, isSuccessor: boolean): Child {
    const { clock, fork, log, own, workers } = this.#parts;
    const child = new Child(n, fork(), { clock, config: this.#reload.config });
    const { channel, program } = child;
    program.on('error', (error) => {
      log.error({ worker: n, error: errorText(error) }, 'a worker could not be begun');
      // Without a process there is no end of one.
      if (program.pid === undefined) this.#onExit(child, null, null);
    });
    child.onEnd((code, signal) => {
      this.#onExit(child, code, signal);
    });
    channel.onTell('status', (status) => {
      if (child.heard(status)) this.#onFirstWord(child);
      this.#onStatus(child);
      this.#lost.tell(this.children);
    });
    channel.onTell('shut', ({ door }) => {
      this.#doors.shut(door, child, this.#drain !== null);
    });
    channel.onTell('entered', ({ n: id, block, max }) => {
      // Its connections are still counted for the process before.
      const most = this.children.includes(child) ? max : 0;
      if (!this.#addresses.enter(child, id, block, most)) channel.tell('over', { n: id });
    });
    channel.onTell('left', ({ ns }) => {
      for (const id of ns) this.#addresses.leave(child, id);
    });
    channel.onAsk('listen', (ask) => this.#listen(child, ask));
    channel.onAsk('drain', (ask) => {
      this.drain(ask);
      return Promise.resolve(null);
    });
    channel.onAsk('reload', ({ why }) => this.#reload.run(why));
    channel.onAsk('metrics', (own) => this.#metrics.read(child, own, this.#upgrades.measured()));
    channel.onAsk('hold', () => this.#doors.hold(child));
    this.#standing.takeFrom(child);
    relayFrom(child, this.#there, (...said) => this.#upgrades.pass(child, ...said));
    channel.tell('begin', { worker: n, workers, config: child.config, ...own, isSuccessor });
    return child;
  }

  /** From its first word on it does as it is told: now what the others were told before. */
  #onFirstWord(child: Child): void {
    this.#standing.tellNew(child);
    if (this.#drain !== null) child.channel.tell('drain', this.#drain);
    if (this.#isHurried) child.channel.tell('hurry', null);
  }

  #onStatus(child: Child): void {
    const { status, channel } = child;
    if (status.state === 'ready' && !child.wasReady) {
      child.wasReady = true;
      this.#upgrades.ready(child);
      this.#reload.catchUp(child);
      this.#places[child.n - 1]!.backoff.reset();
      if (!this.#isReady && this.#places.every((one) => one.child?.status.state === 'ready')) {
        this.#isReady = true;
        this.#onReady(readyOf(this.children));
      } else if (this.#isReady) {
        const { gateway } = status;
        this.#parts.log.info({ worker: child.n, gateway }, 'the worker is ready again');
      }
    }
    if (status.forced !== null && !child.isTold) {
      if (this.#drain === null) {
        // It was stopped alone, and another takes its place.
        child.isTold = true;
        channel.tell('drained', null);
      } else this.#endTogether();
    }
    this.#tellOthers();
  }

  /** Once all have closed their sessions. */
  #endTogether(): void {
    const { children } = this;
    if (!children.every(({ status }) => status.forced !== null)) return;
    for (const child of children) {
      if (!child.isTold) child.channel.tell('drained', null);
      child.isTold = true;
    }
  }

  #onExit(child: Child, code: number | null, signal: NodeJS.Signals | null): void {
    const { exits, log } = this.#parts;
    const { n, status, isTold } = child;
    const place = this.#places[n - 1]!;
    this.#doors.left(child, child.untaken());
    this.#addresses.forget(child);
    this.#metrics.ended(child);
    if (this.#upgrades.ended(child, code, signal)) return;
    place.child = null;
    const isClean = code === exits.OK && isTold;
    if (!isClean) {
      this.#metrics.crashes++;
      const { gateway, sessions } = status;
      const how = signal === null ? { code } : { signal };
      log.error({ worker: n, gateway, ...how, sessions }, 'a worker has ended unexpectedly');
      if (gateway !== '') this.#lost.add({ gateway, sessions });
      this.#lost.tell(this.children);
    }
    if (this.#exitCode !== null || this.#drain !== null) {
      if (!isClean) this.#exitCode ||= code || exits.SOFTWARE;
      this.#endTogether();
      if (this.children.length === 0) this.#onEnded(this.#exitCode ?? exits.OK);
      return;
    }
    if (!this.#isReady) {
      // With a code it has said itself why.
      const why = `pith: a worker has ended while the process started: ${signal}\n`;
      this.#giveUp(code || exits.SOFTWARE, signal === null ? '' : why);
    } else if (isClean) this.#begin(n);
    else this.#beginAgain(place, n);
    this.#tellOthers();
  }

  #beginAgain({ backoff }: Place, n: number): void {
    const { clock, exits, log } = this.#parts;
    const now = clock.now();
    this.#crashes = [...this.#crashes.filter((at) => at > now - CRASHES_MS), now];
    if (this.#crashes.length > CRASHES_MAX) {
      const minutes = CRASHES_MS / 60_000;
      this.#giveUp(
        exits.SOFTWARE,
        `pith: workers have crashed ${this.#crashes.length} times in ${minutes} minutes: giving up\n`,
      );
      return;
    }
    const inMs = Math.round(backoff.next());
    log.warn({ worker: n, inMs }, 'the worker is begun again');
    clock.setTimer(inMs, () => {
      if (this.#exitCode !== null || this.#drain !== null) return;
      this.#begin(n);
    });
  }

  /** Ends all. @param why For stderr; '': it has been said. */
  #giveUp(code: number, why: string): void {
    if (this.#exitCode !== null) return;
    this.#exitCode = code;
    this.#parts.complain(why);
    this.#stop({ reason: 'a worker cannot be kept running' });
    if (!this.#isReady) this.hurry();
    if (this.children.length === 0) this.#onEnded(code);
  }

  // ---- ports --------------------------------------------------------------------------------------------

  async #listen(child: Child, ask: ListenAsk): Promise<Listening> {
    if (!this.#upgrades.mayListen(child)) throw new Error('it has not taken over');
    if (!this.#isReady && this.#drain === null) await this.#firstStart.allAt(ask.door);
    try {
      return await this.#doors.open(ask, child);
    } catch (error) {
      const [key, address] = placeOf(ask.door, this.#parts.config);
      this.#giveUp(
        this.#parts.exits.OS,
        `pith: ${key}: cannot listen on ${address}: ${errorText(error)}\n`,
      );
      throw error;
    }
  }

  // ---- one of many --------------------------------------------------------------------------------------

  /** Soon, and once for all that changes meanwhile. */
  #tellOthers(): void {
    if (this.#isTelling) return;
    this.#isTelling = true;
    this.#parts.clock.setTimer(OTHERS_EVERY_MS, () => {
      this.#isTelling = false;
      for (const child of this.children)
        child.channel.tell('others', othersOf(child, this.children));
    });
  }

  /** Lets all workers drain, once. */
  drain(ask: DrainAsk): void {
    if (this.#drain !== null) return;
    this.#parts.log.info({ workers: this.children.length }, 'draining all workers');
    this.#stop(ask);
    if (this.children.length === 0) this.#onEnded(this.#exitCode ?? this.#parts.exits.OK);
  }

  /** What is left is to end now. */
  hurry(): void {
    this.#isHurried = true;
    for (const { channel } of this.children) channel.tell('hurry', null);
  }

  #stop(ask: DrainAsk): void {
    this.#drain ??= ask;
    this.#firstStart.end();
    for (const { channel, isHeard } of this.children) if (isHeard) channel.tell('drain', ask);
    const { accept_for: acceptMs, budget } = this.#reload.config.drain;
    inBackground(this.#killLate(acceptMs + (ask.budgetMs ?? budget) + STOP_EXTRA_MS), () => {});
  }

  async #killLate(ms: number): Promise<void> {
    await sleep(this.#parts.clock, ms);
    for (const { n, program } of this.children) {
      this.#parts.log.error({ worker: n }, 'the worker does not stop: it is killed');
      program.kill('SIGKILL');
    }
  }

  /** Lets the version that is on disk take over. Never rejects. */
  upgrade(tell: Told): Promise<Upgraded> {
    return this.#upgrades.run(tell);
  }

  /** Reads the configuration again, for all workers or none. @param why For the log. Never rejects. */
  reload(why: string): Promise<ReloadOutcome> {
    return this.#reload.run(why);
  }
}
