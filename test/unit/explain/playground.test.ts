/** What GetPlayground says of a configuration. */
import { expect, test } from 'vitest';

import { playgroundOf } from '../../../src/explain/playground.ts';
import { load, problemsOf } from '../config/support.ts';

test('listeners with their real ports, rules in order, examples as they are sent', () => {
  const config = load(`
listen: [{ url: "auto://127.0.0.1:0" }, { url: "ws://127.0.0.1:0", dialect: json }]
backends:
  chat: { grpc: "127.0.0.1:9000" }
  lobby: { grpc: "127.0.0.1:9001", mode: method, services: [lobby.v1.Rooms], reflection: true }
  shop: { http: "http://127.0.0.1:8080" }
routes:
  - match: "chat.>"
    backend: [{ backend: chat, weight: 9 }, { backend: shop }]
    examples: ['chat.room.join {"name":"{player}"}', 'notify chat.room.typing', chat.room.leave]
  - { match: "lobby.rooms.*", backend: lobby, method: "/lobby.v1.Rooms/{method}" }
  - { match: "shop.>", backend: shop }`);
  expect(playgroundOf(config, ['auto://127.0.0.1:3010', 'ws://127.0.0.1:3011'])).toEqual({
    listeners: [
      { url: 'auto://127.0.0.1:3010', dialect: 'pomelo', secure: false },
      { url: 'ws://127.0.0.1:3011', dialect: 'json', secure: false },
    ],
    rules: [
      {
        ...{ match: 'chat.>', backend: 'chat', kind: 'grpc', mode: 'link', method: '' },
        examples: [
          { route: 'chat.room.join', body: '{"name":"{player}"}', notify: false },
          { route: 'chat.room.typing', body: '{}', notify: true },
          { route: 'chat.room.leave', body: '{}', notify: false },
        ],
      },
      {
        ...{ match: 'lobby.rooms.*', backend: 'lobby', kind: 'grpc', mode: 'method' },
        ...{ method: '/lobby.v1.Rooms/{method}', examples: [] },
      },
      { match: 'shop.>', backend: 'shop', kind: 'http', mode: '', method: '', examples: [] },
    ],
  });
});

test.each([
  ['', /expected a route and JSON, as in chat\.room\.join \{"name":"ann"\}: the route is missing/],
  ['chat.* {}', /the route expected one route, without \* and >/],
  ['chat.room.join {name:1}', /what follows the route chat\.room\.join is not JSON/],
  [`a.b {"x":"${'y'.repeat(5_000)}"}`, /at most 4096 characters/],
])('the example %s is refused', (example, why) => {
  const yaml = JSON.stringify({
    backends: { chat: { grpc: 'a:1' } },
    routes: [{ match: 'chat.>', backend: 'chat', examples: [example] }],
  });
  expect(problemsOf(yaml)).toEqual([expect.stringMatching(why)]);
});
