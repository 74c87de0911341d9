/**
 * Operators block and unblock through whichever gateway, in storms too: when it is still, all gateways have the same
 * list, and what is blocked then is blocked everywhere within a second.
 */
import type { Failure } from '../../src/errors.ts';
import type { SimGateway } from './gateway.ts';
import type { Stage } from './stage.ts';

const SAME = 'when it is still, all gateways have the same block list';
const AT_ONCE = 'when it is still, what is blocked is blocked everywhere within a second';
const EVERY_MS = 3_000;
/** Until one is taken back, most often by another gateway. */
const BLOCKED_MS = 70_000;
const AT_ONCE_MS = 1_000;

export class BlockLists {
  readonly checks = { [SAME]: 0, [AT_ONCE]: 0 };
  readonly #stage: Stage;
  #n = 0;

  constructor(stage: Stage) {
    this.#stage = stage;
    this.#block();
  }

  #block(): void {
    const { world } = this.#stage;
    world.after(EVERY_MS, () => {
      this.#block();
    });
    const n = ++this.#n;
    this.#order(n, (gateway) =>
      gateway.gateway.orders.block(blockedOf(n), {
        reason: '',
        lastsMs: n % 3 === 0 ? 0 : 600_000,
      }),
    );
    if (n % 8 !== 0)
      world.after(BLOCKED_MS, () => {
        this.#order(n + 1, (gateway) => gateway.gateway.orders.unblock(blockedOf(n)));
      });
  }

  /** Has one of those that run carry it out, each in its turn. */
  #order(n: number, order: (gateway: SimGateway) => Promise<object | Failure>): void {
    const { running, world } = this.#stage;
    const gateway = running[n % Math.max(running.length, 1)];
    gateway?.node.soon(() => {
      order(gateway).catch((error: unknown) => {
        world.violate('Control answers', String(error));
      });
    });
  }

  /** Nothing goes wrong, and has not for a while. */
  expectSame(): void {
    this.#check(SAME, (lists) => new Set(lists).size <= 1);
    const n = ++this.#n;
    this.#order(n, (gateway) =>
      gateway.gateway.orders.block(blockedOf(n), { reason: '', lastsMs: 0 }),
    );
    this.#stage.world.after(AT_ONCE_MS, () => {
      const { value } = blockedOf(n);
      this.#check(AT_ONCE, (lists) => lists.every((list) => list.split(' ').includes(value)));
    });
  }

  #check(rule: keyof BlockLists['checks'], isHeld: (lists: readonly string[]) => boolean): void {
    const { running, world } = this.#stage;
    // When one with a time ends is for each gateway's own clock to say.
    const lists = running.map(({ gateway }) =>
      [...gateway.orders.list()]
        .filter(({ until }) => until === 0)
        .map(({ value }) => value)
        .join(' '),
    );
    this.checks[rule]++;
    if (!isHeld(lists))
      world.violate(rule, running.map(({ node }, i) => `${node.name}: ${lists[i]}`).join('; '));
  }
}

function blockedOf(n: number): { kind: 'uid'; value: string } {
  return { kind: 'uid', value: `nobody.${n}` };
}
