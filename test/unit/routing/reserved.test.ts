/** Names of the gateway's own. That no client's message gets there: test/integration/own-names.test.ts. */
import { describe, expect, test } from 'vitest';

import { isOwnMethod, isOwnPath, isReserved } from '../../../src/routing/reserved.ts';

test.each([
  ['pith', true],
  ['pith.closed', true],
  ['pith.connect', true],
  ['pith.anything.else', true],
  ['pithy.closed', false],
  ['a.pith.closed', false],
  ['pit', false],
])('the route %s is reserved: %j', (route, is) => {
  expect(isReserved(route)).toBe(is);
});

describe('a path', () => {
  test.each([
    '/pith/closed',
    '/pith/connect',
    '/pith/lost',
    '/PITH/Closed',
    '/pith/closed/',
    '//pith//closed',
    '/./pith/./closed',
    '/x/../pith/closed',
    '/pith/x/../closed',
    '/%70ith/closed',
    '/pith%2fclosed',
    '/pith%2Fclosed',
    '/pith%5cclosed',
    '/pith\\closed',
    '/%2570ith/closed',
    '/%2e/pith/closed',
    '/x/%2e%2e/pith/closed',
    '/pith/closed?x=1',
    '/pith/closed#x',
    '/pith;v=1/closed;x',
    '/pith/closed%20',
    '/pith/closed.',
  ])('%s may be taken for one of ours', (path) => {
    expect(isOwnPath(path, '')).toBe(true);
    expect(isOwnPath(`/api/v1${path}`, '/api/v1')).toBe(true);
    expect(isOwnPath(`/api/v1/..${path}`, '/api')).toBe(true);
  });

  test.each([
    '/pith',
    '/pith/',
    '/pith/closedx',
    '/pith/other',
    '/pith/closed/x',
    '/x/pith/closed',
    '/pithclosed',
    '/?/pith/closed',
    '/closed',
    '/%zz/pith/closed',
  ])('%s is not', (path) => {
    expect(isOwnPath(path, '')).toBe(false);
    expect(isOwnPath(`/api${path}`, '/api')).toBe(false);
  });

  test('above the base is not below it', () => {
    expect(isOwnPath('/api/pith/closed', '')).toBe(false);
    expect(isOwnPath('/pith/closed', '/pith')).toBe(false);
    expect(isOwnPath('/pith/pith/closed', '/pith')).toBe(true);
    expect(isOwnPath('/api/../closed', '/api')).toBe(false);
  });

  test('what leaves the base by dots is ours under any other', () => {
    expect(isOwnPath('/api/../pith/closed', '/api')).toBe(true);
    expect(isOwnPath('/api/x/%2e%2e/../other/pith/connect', '/api')).toBe(true);
    expect(isOwnPath('/api/../pith/other', '/api')).toBe(false);
  });
});

test.each([
  ['/pith.v1.Backend/Closed', true],
  ['pith.v1.Control/Kick', true],
  ['/pithy.v1.Backend/Closed', false],
  ['/game.pith.v1/Closed', false],
])('%s is a method of ours: %j', (path, is) => {
  expect(isOwnMethod(path)).toBe(is);
});
