/** Where clients are sent: gateways with gates on one exchange, and what a lone gate makes of what it hears. */
import { describe, expect, test } from 'vitest';

import type { Gate } from '../../../src/bus/gate.ts';
import type { Random } from '../../../src/random.ts';
import { ManualClock } from '../../support/clock.ts';
import { seededRandom } from '../../support/random.ts';
import { at, makeGated } from './gated.ts';
import { Exchange, makeGateway } from './support.ts';

const A = 'a-0123456789';
const B = 'b-0123456789';
const C = 'c-0123456789';

function stage(ids = [A, B]) {
  const exchange = new Exchange();
  const clock = new ManualClock(1_000);
  const gateways = ids.map((id) => makeGated(id, exchange, clock));
  const pass = (ms: number): void => {
    clock.advance(ms);
    exchange.deliver();
  };
  const ready = (): void => {
    for (const { bus } of gateways) bus.tell('ready');
    exchange.deliver();
  };
  const [a, b, c] = gateways;
  return { exchange, clock, pass, ready, a: a!, b: b!, c: c! };
}

/** How often each host is chosen. */
function chosen(gate: Gate, times: number): Record<string, number> {
  const counts: Record<string, number> = {};
  for (let i = 0; i < times; i++) {
    const host = gate.choose('ws')?.host ?? 'none';
    counts[host] = (counts[host] ?? 0) + 1;
  }
  return counts;
}

describe('an announcement', () => {
  test('is this message: when the gateway is ready, and each second then', () => {
    const { exchange, pass, a } = stage([A]);
    pass(5_000);
    const gates = () => exchange.takeSent().filter(({ subject }) => subject === 'pith.fleet.gate');
    expect(gates()).toEqual([]);
    a.load.sessions = 7;
    a.bus.tell('ready');
    expect(gates()).toEqual([
      {
        subject: 'pith.fleet.gate',
        reply: '',
        headers: [],
        payload:
          '{"gateway":"a-0123456789","sessions":7,"room":100,"addresses":{"ws":{"host":"a","port":3010},"tcp":{"host":"a","port":3011}}}',
      },
    ]);
    pass(3_000);
    expect(gates()).toHaveLength(3);
  });

  test('says at once that there is no more room when the gateway drains, and is the last one', () => {
    const { exchange, pass, ready, a } = stage();
    ready();
    exchange.takeSent();
    a.bus.tell('draining');
    const [last] = exchange.takeSent().filter(({ subject }) => subject === 'pith.fleet.gate');
    expect(last!.payload).toContain('"gateway":"a-0123456789","sessions":0,"room":0');
    pass(10_000);
    const later = exchange.takeSent().filter(({ payload }) => payload.includes('"room"'));
    expect(later.filter(({ payload }) => payload.includes(A))).toEqual([]);
  });

  test('is lost while the server is away, and comes again with it', () => {
    const { exchange, pass, ready, a } = stage();
    ready();
    a.connector.up = false;
    exchange.takeSent();
    pass(2_000);
    const mine = () => exchange.takeSent().filter(({ payload }) => payload.includes(A));
    expect(mine()).toEqual([]);
    a.connector.up = true;
    pass(1_000);
    expect(mine()).toHaveLength(1);
  });
});

describe('a client is sent', () => {
  test('to this gateway, when it is ready and alone', () => {
    const { a } = stage([A]);
    expect(a.gate.choose('ws')).toBeNull();
    a.bus.tell('ready');
    expect(a.gate.choose('ws')).toEqual({ host: 'a', port: 3010 });
    expect(a.gate.choose('tcp')).toEqual({ host: 'a', port: 3011 });
    a.bus.tell('draining');
    expect(a.gate.choose('ws')).toBeNull();
  });

  test('to the less loaded of two', () => {
    const { pass, ready, a, b } = stage();
    a.load.sessions = 50;
    b.load.sessions = 20;
    ready();
    expect(chosen(a.gate, 29)).toEqual({ b: 29 });
    expect(chosen(b.gate, 29)).toEqual({ b: 29 });
    b.load.sessions = 80;
    pass(1_000);
    expect(chosen(a.gate, 29)).toEqual({ a: 29 });
  });

  test('to both in turn while nothing newer is heard: those who were sent count', () => {
    const { ready, a } = stage();
    ready();
    expect(chosen(a.gate, 100)).toEqual({ a: 50, b: 50 });
  });

  test('to this gateway as to any other: those who have come by now do not count twice', () => {
    const { ready, a } = stage();
    ready();
    for (let i = 0; i < 100; i++) if (a.gate.choose('ws')!.host === 'a') a.load.sessions++;
    expect(a.load.sessions).toBe(50);
  });

  test('to the fullest of three never, and to the others as often as chance has it', () => {
    const { ready, a, b, c } = stage([A, B, C]);
    Object.assign(a.load, { sessions: 10_000, room: 100_000 });
    Object.assign(b.load, { sessions: 0, room: 100_000 });
    Object.assign(c.load, { sessions: 5_000, room: 100_000 });
    ready();
    const counts = chosen(b.gate, 3_000);
    expect(Object.keys(counts).toSorted()).toEqual(['b', 'c']);
    // b is one of two drawn of three in two of three draws, and wins each.
    expect(counts['b']).toBeGreaterThan(1_850);
    expect(counts['b']).toBeLessThan(2_150);
  });

  test.each([
    [0, 0, 'b'],
    [0, 0.999_999, 'c'],
    [0.999_999, 0, 'c'],
    [0.999_999, 0.999_999, 'b'],
    [0.5, 0.999_999, 'b'],
  ])('by the draws %d and %d, of a, b, c with 30, 10, 20: to %s', (first, second, host) => {
    const draws = [first, second];
    const random: Random = { ...seededRandom(), number: () => draws.shift()! };
    const clock = new ManualClock(1_000);
    const { gate, load } = makeGated(A, new Exchange(), clock, random);
    load.sessions = 30;
    gate.setReady(true);
    for (const [gateway, sessions] of [
      [B, 10],
      [C, 20],
    ] as const)
      gate.hear({ gateway, sessions, room: 9, addresses: at(gateway.slice(0, 1)) });
    expect(gate.choose('ws')!.host).toBe(host);
  });

  test('never to one that drains, though it still says hello', () => {
    const { exchange, pass, ready, a, b } = stage();
    a.load.sessions = 1_000;
    ready();
    expect(chosen(a.gate, 5)).toEqual({ b: 5 });
    b.bus.tell('draining');
    exchange.deliver();
    for (let i = 0; i < 3; i++) {
      expect(chosen(a.gate, 5)).toEqual({ a: 5 });
      b.bus.peers.greet();
      pass(1_000);
    }
    expect(chosen(b.gate, 5)).toEqual({ a: 5 });
  });

  test('never to one that was not heard for 4 s', () => {
    const { pass, ready, a, b } = stage();
    a.load.sessions = 1_000;
    ready();
    b.connector.up = false;
    pass(3_999);
    expect(chosen(a.gate, 5)).toEqual({ b: 5 });
    pass(1);
    expect(chosen(a.gate, 5)).toEqual({ a: 5 });
    // Cut off, it knows of nobody else either.
    expect(chosen(b.gate, 5)).toEqual({ b: 5 });
    b.connector.up = true;
    pass(1_000);
    expect(chosen(a.gate, 5)).toEqual({ b: 5 });
  });

  test('never to one that has said goodbye', async () => {
    const { exchange, ready, a, b } = stage();
    a.load.sessions = 1_000;
    ready();
    await b.bus.close();
    exchange.deliver();
    expect(chosen(a.gate, 5)).toEqual({ a: 5 });
  });

  test('never to one that is full, whoever has the fewest', () => {
    const { pass, ready, a, b } = stage();
    Object.assign(a.load, { sessions: 1_000, room: 50 });
    Object.assign(b.load, { sessions: 3, room: 2 });
    ready();
    // Two more fit; then nobody is sent there before it is heard again.
    expect(chosen(a.gate, 10)).toEqual({ b: 2, a: 8 });
    Object.assign(b.load, { sessions: 5, room: 0 });
    pass(1_000);
    expect(chosen(a.gate, 10)).toEqual({ a: 10 });
    b.load.room = -3;
    pass(1_000);
    expect(chosen(a.gate, 10)).toEqual({ a: 10 });
  });

  test('never to one that is not reached the way the client came', () => {
    const { ready, a, b } = stage();
    a.load.sessions = 1_000;
    ready();
    b.gate.hear({ gateway: C, sessions: 0, room: 9, addresses: { tls: { host: 'c', port: 1 } } });
    expect(b.gate.choose('tls')).toEqual({ host: 'c', port: 1 });
    expect(b.gate.choose('wss')).toBeNull();
    expect(chosen(b.gate, 5)).toEqual({ b: 5 });
  });
});

describe('what is heard on the bus', () => {
  const good = { gateway: C, sessions: 0, room: 9, addresses: at('c') };

  test.each([
    ['no JSON', 'oops'],
    ['a list', '[]'],
    ['no gateway', JSON.stringify({ ...good, gateway: undefined })],
    ['no id of a gateway', JSON.stringify({ ...good, gateway: 'c d' })],
    ['no number of sessions', JSON.stringify({ ...good, sessions: '7' })],
    ['a negative number', JSON.stringify({ ...good, sessions: -1 })],
    ['no room', JSON.stringify({ ...good, room: 1.5 })],
    ['no addresses', JSON.stringify({ ...good, addresses: null })],
    ['an address as text', JSON.stringify({ ...good, addresses: { ws: 'c:3010' } })],
    [
      'a host that is none',
      JSON.stringify({ ...good, addresses: { ws: { host: 'c/"', port: 1 } } }),
    ],
    ['no host', JSON.stringify({ ...good, addresses: { ws: { host: '', port: 1 } } })],
    ['no port', JSON.stringify({ ...good, addresses: { ws: { host: 'c', port: 0 } } })],
    [
      'a port too high',
      JSON.stringify({ ...good, addresses: { ws: { host: 'c', port: 65_536 } } }),
    ],
  ])('is refused and counted: %s', (_, payload) => {
    const { exchange, ready, a } = stage([A]);
    ready();
    exchange.publish('pith.fleet.gate', payload);
    exchange.deliver();
    expect(a.metrics.count('pith_bus_refused_total', ['BAD_ARGUMENT'])).toBe(1);
    expect(chosen(a.gate, 5)).toEqual({ a: 5 });
  });

  test('may have fields of a later release', () => {
    const { exchange, ready, a } = stage([A]);
    a.load.sessions = 9;
    ready();
    const later = { ...good, zone: 'z', addresses: { ...at('c'), quic: { host: 'c', port: 1 } } };
    exchange.publish('pith.fleet.gate', JSON.stringify(later));
    exchange.deliver();
    expect(chosen(a.gate, 5)).toEqual({ c: 5 });
    expect(a.metrics.count('pith_bus_refused_total', ['BAD_ARGUMENT'])).toBe(0);
  });

  test('is kept of 1,000 gateways at most; those that fall silent make room', () => {
    const { pass, ready, a } = stage([A]);
    ready();
    const hear = (n: number): void => a.gate.hear({ ...good, gateway: `g-${n}` });
    for (let n = 0; n < 1_000; n++) hear(n);
    expect(() => hear(1_000)).toThrow('more than 1000 gateways');
    expect(() => hear(7)).not.toThrow();
    expect(a.gate.count()).toEqual({ known: 1_001, ready: 1_001 });
    pass(4_000);
    expect(() => hear(1_000)).not.toThrow();
    expect(a.gate.count()).toEqual({ known: 2, ready: 2 });
  });

  test('is nothing to a gateway without a gate, which is none to the others', () => {
    const { exchange, clock, ready, a } = stage([A]);
    ready();
    const { bus, metrics } = makeGateway(B, exchange, clock);
    bus.tell('ready');
    exchange.publish('pith.fleet.gate', 'oops');
    exchange.deliver();
    expect(metrics.count('pith_bus_refused_total', ['BAD_ARGUMENT'])).toBe(0);
    expect(a.gate.count()).toEqual({ known: 1, ready: 1 });
  });
});
