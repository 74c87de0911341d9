/** deploy/nats/permissions.conf on a real server: the gateway and backends work under it, and nothing else does. */
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { type NatsConnection, PermissionViolationError } from 'nats';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';

import { TestClient } from '../support/client.ts';
import { startGateway, type TestGateway } from '../support/gateway.ts';
import { startNatsChat } from '../support/go.ts';
import { control } from '../support/grpcurl.ts';
import { shake } from '../support/handshake.ts';
import { startNats, type TestNats } from '../support/nats.ts';
import { headersOf, Heard, push, serve, tell, tellJson } from '../support/nats-backend.ts';
import { run } from '../support/process.ts';
import { eventually } from '../support/wait.ts';

const FILE = fileURLToPath(new URL('../../deploy/nats/permissions.conf', import.meta.url));
const PASSWORDS = {
  NATS_GATEWAY_PASSWORD: 'gateway-secret',
  NATS_CHAT_PASSWORD: 'chat-secret',
  NATS_WORLD_PASSWORD: 'world-secret',
  NATS_OPERATOR_PASSWORD: 'operator-secret',
};

/** The configuration includes the file, as a user's would; an absolute path would be taken as relative. */
const CONFIG = `jetstream { store_dir: "$DIR/js" }\ninclude "${'../'.repeat(16)}${FILE.slice(1)}"`;

/** What only gateways may say: who comes and goes, who holds a uid, and what they tell each other. */
const OF_GATEWAYS = [
  ...['opened', 'bound', 'unbound', 'conflict', 'closed'].map(
    (name) => `pith.event.session.${name}`,
  ),
  ...['ready', 'draining', 'stopped', 'alive', 'lost', 'returned', 'gap'].map(
    (name) => `pith.event.gateway.${name}`,
  ),
  ...['pith.event.other', 'pith.event.gateway.lost.x', 'pith.user.7.claim'],
  ...[
    'hello',
    'bye',
    'push',
    'kick',
    'list',
    'join',
    'leave',
    'presence',
    'groups',
    'gate',
    'orders',
  ].map((verb) => `pith.fleet.${verb}`),
  ...['pith.fleet.other', '_INBOX.pith-0123456789.ask.1', '_INBOX.pith-0123456789.rpc.1'],
];

let nats: TestNats;

beforeAll(async () => {
  Object.assign(process.env, PASSWORDS);
  nats = await startNats(CONFIG);
});

afterAll(async () => {
  await nats[Symbol.asyncDispose]();
});

function connectAs(
  user: 'gateway' | 'chat' | 'world' | 'operator',
  inboxPrefix = '_INBOX',
): Promise<NatsConnection> {
  return nats.connect({ user, pass: `${user}-secret`, inboxPrefix });
}

function gatewayWith(backends: string): Promise<TestGateway> {
  return startGateway(
    `bus: ${nats.url}
nats: { user: gateway, password: gateway-secret }
backends: { ${backends}: { nats: {} } }
routes: [{ match: "${backends}.>", backend: ${backends}, forward: [room], to: "{data.zone}" }]`,
  );
}

/** What the server refuses of `act`: `publish …` and `subscription …`, once it has answered everything. */
async function refused(nc: NatsConnection, act: () => void): Promise<string[]> {
  const found: string[] = [];
  const status = nc.status();
  const reading = (async () => {
    for await (const event of status) {
      if (event.type !== 'error' || !(event.error instanceof PermissionViolationError)) continue;
      found.push(`${event.error.operation} ${event.error.subject}`);
    }
  })();
  act();
  await nc.flush();
  (status as unknown as { stop(): void }).stop();
  await reading;
  return found.sort();
}

function publishAll(nc: NatsConnection, subjects: readonly string[]): Promise<string[]> {
  return refused(nc, () => {
    for (const subject of subjects) nc.publish(subject, '');
  });
}

async function subscribeAll(nc: NatsConnection, subjects: readonly string[]): Promise<string[]> {
  return refused(nc, () => {
    for (const subject of subjects) nc.subscribe(subject, { callback: () => {} });
  });
}

const publishing = (subjects: readonly string[]): string[] =>
  subjects.map((subject) => `publish ${subject}`).sort();
const subscribing = (subjects: readonly string[]): string[] =>
  subjects.map((subject) => `subscription ${subject}`).sort();

describe('under the permissions', () => {
  test('two gateways and the Go chat work, and nothing is refused', async () => {
    await using _chat = await startNatsChat(nats.url, {
      NATS_USER: 'chat',
      NATS_PASSWORD: PASSWORDS.NATS_CHAT_PASSWORD,
    });
    await using one = await gatewayWith('chat');
    await using two = await gatewayWith('chat');
    await using ann = await TestClient.connect(one.port);
    await using bob = await TestClient.connect(two.port, 'ws');
    await ann.request('chat.room.join', { name: 'ann', room: 'lobby' });
    await bob.request('chat.room.join', { name: 'bob', room: 'lobby' });
    expect(await ann.push('onJoin')).toEqual({ name: 'bob' });
    await bob.request('chat.room.send', { text: 'hi' });
    expect(await ann.push('onChat')).toEqual({ from: 'bob', text: 'hi' });
    expect(await bob.request('chat.room.whisper', { to: 'ann', text: 'psst' })).toMatchObject({
      code: 200,
    });
    expect(await bob.request('chat.room.whisper', { to: 'carl', text: 'psst' })).toMatchObject({
      reason: 'OFFLINE',
    });
    await eventually(
      async () =>
        (await control(one, 'Push', { push: { target: { all: true }, route: 'onAll' } }))[
          'delivered'
        ] === 2,
      'both gateways to know each other',
    );
    const { sid } = [...two.gateway.registry.all()][0]!;
    expect(await control(one, 'SetData', { sid, set: { far: 1 } })).toMatchObject({ uid: 'bob' });
    expect(await control(one, 'Kick', { target: { sids: [sid] } })).toMatchObject({ closed: 1 });
    for (const { log } of [one, two])
      expect(
        log.filter(({ level, msg }) => level === 'error' || msg === 'bus message refused'),
      ).toEqual([]);
  });

  test('a backend with an inbox prefix of its own answers, pushes and is answered', async () => {
    const nc = await connectAs('world', '_INBOX.world');
    const any = await serve(nc, 'pith.rpc.world.>', () => ({ body: '{"by":"any"}' }));
    await serve(nc, 'pith.to.z1.world.>', () => ({ body: '{"by":"z1"}' }));
    await using gateway = await gatewayWith('world');
    await using client = await TestClient.connect(gateway.port);
    const { sid } = [...gateway.gateway.registry.all()][0]!;
    expect(await client.request('world.map.look')).toEqual({ by: 'any' });
    expect(
      await tellJson(nc, `pith.session.${sid}.patch`, { uid: 'ann', set: { zone: 'z1' } }),
    ).toEqual({ changed: 1, version: 1 });
    expect(await client.request('world.map.look')).toEqual({ by: 'z1' });
    push(nc, 'pith.user.ann.push', 'onHi', { hi: 1 });
    expect(await client.push('onHi')).toEqual({ hi: 1 });
    any.stop();
    await nc.flush();
  });

  test('a gateway notices a push to a uid that was not encoded', async () => {
    const nc = await connectAs('world', '_INBOX.world');
    await using gateway = await gatewayWith('world');
    await using _client = await TestClient.connect(gateway.port);
    const { sid } = [...gateway.gateway.registry.all()][0]!;
    await tellJson(nc, `pith.session.${sid}.patch`, { uid: 'id:7' });
    push(nc, 'pith.user.id:7.push', 'onHi', { hi: 1 });
    const found = await eventually(
      () => gateway.log.find(({ msg }) => msg === 'bus message refused'),
      'the gateway to notice it',
    );
    expect(found).toMatchObject({ reason: 'BAD_ARGUMENT', subject: 'pith.user.id:7.push' });
    expect(gateway.log.filter(({ level }) => level === 'error')).toEqual([]);
  });
});

describe('a backend', () => {
  test('may use every verb of the contract', async () => {
    const nc = await connectAs('chat');
    const verbs = [
      'push',
      'patch',
      'bind',
      'unbind',
      'set',
      'join',
      'leave',
      'kick',
      'close',
      'get',
    ];
    const scoped = ['push', 'kick', 'get'];
    expect(
      await publishAll(nc, [
        ...verbs.map((verb) => `pith.session.pith-0123456789.7.${verb}`),
        ...[...scoped, 'patch'].map((verb) => `pith.user.nobody.${verb}`),
        ...scoped.map((verb) => `pith.group.none.${verb}`),
        ...scoped.map((verb) => `pith.all.${verb}`),
        ...['pith.gateway.pith-0123456789.push', 'pith.control.Push', 'pith.keep.user.7'],
      ]),
    ).toEqual([]);
    expect(await tell(nc, 'pith.user.nobody.get')).toBeNull();
  });

  test('may not ask other backends, pose as a gateway, or answer what it was not asked', async () => {
    const nc = await connectAs('chat');
    const forbidden = [
      ...['pith.rpc.chat.room.join', 'pith.rpc.shop.buy.now', 'pith.to.one.shop.buy.now'],
      ...['pith.fleet.hello', 'pith.fleet.push', 'pith.fleet.kick', 'pith.fleet.list'],
      ...['pith.user.7.claim', 'pith.user.7.kept', 'pith.connect', 'pith.event.session.bound'],
      ...['$JS.API.DIRECT.GET.PITH_KEEP', '$JS.API.STREAM.INFO.PITH_KEEP', 'pith.keep.group.g'],
      ...[
        'pith.event.session.closed',
        'pith.event.session.conflict',
        'pith.event.gateway.lost',
        'pith.event.gateway.alive',
      ],
      ...['pith.gateway.pith-0123456789.Drain', 'pith.group.g.patch', 'pith.all.patch'],
      ...['pith.gateway.pith-0123456789.GetConfig', 'pith.gateway.pith-0123456789.Call'],
      ...['pith.fleet.join', 'pith.fleet.leave', 'pith.fleet.presence', 'pith.fleet.groups'],
      ...['pith.fleet.gate', 'pith.fleet.orders', 'pith.control.Block', 'pith.control.Unblock'],
      ...['pith.fleet.find', 'pith.fleet.status', 'pith.control.WatchLog'],
      ...['_INBOX.pith-0123456789.rpc.1', '_INBOX.pith-0123456789.ask.1', '_INBOX.x.1'],
      ...['$JS.API.STREAM.NAMES', '$JS.API.STREAM.DELETE.X', '$SRV.PING', 'other'],
    ];
    expect(await publishAll(nc, forbidden)).toEqual(publishing(forbidden));
  });

  test.each([
    ['chat', '_INBOX'],
    ['world', '_INBOX.world'],
    ['operator', '_INBOX'],
  ] as const)('%s may say nothing of what only gateways say', async (user, inbox) => {
    const nc = await connectAs(user, inbox);
    expect(await publishAll(nc, OF_GATEWAYS)).toEqual(publishing(OF_GATEWAYS));
  });

  test('cannot make a gateway lost, a session closed, or a uid another one’s', async () => {
    const limited = (id: string): Promise<TestGateway> =>
      startGateway(`
id: ${id}
bus: ${nats.url}
nats: { user: gateway, password: gateway-secret }
auth: { sessions_per_uid: kick_old }
backends: {}
routes: []`);
    await using one = await limited('one');
    await using two = await limited('two');
    await using client = await TestClient.connect(two.port);
    const nc = await connectAs('chat');
    const { id, registry } = two.gateway;
    const [{ sid } = { sid: '' }] = [...registry.all()];
    await tellJson(nc, `pith.session.${sid}.bind`, { uid: '7' });
    const heard = await Heard.on(nc, 'pith.event.>');
    const time = '2026-01-01T00:00:00Z';
    const forged: Record<string, object> = {
      'pith.event.gateway.lost': { gateway: id, term: 1, by: one.gateway.id, last_heard: time },
      'pith.event.gateway.stopped': { gateway: id, seq: '9' },
      'pith.event.session.closed': { session: { sid, gateway: id }, reason: 'forged' },
      'pith.user.7.claim': {
        sid: `${one.gateway.id}.1`,
        uid: '7',
        bound_at: '2099-01-01T00:00:00Z',
      },
      'pith.fleet.kick': { target: { uids: ['7'] } },
      'pith.fleet.bye': { gateway: id },
      'pith.fleet.orders': {
        gateway: one.gateway.id,
        entries: [{ key: 'uid:7', at: 4_000_000_000_000, by: one.gateway.id, value: {} }],
      },
      'pith.control.Block': { uid: '7' },
    };
    const subjects = Object.keys(forged);
    expect(
      await refused(nc, () => {
        for (const [subject, event] of Object.entries(forged))
          nc.publish(subject, JSON.stringify(event));
      }),
    ).toEqual(publishing(subjects));
    // Some signs of life later.
    await heard.until(
      (all) => all.filter(({ subject }) => subject === 'pith.event.gateway.alive').length >= 4,
      'signs of life',
    );
    expect(new Set(heard.subjects)).toEqual(new Set(['pith.event.gateway.alive']));
    expect([...registry.byUid('7')].map((session) => session.sid)).toEqual([sid]);
    expect(client.received.map(({ kind }) => kind)).not.toContain('kick');
    expect(client.isEnded).toBe(false);
    for (const gateway of [one, two]) expect([...gateway.gateway.orders.list()]).toEqual([]);
    expect(await control(one, 'GetPresence', { uids: ['7'] })).toMatchObject({
      presence: { 7: { sids: [sid] } },
    });
  });

  test('may hear its own routes and answers, and nothing else', async () => {
    const nc = await connectAs('chat');
    expect(
      await subscribeAll(nc, [
        ...['pith.rpc.chat.>', 'pith.to.c1.chat.>', 'pith.event.>', '_INBOX.abc.*'],
      ]),
    ).toEqual([]);
    const forbidden = [
      ...['>', 'pith.>', 'pith.rpc.>', 'pith.rpc.shop.>', 'pith.rpc.*.buy.now', 'pith.to.>'],
      ...['pith.to.one.shop.>', 'pith.connect', 'pith.user.>', 'pith.user.7.*', 'pith.user.7.push'],
      ...['pith.session.>', 'pith.session.*.*.*', 'pith.group.>', 'pith.all.*', 'pith.fleet.>'],
      ...['pith.gateway.>', 'pith.control.*', 'pith.keep.>', '$SRV.>'],
      ...['_INBOX.*.rpc.*', '_INBOX.pith-0123456789.rpc.*', '_INBOX.world.x.*'],
    ];
    expect(await subscribeAll(nc, forbidden)).toEqual(subscribing(forbidden));
  });

  test('cannot overhear what other backends answer or are answered, by any wildcard', async () => {
    const chat = await connectAs('chat');
    const world = await connectAs('world', '_INBOX.world');
    const service = await serve(world, 'pith.rpc.world.>', () => ({ body: '{"ok":1}' }));
    await using gateway = await gatewayWith('world');
    await using client = await TestClient.connect(gateway.port);
    const { id } = gateway.gateway;
    const overheard: string[] = [];
    for (const subject of [
      '_INBOX.>',
      '_INBOX.*.>',
      `_INBOX.${id}.>`,
      '_INBOX.world.>',
      '_INBOX.*.*',
    ])
      chat.subscribe(subject, { callback: (_, msg) => void overheard.push(msg.subject) });
    const probe = await Heard.on(chat, '_INBOX.probe');
    expect(await client.request('world.map.look')).toEqual({ ok: 1 });
    await tellJson(
      world,
      'pith.session.' + [...gateway.gateway.registry.all()][0]!.sid + '.push',
      '{}',
      {
        'Pith-Route': 'onHi',
      },
    );
    const other = await connectAs('gateway');
    other.publish('_INBOX.probe', '');
    await probe.nth(0);
    expect(overheard.filter((subject) => subject !== '_INBOX.probe')).toEqual([]);
    expect(overheard).toContain('_INBOX.probe');
    service.stop();
    await world.flush();
  });

  test('answers a request once, and no other in its place', async () => {
    const chat = await connectAs('chat');
    const world = await connectAs('world', '_INBOX.world');
    const heard = await Heard.on(world, 'pith.rpc.world.>');
    await using gateway = await gatewayWith('world');
    await using client = await TestClient.connect(gateway.port);
    const id = client.send('world.map.look', {});
    const { reply } = await heard.nth(0);
    expect(await publishAll(chat, [reply!])).toEqual([`publish ${reply}`]);
    expect(client.answersTo(id)).toBe(0);
    expect(await publishAll(world, [reply!, reply!])).toEqual([`publish ${reply}`]);
    expect(await client.answer(id)).toEqual({});
    expect(client.answersTo(id)).toBe(1);
  });

  test('a backend with less has less', async () => {
    const nc = await connectAs('world', '_INBOX.world');
    const forbidden = [
      ...['pith.keep.user.7', 'pith.user.7.kept'],
      'pith.all.push',
      'pith.group.g.push',
      'pith.control.Push',
      'pith.user.7.kick',
    ];
    expect(await publishAll(nc, forbidden)).toEqual(publishing(forbidden));
    const unheard = ['pith.rpc.chat.>', '_INBOX.*.*', '_INBOX.other.>'];
    expect(await subscribeAll(nc, unheard)).toEqual(subscribing(unheard));
  });
});

describe('an operator', () => {
  test('may call Control for the fleet and for one gateway, look sessions up, and list gateways', async () => {
    const nc = await connectAs('operator');
    await using gateway = await startGateway(
      `bus: ${nats.url}
bus_admin: true
nats: { user: gateway, password: gateway-secret }
backends: {}
routes: []`,
    );
    await using _client = await TestClient.connect(gateway.port);
    const { id } = gateway.gateway;
    const { sid } = [...gateway.gateway.registry.all()][0]!;
    const ask = async (subject: string, request: object = {}) =>
      (await nc.request(subject, JSON.stringify(request), { timeout: 10_000 })).json();
    expect(await ask('pith.control.Bind', { sid, uid: '42' })).toMatchObject({ uid: '42' });
    expect(await ask('pith.control.GetPresence', { uids: ['42'] })).toMatchObject({
      presence: { 42: { sids: [sid] } },
    });
    expect(await ask('pith.user.42.get')).toMatchObject({ sessions: [{ sid }] });
    expect(await ask(`pith.gateway.${id}.GetConfig`)).toMatchObject({
      yaml: expect.stringContaining('password: "***"') as string,
    });
    expect(await ask('$SRV.PING')).toMatchObject({ name: 'pith', id });
    expect(gateway.log.filter(({ level }) => level === 'error' || level === 'warn')).toEqual([]);
  });

  test('may do nothing else', async () => {
    const nc = await connectAs('operator');
    const forbidden = [
      ...['pith.rpc.chat.room.join', 'pith.to.one.chat.x', 'pith.fleet.kick', 'pith.fleet.hello'],
      ...['pith.session.pith-0123456789.7.kick', 'pith.user.7.push', 'pith.all.kick'],
      ...['pith.connect', 'pith.event.session.closed', 'pith.keep.user.7', 'pith.control.a.b'],
      ...['pith.user.7.kept', '$JS.API.DIRECT.GET.PITH_KEEP'],
      ...['_INBOX.pith-0123456789.rpc.1', '_INBOX.pith-0123456789.ask.1', 'other'],
    ];
    expect(await publishAll(nc, forbidden)).toEqual(publishing(forbidden));
    const unheard = ['pith.rpc.>', 'pith.control.*', 'pith.gateway.>', '_INBOX.*.rpc.*', '$SRV.>'];
    expect(await subscribeAll(nc, unheard)).toEqual(subscribing(unheard));
  });
});

describe('kept pushes', () => {
  test('come to who is there and to who comes back; a backend can forge no number', async () => {
    // As the comment in the file says, where the server has JetStream.
    const lines = readFileSync(FILE, 'utf8').replace('# jetstream: enabled', 'jetstream: enabled');
    const owner = '{ user: owner, password: owner-secret }\n\n      # ---- the gateways';
    const withOwner = lines.replace('# ---- the gateways', owner);
    await using server = await startNats(`jetstream { store_dir: "$DIR/js" }\n${withOwner}`);
    const tool = fileURLToPath(new URL('../../deploy/nats/keep-stream.ts', import.meta.url));
    const login = { NATS_URL: server.url, NATS_USER: 'owner', NATS_PASSWORD: 'owner-secret' };
    expect(await run(process.execPath, [tool], { env: login })).toMatchObject({ code: 0 });
    const key = Buffer.alloc(32, 7).toString('base64');
    await using gateway = await startGateway(
      `bus: ${server.url}
nats: { user: gateway, password: gateway-secret }
sessions: { resume: { window: 60s, keys: ["${key}"], replay: true } }
backends: {}
routes: []`,
    );
    await eventually(() => gateway.gateway.notReady().length === 0, 'a gateway that is ready');
    const shakeWith = async (pith: object) => {
      const { client, answer } = await shake(gateway.port, { pith });
      client.ack();
      return { client, token: (answer['user'] as { pith: { resume: string } }).pith.resume };
    };
    const first = await shakeWith({ resume: '', cursor: '' });
    const chat = await server.connect({ user: 'chat', pass: PASSWORDS.NATS_CHAT_PASSWORD });
    const { sid } = [...gateway.gateway.registry.all()][0]!;
    await tellJson(chat, `pith.session.${sid}.bind`, { uid: '7' });
    const forged = headersOf({ 'Pith-Route': 'onMail', 'Nats-Sequence': '900' });
    await chat.request('pith.keep.user.7', '{"n":1}', { headers: forged, timeout: 5_000 });
    expect(await first.client.push('pith.cursor')).toEqual({ seq: 1 });
    expect(await publishAll(chat, ['pith.user.7.kept'])).toEqual(['publish pith.user.7.kept']);
    // The token that says where this user's pushes begin.
    const { token } = (await first.client.push('pith.resume')) as { token: string };
    first.client.close();
    const headers = headersOf({ 'Pith-Route': 'onMail' });
    await chat.request('pith.keep.user.7', '{"n":2}', { headers, timeout: 5_000 });
    const second = await shakeWith({ resume: token, cursor: 1 });
    expect(await second.client.push('onMail')).toEqual({ n: 2 });
    expect(await second.client.push('pith.cursor')).toEqual({ seq: 2 });
    expect(gateway.log.filter(({ level }) => level === 'error')).toEqual([]);
    second.client.close();
  });
});

describe('a gateway that is told to answer somewhere', () => {
  type Stage = AsyncDisposable & {
    one: TestGateway;
    two: TestGateway;
    ann: TestClient;
    bob: TestClient;
    world: NatsConnection;
    sids: [string, string];
  };

  /** Ann on one gateway, bob on another, and the backend that may only push, and change one session. */
  async function stage(): Promise<Stage> {
    const one = await gatewayWith('chat');
    const two = await gatewayWith('chat');
    const ann = await TestClient.connect(one.port);
    const bob = await TestClient.connect(two.port);
    const world = await connectAs('world', '_INBOX.world.own');
    const sids = [one, two].map(({ gateway }) => [...gateway.registry.all()][0]!.sid);
    for (const [i, uid] of ['ann', 'bob'].entries())
      await tellJson(world, `pith.session.${sids[i]}.patch`, { uid });
    return {
      ...{ one, two, ann, bob, world, sids: sids as [string, string] },
      async [Symbol.asyncDispose]() {
        ann.close();
        bob.close();
        await one[Symbol.asyncDispose]();
        await two[Symbol.asyncDispose]();
      },
    };
  }

  test('answers under _INBOX. only, never where gateways await answers of backends or of each other', async () => {
    await using stand = await stage();
    const { one, two, ann, bob, world, sids } = stand;
    const chat = await connectAs('chat');
    const heard = await Heard.on(chat, 'pith.rpc.chat.>');
    const { id } = two.gateway;
    // Each leads the gateway where `world` itself may not publish.
    const replies = [
      ...['pith.user.bob.kick', 'pith.all.kick', 'pith.group.g.push', 'pith.rpc.chat.secret'],
      ...[`pith.session.${sids[1]}.unbind`, `pith.session.${sids[1]}.kick`, 'pith.fleet.bye'],
      ...[`_INBOX.${id}.rpc.1`, `_INBOX.${one.gateway.id}.rpc.1`, '_INBOX.x.rpc.1.2'],
      ...[`_INBOX.${id}.ask.1`, '_INBOX.x.ask.AAAAAAAAAAAAAAAA', '$JS.API.STREAM.NAMES'],
      ...[
        '_INBOX',
        '_INBOX.',
        '_INBOX..a',
        '_INBOX.*',
        '_INBOX.a.>',
        '_INBOX.*.rpc.*',
        '_inbox.a.b',
      ],
      ...['other', 'answers.here', `_INBOX.${'x'.repeat(600)}`],
    ];
    const { messages: before } = heard;
    for (const reply of replies) {
      const headers = headersOf({ 'Pith-Route': 'onHi' });
      world.publish(`pith.session.${sids[0]}.push`, '{}', { reply, headers });
    }
    // Those that the server itself refuses as subjects do not arrive.
    await world.flush();
    await tellJson(world, `pith.session.${sids[0]}.push`, '{}', { 'Pith-Route': 'onEnd' });
    await ann.push('onEnd');
    const came = ann.pushes('onHi').length;
    expect(came).toBeGreaterThan(replies.length - 8);
    expect(one.count('pith_bus_refused_total', 'REPLY_SUBJECT')).toBe(came);
    expect(one.log.find(({ reason }) => reason === 'REPLY_SUBJECT')).toMatchObject({
      level: 'warn',
      subject: `pith.session.${sids[0]}.push`,
    });
    await tellJson(world, `pith.session.${sids[1]}.push`, '{}', { 'Pith-Route': 'onEnd' });
    await bob.push('onEnd');
    expect(bob.received.map(({ kind }) => kind)).not.toContain('kick');
    expect([...two.gateway.registry.all()][0]!.uid).toBe('bob');
    expect(before).toEqual([]);
  });

  test('cannot be made to forge the answer to a request, nor to what a gateway asks', async () => {
    await using stand = await stage();
    const { one, two, ann, world, sids } = stand;
    const chat = await connectAs('chat');
    const asked = await Heard.on(chat, 'pith.rpc.chat.>');
    const asks = await Heard.on(await connectAs('gateway', '_INBOX.spy.ask'), '_INBOX.*.ask.*');
    const id = ann.send('chat.room.join', {});
    const { reply } = await asked.nth(0);
    const headers = headersOf({ 'Pith-Route': 'onHi' });
    for (const gateway of sids)
      world.publish(`pith.session.${gateway}.push`, '{}', { reply: reply!, headers });
    await world.flush();
    await tellJson(world, `pith.session.${sids[0]}.push`, '{}', { 'Pith-Route': 'onEnd' });
    await ann.push('onEnd');
    expect(ann.answersTo(id)).toBe(0);
    chat.publish(reply!, '{"real":1}');
    expect(await ann.answer(id)).toEqual({ real: 1 });
    // What gateways ask is answered with the gateway's name, at numbers that nobody can guess.
    await control(one, 'SetData', { sid: sids[1], set: { a: 1 } });
    await control(one, 'Push', { push: { target: { all: true }, route: 'onAll' }, wait: '5s' });
    const answers = asks.messages.filter(({ data }) => data.length > 0);
    for (const answer of answers) {
      expect(answer.subject).toMatch(/^_INBOX\.pith-[A-Za-z0-9]{10}\.ask\.[A-Za-z0-9_-]{16}$/);
    }
    const toOne = answers.filter(({ subject }) => subject.startsWith(`_INBOX.${one.gateway.id}.`));
    expect(new Set(toOne.map((answer) => answer.json<{ gateway: string }>().gateway))).toEqual(
      new Set([two.gateway.id]),
    );
    const numbers = answers.map(({ subject }) => subject.split('.')[3]);
    expect(new Set(numbers).size).toBeGreaterThan(2);
    asked.stop();
  });
});

describe('the account', () => {
  test('is closed to other users of the same server, and the server starts with all passwords only', async () => {
    // Two blocks of one name do not add up, so the other account stands beside the included one.
    const text = readFileSync(FILE, 'utf8').replace(
      /^accounts \{$/m,
      'accounts {\n  OTHER { users: [ { user: guest, password: guest } ] }',
    );
    expect(text).toContain('guest');
    await using server = await startNats(text);
    const guest = await server.connect({ user: 'guest', pass: 'guest' });
    const all = await Heard.on(guest, '>');
    const chat = await server.connect({ user: 'chat', pass: PASSWORDS.NATS_CHAT_PASSWORD });
    expect(await tell(chat, 'pith.user.nobody.get')).toBeNull();
    chat.publish('pith.user.nobody.push', 'secret');
    await chat.flush();
    await guest.flush();
    expect(all.messages).toEqual([]);
    await expect(server.connect({ user: 'guest', pass: 'wrong' })).rejects.toThrow(/uthorization/);
    await expect(server.connect()).rejects.toThrow(/uthorization/);
    const without = ['-u', 'NATS_WORLD_PASSWORD', 'nats-server', '-t', '-c', FILE];
    expect((await run('env', without)).code).not.toBe(0);
    expect((await run('nats-server', ['-t', '-c', FILE])).code).toBe(0);
  });
});

describe('the backend that auth.backend names', () => {
  /** The file as an operator changes it: the line is there, with a # before it, once. */
  const withConnect = (): string => {
    const text = readFileSync(FILE, 'utf8');
    const changed = text.replace('# "pith.connect"  ', '"pith.connect"  ');
    expect(changed.length).toBe(text.length - 2);
    return changed;
  };

  test('says who comes in, once it may hear the handshakes', async () => {
    await using server = await startNats(withConnect());
    const login = { user: 'chat', pass: PASSWORDS.NATS_CHAT_PASSWORD };
    const nc = await server.connect(login);
    await serve(nc, 'pith.connect', () => ({ body: '{"accept":{"user":{"hi":1}}}' }));
    await using gateway = await startGateway(
      `bus: ${server.url}
nats: { user: gateway, password: ${PASSWORDS.NATS_GATEWAY_PASSWORD} }
auth: { mode: connect, backend: chat }
backends: { chat: { nats: {} } }
routes: [{ match: "chat.>", backend: chat }]`,
    );
    const { client, answer } = await shake(gateway.port);
    expect(answer).toMatchObject({ code: 200, user: { hi: 1 } });
    client.close();
    expect(gateway.log.filter(({ level }) => level === 'error')).toEqual([]);
    // Nobody may pose as a gateway, and no other backend may listen.
    expect(await publishAll(nc, ['pith.connect'])).toEqual(publishing(['pith.connect']));
    const other = await server.connect({ user: 'world', pass: PASSWORDS.NATS_WORLD_PASSWORD });
    expect(await subscribeAll(other, ['pith.connect'])).toEqual(subscribing(['pith.connect']));
  });
});

describe('a gateway', () => {
  test('may not hear or answer what is meant for backends, nor touch what is kept', async () => {
    const nc = await connectAs('gateway', '_INBOX.pith-0123456789.ask');
    const unheard = [
      ...[
        '>',
        'pith.>',
        'pith.rpc.>',
        'pith.rpc.chat.>',
        'pith.to.>',
        'pith.connect',
        'pith.keep.>',
      ],
      ...['pith.event.>', 'pith.control.*', '_INBOX.>', '_INBOX.*.*', '_INBOX.world.>', '$JS.>'],
    ];
    expect(await subscribeAll(nc, unheard)).toEqual(subscribing(unheard));
    const forbidden = [
      ...['pith.control.Push', 'pith.gateway.pith-0123456789.push', 'pith.keep.group.g'],
      ...['pith.group.g.kick', 'pith.all.kick', '$JS.API.STREAM.CREATE.X', '$JS.API.STREAM.LIST'],
      ...['$JS.API.STREAM.DELETE.PITH_KEEP', '$JS.API.STREAM.PURGE.PITH_KEEP'],
      ...['$JS.API.DIRECT.GET.OTHER', '$JS.API.STREAM.MSG.DELETE.PITH_KEEP'],
      ...['$SRV.PING', 'other', 'inbox.chat'],
    ];
    expect(await publishAll(nc, forbidden)).toEqual(publishing(forbidden));
  });

  test('with permissions from before it heard near misses works, and says once what it lacks', async () => {
    const lines = readFileSync(FILE, 'utf8').split('\n');
    const old = lines.filter((line) => !/"pith\.(session|user|gateway)\.\* pith"/.test(line));
    expect(old.length).toBe(lines.length - 3);
    await using server = await startNats(old.join('\n'));
    await using gateway = await startGateway(
      `bus: ${server.url}
nats: { user: gateway, password: ${PASSWORDS.NATS_GATEWAY_PASSWORD} }
backends: { chat: { nats: {} } }
routes: [{ match: "chat.>", backend: chat }]`,
    );
    const chat = await server.connect({ user: 'chat', pass: PASSWORDS.NATS_CHAT_PASSWORD });
    await serve(chat, 'pith.rpc.chat.>', () => ({ body: '{"ok":1}' }));
    await using client = await TestClient.connect(gateway.port);
    expect(await client.request('chat.room.join')).toEqual({ ok: 1 });
    expect(
      gateway.log
        .filter(({ level }) => level === 'warn' || level === 'error')
        .map(({ reason, what }) => [reason, what]),
    ).toEqual([['NEAR_MISSES', expect.stringContaining('permissions.conf')]]);
  });

  test('takes its place in the queue group of Control', async () => {
    const nc = await connectAs('gateway');
    expect(
      await refused(nc, () => {
        nc.subscribe('pith.control.*', { queue: 'pith', callback: () => {} });
      }),
    ).toEqual([]);
    expect(
      await refused(nc, () => {
        nc.subscribe('pith.control.*', { queue: 'mine', callback: () => {} });
      }),
    ).toEqual(['subscription pith.control.*']);
  });

  test('with the wrong password it listens, is not ready, and says so', async () => {
    await using gateway = await startGateway(
      `bus: ${nats.url}
nats: { user: gateway, password: wrong }
backends: { chat: { nats: {} } }
routes: [{ match: "chat.>", backend: chat }]`,
    );
    await using client = await TestClient.connect(gateway.port);
    expect(await client.request('chat.room.join')).toMatchObject({ reason: 'BUS_AWAY' });
    expect((await fetch(`http://127.0.0.1:${gateway.healthPort}/readyz`)).status).toBe(503);
    expect(gateway.log.map(({ msg }) => msg)).toContainEqual(
      expect.stringMatching(/^bus unreachable/),
    );
  });
});
