/** Groups over the fleet: names that must be encoded, memberships that end, and pushes that reach nobody. */
import type { NatsConnection } from 'nats';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';

import { admin } from '../support/admin.ts';
import { TestClient } from '../support/client.ts';
import { startGateway, type TestGateway } from '../support/gateway.ts';
import { startLinkBackend } from '../support/link-backend.ts';
import { startNats, type TestNats } from '../support/nats.ts';
import { headersOf, Heard, tell, tellJson } from '../support/nats-backend.ts';
import { eventually } from '../support/wait.ts';

let nats: TestNats;
let nc: NatsConnection;
let one: TestGateway;
let two: TestGateway;
let ann: TestClient;
let sid: string;

const start = (id: string, more = 'backends: {}\nroutes: []') =>
  startGateway(`id: ${id}\nbus: ${nats.url}\n${more}`);

beforeAll(async () => {
  nats = await startNats();
  nc = await nats.connect();
  [one, two] = [await start('one'), await start('two')];
  ann = await TestClient.connect(two.port);
  sid = [...two.gateway.registry.all()][0]!.sid;
});

afterAll(async () => {
  ann.close();
  await one[Symbol.asyncDispose]();
  await two[Symbol.asyncDispose]();
  await nats[Symbol.asyncDispose]();
});

const groups = async () => {
  const { lines } = await admin(one, 'ListGroups');
  return lines.map(({ name }) => name);
};

describe('a name that is no token, room.1', () => {
  test('is encoded by a gateway that pushes to others', async () => {
    await admin(one, 'Join', { target: { sids: [sid] }, groups: ['room.1'] });
    await using backend = await startLinkBackend((request) => {
      request.answer(
        { code: 200 },
        { pushes: [{ target: { groups: ['room.1'] }, route: 'onRoom', body: { text: '{}' } }] },
      );
    });
    await using three = await start(
      'three',
      `backends: { b: { grpc: "${backend.address}" } }\nroutes: [{ match: ">", backend: b }]`,
    );
    const heard = await Heard.on(nc, 'pith.group.>');
    await using other = await TestClient.connect(three.port);
    expect(await other.request('any.route')).toEqual({ code: 200 });
    expect(await ann.push('onRoom')).toEqual({});
    heard.stop();
    expect(heard.subjects).toEqual(['pith.group.=cm9vbS4x.push']);
  });

  test('is understood from a backend that encodes it', async () => {
    await admin(one, 'Join', { target: { sids: [sid] }, groups: ['room.1'] });
    const words = { 'Pith-Route': 'onToken' };
    expect(await tellJson(nc, 'pith.group.=cm9vbS4x.push', '{}', words)).toEqual({
      ...{ delivered: 1, dropped: 0, refused: 0 },
    });
    expect(await ann.push('onToken')).toEqual({});
  });

  test('that a backend has not encoded is counted and warned of by one gateway, and reaches nobody', async () => {
    const counts = () =>
      [one, two].map((gateway) => gateway.count('pith_bus_refused_total', 'BAD_ARGUMENT'));
    const sum = ([a, b]: number[]) => a! + b!;
    const warned = () =>
      [one, two].flatMap(({ log }) => log.filter(({ msg }) => msg === 'bus message refused'));
    const [before, lines] = [sum(counts()), warned().length];
    nc.publish('pith.group.room.1.push', '{}', { headers: headersOf({ 'Pith-Route': 'onLost' }) });
    await eventually(() => sum(counts()) > before, 'the count');
    // A request that comes behind it has been answered by both.
    await tellJson(nc, `pith.session.${sid}.push`, '{}', { 'Pith-Route': 'onAfter' });
    await ann.push('onAfter');
    expect(sum(counts())).toBe(before + 1);
    expect(warned().slice(lines)).toMatchObject([
      {
        ...{ level: 'warn', reason: 'BAD_ARGUMENT', subject: 'pith.group.room.1.push' },
        what: expect.stringContaining('a user or group is one token') as string,
      },
    ]);
    expect(ann.pushes('onLost')).toEqual([]);
    expect(
      await tell(nc, 'pith.group.room.1.push', '{}', { 'Pith-Route': 'onLost' }),
    ).toMatchObject({
      json: { error: { code: 400, reason: 'BAD_ARGUMENT' } },
    });
  });
});

test('a push to a group that nobody has says so, when it is a request', async () => {
  expect(await tell(nc, 'pith.group.nobody.push', '{}', { 'Pith-Route': 'onHi' })).toBeNull();
  await admin(one, 'Join', { target: { sids: [sid] }, groups: ['nobody'] });
  const words = { 'Pith-Route': 'onHi' };
  expect(await tellJson(nc, 'pith.group.nobody.push', '{}', words)).toMatchObject({ delivered: 1 });
  await admin(one, 'Leave', { target: { sids: [sid] }, groups: ['nobody'] });
  // The gateway's answer to this comes behind its end of interest in the group.
  await tellJson(nc, `pith.session.${sid}.get`);
  expect(await tell(nc, 'pith.group.nobody.push', '{}', words)).toBeNull();
});

describe('a membership with an end', () => {
  const target = { sids: [''] };
  const ways: readonly (readonly [string, (group: string, ttl: string) => Promise<unknown>])[] = [
    ['Control', (group, ttl) => admin(one, 'Join', { target, groups: [group], ttl })],
    [
      'Control over NATS',
      (group, ttl) => tellJson(nc, 'pith.control.Join', { target, groups: [group], ttl }),
    ],
    ['a verb', (group, ttl) => tellJson(nc, `pith.session.${sid}.join`, { groups: [group], ttl })],
  ];

  beforeAll(() => {
    target.sids[0] = sid;
  });

  test.each(ways)('of %s', async (_, join) => {
    await join('brief', '0.2s');
    await join('long', '3600s');
    expect(await groups()).toContain('long');
    await eventually(async () => !(await groups()).includes('brief'), 'its end');
    expect(await groups()).toContain('long');
    // The last join decides.
    await join('long', '0.05s');
    await eventually(async () => !(await groups()).includes('long'), 'its end, too');
  });

  test('in the past is refused', async () => {
    const { status, lines } = await admin(one, 'Join', { target, groups: ['x'], ttl: '-1s' });
    expect([status, lines[0]!['error']]).toMatchObject([
      400,
      { msg: 'the request cannot be read: ttl is negative' },
    ]);
    const told = await tell(nc, `pith.session.${sid}.join`, { groups: ['x'], ttl: '-1s' });
    expect(told!.json).toMatchObject({ error: { code: 400, msg: 'ttl is negative' } });
    expect(await groups()).not.toContain('x');
  });

  test('is the rule where sessions.group_ttl says so', async () => {
    await using brief = await start(
      'brief',
      'backends: {}\nroutes: []\nsessions: { group_ttl: 200ms }',
    );
    await using client = await TestClient.connect(brief.port);
    const { sid: his } = [...brief.gateway.registry.all()][0]!;
    await tellJson(nc, `pith.session.${his}.patch`, { join: ['by-patch'] });
    await tellJson(nc, `pith.session.${his}.join`, { groups: ['kept'], ttl: '0s' });
    await eventually(async () => !(await groups()).includes('by-patch'), 'its end');
    expect(await groups()).toContain('kept');
    client.close();
  });
});

describe('as a NATS micro service', () => {
  const gather = async (subject: string) => {
    const inbox = '_INBOX.tools';
    const heard = await Heard.on(nc, inbox);
    nc.publish(subject, '', { reply: inbox });
    // Each gateway answers this one as well, behind whatever it answers first.
    await tellJson(nc, `$SRV.PING.pith.${one.gateway.id}`);
    await tellJson(nc, `$SRV.PING.pith.${two.gateway.id}`);
    await nc.flush();
    heard.stop();
    return heard.messages
      .map((message) => message.json<Record<string, unknown> & { id: string }>())
      .sort((a, b) => (a.id < b.id ? -1 : 1));
  };

  // The names and types of github.com/nats-io/nats-architecture-and-design, ADR-32.
  test('each gateway answers PING, INFO and STATS, by every subject that tools use', async () => {
    const ids = [one, two].map(({ gateway }) => gateway.id);
    const about = (id: string, kind: string) => ({
      ...{ type: `io.nats.micro.v1.${kind}_response`, name: 'pith', id, version: '0.0.0-test' },
      metadata: { state: 'ready', sessions: id === ids[1] ? '1' : '0' },
    });
    for (const subject of ['$SRV.PING', '$SRV.PING.pith'])
      expect(await gather(subject)).toEqual(ids.map((id) => about(id, 'ping')));
    const endpoints = (id: string) => [
      { name: 'control', subject: 'pith.control.*', queue_group: 'pith' },
      { name: 'gateway', subject: `pith.gateway.${id}.*`, queue_group: '' },
    ];
    expect(await gather('$SRV.INFO')).toEqual(
      ids.map((id) => ({
        ...about(id, 'info'),
        description: 'Pith gateway: sessions of game clients, pushes, groups and presence',
        endpoints: endpoints(id).map((endpoint) => ({ ...endpoint, metadata: {} })),
      })),
    );
    await tellJson(nc, 'pith.control.GetSession', { sid });
    await tellJson(nc, 'pith.control.GetSession', { sid: 'x' });
    const stats = await gather('$SRV.STATS.pith');
    expect(stats).toMatchObject(
      ids.map((id) => ({
        ...about(id, 'stats'),
        started: expect.stringMatching(/^\d{4}-\d\d-\d\dT.*Z$/) as string,
        endpoints: endpoints(id),
      })),
    );
    const control = stats.map(({ endpoints: of }) => (of as Record<string, number>[])[0]!);
    const sum = (name: string) => control[0]![name]! + control[1]![name]!;
    expect(sum('num_requests')).toBeGreaterThanOrEqual(2);
    expect(sum('num_errors')).toBeGreaterThanOrEqual(1);
    expect(sum('processing_time')).toBeGreaterThan(0);
  });

  test('services of other names, and gateways of other ids, are not answered for', async () => {
    for (const subject of ['$SRV.PING.other', '$SRV.INFO.pith.nobody'])
      expect(await tell(nc, subject), subject).toBeNull();
  });
});
