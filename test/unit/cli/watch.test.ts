/** What `pith watch` makes of its arguments, and of the events that it prints. */
import { describe, expect, test } from 'vitest';

import { readWatchSettings, WatchWords } from '../../../src/cli/watch.ts';

describe('arguments', () => {
  test('several uids and sids, a route, a rate', () => {
    const args =
      '--uid 42 --uid 43 --sid gw-x.1 --route chat.> --max-per-second 1000 --bodies --json';
    expect(readWatchSettings(args.split(' '))).toEqual({
      admin: { url: 'http://127.0.0.1:7071', token: '' },
      json: true,
      request: {
        target: { uids: ['42', '43'], sids: ['gw-x.1'] },
        route: 'chat.>',
        bodies: true,
        max_per_second: 1_000,
      },
    });
  });

  test.each([
    [['42'], 'watch takes no arguments: give --uid, --sid or --route'],
    [['--uid', ''], 'a uid or sid is empty'],
    [['--max-per-second', '0'], '--max-per-second 0: expected a whole number from 1 to 1000'],
    [['--max-per-second', '1001'], '--max-per-second 1001: expected a whole number from 1 to 1000'],
  ])('%j', (args, text) => {
    expect(() => readWatchSettings(args)).toThrow(text);
  });
});

describe('events', () => {
  const AT = { at: '2026-01-02T03:04:05.678Z', sid: 'gw-x.1', uid: '42' };
  const words = new WatchWords();

  test('an answer has its way, its times and its body', () => {
    const fields = {
      ...{ ...AT, kind: 'response', direction: 'out', route: 'chat.join', id: '3', code: 503 },
      ...{ reason: 'TIMEOUT', bytes: 2, rule: 'chat.>', backend: 'chat', address: '10.0.0.7:7000' },
      ...{ waited: '0.020s', took: '1.004s', retries: 1, note: 'no answer', body: { text: '{}' } },
    };
    expect(words.of({ fields })).toBe(
      '03:04:05.678 ← response chat.join #3 503 TIMEOUT 2 B [chat.> → chat → 10.0.0.7:7000] ' +
        'waited 20 ms took 1004 ms sent again 1 times – no answer (gw-x.1, uid 42)\n' +
        '             {}\n',
    );
  });

  test('what players send does not reach the terminal as it is', () => {
    const fields = {
      ...{ ...AT, kind: 'request', direction: 'in', uid: '\u202e24', route: 'a\u001b[2Jb\n' },
      body: { text: '\u0007\u009b31m' },
    };
    expect(words.of({ fields })).toBe(
      '03:04:05.678 → request a\\u001b[2Jb\\u000a (gw-x.1, uid \\u202e24)\n' +
        '             \\u0007\\u009b31m\n',
    );
  });

  test('what was left out is said, and who takes part only when it is news', () => {
    const skipped = { ...AT, sid: '', uid: '', kind: 'skipped', over_rate: 7, unread: 2 };
    expect(words.of({ fields: skipped })).toBe(
      '03:04:05.678 · skipped 7 over the rate (--max-per-second) 2 not read in time\n',
    );
    const watching = {
      kind: 'watching',
      sessions: 2,
      gateways: ['b', 'a'],
      silent_gateways: ['c'],
    };
    const said = 'watching 2 sessions on a, b; not shown, since they do not answer: c\n';
    expect([words.of({ fields: watching }), words.of({ fields: watching })]).toEqual([said, '']);
  });
});
