import { describe, expect, test } from 'vitest';
import fc from 'fast-check';

import { answersTo, encodeToken, Subjects } from '../../../../src/upstream/nats/subjects.ts';

const subjects = new Subjects('pith', 'g-0123456789');
const names = fc.oneof(
  fc.string({ unit: 'grapheme', minLength: 1, maxLength: 40 }),
  fc.string({ unit: 'binary', minLength: 1, maxLength: 200 }).filter((name) => name.isWellFormed()),
  fc.stringMatching(/^[A-Za-z0-9_=-]{1,70}$/),
);

describe('a token', () => {
  test.each([
    ['42', '42'],
    ['room.lobby', '=cm9vbS5sb2JieQ'],
    ['zoë', '=em_Dqw'],
    ['x'.repeat(97), '=hGajwfut_PQwLc3fjfXLszeFEzv60S-rJwyJxMaUmaI0'],
    ['A_z-9'.repeat(12), 'A_z-9'.repeat(12)],
    ['', '='],
    ['*', '=Kg'],
    ['>', '=Pg'],
    ['=cm9vbS5sb2JieQ', '=PWNtOXZiUzVzYjJKaWVR'],
  ])('of %j is %s', (name, token) => {
    expect(encodeToken(name)).toBe(token);
  });

  test('is itself up to 64 bytes, base64url up to 96, a hash beyond', () => {
    expect(encodeToken('x'.repeat(64))).toBe('x'.repeat(64));
    expect(encodeToken('x'.repeat(65))).toMatch(/^=e[A-Za-z0-9_-]{86}$/);
    expect(encodeToken('é'.repeat(48))).toHaveLength(129);
    expect(encodeToken(`${'é'.repeat(48)}x`)).toMatch(/^=h[A-Za-z0-9_-]{43}$/);
  });

  test('is safe in a subject and leads back to its name, so no two names share one', () => {
    fc.assert(
      fc.property(names, (name) => {
        const token = encodeToken(name);
        expect(token).toMatch(/^([A-Za-z0-9_-]{1,64}|=[A-Za-z0-9_-]{1,128})$/);
        const back = token.startsWith('=')
          ? Buffer.from(token.slice(1), 'base64url').toString()
          : token;
        // No UTF-8 begins with the bits of `h`, so what is not a hash cannot be taken for one.
        const hashed = Buffer.byteLength(name) > 96;
        expect(token.startsWith('=h')).toBe(hashed);
        expect(back === name).toBe(!hashed);
      }),
      { numRuns: 1_000 },
    );
  });

  test('differs where the names differ', () => {
    fc.assert(
      fc.property(names, names, (a, b) => {
        expect(encodeToken(a) === encodeToken(b)).toBe(a === b);
      }),
    );
  });
});

describe('a subject', () => {
  test('is read back as what it was built from', () => {
    const verb = fc.constantFrom('push', 'patch', 'kick', 'get');
    const prefix = fc.constantFrom('pith', 'a.b.c', 'x');
    const kind = fc.constantFrom('user' as const, 'group' as const);
    fc.assert(
      fc.property(prefix, kind, names, verb, fc.integer({ min: 1, max: 2 ** 50 }), (...parts) => {
        const [root, scope, name, what, n] = parts;
        const own = new Subjects(root, 'g-0123456789');
        const subject = own.everyVerb(scope, name).replace('*', what);
        expect(own.parse(subject)).toEqual({ scope, name: encodeToken(name), verb: what });
        const sid = `g-0123456789.${n}`;
        expect(own.parse(own.session(sid, what)!)).toEqual({
          scope: 'session',
          name: sid,
          verb: what,
        });
        expect(own.parse(own.all.replace('*', what))).toEqual({
          scope: 'all',
          name: '',
          verb: what,
        });
        expect(own.parse(own.fleet(what))).toEqual({ scope: 'fleet', name: '', verb: what });
        expect(own.parse(own.own.replace('*', 'push'))).toEqual({
          scope: 'gateway',
          name: 'g-0123456789',
          verb: 'push',
        });
        expect(own.answerId(own.answer(n))).toBe(n);
        expect(own.answerId(Buffer.from(own.answer(n)))).toBe(n);
      }),
    );
  });

  test('for requests has the route as it is and the instance as a token', () => {
    expect(subjects.rpc('chat.room.join')).toBe('pith.rpc.chat.room.join');
    expect(subjects.connect).toBe('pith.connect');
    expect(subjects.rpcTo('eu 1', 'chat.room.join')).toBe('pith.to.=ZXUgMQ.chat.room.join');
    expect(subjects.answers).toBe('_INBOX.g-0123456789.rpc.*');
  });

  test.each([
    '',
    'g',
    'g.',
    '.1',
    'g.0',
    'g.01',
    'g.1.2',
    'g.*',
    '*.1',
    '>.1',
    'g.1 ',
    'g.x',
    'zoë.1',
  ])('for the sid %j is none', (sid) => {
    expect(subjects.session(sid, 'push')).toBeNull();
  });

  test.each(['pith.user.42', 'pith.user', 'pith.all', 'pith.session.g.push', 'pith.other.42.push'])(
    '%s is about nothing',
    (subject) => {
      expect(subjects.parse(subject)).toBeNull();
    },
  );

  test.each([
    '_INBOX.g-0123456789.rpc.',
    '_INBOX.g-0123456789.rpc.*',
    '_INBOX.g-0123456789.rpc.1!',
    'x',
  ])('%s answers no call', (subject) => {
    expect(subjects.answerId(subject)).toBe(0);
    expect(subjects.answerId(Buffer.from(subject))).toBe(0);
  });
});

describe('a reply subject', () => {
  test.each([
    '_INBOX.abc',
    '_INBOX.abc.1',
    '_INBOX.world.own.abc.1',
    '_INBOX.a.b.c',
    '_INBOX.x.rpc',
    '_INBOX.rpc.ask',
    '_INBOX.a.RPC.b',
    '_INBOX.zoë.1',
  ])('%s is an inbox', (reply) => {
    expect(answersTo(reply)).toBe('inbox');
  });

  test.each(['_INBOX.g-0123456789.ask.AAAAAAAAAAAAAAAA', '_INBOX.x.ask.1', '_INBOX.x.ask.1.2'])(
    '%s is where a gateway asks',
    (reply) => {
      expect(answersTo(reply)).toBe('gateway');
    },
  );

  test.each([
    '',
    '_INBOX',
    '_INBOX.',
    '_INBOX..a',
    '_INBOX.a.',
    '_inbox.a',
    'x_INBOX.a',
    '_INBOXES.a',
    'pith._INBOX.a',
    'pith.user.bob.kick',
    '$JS.API.STREAM.NAMES',
    '_INBOX.*',
    '_INBOX.>',
    '_INBOX.a.*.b',
    '_INBOX.a*.b',
    '_INBOX.a b',
    '_INBOX.a\tb',
    '_INBOX.a\u0000b',
    '_INBOX.a\r\nPUB x 0',
    '_INBOX.g-0123456789.rpc.1',
    '_INBOX.x.rpc.1.2',
    '_INBOX.*.rpc.1',
    `_INBOX.${'x'.repeat(512)}`,
  ])('%j is answered by nobody', (reply) => {
    expect(answersTo(reply)).toBeNull();
  });
});

test('what misses every verb is never a verb, and a verb never misses', () => {
  const hits = (pattern: string, subject: string): boolean => {
    const tokens = subject.split('.');
    const parts = pattern.split('.');
    const open = parts.at(-1) === '>';
    const fixed = open ? parts.slice(0, -1) : parts;
    if (open ? tokens.length <= fixed.length : tokens.length !== fixed.length) return false;
    return fixed.every((part, i) => part === '*' || part === tokens[i]);
  };
  const missed = (subject: string): boolean =>
    subjects.nearMisses.some((pattern) => hits(pattern, subject));
  for (const verb of [
    'pith.session.g.1.push',
    'pith.user.42.push',
    'pith.group.g.get',
    'pith.all.kick',
    'pith.gateway.g.push',
  ])
    expect(missed(verb), verb).toBe(false);
  for (const miss of [
    'pith.session.g.push',
    'pith.session.g.1.2.push',
    'pith.user.push',
    'pith.user.a.b.push',
    'pith.group.a.b.c.push',
    'pith.all.a.push',
    'pith.gateway.push',
  ])
    expect(missed(miss), miss).toBe(true);
});
