/** Whom the block list keeps out: networks, uids, kinds of clients; what may be written, and how it is looked up. */
import { BlockList as NodeBlockList } from 'node:net';
import { describe, expect, test } from 'vitest';

import { ipAddress, parseNetwork } from '../../../src/ip.ts';
import { type Block, blockedOf, keyOf, readBlocked } from '../../../src/orders/block.ts';
import { BlockIndex } from '../../../src/orders/block-index.ts';
import { BlockList } from '../../../src/orders/block-list.ts';
import { NetworkMap } from '../../../src/orders/network-map.ts';
import { Metrics } from '../../../src/telemetry/metrics.ts';
import { ManualClock } from '../../support/clock.ts';
import { seededRandom } from '../../support/random.ts';

const ALWAYS = (): boolean => true;

function blockOf(names: Parameters<typeof readBlocked>[0], until = 0): Block {
  const blocked = readBlocked(names);
  if (typeof blocked === 'string') throw new Error(blocked);
  return { ...blocked, reason: '', until };
}

describe('what is written', () => {
  test.each([
    [{ network: '203.0.113.7/24' }, 'network:203.0.113.0/24'],
    [{ network: '203.0.113.7/32' }, 'network:203.0.113.7'],
    [{ network: '0.0.0.0/0' }, 'network:0.0.0.0/0'],
    [{ network: '::ffff:203.0.113.7' }, 'network:203.0.113.7'],
    [{ network: '::FFFF:203.0.113.7/120' }, 'network:203.0.113.0/24'],
    [{ network: '2001:DB8:0:0::7/32' }, 'network:2001:db8::/32'],
    [{ network: '2001:db8::7' }, 'network:2001:db8::7'],
    [{ network: '::/0' }, 'network:::/0'],
    [{ network: '::1' }, 'network:::1'],
    [{ uid: '10:42' }, 'uid:10:42'],
    [{ client: '  unity-socket  >= 0.3.0   <1.0' }, 'client:unity-socket >=0.3.0 <1.0'],
    [{ client: 'js-websocket' }, 'client:js-websocket'],
    [{ client: 'unity-socket<0.3.0' }, 'client:unity-socket <0.3.0'],
    [{ client: 'unity-socket>=0.3.0<1.0' }, 'client:unity-socket >=0.3.0 <1.0'],
  ])('%j is %s, and read back from there', (names, key) => {
    const block = blockOf(names);
    expect(keyOf(block)).toBe(key);
    expect(blockedOf(key)).toEqual({ kind: block.kind, value: block.value });
  });

  test.each([
    [{}, 'expected one of network, uid and client'],
    [{ uid: '1', network: '10.0.0.0/8' }, 'expected one of network, uid and client'],
    [{ network: '10.0.0.0/33' }, /network: expected 203/],
    [{ network: '10.0.0' }, /network: expected 203/],
    [{ network: 'localhost' }, /network: expected 203.*"localhost"/],
    [{ uid: 'x'.repeat(257) }, 'uid: longer than 256 bytes'],
    [{ uid: '\ud800' }, /uid: holds half a character/],
    [{ client: 'js >=x' }, /client: expected a type/],
    [{ client: '*' }, /client: expected a type without < > = \*/],
    [{ client: 'unity-*' }, /client: expected a type without < > = \*/],
    [{ client: 'js==1' }, /client: expected a type without < > = \*/],
    [{ client: 'js=' }, /client: expected a type without < > = \*/],
    [{ client: '<1.0' }, /client: expected a type without < > = \*/],
    [{ client: 'a=b' }, /client: expected a type without < > = \*/],
    [{ client: 'x'.repeat(129) }, 'client: longer than 128 characters'],
  ])('%j is refused', (names, why) => {
    expect(readBlocked(names)).toEqual(expect.stringMatching(why));
  });

  test('a key that is not written in the usual way is none, and so is one of a later release', () => {
    for (const key of ['network:10.0.0.1/8', 'network:x', 'asn:64512', 'uid', 'uid:', ''])
      expect(blockedOf(key)).toBeNull();
  });
});

describe('networks', () => {
  test('the smallest network that counts is found, whatever else there is', () => {
    const map = new NetworkMap<string>();
    for (const text of ['10.0.0.0/8', '10.1.0.0/16', '10.1.2.3', '2001:db8::/32'])
      map.set(parseNetwork(text)!, text);
    const find = (address: string, not = '') => map.find(address, (value) => value !== not);
    expect(find('10.1.2.3')).toBe('10.1.2.3');
    expect(find('10.1.2.3', '10.1.2.3')).toBe('10.1.0.0/16');
    expect(find('10.200.0.1')).toBe('10.0.0.0/8');
    expect(find('11.0.0.1')).toBeNull();
    expect(find('2001:db8:1::1')).toBe('2001:db8::/32');
    expect(find('2001:db9::1')).toBeNull();
    for (const other of ['', '/tmp/socket', 'unknown']) expect(find(other)).toBeNull();
    map.delete(parseNetwork('10.0.0.0/8')!);
    expect(find('10.200.0.1')).toBeNull();
    expect(map.size).toBe(3);
  });

  test('ten thousand networks are not looked at one by one', () => {
    const map = new NetworkMap<number>();
    let asked = 0;
    for (let i = 0; i < 10_000; i++) map.set(parseNetwork(`10.${i >> 8}.${i & 255}.0/24`)!, i);
    expect(map.find('10.39.15.200', (): boolean => ++asked > 0)).toBe(9_999);
    expect(asked).toBe(1);
    expect(map.find('192.0.2.1', (): boolean => ++asked > 0)).toBeNull();
    expect(asked).toBe(1);
  });

  test('a network of IPv6 holds no address of IPv4', () => {
    const map = new NetworkMap<true>();
    map.set(parseNetwork('::/0')!, true);
    expect(map.find('192.0.2.1', ALWAYS)).toBeNull();
    expect(map.find('2001:db8::1', ALWAYS)).toBe(true);
  });

  test('random networks hold what Node says they hold', () => {
    const random = seededRandom(7);
    const pick = (n: number): number => Math.floor(random.number() * n);
    const near4 = (): string => `10.${pick(2)}.${pick(4)}.${pick(4)}`;
    const near6 = (): string => `2001:db8:${pick(2).toString(16)}::${pick(4)}:${pick(4)}`;
    for (let round = 0; round < 300; round++) {
      const [map, node] = [new NetworkMap<true>(), new NodeBlockList()];
      for (let i = 0; i < 4; i++) {
        const [address, bits, family] =
          pick(2) === 0
            ? ([near4(), pick(33), 'ipv4'] as const)
            : ([near6(), 24 + pick(105), 'ipv6'] as const);
        map.set(parseNetwork(`${address}/${bits}`)!, true);
        node.addSubnet(address, bits, family);
      }
      for (let i = 0; i < 10; i++) {
        const [address, family] =
          pick(2) === 0 ? ([near4(), 'ipv4'] as const) : ([near6(), 'ipv6'] as const);
        const isIn = node.check(address, family);
        expect([address, map.find(ipAddress(address), ALWAYS) === true]).toEqual([address, isIn]);
      }
    }
  });
});

describe('the list', () => {
  function stage() {
    const clock = new ManualClock();
    const metrics = new Metrics();
    return { clock, metrics, list: new BlockList(clock, metrics) };
  }

  test('what has ended does not count, though it is still there; a larger network may still', () => {
    const { clock, list } = stage();
    const end = clock.wallNow() + 10_000;
    list.control.add(blockOf({ network: '192.0.2.0/24' }, end));
    list.control.add(blockOf({ uid: '7' }, end));
    list.control.add(blockOf({ client: 'js' }, end));
    list.file.add(blockOf({ network: '192.0.0.0/16' }, end + 5_000));
    const facts = (): unknown[] => [
      list.refusesAddress('192.0.2.1'),
      list.uidRefusal('7')?.reason,
      list.ofClient('js', '1.0')?.value,
    ];
    expect(facts()).toEqual([true, 'FORBIDDEN', 'js']);
    clock.advance(10_000);
    expect(facts()).toEqual([true, undefined, undefined]);
    clock.advance(5_000);
    expect(facts()).toEqual([false, undefined, undefined]);
  });

  test('kinds of clients are told apart by type and version', () => {
    const { list, metrics } = stage();
    list.control.add(blockOf({ client: 'unity >=0.3.0 <1.0.0' }));
    list.file.add(blockOf({ client: 'unity =2.0' }));
    const blocked = (type: string, version: string) => list.ofClient(type, version)?.value;
    expect(blocked('unity', '0.2.9')).toBeUndefined();
    expect(blocked('unity', '0.3.0')).toBe('unity >=0.3.0 <1.0.0');
    expect(blocked('unity', '1.0.0')).toBeUndefined();
    expect(blocked('unity', '2.0.0')).toBe('unity =2.0');
    expect(blocked('js', '0.3.0')).toBeUndefined();
    expect(metrics.count('pith_blocked_total', ['client'])).toBe(2);
  });

  test('a block in place of another leaves nothing of it, and removing it nothing at all', () => {
    const { list } = stage();
    const { control } = list;
    for (const names of [{ network: '10.0.0.0/8' }, { uid: '7' }, { client: 'js <1' }]) {
      control.add(blockOf(names));
      control.add(blockOf(names, 1));
      expect(control.size).toBe(1);
      control.remove(keyOf(blockOf(names)));
      expect([control.size, control.sizeOf(blockOf(names).kind)]).toEqual([0, 0]);
    }
    expect(list.refusesAddress('10.0.0.1')).toBe(false);
  });
});

test('all blocks are sorted anew after a change only, and an array that was taken stays as it is', () => {
  const index = new BlockIndex();
  for (const uid of ['b', 'a']) index.add(blockOf({ uid }));
  const before = index.all();
  expect(before.map(({ value }) => value)).toEqual(['a', 'b']);
  expect(index.all()).toBe(before);
  index.add(blockOf({ uid: 'c' }));
  index.remove('uid:a');
  expect(index.all().map(({ value }) => value)).toEqual(['b', 'c']);
  expect(before.map(({ value }) => value)).toEqual(['a', 'b']);
});
