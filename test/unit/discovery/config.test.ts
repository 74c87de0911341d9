/** The keys of `consul`, and the addresses of backends that Consul knows. */
import { expect, test } from 'vitest';

import { parseConsulService } from '../../../src/config/consul-service.ts';
import { load, problemObjectsOf } from '../config/support.ts';

test('a service, with tags and a data centre', () => {
  expect(parseConsulService('consul:///chat')).toEqual({ name: 'chat', tags: [], dc: '' });
  expect(parseConsulService('consul:///chat.v2?tag=blue&dc=dc1&tag=eu')).toEqual({
    name: 'chat.v2',
    tags: ['blue', 'eu'],
    dc: 'dc1',
  });
  expect(parseConsulService('consul:///chat?tag=a%20b').tags).toEqual(['a b']);
});

test.each([
  ['consul://chat', 'expected consul:///service'],
  ['consul:chat', 'expected consul:///service'],
  ['consul:///chat/x', 'expected consul:///service'],
  ['consul:///', "a service's name"],
  ['consul:///a%2Fb', "a service's name"],
  [`consul:///${'a'.repeat(128)}`, "a service's name"],
  ['consul:///chat?near=me', 'unknown "near"'],
  ['consul:///chat?tag=', 'must not be empty'],
  ['consul:///chat?dc=a&dc=b', 'dc may be given only once'],
])('%s: %s', (url, why) => {
  expect(() => parseConsulService(url)).toThrow(why);
});

test('the defaults use no Consul at all', () => {
  expect(load('').consul).toEqual({
    address: '',
    token: '',
    tls: { cert: '', key: '', ca: '' },
    register: false,
    service: 'pith',
    advertise: '',
    check: 'http',
    tags: [],
    meta: {},
    deregister_after: 60_000,
  });
});

test.each([
  'address: "consul:8500"',
  'address: "https://consul:8501", tls: { ca: /tls/ca.pem }, token: abc',
  'address: "[::1]:8500", register: true, service: game-gate, check: ttl, tags: [eu], meta: { zone: a }',
  'address: "consul:8500", register: true, advertise: "game.example:443", deregister_after: 24h',
])('taken: %s', (consul) => {
  expect(problemObjectsOf(`consul: { ${consul} }`)).toEqual([]);
});

test.each([
  ['address: consul', 'consul.address', 'expected host:port'],
  ['address: "ftp://consul:1"', 'consul.address', 'expected host:port'],
  ['register: true', 'consul.register', 'needs consul.address'],
  ['service: a_b', 'consul.service', 'expected 1 to 63'],
  ['advertise: "10.0.0.1"', 'consul.advertise', 'expected host:port'],
  ['advertise: "0.0.0.0:3010"', 'consul.advertise', 'nobody can connect to 0.0.0.0'],
  ['advertise: "10.0.0.1:0"', 'consul.advertise', '1 to 65535'],
  ['check: tcp', 'consul.check', 'expected'],
  ['meta: { version: "1" }', 'consul.meta.version', 'set by the gateway'],
  ['meta: { "a b": "1" }', 'consul.meta', 'expected a name'],
  ['deregister_after: 30s', 'consul.deregister_after', 'expected 1m to 24h'],
])('refused: %s', (consul, path, why) => {
  expect(problemObjectsOf(`consul: { ${consul} }`)).toContainEqual(
    expect.objectContaining({
      path: expect.stringContaining(path) as string,
      message: expect.stringContaining(why) as string,
    }),
  );
});
