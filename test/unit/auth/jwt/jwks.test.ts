/** When the keys behind a URL are fetched, and what holds while they are not: time that the test moves. */
import { describe, expect, test } from 'vitest';

import { Jwks } from '../../../../src/auth/jwt/jwks.ts';
import { LogThrottle } from '../../../../src/telemetry/log-throttle.ts';
import { Metrics } from '../../../../src/telemetry/metrics.ts';
import { ManualClock } from '../../../support/clock.ts';
import { jwkOf, keyPairFor } from '../../../support/jwt.ts';
import { keptLog } from '../../../support/report.ts';
import { turn } from '../../session/support.ts';

const SECOND = 1_000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;
const { publicKey } = keyPairFor('ES256');
const jwks = (...kids: string[]): string =>
  JSON.stringify({ keys: kids.map((kid) => jwkOf(publicKey, { kid })) });

function stage() {
  const clock = new ManualClock();
  const metrics = new Metrics();
  const { lines, log } = keptLog();
  const waiting: PromiseWithResolvers<string>[] = [];
  let fetches = 0;
  const fetch = (): Promise<string> => {
    fetches++;
    const one = Promise.withResolvers<string>();
    waiting.push(one);
    return one.promise;
  };
  const keys = new Jwks({
    ...{ url: 'https://id.example/jwks', algorithms: ['ES256'], fetch, clock, log, metrics },
    ...{
      throttle: new LogThrottle(clock),
      random: { number: () => 0, bytes: () => Buffer.alloc(0) },
    },
  });
  const answer = async (text: string): Promise<void> => {
    waiting.shift()!.resolve(text);
    await turn();
  };
  const fail = async (): Promise<void> => {
    waiting.shift()!.reject(new Error('connect ECONNREFUSED'));
    await turn();
  };
  const pass = async (ms: number): Promise<void> => {
    clock.advance(ms);
    await turn();
  };
  /** How many keys fit; undefined: there is no answer yet. */
  const find = async (kid: string | null): Promise<number | undefined> => {
    let found: number | undefined;
    keys.find('ES256', kid).then(
      (all) => (found = all.length),
      () => {},
    );
    await turn();
    return found;
  };
  const isAsked = (): boolean => waiting.length > 0;
  return {
    ...{ clock, metrics, lines, keys, answer, fail, pass, find, isAsked },
    fetched: () => fetches,
  };
}

/** One that has seen these. */
async function seen(...kids: string[]) {
  const world = stage();
  const start = world.keys.start();
  await world.answer(jwks(...kids));
  expect(await start).toBe('');
  return world;
}

test('are fetched at the start, and every ten minutes, and say which they are when they change', async () => {
  const { keys, pass, answer, fetched, lines, metrics, clock } = await seen('a');
  expect(keys.away).toBe('');
  expect(keys.seenAtWall).toBe(Date.UTC(2026, 0, 1));
  await pass(10 * MINUTE - 1);
  expect(fetched()).toBe(1);
  await pass(1);
  await answer(jwks('a'));
  await pass(10 * MINUTE);
  await answer(jwks('b'));
  expect(fetched()).toBe(3);
  expect(metrics.count('pith_jwks_fetches_total', ['ok'])).toBe(3);
  expect(lines.map(({ msg, kids }) => [msg, kids])).toEqual([
    ['JWKS fetched', 'a'],
    ['JWKS fetched', 'b'],
  ]);
  keys.stop();
  expect(clock.timerCount).toBe(0);
});

test('what else is there is said, with why it cannot be used', async () => {
  const { keys, answer, lines } = stage();
  const start = keys.start();
  const other = jwkOf(publicKey, { kid: 'b', use: 'enc' });
  await answer(JSON.stringify({ keys: [other, jwkOf(publicKey, { kid: 'a' }), 'x'] }));
  expect(await start).toBe('');
  expect(lines.at(-1)).toMatchObject({
    ...{ msg: 'JWKS fetched', keys: 1, kids: 'a', unusable: 2 },
    why: 'a key that is not for signatures (kid "b")',
  });
});

test('one that is withdrawn is not used any more', async () => {
  const { pass, answer, find, keys } = await seen('a', 'b');
  await pass(10 * MINUTE);
  await answer(jwks('b'));
  expect(await find('b')).toBe(1);
  // It is asked for, in vain.
  await pass(10 * SECOND);
  const found = keys.find('ES256', 'a');
  await answer(jwks('b'));
  expect(await found).toEqual([]);
});

describe('a name that is not known', () => {
  test('is asked for once, by all who want it, and found', async () => {
    const { keys, pass, answer, fetched } = await seen('a');
    await pass(10 * SECOND);
    const all = Array.from({ length: 50 }, (_, i) => keys.find('ES256', i % 2 ? 'b' : 'c'));
    expect(fetched()).toBe(2);
    await answer(jwks('a', 'b'));
    const found = (await Promise.all(all)).map(({ length }) => length);
    expect([found.filter((n) => n === 1).length, found.filter((n) => n === 0).length]).toEqual([
      25, 25,
    ]);
    expect(fetched()).toBe(2);
  });

  test('is not asked for again within ten seconds, whatever comes, and whatever came of it', async () => {
    const { find, pass, answer, fail, fetched } = await seen('a');
    for (let n = 0; n < 100; n++) expect(await find(`x${n}`)).toBe(0);
    expect(fetched()).toBe(1);
    await pass(10 * SECOND);
    expect(await find('x')).toBe(undefined);
    await fail();
    for (let n = 0; n < 100; n++) expect(await find(`y${n}`)).toBe(0);
    expect(fetched()).toBe(2);
    // The pause after a failure is over first: it is tried for its own sake.
    await pass(10 * SECOND);
    expect(fetched()).toBe(3);
    await answer('{"keys":[]}');
    for (let n = 0; n < 100; n++) expect(await find(`z${n}`)).toBe(0);
    expect(fetched()).toBe(3);
  });

  test('does no harm to those that are known', async () => {
    const { find, pass, fetched } = await seen('a');
    await pass(10 * SECOND);
    expect(await find('x')).toBe(undefined);
    for (let n = 0; n < 10; n++) expect(await find('a')).toBe(1);
    expect(await find(null)).toBe(1);
    expect(fetched()).toBe(2);
  });
});

describe('while the URL is away', () => {
  test('the keys that were seen last are used for a day, and no longer', async () => {
    const { keys, pass, fail, find, answer } = await seen('a');
    await pass(10 * MINUTE);
    await fail();
    for (let ms = 10 * MINUTE; ms < 24 * HOUR - 10 * SECOND; ms += 10 * SECOND) {
      await pass(10 * SECOND);
      await fail();
      expect(keys.away).toBe('');
    }
    expect(await find('a')).toBe(1);
    await pass(10 * SECOND);
    await fail();
    expect(keys.away).toBe('auth.jwt.jwks_url: the keys are older than a day');
    expect(await find('a')).toBe(0);
    await pass(10 * SECOND);
    await answer(jwks('a'));
    expect(keys.away).toBe('');
    expect(await find('a')).toBe(1);
  });

  test('an answer that cannot be used is as good as none: the keys stay', async () => {
    const { pass, answer, find, lines, metrics } = await seen('a');
    for (const text of ['', '<html>', '{"keys":[]}', '{"keys":[{"kty":"oct","k":"AAAA"}]}', '[]']) {
      await pass(10 * MINUTE);
      await answer(text);
      expect(await find('a')).toBe(1);
    }
    expect(metrics.count('pith_jwks_fetches_total', ['failed'])).toBe(5);
    const warned = lines.filter(({ level }) => level === 'warn');
    expect(warned[0]).toMatchObject({
      ...{ msg: 'JWKS not fetched', url: 'https://id.example/jwks', why: 'not valid JSON' },
      keysSeen: '2026-01-01T00:00:00.000Z',
    });
  });

  test('one that was never seen is tried again soon, then every ten seconds, and logged some times', async () => {
    const { keys, pass, fail, answer, fetched, isAsked, lines, find } = stage();
    const start = keys.start();
    let isSeen = false;
    keys.seen.then(
      () => (isSeen = true),
      () => {},
    );
    await fail();
    expect(isAsked()).toBe(false);
    expect(await start).toBe('connect ECONNREFUSED');
    expect(keys.away).toBe('auth.jwt.jwks_url: no keys have been fetched yet');
    expect(await find('a')).toBe(0);
    await pass(SECOND);
    expect(fetched()).toBe(2);
    await fail();
    for (let ms = 0; ms < 5 * MINUTE; ms += 500) {
      await pass(500);
      if (isAsked()) await fail();
    }
    expect(fetched()).toBeLessThan(80);
    expect(lines.filter(({ msg }) => msg === 'JWKS not fetched').length).toBeLessThan(80);
    expect(isSeen).toBe(false);
    await pass(10 * SECOND);
    await answer(jwks('a'));
    expect([keys.away, isSeen]).toEqual(['', true]);
  });
});
