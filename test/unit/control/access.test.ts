/** What each method needs, and whose certificate counts. */
import { X509Certificate } from 'node:crypto';
import { fileURLToPath } from 'node:url';
import type { ServiceDefinition } from '@grpc/grpc-js';
import { loadSync } from '@grpc/proto-loader';
import { describe, expect, test } from 'vitest';

import { METHOD_RULES, ruleOf } from '../../../src/control/roles.ts';
import { allowsSpiffeId, isSpiffeId, spiffeIdOf } from '../../../src/spiffe.ts';
import { Authority } from '../../support/tls.ts';

const PROTO = fileURLToPath(new URL('../../../proto', import.meta.url));

describe('methods', () => {
  const definition = loadSync('pith/v1/control.proto', { includeDirs: [PROTO] });
  const methods = Object.keys(definition['pith.v1.Control'] as ServiceDefinition);

  test('each has a row of its own', () => {
    expect(methods.filter((name) => !Object.hasOwn(METHOD_RULES, name))).toEqual([]);
  });

  test('these only look, and every other one needs write and is in the audit log, and so is Watch', () => {
    const looks = [
      ...['GetSession', 'ListSessions', 'GetPresence', 'ListGroups', 'ListBlocks'],
      ...['ExplainRoute', 'Watch', 'GetMaintenance', 'GetInfo'],
      ...['ListGateways', 'ListBackends', 'ListRoutes', 'GetHistory', 'WatchLog', 'Why'],
      'GetPlayground',
    ];
    const rules = [...new Set([...methods, ...Object.keys(METHOD_RULES)])].map((name) => {
      const { role, audited } = ruleOf(name);
      return [name, role, audited !== 'none'];
    });
    expect(rules).toEqual(
      rules.map(([name]) => {
        const isLook = looks.includes(name as string);
        return [name, isLook ? 'read' : 'write', !isLook || name === 'Watch'];
      }),
    );
  });

  test.each(['Nothing', '', 'toString', '__proto__'])(
    'one that is unknown needs write: %j',
    (name) => {
      expect(ruleOf(name)).toEqual({ role: 'write', audited: 'each' });
    },
  );
});

describe('SPIFFE ids', () => {
  const authority = new Authority();
  const idIn = (...uris: string[]): string =>
    spiffeIdOf(new X509Certificate(authority.issue('x', 1, uris).cert).subjectAltName ?? '');

  test('are read from certificates', () => {
    expect(idIn('spiffe://game.example/ops/ann')).toBe('spiffe://game.example/ops/ann');
    expect(idIn('spiffe://game.example')).toBe('spiffe://game.example');
  });

  test.each<[string, string[]]>([
    ['none', []],
    ['two', ['spiffe://a/b', 'spiffe://a/c']],
    ['the same twice', ['spiffe://a/b', 'spiffe://a/b']],
    ['one beside another URI', ['https://a/b', 'spiffe://a/b']],
    ['no SPIFFE id', ['https://a/b']],
    ['one inside another name', ['x, URI:spiffe://a/b']],
    ['one after a quote', ['x", URI:spiffe://a/b']],
    ['a quote at its end', ['spiffe://a/b"']],
    ['a domain in capitals', ['spiffe://A/b']],
    ['a port', ['spiffe://a:1/b']],
    ['a user', ['spiffe://u@a/b']],
    ['a query', ['spiffe://a/b?c']],
    ['percents', ['spiffe://a/%2e%2e/b']],
    ['a way up', ['spiffe://a/b/../c']],
    ['an empty segment', ['spiffe://a//b']],
    ['a slash at the end', ['spiffe://a/b/']],
    ['a wildcard', ['spiffe://a/*']],
    ['far too many characters', [`spiffe://a/${'b'.repeat(3_000)}`]],
  ])('with %s there is no id', (_, uris) => {
    expect(idIn(...uris)).toBe('');
  });

  test('texts that cannot be taken apart have none', () => {
    for (const names of [
      'URI',
      'URI:"spiffe://a/b',
      ', URI:spiffe://a/b',
      'URI:spiffe://a/b"',
      '"URI:spiffe://a/b',
    ])
      expect([names, spiffeIdOf(names)]).toEqual([names, '']);
    expect(isSpiffeId('spiffe://a/.')).toBe(false);
  });

  test.each([
    ['spiffe://a/b', 'spiffe://a/b', true],
    ['spiffe://a/b', 'spiffe://a/b/c', false],
    ['spiffe://a/b/*', 'spiffe://a/b/c', true],
    ['spiffe://a/b/*', 'spiffe://a/b/c/d', true],
    ['spiffe://a/b/*', 'spiffe://a/b', false],
    ['spiffe://a/b/*', 'spiffe://a/bc', false],
    ['spiffe://a/*', 'spiffe://a/b', true],
    ['spiffe://a/*', 'spiffe://ab/c', false],
    ['spiffe://a/*', '', false],
  ])('%s and %s: %s', (rule, id, allowed) => {
    expect(allowsSpiffeId(rule, id)).toBe(allowed);
  });
});
