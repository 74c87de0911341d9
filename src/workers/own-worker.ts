/** The worker's end of the channel: what it is told, what it tells, and its ports, at which the parent listens. */
import type { AddressInfo } from 'node:net';

import { inBackground } from '../background.ts';
import { type Clock, within } from '../clock.ts';
import type { Config } from '../config/schema.ts';
import type { DrainProgress, ReloadOutcome, WorkerFacts } from '../control/gateway-methods.ts';
import type { SharedCount } from '../transport/address-limit.ts';
import type { Acceptor, Door, MakeAcceptor, PortAddress } from '../transport/acceptor.ts';
import type { HandedOver } from '../takeover/hand-over.ts';
import type { Line } from '../takeover/line.ts';
import type { RecentLine } from '../telemetry/recent-lines.ts';
import type { Sample } from '../telemetry/samples.ts';
import { type RawHandle, socketOn } from '../transport/raw-handle.ts';
import { Channel, type ChannelEnd } from './channel.ts';
import {
  type Begin,
  type BetweenWorkers,
  type Called,
  type CallAsk,
  type DrainAsk,
  isOfClients,
  type LevelAsk,
  type LostAsk,
  NO_OTHERS,
  type Others,
  type PauseAsk,
  type ProfileAsk,
  type ReloadAsk,
  type Status,
  TAKEOVER,
  type ToParent,
  type ToWorker,
} from './words.ts';

/** Between two looks at what the parent should know: by it newcomers are handed out, while many come and go. */
const STATUS_MS = 50;
/** It is told as often as this though nothing has changed: a sign of life. */
const ALIVE_MS = 1_000;
/** How long it waits for a port: at the start until all workers are there. */
const LISTEN_MS = 60_000;
/** And for a reload of all. */
const RELOAD_MS = 180_000;

/** How much longer than the other worker the parent may take, in milliseconds. */
const ANSWER_MS = 2_000;
/** How often an operator hears how a drain goes. */
const PROGRESS_MS = 1_000;

/** What a worker does at the parent's word. */
export type Orders = {
  drain(ask: DrainAsk): void;
  hurry(): void;
  /** The parent is gone. */
  orphaned(): void;
  lost(ask: LostAsk): void;
  reload(ask: ReloadAsk): Promise<ReloadOutcome>;
  /** To a successor, which has begun. Never rejects. */
  handOver(): Promise<HandedOver>;
  /** It has handed everything over, and is to end. */
  leave(): void;
  metrics(): readonly Sample[];
  /** Of the parent's log. */
  keepLines(lines: readonly RecentLine[]): void;
  setLogLevel(ask: LevelAsk): void;
};

/** What a worker answers another one. */
export type AnswersToOthers = {
  call(ask: CallAsk): Promise<Called>;
  beginProfile(ask: ProfileAsk): { readonly isBusy: boolean };
  endProfile(): Promise<string>;
  pause(pause: PauseAsk['pause']): void;
};

/** How many this worker has, and how many it closed because the budget was over. */
export type OwnSessions = { sessions(): number; forced(): number };

export class OwnWorker implements SharedCount {
  /** The parent's first word. */
  readonly begun: Promise<Begin>;
  /** Resolves when all workers have closed their sessions, or the parent is gone. */
  readonly drained: Promise<void>;
  /** All other workers, as they were a moment ago. */
  others: Others = NO_OTHERS;
  /** All are to drain. */
  isDraining = false;
  /** The parent is gone, and `obey` has not been called yet. */
  onOrphaned: () => void = () => {};
  /** That of all workers, of which this one has its share; null: it has not begun. */
  config: Config | null = null;
  readonly #channel: Channel<ToParent, ToWorker>;
  readonly #clock: Clock;
  readonly #acceptors = new Map<string, HandedAcceptor>();
  readonly #overs = new Map<number, () => void>();
  readonly #end: ChannelEnd;
  #n = 0;
  #entered = 0;
  /** Connections that have gone in this turn. */
  readonly #left: number[] = [];
  #received = 0;

  constructor(end: ChannelEnd, clock: Clock) {
    this.#end = end;
    this.#clock = clock;
    this.#channel = new Channel(end, clock);
    const begun = Promise.withResolvers<Begin>();
    const drained = Promise.withResolvers<void>();
    this.begun = begun.promise;
    this.drained = drained.promise;
    this.#channel.onTell('begin', (begin) => {
      this.#n = begin.worker;
      begun.resolve(begin);
    });
    this.#channel.onTell('drained', () => {
      drained.resolve();
    });
    end.on('disconnect', () => {
      drained.resolve();
      this.onOrphaned();
    });
    this.#channel.onTell('others', (others) => {
      this.others = others;
    });
    this.#channel.onTell('over', ({ n }) => {
      this.#overs.get(n)?.();
    });
    this.#channel.onTell('connection', ({ door }, handle) => {
      if (isOfClients(door)) this.#received++;
      const acceptor = this.#acceptors.get(door);
      if (acceptor === undefined) handle?.close();
      else if (handle !== undefined) acceptor.take(handle);
    });
  }

  /** To the other process of a takeover. */
  line<Out extends object, In extends object>(): Line<Out, In> {
    return {
      say: (body, handle) => {
        this.#channel.lend('pass', { to: this.#n, name: TAKEOVER, body }, handle);
      },
      listen: (take) => {
        this.#channel.onTell('passed', ({ name, body }, handle) => {
          if (name === TAKEOVER) take(body as In | null, handle);
          else handle?.close();
        });
        this.#end.on('disconnect', () => {
          take(null, undefined);
        });
      },
    };
  }

  /** Resolves when no connection comes any more, until the takeover has ended; rejects where there is no parent. */
  async holdNewcomers(): Promise<void> {
    await this.#channel.ask('hold', null);
  }

  /** From now on it does what the parent says. */
  obey(orders: Orders): void {
    this.onOrphaned = () => {};
    this.#channel.onTell('drain', (ask) => {
      this.isDraining = true;
      orders.drain(ask);
    });
    this.#channel.onTell('hurry', () => {
      orders.hurry();
    });
    this.#channel.onAsk('lost', (ask) => {
      orders.lost(ask);
      return Promise.resolve(null);
    });
    this.#channel.onTell('leave', () => {
      orders.leave();
    });
    this.#channel.onAsk('handOver', () => orders.handOver());
    this.#channel.onTell('lines', (lines) => {
      orders.keepLines(lines);
    });
    this.#channel.onAsk('reload', (ask) => orders.reload(ask));
    this.#channel.onAsk('metrics', () => Promise.resolve(orders.metrics()));
    this.#channel.onAsk('level', (ask) => {
      orders.setLogLevel(ask);
      return Promise.resolve(null);
    });
    this.#end.on('disconnect', () => {
      orders.orphaned();
    });
    if (!this.#end.connected) orders.orphaned();
  }

  /** Keeps the parent informed, now and whenever something has changed. */
  report(status: () => Omit<Status, 'received'>): void {
    let told = '';
    let toldAt = -Infinity;
    const look = (): void => {
      this.#clock.setTimer(STATUS_MS, look);
      const now = { ...status(), received: this.#received };
      const text = JSON.stringify(now);
      if (text === told && this.#clock.now() - toldAt < ALIVE_MS) return;
      told = text;
      toldAt = this.#clock.now();
      this.#channel.tell('status', now);
    };
    look();
  }

  /** Lets all workers drain, and says each second how it goes, until none has a session. @param own Of this one. */
  async *follow(ask: DrainAsk, own: OwnSessions): AsyncGenerator<DrainProgress> {
    this.drain(ask);
    const drained = this.drained.then(() => true);
    do yield { state: 'draining', remaining: own.sessions() + this.others.sessions, forced: 0 };
    while (!(await within(this.#clock, PROGRESS_MS, drained, false)));
    yield { state: 'drained', remaining: 0, forced: own.forced() + this.others.forced };
  }

  drain(ask: DrainAsk): void {
    // Without a parent it drains anyway.
    inBackground(this.#channel.ask('drain', ask), () => {});
  }

  /** The metrics of all workers together. @param own Of this one. */
  metricsOfAll(own: readonly Sample[]): Promise<readonly Sample[]> {
    return this.#channel.ask('metrics', own);
  }

  /** @throws {Error} The parent does not answer. */
  workers(): Promise<readonly WorkerFacts[]> {
    return this.#channel.ask('workers', null);
  }

  /** Asks another worker. @param to Its number, or its gateway's id. */
  async askOther<Name extends keyof BetweenWorkers>(
    to: number | string,
    ask: Name,
    body: BetweenWorkers[Name][0],
    waitMs: number,
  ): Promise<BetweenWorkers[Name][1]> {
    const answer = this.#channel.ask('sibling', { to, ask, body, waitMs }, waitMs + ANSWER_MS);
    return (await answer) as BetweenWorkers[Name][1];
  }

  /** Answers what other workers ask. */
  answerOthers(answers: AnswersToOthers): void {
    this.#channel.onAsk('call', (ask) => answers.call(ask));
    this.#channel.onAsk('beginProfile', (ask) => Promise.resolve(answers.beginProfile(ask)));
    this.#channel.onAsk('endProfile', () => answers.endProfile());
    this.#channel.onAsk('pause', ({ pause }) => {
      answers.pause(pause);
      return Promise.resolve(null);
    });
  }

  /** All others have this in maintenance, too. */
  setPause(ask: PauseAsk): void {
    inBackground(this.#channel.ask('pause', ask), () => {});
  }

  /** All others log so, too. */
  setLogLevel(ask: LevelAsk): void {
    inBackground(this.#channel.ask('level', ask), () => {});
  }

  reload(why: string): Promise<ReloadOutcome> {
    return this.#channel.ask('reload', { why }, RELOAD_MS);
  }

  /** @param door `health`, `admin`, `control`, `listen[0]`… */
  acceptorOf(door: string): MakeAcceptor {
    return (taker) => {
      const acceptor = new HandedAcceptor(door, taker, this.#channel);
      this.#acceptors.set(door, acceptor);
      return acceptor;
    };
  }

  enterAddress(block: string, max: number, onOver: () => void): () => void {
    const n = ++this.#entered;
    this.#overs.set(n, onOver);
    // In order: the ones that have left free the places that this one needs.
    this.#tellLeft();
    this.#channel.tell('entered', { n, block, max });
    return () => {
      this.#overs.delete(n);
      if (this.#left.push(n) === 1) this.#clock.soon(this.#tellLeft);
    };
  }

  readonly #tellLeft = (): void => {
    const ns = this.#left.splice(0);
    if (ns.length > 0) this.#channel.tell('left', { ns });
  };
}

/** A port at which the parent listens. */
class HandedAcceptor implements Acceptor {
  readonly #door: string;
  readonly #taker: Door;
  readonly #channel: Channel<ToParent, ToWorker>;
  #address: AddressInfo | null = null;
  #isOpen = true;
  #open = 0;
  #onEnded: (() => void)[] = [];

  constructor(door: string, taker: Door, channel: Channel<ToParent, ToWorker>) {
    this.#door = door;
    this.#taker = taker;
    this.#channel = channel;
  }

  async listen(address: PortAddress, backlog: number): Promise<void> {
    const ask = { door: this.#door, address, backlog };
    ({ address: this.#address } = await this.#channel.ask('listen', ask, LISTEN_MS));
  }

  get address(): AddressInfo | null {
    return this.#address;
  }

  stop(): void {
    if (!this.#isOpen) return;
    this.#isOpen = false;
    this.#channel.tell('shut', { door: this.#door });
  }

  async ended(): Promise<void> {
    this.stop();
    if (this.#open === 0) return;
    await new Promise<void>((resolve) => {
      this.#onEnded.push(resolve);
    });
  }

  take(handle: RawHandle): void {
    if (!this.#isOpen) {
      handle.close();
      return;
    }
    const socket = socketOn(handle, false);
    this.#open++;
    socket.once('close', () => {
      this.#open--;
      if (this.#open > 0) return;
      for (const resolve of this.#onEnded) resolve();
      this.#onEnded = [];
    });
    this.#taker.take(socket);
  }
}
