/** A place where a backend runs: one process after the other. */
import type { Network } from '../network.ts';
import type { Ledger } from '../ledger.ts';
import { Node, type World } from '../world.ts';
import type { Courier } from './courier.ts';
import { Desk } from './desk.ts';
import type { Wrong } from './wrong.ts';

export type BackendOptions = {
  readonly world: World;
  readonly network: Network;
  readonly ledger: Ledger;
  /** `rooms-1` */
  readonly place: string;
  /** Mean milliseconds between two things that it does of its own; default 4,000. Infinity: it does none. */
  readonly ownMs?: number;
};

/** One process of a backend. */
export interface BackendProcess {
  readonly couriers: Iterable<Courier>;
  /** Ends in order: takes nothing new, finishes what it has, and then calls `done`. */
  stop(done: () => void): void;
  /** Reads nothing for a while. */
  deafen(ms: number): void;
}

const OWN_MS = 4_000;

export abstract class BackendPlace {
  readonly place: string;
  abstract readonly wrongs: readonly Wrong[];
  abstract readonly isOnBus: boolean;
  /** Of the process that runs, or ran last; null: none has been started. */
  node: Node | null = null;
  /** It does nothing of its own. */
  isResting = false;
  protected readonly around: BackendOptions;
  #process: BackendProcess | null = null;
  #desk: Desk | null = null;
  #generation = 0;

  constructor(options: BackendOptions) {
    this.place = options.place;
    this.around = options;
  }

  protected abstract begin(desk: Desk): BackendProcess;

  /** Starts a process, unless one runs. */
  start(): void {
    if (this.node !== null && !this.node.isDead) return;
    if (this.node !== null) this.around.network.returned(this.node);
    const { ledger, ownMs = OWN_MS, world } = this.around;
    const node = new Node(world, `${this.place}#${++this.#generation}`);
    this.node = node;
    world.trace(`${node.name} starts`);
    this.#desk = new Desk({
      node,
      ledger,
      ownMs,
      couriers: () => (this.isResting ? [] : [...(this.#process?.couriers ?? [])]),
    });
    this.#process = this.begin(this.#desk);
  }

  /** Ends in order. `done` when the process has nothing to do any more; it is not called if the process is killed. */
  stop(done: () => void): void {
    const { node } = this;
    if (node === null || node.isDead) return;
    this.around.world.trace(`${node.name} stops`);
    this.#process!.stop(done);
  }

  /** @param how One of `wrongs`. */
  misbehave(how: string, ms: number): void {
    if (this.node === null || this.node.isDead) return;
    const wrong = how as Wrong;
    if (!this.wrongs.includes(wrong)) throw new Error(`${this.place} cannot be ${how}`);
    if (wrong === 'deaf') this.#process!.deafen(ms);
    else this.#desk!.mischief.begin(wrong, ms);
  }

  /** Ends its connections to the bus. */
  cutBus(): void {}
}

/** Calls `done` when `isDone` says so, or after `ms`. */
export function whenDone(node: Node, isDone: () => boolean, ms: number, done: () => void): void {
  const LOOK_MS = 50;
  if (isDone() || ms <= 0) {
    done();
    return;
  }
  node.after(LOOK_MS, () => {
    whenDone(node, isDone, ms - LOOK_MS, done);
  });
}
