/**
 * What is counted is what is held: under each flood heap and external memory of the real process, after a collection,
 * beside its own gauges. A bound that counts something else than what fills memory holds nothing.
 */
import { afterEach, expect, test } from 'vitest';

import { Client } from '../border/client.ts';
import { Gateway } from '../border/gateway.ts';
import { total } from '../border/metrics.ts';
import { NatsWire } from '../border/nats-wire.ts';
import { MIB } from '../border/values.ts';
import { type Cable, layCable } from '../support/cable.ts';
import { startNats, type TestNats } from '../support/nats.ts';
import { eventually } from '../support/wait.ts';

/** What a gauge need not say: heads, objects around each buffer, code that has been compiled meanwhile. */
const MARGIN_BYTES = 12 * MIB;
/** A body in a list of answers costs this much more than its bytes. */
const OVERHEAD = 1.3;
const BODY = `{"e":"${'x'.repeat(60_000)}"}`;
/** limits.outboxes */
const OUTBOXES = 24 * MIB;
/** proto/README.md: beyond it requests are answered 503 OVERLOADED. */
const UNSENT = 16 * MIB;

const open: AsyncDisposable[] = [];
afterEach(async () => {
  for (const one of open.splice(0).reverse()) await one[Symbol.asyncDispose]();
});

type Hall = { nats: TestNats; cable: Cable; gateway: Gateway; port: number; before: number };

async function hall(more = ''): Promise<Hall> {
  const nats = await startNats();
  open.push(nats);
  const cable = await layCable(nats.port);
  open.push(cable);
  const gateway = await Gateway.start(`
bus: "nats://127.0.0.1:${cable.port}"
listen: [{ url: "auto://127.0.0.1:0" }]
backends: { big: { reply: ${BODY} }, far: { nats: {} } }
routes: [{ match: "big.>", backend: big }, { match: "far.>", backend: far, timeout: 60s }]
drain: { budget: 2s, per_second: 10000 }
${more}
limits:
  { messages_per_second: 1000000, burst: 1000000, outboxes: ${OUTBOXES / MIB}MiB, in_flight_per_session: 10000,
    packet: 1MiB, event_loop_lag: 0s, slow: { drop_after: 1m, close_after: 5m } }
`);
  open.push(gateway);
  const port = gateway.ports.clients[0]!;
  // What the first client and the first collection bring along is not of the flood.
  await warm(port);
  await gateway.held();
  return { nats, cable, gateway, port, before: await gateway.held() };
}

async function warm(port: number): Promise<void> {
  for (let i = 0; i < 5; i++) {
    const client = await Client.join(port, i % 2 === 0 ? 'ws' : 'tcp', 'pomelo');
    await client.ask('big.a', BODY, 10_000);
    await client.close();
  }
}

function join(port: number): Promise<Client> {
  return Client.join(port, 'tcp', 'pomelo');
}

/** So many clients that read nothing any more. */
async function deaf(port: number, count: number): Promise<Client[]> {
  const clients = await Promise.all(Array.from({ length: count }, () => join(port)));
  for (const client of clients) client.stream.pause();
  return clients;
}

async function gauge(gateway: Gateway, name: string, labels = {}): Promise<number> {
  return total(await gateway.metrics(), name, labels);
}

/** As many pushes as this have reached the outboxes of the gateway's sessions, or were refused. */
async function arePushed(gateway: Gateway, count: number): Promise<void> {
  const look = async () => (await gauge(gateway, 'pith_pushes_total')) === count;
  await eventually(look, `${count} pushes to be worked through`);
}

/** What it holds beyond the start, once what came has been worked through: the same at two looks. */
async function heldMore({ gateway, before }: Hall): Promise<number> {
  let last = -1;
  return eventually(async () => {
    const held = (await gateway.held()) - before;
    const isSame = Math.abs(held - last) < MIB;
    last = held;
    return isSame && held;
  }, 'memory to settle');
}

/** `held` is what the gauge says, and no more than its bound. */
function expectHeld(held: number, gauged: number, bound: number): void {
  expect(gauged).toBeLessThanOrEqual(bound);
  expect(held).toBeLessThan(gauged * OVERHEAD + MARGIN_BYTES);
  expect(held).toBeGreaterThan(gauged * 0.5 - MARGIN_BYTES);
}

test('answers that nobody reads: the outboxes are what they say, and end at their bound', async () => {
  const there = await hall();
  const { gateway, port } = there;
  const clients = await deaf(port, 60);
  for (let round = 0; round < 120; round++) {
    for (const client of clients) client.raw(askBig(round + 1));
    // One turn of the loop for each round, more or less.
    await gauge(gateway, 'pith_outbox_bytes');
  }
  const held = await heldMore(there);
  const gauged = await gauge(gateway, 'pith_outbox_bytes');
  expectHeld(held, gauged, OUTBOXES);
  expect(gauged).toBeGreaterThan(4 * MIB);
  for (const client of clients) await client.close();
  await eventually(async () => (await gauge(gateway, 'pith_sessions')) === 0, 'the ends');
  expect(await gauge(gateway, 'pith_outbox_bytes')).toBe(0);
  expect(await heldMore(there)).toBeLessThan(MARGIN_BYTES);
});

test('pushes that newer ones replace: none of the old is kept', async () => {
  const there = await hall();
  const { gateway, port, nats } = there;
  const clients = await deaf(port, 3);
  // Until their sockets are full, and what comes then is kept.
  for (let round = 0; (await gauge(gateway, 'pith_outbox_bytes')) < MIB && round < 100; round++)
    for (const client of clients) client.raw(askBig(round + 1));
  const wire = await NatsWire.connect(nats.port);
  const headers = 'Pith-Route: onX\r\nPith-Delivery: latest\r\nPith-Latest-Key: k\r\n';
  for (let i = 1; i <= 3_000; i++) {
    wire.publish('pith.all.push', '', headers, BODY);
    // What is on its way is memory as well, here or in nats-server, which would end a connection that takes too little.
    if (i % 300 === 0) await arePushed(gateway, i * clients.length);
  }
  expect(await gauge(gateway, 'pith_pushes_total', { outcome: 'refused' })).toBe(0);
  const held = await heldMore(there);
  expectHeld(held, await gauge(gateway, 'pith_outbox_bytes'), OUTBOXES);
  wire.close();
  for (const client of clients) await client.close();
});

test('NATS that takes nothing: what waits for it is counted, bounded, and refused beyond', async () => {
  const there = await hall();
  const { gateway, port, cable } = there;
  const clients = await Promise.all(Array.from({ length: 10 }, () => join(port)));
  // It would be lost, and all that waits for it gone, were it not to answer to PINGs.
  const cut = cable.choke('PONG\r\n');
  for (let round = 0; round < 100; round++) {
    for (const client of clients) client.notify('far.a', BODY);
    if (round % 10 === 9) await gauge(gateway, 'pith_sessions');
  }
  const count = async () => {
    const metrics = await gateway.metrics();
    const refused = total(metrics, 'pith_requests_total', {
      backend: 'far',
      outcome: 'OVERLOADED',
    });
    const taken = total(metrics, 'pith_requests_total', { backend: 'far', outcome: 'ok' });
    const waiting = total(metrics, 'pith_requests_in_flight', { backend: 'far' });
    return refused + taken + waiting === 1_000 && { refused };
  };
  const { refused } = await eventually(count, 'every message to be sent, to wait or to be refused');
  const held = await heldMore(there);
  expectHeld(held, await gauge(gateway, 'pith_bus_unsent_bytes'), UNSENT + MIB);
  // 16 MiB, and what the kernel's buffers take.
  expect(refused).toBeGreaterThan(300);
  cut();
  for (const client of clients) await client.close();
});

test('names of gateways that there are not: a bounded number is known', async () => {
  const there = await hall();
  const wire = await NatsWire.connect(there.nats.port);
  for (let i = 0; i < 100_000; i++) {
    wire.publish('pith.fleet.hello', '', '', `{"gateway":"forged-${i}-${'x'.repeat(200)}"}`);
    if (i % 5_000 === 0) await gauge(there.gateway, 'pith_sessions');
  }
  // It comes after all of them.
  const client = await join(there.port);
  wire.publish('pith.all.push', '', 'Pith-Route: onX\r\n', '{}');
  await arePushed(there.gateway, 1);
  expect(await heldMore(there)).toBeLessThan(MARGIN_BYTES);
  wire.close();
  await client.close();
});

test('a log that nobody reads: lines are dropped and counted, not kept', async () => {
  const there = await hall('log: { level: debug }');
  const { gateway, port } = there;
  const client = await join(port);
  gateway.leaveLog();
  for (let i = 0; i < 300; i++) {
    const outcomes = await Promise.all(
      Array.from({ length: 100 }, () => client.ask('nowhere.at.all', '{}', 60_000)),
    );
    expect(outcomes.filter(({ kind }) => kind === 'answer').length).toBe(100);
  }
  expect(await heldMore(there)).toBeLessThan(MARGIN_BYTES);
  expect(await gauge(gateway, 'pith_log_lines_dropped_total')).toBeGreaterThan(10_000);
  gateway.readLog();
  await client.close();
});

/** A request for a large answer, as a packet. */
function askBig(id: number): Buffer {
  const route = 'big.a';
  const body = Buffer.from([0, id & 0x7f, route.length, ...Buffer.from(route)]);
  return Buffer.concat([Buffer.from([4, 0, 0, body.length]), body]);
}
