/** What the claims of a verified token grant, and until when. */
import { describe, expect, test } from 'vitest';

import { type ClaimRules, readClaims } from '../../../../src/auth/jwt/claims.ts';

const NOW_MS = 1_800_000_000_000;
const NOW = NOW_MS / 1_000;
const RULES: ClaimRules = {
  ...{ issuer: '', audience: '', uid: 'sub', data: {}, roles: '', skewMs: 30_000 },
};

/** @param claims An object, or JSON text. */
function read(claims: unknown, rules: Partial<ClaimRules> = {}) {
  const text = typeof claims === 'string' ? claims : JSON.stringify(claims);
  return readClaims(Buffer.from(text), { ...RULES, ...rules }, NOW_MS);
}
/** Why not; '': it holds. */
function fault(claims: object | string, rules: Partial<ClaimRules> = {}): string {
  const found = read(
    typeof claims === 'string' ? claims : { sub: 'ann', exp: NOW + 60, ...claims },
    rules,
  );
  return 'fault' in found ? found.fault : '';
}

describe('times', () => {
  test.each<[name: string, claims: object, fault: string]>([
    ['the last second', { exp: NOW - 29 }, ''],
    ['the skew is over', { exp: NOW - 30 }, 'expired'],
    ['long ago', { exp: 1 }, 'expired'],
    ['the epoch', { exp: 0 }, 'expired'],
    ['before all time', { exp: -1 }, 'claims'],
    ['a fraction', { exp: NOW + 0.5 }, ''],
    ['never', { exp: undefined }, 'claims'],
    ['null', { exp: null }, 'claims'],
    ['text', { exp: String(NOW + 60) }, 'claims'],
    ['a list', { exp: [NOW + 60] }, 'claims'],
    ['true', { exp: true }, 'claims'],
    ['a date', { exp: '2999-01-01T00:00:00Z' }, 'claims'],
    ['the year 9999', { exp: 253_402_300_799 }, ''],
    ['beyond it: milliseconds, maybe', { exp: NOW_MS }, 'claims'],
    ['beyond all numbers', { exp: 1e308 }, 'claims'],
    ['not before: within the skew', { nbf: NOW + 30 }, ''],
    ['not before: later', { nbf: NOW + 31 }, 'not_yet'],
    ['not before: text', { nbf: String(NOW) }, 'claims'],
    ['not before: null', { nbf: null }, 'claims'],
    ['made in the future', { iat: NOW + 31 }, 'not_yet'],
    ['made long ago', { iat: 1 }, ''],
    ['made: text', { iat: 'now' }, 'claims'],
  ])('%s', (_, claims, expected) => {
    expect(fault(claims)).toBe(expected);
  });

  test('in any notation of JSON', () => {
    expect(fault(`{"sub":"ann","exp":17e8}`)).toBe('expired');
    expect(fault(`{"sub":"ann","exp":1.9e9}`)).toBe('');
    expect(fault(`{"sub":"ann","exp":1900000000.0}`)).toBe('');
    expect(fault(`{"sub":"ann","exp":1e400}`)).toBe('claims');
    expect(fault(`{"sub":"ann","exp":NaN}`)).toBe('claims');
    expect(fault(`{"sub":"ann","exp":Infinity}`)).toBe('claims');
  });

  test('without any skew', () => {
    expect(fault({ exp: NOW }, { skewMs: 0 })).toBe('expired');
    expect(fault({ exp: NOW + 1, nbf: NOW }, { skewMs: 0 })).toBe('');
    expect(fault({ nbf: NOW + 1 }, { skewMs: 0 })).toBe('not_yet');
  });
});

describe('who made it, and for whom', () => {
  const issuer = 'https://id.example';
  test.each<[iss: unknown, fault: string]>([
    [issuer, ''],
    [`${issuer}/`, 'issuer'],
    ['HTTPS://id.example', 'issuer'],
    [`${issuer}.evil.example`, 'issuer'],
    [[issuer], 'issuer'],
    [undefined, 'issuer'],
    ['', 'issuer'],
    [null, 'issuer'],
  ])('iss %j: %s', (iss, expected) => {
    expect(fault({ iss }, { issuer })).toBe(expected);
    expect(fault({ iss })).toBe('');
  });

  test.each<[aud: unknown, fault: string]>([
    ['game', ''],
    [['game'], ''],
    [['shop', 'game'], ''],
    ['shop', 'audience'],
    ['game ', 'audience'],
    ['game shop', 'audience'],
    ['Game', 'audience'],
    [[], 'audience'],
    [[['game']], 'audience'],
    [{ game: true }, 'audience'],
    [undefined, 'audience'],
    [null, 'audience'],
    ['', 'audience'],
  ])('aud %j: %s', (aud, expected) => {
    expect(fault({ aud }, { audience: 'game' })).toBe(expected);
    expect(fault({ aud })).toBe('');
  });
});

describe('the uid', () => {
  const uidOf = (claims: string, uid = 'sub'): string => {
    const found = read(`{"exp":${NOW + 60},${claims}}`, { uid });
    return 'fault' in found ? `(${found.fault})` : found.uid;
  };
  test.each<[claims: string, uid: string]>([
    ['"sub":"ann"', 'ann'],
    ['"sub":"änn"', 'änn'],
    ['"sub":""', '(claims)'],
    ['"sub":null', '(claims)'],
    ['"sub":["ann"]', '(claims)'],
    ['"sub":{"uid":"ann"}', '(claims)'],
    ['"sub":true', '(claims)'],
    ['"other":"ann"', '(claims)'],
    ['"sub":42', '42'],
    ['"sub":-7', '-7'],
    ['"sub":4.2e1', '42'],
    ['"sub":42.0', '42'],
    // A double would make both of them one.
    ['"sub":9007199254740993', '9007199254740993'],
    ['"sub":9007199254740992', '9007199254740992'],
    ['"sub":4.2', '(claims)'],
    ['"sub":1e400', '(claims)'],
  ])('%s: %s', (claims, uid) => {
    expect(uidOf(claims)).toBe(uid);
  });

  test('of a claim inside of another, or with dots in its name', () => {
    expect(uidOf('"app":{"user":{"id":"ann"}}', 'app.user.id')).toBe('ann');
    expect(uidOf('"app.user.id":"bob","app":{"user":{"id":"ann"}}', 'app.user.id')).toBe('bob');
    expect(uidOf('"https://game.example/uid":"ann"', 'https://game.example/uid')).toBe('ann');
    for (const name of [
      'constructor',
      'toString',
      '__proto__',
      'sub.length',
      'app.constructor.name',
    ])
      expect(uidOf('"sub":"ann","app":{}', name)).toBe('(claims)');
  });

  test('may be left to the backend: then the token is that of its sub', () => {
    expect(read({ sub: 'ann', exp: NOW + 60 }, { uid: '' })).toMatchObject({
      ...{ uid: '', holder: 'ann' },
    });
    expect(read({ exp: NOW + 60 }, { uid: '' })).toMatchObject({ uid: '', holder: '' });
  });
});

describe('what is set', () => {
  const setOf = (claims: object, rules: Partial<ClaimRules>): unknown => {
    const found = read({ sub: 'ann', exp: NOW + 60, ...claims }, rules);
    return 'fault' in found ? found.fault : { ...found.set };
  };

  test('of the data: claims of any kind; one that is not there is removed', () => {
    const data = { level: 'app.level', guild: 'guild', tags: 'tags' };
    expect(setOf({ app: { level: 3 }, tags: ['a', { b: null }] }, { data })).toEqual({
      ...{ level: 3, guild: null, tags: ['a', { b: null }] },
    });
  });

  test.each<[roles: unknown, set: unknown]>([
    [
      ['admin', 'player'],
      ['admin', 'player'],
    ],
    ['admin player', ['admin', 'player']],
    ['  admin  player ', ['admin', 'player']],
    ['', []],
    [[], []],
    [undefined, []],
    [null, []],
    [['admin', 1], 'claims'],
    [[['admin']], 'claims'],
    [{ admin: true }, 'claims'],
    [7, 'claims'],
    [true, 'claims'],
  ])('of the roles %j: %j', (roles, expected) => {
    const set = setOf({ realm: { roles } }, { roles: 'realm.roles' });
    expect(set).toEqual(typeof expected === 'string' ? expected : { roles: expected });
  });
});

describe('what is no object of claims', () => {
  test.each([
    ['nothing', ''],
    ['text', '"ann"'],
    ['a list', '[{"sub":"ann","exp":9e9}]'],
    ['null', 'null'],
    ['no JSON', '{"sub":"ann"'],
    ['a token inside', 'eyJhbGciOiJub25lIn0.e30.'],
    ['a mark in front', '\ufeff{"sub":"ann","exp":1900000000}'],
    ['the same twice', '{"sub":"ann","sub":"bob","exp":1900000000}'],
    ['the same twice, escaped', String.raw`{"sub":"ann","\u0073ub":"bob","exp":1900000000}`],
    ['exp twice', '{"sub":"ann","exp":1,"exp":1900000000}'],
    ['twice inside', '{"sub":"ann","exp":1900000000,"a":{"b":1,"b":2}}'],
    ['too deep', `{"sub":"ann","exp":1900000000,"a":${'['.repeat(5_000)}${']'.repeat(5_000)}}x`],
  ])('%s', (_, json) => {
    expect(fault(json)).toBe('claims');
  });

  test('bytes that are not UTF-8', () => {
    const json = Buffer.from('{"sub":"\u0100nn","exp":1900000000}', 'latin1');
    json[8] = 0xff;
    expect(readClaims(json, RULES, NOW_MS)).toMatchObject({ fault: 'claims' });
  });
});
