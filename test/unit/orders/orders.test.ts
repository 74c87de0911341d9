/** Orders on one gateway: sessions that are blocked are closed a part in each turn; pauses, and what is refused. */
import { setImmediate as turn } from 'node:timers/promises';
import { describe, expect, test } from 'vitest';

import { type Blocked, readBlocked } from '../../../src/orders/block.ts';
import { BlockIndex } from '../../../src/orders/block-index.ts';
import { BlockList } from '../../../src/orders/block-list.ts';
import { Evictions } from '../../../src/orders/evictions.ts';
import { Maintenance } from '../../../src/orders/maintenance.ts';
import { BLOCKS_MAX, Orders, placeOf } from '../../../src/orders/orders.ts';
import { makeGateway } from '../bus/support.ts';

const FOREVER = { reason: '', lastsMs: 0 };

function stage(perTurn = 256) {
  const made = makeGateway('g-0123456789', undefined, undefined, 0, undefined, { perTurn });
  const { parts, log, metrics, registry, world } = made;
  const blocks = new BlockList(parts.clock, metrics);
  const evictions = new Evictions({ ...world, blocks, registry, metrics });
  const maintenance = new Maintenance();
  return {
    ...made,
    orders: new Orders({ ...parts, blocks, maintenance, evictions, log, metrics }),
  };
}

function blockedOf(names: Parameters<typeof readBlocked>[0]): Blocked {
  const blocked = readBlocked(names);
  if (typeof blocked === 'string') throw new Error(blocked);
  return blocked;
}

describe('blocks', () => {
  test.each([{ network: '192.0.2.0/24' }, { uid: 'bot' }, { client: 'bot-client' }])(
    'sessions that match %j are closed, so many in each turn; all others stay',
    async (names) => {
      const { orders, client, registry, metrics } = stage();
      for (let n = 1; n <= 1_000; n++) client(n, 'bot').session.clientType = 'bot-client';
      const other = client(1_001, 'ann');
      Object.assign(other.session, { remoteIp: '198.51.100.7' });
      const told = orders.block(blockedOf(names), FOREVER);
      let most = 0;
      let turns = 0;
      for (let before = registry.size; registry.size > 1; before = registry.size) {
        await turn();
        turns++;
        most = Math.max(most, before - registry.size);
        if (turns > 1_000) break;
      }
      expect(await told).toEqual({ closed: 1_000, gateways: 1, silentGateways: [] });
      // A close costs four of the 256 that a turn may do.
      expect(most).toBeLessThanOrEqual(64);
      expect(turns).toBeGreaterThanOrEqual(15);
      expect([...registry.all()]).toEqual([other.session]);
      expect(metrics.count('pith_blocked_total', Object.keys(names))).toBe(1_000);
    },
  );

  test('sessions that come later than the orders are closed when it is asked for', async () => {
    const { orders, client, registry } = stage();
    orders.replica.merge([{ key: 'uid:bot', at: 5, by: 'z-0123456789', until: 0, value: {} }]);
    client(1, 'bot');
    const ann = client(2, 'ann');
    await orders.evictLate();
    expect([...registry.all()]).toEqual([ann.session]);
  });

  test('looking for them is done in parts, too, where there are none', async () => {
    const { orders, client } = stage();
    for (let n = 1; n <= 2_000; n++) client(n);
    let isOver = false;
    const told = orders.block(blockedOf({ network: '203.0.113.0/24' }), FOREVER);
    void told.then(() => (isOver = true));
    let turns = 0;
    for (; !isOver; turns++) await turn();
    expect(await told).toMatchObject({ closed: 0 });
    expect(turns).toBeGreaterThanOrEqual(4);
  });

  test('one of an older time is replaced, and lasts as the last one says', async () => {
    const { orders, clock } = stage();
    const eve = blockedOf({ uid: 'eve' });
    await orders.block(eve, { reason: 'a', lastsMs: 5_000 });
    await orders.block(eve, { reason: 'b', lastsMs: 60_000 });
    clock.advance(30_000);
    expect([...orders.list()]).toMatchObject([{ value: 'eve', reason: 'b', source: 'control' }]);
    clock.advance(30_000);
    expect([...orders.list()]).toEqual([]);
    expect(orders.listed(eve)).toBeUndefined();
  });

  test('are listed from any place on, those that are set and those of the file as one', async () => {
    const { orders, clock } = stage();
    for (const uid of ['b', 'a c', 'a', 'd']) await orders.block(blockedOf({ uid }), FOREVER);
    const file = new BlockIndex();
    for (const uid of ['a', 'a b', 'e', 'c'])
      file.add({ ...blockedOf({ uid }), reason: '', until: uid === 'c' ? clock.wallNow() : 0 });
    orders.setFile(file);
    const from = (after: string): string[] =>
      [...orders.list(after)].map((block) => `${block.value} ${block.source}`);
    const all = [
      'a control',
      'a file',
      'a b file',
      'a c control',
      'b control',
      'd control',
      'e file',
    ];
    expect(from('')).toEqual(all);
    const places = [...orders.list()].map(placeOf);
    for (const [i, place] of places.entries()) expect(from(place)).toEqual(all.slice(i + 1));
    // Of one that has been removed meanwhile, and of no place at all.
    expect(from('uid:aa file')).toEqual(all.slice(4));
    expect(from('x')).toEqual([]);
    expect(from('a')).toEqual(all);
    // What has begun goes on as it was.
    const begun = orders.list();
    begun.next();
    await orders.unblock(blockedOf({ uid: 'b' }));
    expect([...begun]).toHaveLength(6);
    expect(from('')).toHaveLength(6);
  });

  test('there are no more than there may be; one that is there may be set again', async () => {
    const { orders } = stage();
    for (let i = 0; i < BLOCKS_MAX; i++)
      orders.replica.merge([{ key: `uid:${i}`, at: 5, by: 'z-0123456789', until: 0, value: {} }]);
    expect(await orders.block(blockedOf({ uid: 'more' }), FOREVER)).toMatchObject({
      reason: 'TOO_LARGE',
      message: '10000 blocks are set; put lasting ones into blocks.file',
    });
    expect(await orders.block(blockedOf({ uid: '7' }), FOREVER)).toMatchObject({ gateways: 1 });
    expect((await orders.unblock(blockedOf({ uid: '7' }))).found).toBe(true);
    expect(await orders.block(blockedOf({ uid: 'more' }), FOREVER)).toMatchObject({ gateways: 1 });
    const clients = stage();
    for (let i = 0; i < 1_000; i++) clients.orders.replica.put(`client:c${i}`, {}, 0);
    expect(await clients.orders.block(blockedOf({ client: 'more' }), FOREVER)).toMatchObject({
      message: '1000 blocks of clients are set',
    });
  });

  test('a file in place of another closes only whom it newly blocks, and says whether it is another', async () => {
    const { orders, client, clock } = stage();
    const indexOf = (...uids: string[]): BlockIndex => {
      const index = new BlockIndex();
      for (const uid of uids) index.add({ ...blockedOf({ uid }), reason: '', until: 0 });
      return index;
    };
    const [ann, bob] = [client(1, 'ann').session, client(2, 'bob').session];
    expect(orders.setFile(indexOf())).toBe(false);
    expect(orders.setFile(indexOf('bob'))).toBe(true);
    await turn();
    expect([ann.state, bob.state]).toEqual(['active', 'closed']);
    expect(orders.setFile(indexOf('bob'))).toBe(false);
    expect(orders.blocks.uidRefusal('bob')?.reason).toBe('FORBIDDEN');
    expect(orders.setFile(indexOf())).toBe(true);
    expect(orders.blocks.uidRefusal('bob')).toBeNull();
    // One that had ended, and lasts longer now, is new.
    const late = indexOf();
    late.add({ ...blockedOf({ uid: 'ann' }), reason: '', until: clock.wallNow() });
    orders.setFile(late);
    await turn();
    expect(ann.state).toBe('active');
    orders.setFile(indexOf('ann'));
    await turn();
    expect(ann.state).toBe('closed');
  });
});

describe('pauses', () => {
  test('which requests they are about, and for whom', () => {
    const maintenance = new Maintenance();
    const at = { sinceWall: 0, by: 'g' };
    const pause = { routes: [], allowUids: ['ann'], message: '', handshakeCode: 503 };
    const refused = (route: string, uid = '') => maintenance.refusal(route, uid)?.message;
    expect([maintenance.isOn, refused('a.b')]).toEqual([false, undefined]);
    maintenance.set('fleet', { ...pause, ...at, routes: ['a.*'], message: 'fleet' });
    expect([refused('a.b'), refused('a.b.c'), refused('a.b', 'ann')]).toEqual([
      'fleet',
      undefined,
      undefined,
    ]);
    expect(maintenance.handshakeRefusal('')).toBeNull();
    // Who is served by one may be refused by another.
    maintenance.set('gateway', {
      ...pause,
      ...at,
      allowUids: [],
      message: 'own',
      handshakeCode: 500,
    });
    expect([refused('a.b'), refused('a.b.c'), refused('a.b', 'ann')]).toEqual([
      'fleet',
      'own',
      'own',
    ]);
    expect(maintenance.handshakeRefusal(undefined)).toMatchObject({
      code: 500,
      why: { message: 'own' },
    });
    maintenance.set('gateway', { ...pause, ...at });
    expect(maintenance.handshakeRefusal(undefined)).toBeNull();
    expect(maintenance.handshakeRefusal('ann')).toBeNull();
    expect(maintenance.handshakeRefusal('bob')).toMatchObject({
      code: 503,
      why: { reason: 'MAINTENANCE', message: 'closed for maintenance; try again later' },
    });
    maintenance.set('gateway', null);
    maintenance.set('fleet', null);
    expect([maintenance.isOn, refused('a.b'), maintenance.active]).toEqual([false, undefined, []]);
  });

  test('one that another gateway cannot mean is none, whatever else is in it', () => {
    const { orders } = stage();
    const put = (value: object): boolean => {
      orders.replica.put('maintenance', value as never, 0);
      return orders.maintenance.isOn;
    };
    expect(put({ message: 'x', later: [1] })).toBe(true);
    for (const value of [
      { routes: 'a' },
      { routes: ['..'] },
      { message: 7 },
      { handshake_code: 200 },
    ])
      expect(put(value)).toBe(false);
  });
});
