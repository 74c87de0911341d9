/**
 * The process that `pith serve` is where `workers` is more than 1. It holds the ports and hands out their connections,
 * begins workers again that have crashed, and makes of many one: one drain, one reload, one count of addresses. It
 * relays no message of a client and knows nothing of sessions.
 */
import { Backoff } from '../backoff.ts';
import { inBackground } from '../background.ts';
import { type Clock, sleep, within } from '../clock.ts';
import type { Config } from '../config/schema.ts';
import type { ReloadOutcome } from '../control/gateway-methods.ts';
import { errorText } from '../errors.ts';
import type { Random } from '../random.ts';
import type { ReadConfig } from '../reload/reload.ts';
import type { Log } from '../telemetry/log.ts';
import { AddressCounts } from './address-counts.ts';
import { Child, type WorkerProcess } from './child.ts';
import { Doors } from './doors.ts';
import { endHung } from './hung.ts';
import { LostWorkers } from './lost-workers.ts';
import { MetricsOfAll } from './metrics-of-all.ts';
import { othersOf, type ReadyOfAll, readyOf } from './of-all.ts';
import { ReloadOfAll } from './reload-all.ts';
import type { DrainAsk, ListenAsk, Listening } from './words.ts';

/** The longest first wait before a worker that could not start is begun again, and the longest of all. */
const AGAIN_MS = { min: 500, max: 10_000 } as const;
/** More workers than this that crash within that time are one crash after another: the process ends. */
const CRASHES_MAX = 10;
const CRASHES_MS = 300_000;
/** How long the ports wait at the start until all workers are there, so that all get their share. */
const FIRST_START_MS = 30_000;
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
  readonly readConfig: ReadConfig;
  readonly fork: () => WorkerProcess;
  /** Says on stderr why the process ends. */
  readonly complain: (text: string) => void;
  /** Exit codes. */
  readonly exits: { readonly OK: number; readonly SOFTWARE: number; readonly OS: number };
};

/** A worker, or the place of one that is to be begun again. */
type Place = { child: Child | null; readonly backoff: Backoff };

export class Parent {
  /** The exit code, when all workers have ended after a stop. */
  readonly ended: Promise<number>;
  /** Resolves when all take clients for the first time, with where they listen. */
  readonly ready: Promise<ReadyOfAll>;
  readonly #parts: ParentParts;
  readonly #places: Place[];
  readonly #doors: Doors;
  readonly #addresses = new AddressCounts<Child>();
  readonly #metrics = new MetricsOfAll();
  readonly #lost = new LostWorkers();
  readonly #asked = new Map<string, PromiseWithResolvers<void> & { count: number }>();
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

  constructor(parts: ParentParts) {
    const { random, log, workers } = parts;
    this.#parts = parts;
    this.#reload = new ReloadOfAll(parts, () => this.children);
    const ended = Promise.withResolvers<number>();
    const ready = Promise.withResolvers<ReadyOfAll>();
    this.ended = ended.promise;
    this.#onEnded = ended.resolve;
    this.ready = ready.promise;
    this.#onReady = ready.resolve;
    this.#doors = new Doors((door, error) => {
      log.warn({ door, error: errorText(error) }, 'a connection was refused');
    });
    this.#places = Array.from({ length: workers }, () => ({
      child: null,
      backoff: new Backoff(AGAIN_MS.min, AGAIN_MS.max, random),
    }));
  }

  /** Begins all workers. */
  start(): void {
    for (const i of this.#places.keys()) this.#begin(i + 1);
    endHung(
      this.#parts,
      () => this.children,
      () => this.#reload.config.worker_timeout,
    );
  }

  /** Those that are there. */
  get children(): readonly Child[] {
    return this.#places.flatMap(({ child }) => child ?? []);
  }

  // ---- a worker's life ----------------------------------------------------------------------------------

  #begin(n: number): void {
    const { clock, fork, log, workers } = this.#parts;
    const child = new Child(n, fork(), { clock, config: this.#reload.config });
    this.#places[n - 1]!.child = child;
    const { channel, program } = child;
    program.on('error', (error) => {
      log.error({ worker: n, error: errorText(error) }, 'a worker could not be begun');
      // Without a process there is no end of one.
      if (program.pid === undefined) this.#onExit(child, null, null);
    });
    program.on('exit', (code, signal) => {
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
      if (!this.#addresses.enter(child, id, block, max)) channel.tell('over', { n: id });
    });
    channel.onTell('left', ({ n: id }) => {
      this.#addresses.leave(child, id);
    });
    channel.onTell('pass', ({ to, name, body }, handle) => {
      const other = this.#places[to - 1]?.child;
      if (other) other.channel.tell('passed', { from: n, name, body }, handle);
      else handle?.close();
    });
    channel.onAsk('listen', (ask) => this.#listen(child, ask));
    channel.onAsk('drain', (ask) => {
      this.drain(ask);
      return Promise.resolve(null);
    });
    channel.onAsk('reload', ({ why }) => this.#reload.run(why));
    channel.onAsk('metrics', (own) => this.#metrics.read(child, own, this.children));
    channel.onAsk('level', async (ask) => {
      const others = this.children.filter((other) => other !== child);
      await Promise.all(others.map((other) => other.channel.ask('level', ask)));
      return null;
    });
    channel.tell('begin', { worker: n, workers, config: child.config });
  }

  /** From its first word on it does as it is told: now what the others were told before. */
  #onFirstWord(child: Child): void {
    if (this.#drain !== null) child.channel.tell('drain', this.#drain);
    if (this.#isHurried) child.channel.tell('hurry', null);
  }

  #onStatus(child: Child): void {
    const { status, channel } = child;
    if (status.state === 'ready' && !child.wasReady) {
      child.wasReady = true;
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
    place.child = null;
    this.#doors.left(child, child.untaken());
    this.#addresses.forget(child);
    this.#metrics.ended(child);
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
    await this.#allHaveAsked(ask.door);
    try {
      return await this.#doors.open(ask, child);
    } catch (error) {
      const [key, address] = this.#nameOf(ask.door);
      this.#giveUp(
        this.#parts.exits.OS,
        `pith: ${key}: cannot listen on ${address}: ${errorText(error)}\n`,
      );
      throw error;
    }
  }

  /** At the first start no worker gets clients before the others can. */
  async #allHaveAsked(door: string): Promise<void> {
    if (this.#isReady || this.#drain !== null) return;
    let asked = this.#asked.get(door);
    if (asked === undefined) {
      asked = { ...Promise.withResolvers<void>(), count: 0 };
      this.#asked.set(door, asked);
    }
    if (++asked.count >= this.#places.length) asked.resolve();
    await within(this.#parts.clock, FIRST_START_MS, asked.promise, undefined);
  }

  /** In the configuration. */
  #nameOf(door: string): readonly [key: string, address: string] {
    const { config } = this.#parts;
    if (door === 'health' || door === 'admin' || door === 'control')
      return [`${door}.listen`, config[door].listen];
    const index = Number(/\d+/.exec(door)?.[0]);
    return [`${door}.url`, config.listen[index]?.url ?? ''];
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
    for (const asked of this.#asked.values()) asked.resolve();
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

  /** Reads the configuration again, for all workers or none. @param why For the log. Never rejects. */
  reload(why: string): Promise<ReloadOutcome> {
    return this.#reload.run(why);
  }
}
