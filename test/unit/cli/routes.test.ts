import { expect, test } from 'vitest';

import { explainedText, explainRoute } from '../../../src/explain/explain-route.ts';
import { loadConfig } from '../../../src/config/load.ts';

const result = loadConfig({
  text: `
bus: nats://127.0.0.1:4222
backends:
  chat: { grpc: "dns:///chat:9000" }
  one: { grpc: "127.0.0.1:9000", mode: handle }
  world: { nats: {} }
  own: { nats: { prefix: game.eu } }
  shop: { http: "http://127.0.0.1:8080/api" }
  old: { ipc: "unix:///tmp/pomelo.sock" }
  gate: { reply: { code: 200 } }
  laptop: { dial_in: {} }
  entry: { gate: { advertise: { ws: "game-1:3010", tcp: "game-1:3011" } } }
  lobby: { grpc: "127.0.0.1:9001", mode: method, services: [lobby.v1.Rooms], reflection: true }
routes:
  - { match: "chat.admin.*", backend: chat, bound: true }
  - { match: "chat.>", backend: chat, rename: "v2.{method}", to: "{data.room}", idempotent: true }
  - { match: "one.>", backend: one }
  - { match: "staff.>", backend: one, roles: [admin, support] }
  - { match: "world.>", backend: world, rename: "v2.{method}" }
  - { match: "own.>", backend: own }
  - { match: "shop.list", backend: shop, path: "/v2/{method}" }
  - { match: "shop.>", backend: shop }
  - { match: "old.>", backend: old }
  - { match: "gate.>", backend: gate }
  - { match: "laptop.>", backend: laptop }
  - { match: "entry.>", backend: entry }
  - { match: "lobby.>", backend: lobby, method: "/lobby.v1.{handler}/{method}" }
  - { match: "other.>", backend: lobby, method: "/{server}.{handler}/{method}" }
  - { match: "bare.>", backend: world, rename: "{handler}" }
  - { match: "to.>", backend: world, to: "{data.world}" }
  - { match: "split.>", backend: [{ backend: chat, weight: 1 }, { backend: world, weight: 3 }], split_by: uid }
`,
  file: 'test.yaml',
  env: {},
});
if ('problems' in result) throw new Error(JSON.stringify(result.problems));
const { config } = result;
const explain = async (route: string, facts = {}) => {
  const session = { sid: 'pith-0000000000.1', uid: '', data: {}, ...facts };
  const explained = await explainRoute(config, route, session);
  const { isReached, rule, backend, address } = explained;
  return { isReached, rule, backend, address, text: explainedText(route, explained) };
};

test('the rules before the one that takes it, the backend, and what it is sent', async () => {
  expect(await explain('chat.room.join', { data: { room: 'r1' } })).toEqual({
    ...{ isReached: true, rule: 'chat.>', backend: 'chat', address: 'dns:///chat:9000' },
    text: `chat.room.join
  routes[0] chat.admin.*: does not match
  routes[1] chat.>: matches
  the backend sees v2.join
  to {data.room}: the instance r1; 503 if unreachable
  backend chat: grpc dns:///chat:9000, on the stream of method /pith.v1.Backend/Link, or method /pith.v1.Backend/Handle if it has no Link
  10s for the answer, order keep, may be retried
`,
  });
});

test('a route for some roles is reached by a session that has one of them', async () => {
  const { isReached } = await explain('staff.ban', { data: { roles: ['player', 'support'] } });
  expect(isReached).toBe(true);
});

test('a session without the key goes to any instance', async () => {
  const { text } = await explain('chat.room.join');
  expect(text).toContain('empty for this session, so any instance');
});

test('which of several backends, and by what', async () => {
  const { text } = await explain('split.a', { uid: '42' });
  expect(text).toMatch(/shares chat 1, world 3: uid "42" selects (chat|world)\n/);
});

test.each([
  ['one.a', 'backend one: grpc 127.0.0.1:9000, method /pith.v1.Backend/Handle'],
  ['world.area.move', 'backend world: nats, subject pith.rpc.v2.move'],
  ['own.area.move', 'backend own: nats, subject game.eu.rpc.own.area.move'],
  ['shop.item.buy', 'backend shop: http, POST http://127.0.0.1:8080/api/shop/item/buy'],
  ['shop.list', 'backend shop: http, POST http://127.0.0.1:8080/api/v2/list'],
  ['old.a.b', 'backend old: ipc unix:///tmp/pomelo.sock, a line with "cmd":"old.a.b"'],
  ['gate.a', 'backend gate: a fixed answer, {"code":200}'],
  [
    'entry.a',
    'backend entry: the public address of a ready gateway, the less loaded of two; of this one ws game-1:3010, tcp game-1:3011',
  ],
  ['laptop.a', 'backend laptop: on the stream of /pith.v1.Gateway/Attach'],
  [
    'lobby.rooms.join_room',
    'backend lobby: grpc 127.0.0.1:9001, method /lobby.v1.Rooms/JoinRoom, if the backend has it (its reflection is not queried here)',
  ],
])('%s is called as the page says: %s', async (route, called) => {
  const { isReached, text } = await explain(route);
  expect(text).toContain(`  ${called}`);
  expect(isReached).toBe(true);
});

test('one instance of a NATS backend has a subject of its own', async () => {
  const { text } = await explain('to.a', { data: { world: 'w 1' } });
  expect(text).toContain('backend world: nats, subject pith.to.=dyAx.to.a\n');
});

test.each([
  ['no.such.route', '404 NO_ROUTE: no rule matches it'],
  ['chat..join', '400 BAD_ROUTE'],
  ['chat.room.constructor', '400 BAD_ROUTE'],
  ['chat.admin.kick', '401 NOT_BOUND'],
  [
    'staff.ban',
    '403 FORBIDDEN: only for sessions with the role admin or support in the data key "roles"; give one with --data',
  ],
  ['other.v1.rooms.join', '404 NO_ROUTE: no method /other.v1.rooms/join'],
  ['bare.b', '404 NO_ROUTE: "" is not a valid route'],
])('%s goes nowhere: %s', async (route, why) => {
  const { isReached, text } = await explain(route);
  expect([isReached, text]).toEqual([false, expect.stringContaining(why)]);
});

test('without any routes', async () => {
  const empty = loadConfig({ text: '', file: 'test.yaml', env: {} });
  if ('problems' in empty) throw new Error('the defaults are wrong');
  const facts = { sid: 's.1', uid: '', data: {} };
  expect(await explainRoute(empty.config, 'a.b', facts)).toEqual({
    ...{ isReached: false, rule: '', backend: '', address: '' },
    steps: ['404 NO_ROUTE: there are no routes'],
  });
});
