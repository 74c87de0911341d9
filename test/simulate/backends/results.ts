/** Pushes and changes that a backend has sent on a Link, and whose results it waits for. */
import type { Pushed } from '../records.ts';
import type { Desk } from './desk.ts';
import type { PushResultRead, VerbResultRead } from './read-frames.ts';
import { STRANGE_ID } from './wrong-frames.ts';

export class Results {
  readonly #desk: Desk;
  readonly #name: string;
  readonly #pushes = new Map<number, Pushed>();
  readonly #changes = new Map<number, (isDone: boolean) => void>();
  #ids = 0;

  /** @param name Of the Link. */
  constructor(desk: Desk, name: string) {
    this.#desk = desk;
    this.#name = name;
  }

  /** @returns The frame's id. */
  ofPush(pushed: Pushed): number {
    this.#pushes.set(++this.#ids, pushed);
    return this.#ids;
  }

  /** @returns The frame's id. */
  ofChange(done: (isDone: boolean) => void): number {
    this.#changes.set(++this.#ids, done);
    return this.#ids;
  }

  onPushed(id: number, { delivered, dropped, refused, silent }: PushResultRead): void {
    const pushed = this.#pushes.get(id);
    this.#pushes.delete(id);
    if (pushed === undefined) this.#stray('a push is answered once', id);
    else this.#desk.ledger.pushed(pushed, { delivered, dropped, refused, isPartial: silent > 0 });
  }

  onDone(id: number, { error }: VerbResultRead): void {
    const done = this.#changes.get(id);
    this.#changes.delete(id);
    if (done === undefined) this.#stray('a verb is answered once', id);
    else done(error === null);
  }

  #stray(rule: string, id: number): void {
    if (id !== STRANGE_ID) this.#desk.ledger.world.violate(rule, `${this.#name}: ${id}`);
  }

  drop(): void {
    this.#pushes.clear();
    this.#changes.clear();
  }
}
