import { expect, test } from 'vitest';

import { handshakeText } from '../../../src/cli/client.ts';
import { readSettings } from '../../../src/cli/client-settings.ts';
import { routeSchema } from '../../../src/config/schema-routes.ts';

test('waits longer than a route does unless it is told, so that the gateway says what happened', () => {
  const { timeout } = routeSchema.parse({ match: 'a.b', backend: 'c' });
  expect([timeout, readSettings([])!.timeoutMs]).toEqual([10_000, 15_000]);
});

test('of a long handshake only says how much there is', () => {
  const codes = Object.fromEntries(Array.from({ length: 300 }, (_, i) => [`on${i}`, i]));
  const sys = {
    heartbeat: 30,
    dict: codes,
    routeToCode: codes,
    codeToRoute: codes,
    protos: { server: codes, client: { a: {} }, version: 'v' },
  };
  expect(handshakeText({ code: 200, sys })).toBe(
    '{"code":200,"sys":{"heartbeat":30,"dict":"300 routes","routeToCode":"300 routes","codeToRoute":"300 codes","protos":{"server":"300 messages","client":"1 messages","version":"v"}}}',
  );
  expect(handshakeText({ code: 200, user: 'x'.repeat(5_000) })).toHaveLength(1_001);
  expect(handshakeText({ code: 200, sys: { heartbeat: 30 } })).toBe(
    '{"code":200,"sys":{"heartbeat":30}}',
  );
});
