import { expect, test } from 'vitest';

import { explainRoute } from '../../../src/cli/routes.ts';
import { loadConfig } from '../../../src/config/load.ts';

const result = loadConfig({
  text: `
bus: nats://127.0.0.1:4222
backends: { chat: { grpc: "dns:///chat:9000" }, world: { nats: {} } }
routes:
  - { match: "chat.admin.*", backend: chat, bound: true }
  - { match: "chat.>", backend: chat, rename: "v2.{method}", to: "{data.room}", idempotent: true }
  - { match: "world.>", backend: [{ backend: chat, weight: 1 }, { backend: world, weight: 3 }], split_by: uid }
`,
  file: 'test.yaml',
  env: {},
});
if ('problems' in result) throw new Error(JSON.stringify(result.problems));
const { config } = result;
const explain = (route: string, facts = {}) =>
  explainRoute(config, route, { sid: 'pith-0000000000.1', uid: '', data: {}, ...facts });

test('the rules before the one that takes it, the backend, and what it is sent', () => {
  expect(explain('chat.room.join', { data: { room: 'r1' } })).toEqual({
    found: true,
    text: `chat.room.join
  routes[0] chat.admin.*: does not match
  routes[1] chat.>: takes it
  backend chat: grpc dns:///chat:9000, mode link
  the backend sees v2.join
  to {data.room}: the instance r1, 503 when it is away
  10s for the answer, order keep, may be sent again
`,
  });
});

test('a session without the key goes to any instance', () => {
  expect(explain('chat.room.join').text).toContain('empty for this session, so any instance');
});

test('which of several backends, and by what', () => {
  const { text } = explain('world.a', { uid: '42' });
  expect(text).toMatch(/shares chat 1, world 3: uid "42" leads to (chat|world)\n/);
});

test.each([
  ['no.such.route', '404 NO_ROUTE'],
  ['chat..join', '400 BAD_ROUTE'],
  ['chat.room.constructor', '400 BAD_ROUTE'],
  ['chat.admin.kick', '401 NOT_BOUND'],
])('%s goes nowhere: %s', (route, why) => {
  const { found, text } = explain(route);
  expect([found, text]).toEqual([false, expect.stringContaining(why)]);
});
