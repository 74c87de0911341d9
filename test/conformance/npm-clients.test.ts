/** What published clients make of this gateway by itself; with backends behind it: npm-clients-chat. */
import { describe, expect, test } from 'vitest';

import { startGateway } from '../support/gateway.ts';
import { control, NpmClient } from '../support/npm-clients.ts';
import { PUBLISHED_CLIENTS } from './published-clients.ts';

const HEARTBEAT_FRAME = '03000000';

const gate = (host: string, port: number): string => `
backends: { gate: { reply: { code: 200, host: ${host}, port: ${port} } } }
routes: [{ match: "gate.>", backend: gate }]
`;
const GATE = gate('127.0.0.1', 3010);
const QUERY = 'gate.gateHandler.queryEntry';
const ENTRY = { code: 200, host: '127.0.0.1', port: 3010 };

describe.each(PUBLISHED_CLIENTS)('$name', ({ name, callbackArgs, limits }) => {
  test('shakes hands and takes over the heartbeat interval', async () => {
    await using gateway = await startGateway(`${GATE}\nheartbeat: 7s`);
    await using client = await NpmClient.start(name);
    expect(await client.init(gateway.port, { user: { token: 't' } }, true)).toBe(7_000);
    await client.framesOf(HEARTBEAT_FRAME);
    const [handshake, heartbeat] = client.frames();
    expect(bodyOf(handshake!)).toEqual({ code: 200, sys: { heartbeat: 7 } });
    expect(heartbeat).toBe(HEARTBEAT_FRAME);
    expect(gateway.log.find(({ msg }) => msg === 'session active')).toMatchObject({
      transport: 'ws',
      clientType: 'js-websocket',
      clientVersion: '0.0.1',
    });
    const callbacks = client.events.filter(({ event }) => event === 'handshakeCallback');
    expect(callbacks).toHaveLength(limits.noHandshakeCallback ? 0 : 1);
  });

  test('turns heartbeats off where the gateway has none', async () => {
    await using gateway = await startGateway(`${GATE}\nheartbeat: 0s`);
    await using client = await NpmClient.start(name);
    expect(await client.init(gateway.port, {}, true)).toBe(0);
    expect(await client.request(QUERY)).toEqual(ENTRY);
    expect(client.frames()).not.toContain(HEARTBEAT_FRAME);
  });

  test('is kept, and keeps the connection, over heartbeats in both directions', async () => {
    await using gateway = await startGateway(`${GATE}\nheartbeat: 1s`);
    await using client = await NpmClient.connect(name, gateway.port, true);
    // The gateway's first is its own; each later one answers one of the client's, a second apart: both have
    // let their two seconds go by twice.
    await client.framesOf(HEARTBEAT_FRAME, 6);
    expect(await client.request(QUERY)).toEqual(ENTRY);
    const events = new Set(client.events.map(({ event }) => event));
    expect([...events].filter((event) => /close|timeout|error/.test(event))).toEqual([]);
    expect(gateway.gateway.registry.size).toBe(1);
  });

  test('finds its connector by asking a gate that is a fixed answer', async () => {
    await using connector = await startGateway(GATE);
    await using gateGateway = await startGateway(gate('localhost', connector.port));
    await using asking = await NpmClient.connect(name, gateGateway.port);
    const entry = { code: 200, host: 'localhost', port: connector.port };
    expect(await asking.callback(QUERY, { uid: 'ann' })).toEqual(callbackArgs(entry));
    asking.disconnect();
    await using client = await NpmClient.start(name);
    expect(await client.init(entry.port, { host: entry.host })).toBe(30_000);
    expect(await client.request(QUERY, { uid: 'ann' })).toEqual(ENTRY);
  });

  test('gets the errors of the gateway as bodies', async () => {
    await using gateway = await startGateway(GATE);
    await using client = await NpmClient.connect(name, gateway.port);
    expect(await client.callback('shop.itemHandler.buy', {})).toEqual(
      callbackArgs({ code: 404, reason: 'NO_ROUTE', msg: 'no such route' }),
    );
    expect(await client.request('not a route')).toMatchObject({ code: 400, reason: 'BAD_ROUTE' });
    expect(await client.request(QUERY)).toEqual(ENTRY);
  });

  test('is told that it asks too much, and goes on', async () => {
    await using gateway = await startGateway(
      `${GATE}\nlimits: { messages_per_second: 1, burst: 10 }`,
    );
    await using client = await NpmClient.connect(name, gateway.port);
    const answers = [...(await client.requests(20, QUERY, {})).values()];
    expect(answers.slice(0, 10)).toEqual(Array(10).fill(ENTRY));
    expect(answers[19]).toMatchObject({ code: 429, reason: 'TOO_MANY' });
  });

  test('is kicked: the packet has the reason, and the connection is closed', async () => {
    await using gateway = await startGateway(GATE);
    await using client = await NpmClient.connect(name, gateway.port, true);
    await using other = await NpmClient.connect(name, gateway.port);
    await client.framesOf(HEARTBEAT_FRAME);
    const { sid } = [...gateway.gateway.registry.all()][0]!;
    const close = { reason: '违规 cheating', code: 4_003 };
    expect(await control(gateway.controlPort, 'Kick', { target: { sids: [sid] }, close })).toEqual({
      closed: 1,
      gateways: 1,
    });
    expect(await client.event('onKick')).toEqual(limits.kickWithoutReason ? [] : [close]);
    expect(bodyOf((await client.framesOf('05'))[0]!)).toEqual(close);
    expect(await client.event('close')).toEqual([{ code: 1000, reason: close.reason }]);
    expect(client.events.map(({ event }) => event)).not.toContain('io-error');
    expect(await other.request(QUERY)).toEqual(ENTRY);
  });

  test('disconnects, and the gateway sees it', async () => {
    await using gateway = await startGateway(GATE);
    await using client = await NpmClient.connect(name, gateway.port);
    client.disconnect();
    await client.event('close');
    await expect.poll(() => gateway.gateway.registry.size).toBe(0);
    expect(gateway.log.find(({ msg }) => msg === 'session closed')).toMatchObject({
      reason: 'client_closed',
    });
  });

  test('is gone without a word, and the gateway sees it', async () => {
    await using gateway = await startGateway(GATE);
    const client = await NpmClient.connect(name, gateway.port);
    await client[Symbol.asyncDispose]();
    await expect.poll(() => gateway.gateway.registry.size).toBe(0);
  });

  test('sees the close of a drain', async () => {
    await using gateway = await startGateway(GATE);
    await using client = await NpmClient.connect(name, gateway.port, true);
    await client.framesOf(HEARTBEAT_FRAME);
    const seen = client.event('close');
    expect(await gateway.gateway.drain()).toEqual({ closed: 1, forced: 0 });
    // Not 1012, which the ws of an old Node client does not know, and dies of.
    expect(await seen).toEqual([{ code: 1001, reason: 'draining' }]);
  });

  test('is sent a kick before the close of a drain that is set so', async () => {
    await using gateway = await startGateway(`${GATE}\ndrain: { signal: kick, budget: 2s }`);
    await using client = await NpmClient.connect(name, gateway.port, true);
    await client.framesOf(HEARTBEAT_FRAME);
    await gateway.gateway.drain();
    await client.event('onKick');
    expect(bodyOf((await client.framesOf('05'))[0]!)).toEqual({ reason: 'draining' });
  });
});

const RECONNECTING = PUBLISHED_CLIENTS.filter(({ limits }) => !limits.noReconnect);

describe.each(RECONNECTING)('$name with reconnect', ({ name, limits }) => {
  test('comes back by itself to the next gateway on that port', async () => {
    const first = await startGateway(GATE);
    await using client = await NpmClient.start(name);
    await client.init(first.port, { reconnect: true, reconnectionDelay: 1_000 });
    await first.gateway.drain();
    await client.event('close');
    await using second = await startGateway(
      `${GATE}\nlisten: [{ url: "auto://127.0.0.1:${first.port}" }]`,
    );
    expect(await client.event('ready', 1)).toEqual([30_000]);
    expect(await client.request(QUERY)).toEqual(ENTRY);
    expect(second.gateway.registry.size).toBe(1);
    const reconnects = client.events.filter(({ event }) => event === 'reconnect');
    expect(reconnects).toHaveLength(limits.noReconnectEvent ? 0 : 1);
  });
});

/** The JSON of a frame's package, which must be its only one. */
function bodyOf(frame: string): unknown {
  const bytes = Buffer.from(frame, 'hex');
  expect(bytes.readUIntBE(1, 3)).toBe(bytes.length - 4);
  return JSON.parse(bytes.subarray(4).toString());
}
