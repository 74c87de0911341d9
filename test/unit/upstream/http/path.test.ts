/** Where a route is posted to. */
import { expect, test } from 'vitest';

import { Paths } from '../../../../src/upstream/http/path.ts';

test.each([
  ['/', 'chat.room.join', '', '/chat/room/join'],
  ['/', 'single', '', '/single'],
  ['/game/', 'chat.room.join', '', '/game/chat/room/join'],
  ['/game', 'chat.room.join', '/status', '/game/status'],
  ['/', 'chat.room.join', '/{server}/{handler}/{method}', '/chat/room/join'],
  ['/', 'a.b.c.d', '/{server}/{handler}/{method}', '/a/b/c/d'],
  ['/', 'Room.Join', '/{server}/{handler}/{method}', '/Room/Join'],
  ['/', 'Room.Join', '/x{handler}/{method}', '/x/Join'],
  ['/', 'single', '/{server}/{method}', '/single/single'],
  ['/', 'a.b.c', '/{method}?of={server}&{method}', '/c?of=a&c'],
  ['/', 'a.b.c', '/größe 1%20%/#{method}', '/gr%C3%B6%C3%9Fe%201%20%/%23c'],
])('base %s, route %s, template "%s" → %s', (base, route, template, path) => {
  const paths = new Paths(base);
  expect(paths.of(route, template)).toBe(path);
  // The second time it is compiled already.
  expect(paths.of(route, template)).toBe(path);
});

test('paths of our own stand behind the base too', () => {
  expect(new Paths('/game/').own('/pith/closed')).toBe('/game/pith/closed');
});
