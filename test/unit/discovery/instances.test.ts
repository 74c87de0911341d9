/** What Consul's health endpoint says, as addresses. */
import fc from 'fast-check';
import { expect, test } from 'vitest';

import { readInstances } from '../../../src/discovery/instances.ts';

type Entry = { address?: unknown; port?: unknown; node?: string; passing?: unknown };

function answer(entries: readonly Entry[]): string {
  return JSON.stringify(
    entries.map(({ address, port, node, passing }) => ({
      Node: { Node: 'n1', Address: node },
      Service: { ID: 'chat-1', Address: address, Port: port, Weights: { Passing: passing } },
      Checks: [],
    })),
  );
}

function addressesOf(entries: readonly Entry[]): string[] {
  return readInstances(answer(entries)).list.map(({ address }) => address);
}

test.each([
  [{ address: '10.0.0.1', port: 9000 }, 'ipv4:10.0.0.1:9000'],
  [{ address: 'fd00::1', port: 9000 }, 'ipv6:[fd00::1]:9000'],
  [{ address: 'chat.example', port: 9000 }, 'dns:chat.example:9000'],
  [{ address: '', port: 9000, node: '10.0.0.9' }, 'ipv4:10.0.0.9:9000'],
  [{ port: 9000, node: '10.0.0.9' }, 'ipv4:10.0.0.9:9000'],
])('%j is %s', (entry, address) => {
  expect(addressesOf([entry])).toEqual([address]);
});

test.each([
  { address: '10.0.0.1', port: 0 },
  { address: '10.0.0.1' },
  { address: '10.0.0.1', port: 70_000 },
  { address: '10.0.0.1', port: '9000' },
  { address: '', node: '', port: 9000 },
  { address: 'a b', port: 9000 },
  { address: 'unix:/tmp/x', port: 9000 },
  { address: '10.0.0', port: 9000 },
  { address: '256.0.0.1', port: 9000 },
])('%j cannot be used, and is counted', (entry) => {
  const good = { address: '10.0.0.2', port: 9000 };
  const { list, leftOut } = readInstances(answer([entry, good]));
  expect(list).toEqual([{ address: 'ipv4:10.0.0.2:9000', weight: 1 }]);
  expect(leftOut).toBe(1);
});

test('weights are those of a healthy instance; none, or nonsense, is 1', () => {
  const { list } = readInstances(
    answer(
      [7, undefined, 0, -3, 'much', 1e9].map((passing, i) => ({
        address: `10.0.0.${i}`,
        port: 1,
        passing,
      })),
    ),
  );
  expect(list.map(({ weight }) => weight)).toEqual([7, 1, 1, 1, 1, 65_535]);
});

test('one address registered twice is one instance, with the larger weight', () => {
  const twice = { address: '10.0.0.1', port: 1 };
  expect(
    readInstances(answer([{ ...twice, passing: 2 }, { ...twice, passing: 5 }, twice])),
  ).toEqual({ list: [{ address: 'ipv4:10.0.0.1:1', weight: 5 }], leftOut: 0 });
});

test('the order of the answer does not matter', () => {
  const host = fc.ipV4();
  fc.assert(
    fc.property(fc.uniqueArray(host, { maxLength: 20 }), (hosts) => {
      const entries = hosts.map((address) => ({ address, port: 9000 }));
      expect(readInstances(answer(entries))).toEqual(readInstances(answer(entries.toReversed())));
    }),
    { numRuns: 50 },
  );
});

test('instances are bounded', () => {
  const entries = Array.from({ length: 1_003 }, (_, i) => ({
    address: `10.0.${i >> 8}.${i & 255}`,
    port: 9000,
  }));
  const { list, leftOut } = readInstances(answer(entries));
  expect(list).toHaveLength(1_000);
  expect(leftOut).toBe(3);
});

test.each(['[]', 'null'])('%s is an empty list', (text) => {
  expect(readInstances(text)).toEqual({ list: [], leftOut: 0 });
});

test.each(['{}', '', '<html>', '"x"'])('%j is no answer of Consul', (text) => {
  expect(() => readInstances(text)).toThrow('is this a Consul agent?');
});

test('no JSON makes it fail in another way', () => {
  fc.assert(
    fc.property(fc.array(fc.jsonValue(), { maxLength: 5 }), (value) => {
      expect(readInstances(JSON.stringify(value)).list).toEqual([]);
    }),
    { numRuns: 200 },
  );
});
