// The small languages: durations, sizes, addresses, patterns, paths.
import fc from 'fast-check';
import { expect, test } from 'vitest';
import {
  checkGrpcAddress,
  isLoopback,
  parseAddress,
  parseBus,
  parseListenUrl,
} from '../../../src/config/address.ts';
import { loadConfig } from '../../../src/config/load.ts';
import { didYouMean, formatPath } from '../../../src/config/problem.ts';
import { backendsOf } from '../../../src/config/schema-routes.ts';
import {
  checkInstanceTemplate,
  checkRouteTemplate,
  covers,
  overlap,
} from '../../../src/config/syntax.ts';
import { formatDuration, formatSize, parseDuration, parseSize } from '../../../src/config/units.ts';

test.each([
  ['250ms', 250],
  ['3s', 3000],
  ['1m', 60_000],
  ['1h', 3_600_000],
  ['0s', 0],
  ['', Number.NaN],
  ['3', Number.NaN],
  ['1.5s', Number.NaN],
  ['-1s', Number.NaN],
  ['3 s', Number.NaN],
  ['3S', Number.NaN],
])('the duration %s', (text, ms) => {
  expect(parseDuration(text)).toBe(ms);
});

test.each([
  ['4096', 4096],
  ['5B', 5],
  ['64KiB', 65_536],
  ['1MiB', 1_048_576],
  ['1GiB', Number.NaN],
  ['64kib', Number.NaN],
  ['', Number.NaN],
])('the size %s', (text, bytes) => {
  expect(parseSize(text)).toBe(bytes);
});

test('durations and sizes survive being written', () => {
  fc.assert(
    fc.property(fc.integer({ min: 0, max: 86_400_000 }), (value) => {
      expect(parseDuration(formatDuration(value))).toBe(value);
      expect(parseSize(formatSize(value))).toBe(value);
    }),
  );
});

test.each([
  ['127.0.0.1:7070', { kind: 'tcp', host: '127.0.0.1', port: 7070 }, true],
  ['[::1]:0', { kind: 'tcp', host: '::1', port: 0 }, true],
  ['[::ffff:127.0.0.1]:1', { kind: 'tcp', host: '::ffff:127.0.0.1', port: 1 }, true],
  ['LOCALHOST:1', { kind: 'tcp', host: 'LOCALHOST', port: 1 }, true],
  ['unix:/run/a.sock', { kind: 'unix', path: '/run/a.sock' }, true],
  ['unix:///run/a.sock', { kind: 'unix', path: '/run/a.sock' }, true],
  ['0.0.0.0:1', { kind: 'tcp', host: '0.0.0.0', port: 1 }, false],
  ['[::]:1', { kind: 'tcp', host: '::', port: 1 }, false],
  ['localhost.example.com:1', { kind: 'tcp', host: 'localhost.example.com', port: 1 }, false],
  ['10.0.0.1:1', { kind: 'tcp', host: '10.0.0.1', port: 1 }, false],
] as const)('the address %s', (text, address, loopback) => {
  expect(parseAddress(text)).toEqual(address);
  expect(isLoopback(parseAddress(text))).toBe(loopback);
});

test.each(['', 'a', 'a:', ':1', 'a:b', '[a]:1', '[1.1.1.1]:1', 'a b:1', '-a:1', 'unix:', 'unix:/'])(
  'no address: "%s"',
  (text) => {
    expect(() => parseAddress(text)).toThrow(RangeError);
  },
);

test('a Unix socket whose path is longer than the system takes is refused', () => {
  expect(() => parseAddress(`unix:/${'a'.repeat(106)}`)).not.toThrow();
  expect(() => parseAddress(`unix:/${'a'.repeat(107)}`)).toThrow('at most 107 bytes');
});

test('a listen URL is taken apart', () => {
  expect(parseListenUrl('auto://0.0.0.0:3010')).toEqual({
    scheme: 'auto',
    host: '0.0.0.0',
    port: 3010,
  });
  expect(parseListenUrl('ws://[::]:0/')).toEqual({ scheme: 'ws', host: '::', port: 0 });
});

test('the bus is taken apart', () => {
  expect(parseBus('embedded')).toEqual({ kind: 'embedded' });
  expect(parseBus('nats://a, nats://b:1,nats://[::1]:2,nats://[::1]')).toEqual({
    kind: 'nats',
    servers: ['a:4222', 'b:1', '[::1]:2', '[::1]:4222'],
    tls: false,
  });
  expect(parseBus('tls://a')).toEqual({ kind: 'nats', servers: ['a:4222'], tls: true });
  expect(() => parseBus('nats://a,')).toThrow(RangeError);
});

test.each([
  'chat:9000',
  'dns:///chat:9000',
  'dns://8.8.8.8/chat:9000',
  'dns:chat:9000',
  'unix:///run/a.sock',
  'unix:/run/a.sock',
  'ipv4:1.1.1.1:1,2.2.2.2:2',
  'ipv6:[::1]:1',
  '[::1]:9000',
])('gRPC backends may be at %s', (text) => {
  expect(checkGrpcAddress(text)).toBeUndefined();
});

test.each(['', 'chat', 'dns:///chat', 'https://chat:1', 'unix:', 'unix:a', 'a b:1'])(
  'gRPC backends may not be at "%s"',
  (text) => {
    expect(checkGrpcAddress(text)).toBe(
      'expected dns:///host:port, unix:///path, consul:///service or host:port',
    );
  },
);

test.each([
  ['>', 'a', true],
  ['>', '>', true],
  ['a.>', 'a.b.c', true],
  ['a.>', 'a.>', true],
  ['a.>', 'a.*', true],
  ['a.>', 'a', false],
  ['a.*', 'a.>', false],
  ['*.b', 'a.b', true],
  ['a.b', '*.b', false],
  ['a.*', 'a.*', true],
  ['a', 'a.b', false],
  ['*.>', 'a.b', true],
])('%s before %s leaves it nothing: %s', (wide, narrow, expected) => {
  expect(covers(wide, narrow)).toBe(expected);
});

test('templates', () => {
  for (const text of ['room-1', '{uid}', '{data.roomServer}', 'r-{data.a b}-{uid}']) {
    expect(checkInstanceTemplate(text)).toBeUndefined();
  }
  for (const text of ['{}', '{data.}', '{data}', '}', '{{uid}}', 'a\n']) {
    expect(checkInstanceTemplate(text)).toEqual(expect.any(String));
  }
  expect(checkRouteTemplate('/{server}/{handler}/{method}')).toBeUndefined();
  expect(checkRouteTemplate('/{uid}')).toBe('unknown {uid}; write {server}, {handler} or {method}');
});

test('the backends of a route are a list, whichever way they are written', () => {
  expect(backendsOf({ backend: 'chat' })).toEqual([{ backend: 'chat', weight: 1 }]);
  const list = [{ backend: 'chat', weight: 9 }];
  expect(backendsOf({ backend: list })).toBe(list);
});

test('paths are written as people write them', () => {
  expect(formatPath(['routes', 0, 'backend'])).toBe('routes[0].backend');
  expect(formatPath(['backends', 'a.b', 'x y'])).toBe('backends["a.b"]["x y"]');
  expect(formatPath([])).toBe('');
});

test('only near names are suggested', () => {
  expect(didYouMean('chta', ['gate', 'chat'])).toBe('; did you mean "chat"?');
  expect(didYouMean('CHAT', ['chat'])).toBe('; did you mean "chat"?');
  expect(didYouMean('world', ['chat', 'gate'])).toBe('');
  expect(didYouMean('a', [])).toBe('');
});

test('no text, variable or flag makes loading throw', () => {
  const yamlish = fc.oneof(
    fc.string(),
    fc.json(),
    fc.stringMatching(
      /^(listen|limits|backends|routes|id|nats): ?[{[*&!|>\-"$ a-z0-9:,\]}]{0,20}$/,
    ),
  );
  fc.assert(
    fc.property(yamlish, fc.string(), yamlish, (text, name, value) => {
      const env = { [`PITH_${name}`]: value, PITH_BACKENDS__A: value, PITH_LISTEN: value };
      const result = loadConfig({ text, file: 'a.yaml', env, flags: { [name]: value } });
      expect('config' in result || result.problems.length > 0).toBe(true);
    }),
    { numRuns: 150 },
  );
});

test.each([
  ['a.b', 'a.b', true],
  ['a.b', 'a.c', false],
  ['a.b', 'a', false],
  ['a.*', '*.b', true],
  ['a.*', 'a.b.c', false],
  ['a.>', 'a', false],
  ['a.>', '*.b.c', true],
  ['a.>', 'b.>', false],
  ['>', 'a', true],
  ['a.*.c', 'a.b.>', true],
])('%s and %s: a route that both match: %s', (left, right, expected) => {
  expect([overlap(left, right), overlap(right, left)]).toEqual([expected, expected]);
});
