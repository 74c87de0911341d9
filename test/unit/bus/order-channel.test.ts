/** How copies of the orders find each other over the bus: on an exchange in memory that loses what the test wants lost. */
import { describe, expect, test } from 'vitest';

import type { Blocked } from '../../../src/orders/block.ts';
import { BlockList } from '../../../src/orders/block-list.ts';
import { Evictions } from '../../../src/orders/evictions.ts';
import { Maintenance } from '../../../src/orders/maintenance.ts';
import { Orders } from '../../../src/orders/orders.ts';
import { BUCKETS } from '../../../src/orders/replica.ts';
import { ManualClock } from '../../support/clock.ts';
import { Exchange, makeGateway } from './support.ts';

const uid = (value: string): Blocked => ({ kind: 'uid', value });
const FOREVER = { reason: '', lastsMs: 0 };

/** Settles what promises wait for each other. */
async function turns(): Promise<void> {
  for (let i = 0; i < 20; i++) await new Promise((resolve) => setImmediate(resolve));
}

class Fleet {
  readonly exchange = new Exchange();
  readonly clock = new ManualClock(1_000);

  add(name: string) {
    const { exchange, clock } = this;
    const made = makeGateway(`${name}-0123456789`, exchange, clock);
    const { bus, registry, parts, log, metrics, world } = made;
    const blocks = new BlockList(clock, metrics);
    const evictions = new Evictions({ ...world, blocks, registry, metrics });
    const rules = { blocks, maintenance: new Maintenance(), evictions };
    const orders = new Orders({ ...parts, ...rules, log, metrics });
    bus.attachOrders(orders);
    const listed = (): string[] => [...orders.list()].map(({ value }) => value);
    return { ...made, orders, listed };
  }

  async up(...gateways: readonly ReturnType<Fleet['add']>[]): Promise<void> {
    for (const { bus } of gateways) bus.onUp(true);
    await this.pass(3_000);
  }

  /** Time goes by, and everything that is sent in it arrives. */
  async pass(ms: number): Promise<void> {
    for (let passed = 0; passed < ms; passed += 250) {
      await this.#settle();
      this.clock.advance(250);
    }
    await this.#settle();
  }

  async #settle(): Promise<void> {
    for (let count = -1; count !== this.exchange.count;) {
      ({ count } = this.exchange);
      this.exchange.deliver();
      await turns();
    }
  }

  /** What of the orders was said since the last time, by its fields. */
  said(): string[] {
    return this.exchange
      .takeSent()
      .filter(({ subject }) => subject === 'pith.fleet.orders')
      .map(({ payload }) => Object.keys(JSON.parse(payload) as object).join());
  }
}

describe('orders', () => {
  test('are in force everywhere as soon as they are heard', async () => {
    const fleet = new Fleet();
    const [a, b] = [fleet.add('a'), fleet.add('b')];
    await fleet.up(a, b);
    const told = a.orders.block(uid('eve'), FOREVER);
    fleet.exchange.deliver();
    expect(b.listed()).toEqual(['eve']);
    await fleet.pass(250);
    expect(await told).toEqual({ closed: 0, gateways: 2, silentGateways: [] });
  });

  test('that were not heard are found missing within seconds, in both directions', async () => {
    const fleet = new Fleet();
    const [a, b, c] = [fleet.add('a'), fleet.add('b'), fleet.add('c')];
    await fleet.up(a, b, c);
    fleet.exchange.apart.add(b.connector);
    void a.orders.block(uid('of-a'), FOREVER);
    void b.orders.block(uid('of-b'), FOREVER);
    fleet.exchange.deliver();
    fleet.exchange.apart.clear();
    expect([a, b, c].map(({ listed }) => listed().join())).toEqual(['of-a', 'of-b', 'of-a']);
    await fleet.pass(10_000);
    expect([a, b, c].map(({ listed }) => listed().join())).toEqual(Array(3).fill('of-a,of-b'));
  });

  test('that were taken back while a gateway was away do not come back with it', async () => {
    const fleet = new Fleet();
    const [a, b] = [fleet.add('a'), fleet.add('b')];
    await fleet.up(a, b);
    void a.orders.block(uid('eve'), FOREVER);
    await fleet.pass(500);
    b.connector.up = false;
    void a.orders.unblock(uid('eve'));
    await fleet.pass(60_000);
    expect([a.listed(), b.listed()]).toEqual([[], ['eve']]);
    b.connector.up = true;
    b.bus.onUp(false);
    expect(b.bus.notReady).toBe('fetching what operators have ordered');
    await fleet.pass(1_000);
    expect([a.listed(), b.listed(), b.bus.notReady]).toEqual([[], [], '']);
  });

  test('a gateway that begins is not ready before it has them; alone it is', async () => {
    const fleet = new Fleet();
    const a = fleet.add('a');
    a.bus.onUp(true);
    expect(a.bus.notReady).toBe('fetching what operators have ordered');
    await fleet.pass(500);
    expect(a.bus.notReady).toBe('');
    for (let i = 0; i < 2_000; i++)
      a.orders.replica.put(`uid:${i}`, { reason: 'x'.repeat(200) }, 0);
    const b = fleet.add('b');
    b.bus.onUp(true);
    let isReady = false;
    void b.bus.ready.then(() => (isReady = true));
    await turns();
    expect([isReady, b.listed().length]).toEqual([false, 0]);
    await fleet.pass(1_000);
    expect([isReady, b.listed().length]).toEqual([true, 2_000]);
    // It came in several parts, none of which is long.
    const parts = fleet.exchange.takeSent().filter(({ payload }) => payload.includes('"orders":['));
    expect(parts.length).toBeGreaterThan(3);
    expect(Math.max(...parts.map(({ payload }) => payload.length))).toBeLessThan(140_000);
  });

  test('one that nobody answers is ready after two seconds at most', async () => {
    const fleet = new Fleet();
    const [a, b] = [fleet.add('a'), fleet.add('b')];
    await fleet.up(a, b);
    void a.orders.block(uid('eve'), FOREVER);
    await fleet.pass(500);
    // Known, and silent.
    b.connector.up = false;
    a.bus.onUp(false);
    await turns();
    expect(a.bus.notReady).toBe('fetching what operators have ordered');
    await fleet.pass(2_000);
    expect(a.bus.notReady).toBe('');
  });

  test('nothing is said where there are none, and little where all have the same', async () => {
    const fleet = new Fleet();
    const [a, b] = [fleet.add('a'), fleet.add('b')];
    await fleet.up(a, b);
    fleet.said();
    await fleet.pass(60_000);
    expect(fleet.said()).toEqual([]);
    void a.orders.block(uid('eve'), FOREVER);
    await fleet.pass(10_000);
    fleet.said();
    await fleet.pass(60_000);
    const said = fleet.said();
    expect(new Set(said)).toEqual(new Set(['gateway,sums']));
    expect(said.length).toBeLessThanOrEqual(32);
    expect(said.length).toBeGreaterThanOrEqual(18);
  });

  test('that one clock has ended and the other has not are asked for once, not all the time', async () => {
    const fleet = new Fleet();
    const [a, b] = [fleet.add('a'), fleet.add('b')];
    await fleet.up(a, b);
    // As b's clock has it, this is long over.
    const until = fleet.clock.wallNow() + 600_000;
    const late = { key: 'uid:late', at: 1, by: 'a-0123456789', until, value: {} };
    a.orders.replica.merge([late]);
    b.orders.replica.merge = () => [];
    await fleet.pass(20_000);
    fleet.said();
    await fleet.pass(60_000);
    expect(new Set(fleet.said())).toEqual(new Set(['gateway,sums']));
  });

  test('of a later release are kept, and passed on to who asks', async () => {
    const fleet = new Fleet();
    const [a, b] = [fleet.add('a'), fleet.add('b')];
    await fleet.up(a);
    const row = {
      key: 'asn:64512',
      at: 5_000,
      by: 'z-0123456789',
      value: { since: [1, { x: null }] },
    };
    fleet.exchange.publish(
      'pith.fleet.orders',
      JSON.stringify({ gateway: 'z-0123456789', entries: [row] }),
    );
    await fleet.pass(250);
    await fleet.up(b);
    expect(b.listed()).toEqual([]);
    expect([...b.orders.replica.entries()]).toEqual([{ ...row, until: 0 }]);
  });

  test('nothing that another writes makes a gateway fail', async () => {
    const fleet = new Fleet();
    const a = fleet.add('a');
    await fleet.up(a);
    const key = 'uid:eve';
    const by = 'z-0123456789';
    const rows: unknown[] = [
      ...[null, 1, 'x', [], {}, { key, at: 5, by: 'no id!' }, { key, at: 1.5, by }],
      ...[
        { key, at: 0, by },
        { key, at: 9e15, by },
        { key, at: 5, by, until: -1 },
      ],
      ...[
        { key: '', at: 5, by },
        { key: 'k'.repeat(601), at: 5, by },
        { key: '\ud800', at: 5, by },
      ],
      ...[
        { key, at: 5, by, value: 'x' },
        { key, at: 5, by, value: { x: 'x'.repeat(140_000) } },
      ],
    ];
    const all = [
      ...rows.map((row) => ({ entries: [row] })),
      ...[{ entries: 7 }, { sums: 'x' }, { sums: 7 }, { asks: 'all' }, { asks: 'entries', of: 7 }],
      ...[{ asks: 'entries', of: 'a-0123456789', buckets: {}, after: 'x' }],
      { gateway: 7, sums: Buffer.alloc(4 * BUCKETS, 1).toString('base64url') },
    ];
    for (const fields of all)
      fleet.exchange.publish(
        'pith.fleet.orders',
        JSON.stringify({ gateway: by, ...fields }),
        '_INBOX.z-0123456789.ask.1',
      );
    await fleet.pass(1_000);
    expect(a.orders.replica.size).toBe(0);
    expect(a.lines.filter(({ level }) => level === 'error')).toEqual([]);
  });
});
