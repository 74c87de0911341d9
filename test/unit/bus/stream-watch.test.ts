/** Whether a stream captures a subject: asked of JetStream, remembered for a moment, and doubted when nobody says. */
import { describe, expect, test } from 'vitest';

import { RequestMany } from '../../../src/bus/request-many.ts';
import { StreamWatch } from '../../../src/bus/stream-watch.ts';
import { turn } from '../session/support.ts';
import { makeParts } from './support.ts';

const NAMES = '$JS.API.STREAM.NAMES';

/** JetStream answers `answer`; null: it says nothing, undefined: there is none. */
function stage(answer?: string | null) {
  const made = makeParts('g-0123456789');
  const { parts, exchange } = made;
  const watch = new StreamWatch(parts, new RequestMany(parts));
  const asked: string[] = [];
  const current = { answer };
  if (answer !== undefined)
    made.connector.always(NAMES, (_, { data, reply }) => {
      asked.push(Buffer.from(data).toString());
      if (typeof current.answer === 'string') exchange.publish(reply!, current.answer);
    });
  /** Whether the subject counts as captured. */
  const captures = async (subject = 'pith.rpc.a'): Promise<boolean> => {
    const captured = watch.captures(subject);
    await turn();
    exchange.deliver();
    made.clock.advance(0);
    return captured;
  };
  return { ...made, watch, asked, current, captures };
}

describe('a subject', () => {
  test.each<readonly [string, string | undefined, boolean]>([
    ['that a stream captures', '{"streams":["S"]}', true],
    ['that none captures', '{"streams":null}', false],
    ['where there is no JetStream', undefined, false],
    ['where JetStream is off for the account', '{"error":{"code":503,"err_code":10039}}', false],
    ['where JetStream is off', '{"error":{"code":503,"err_code":10076}}', false],
  ])('%s', async (_, answer, expected) => {
    expect(await stage(answer).captures()).toBe(expected);
  });

  test.each([
    ['nobody says', null],
    ['the answer is an error', '{"error":{"code":400,"err_code":10025}}'],
    ['the answer is nonsense', 'nonsense'],
  ])('counts as captured where %s, after 2 s', async (_, answer) => {
    const { watch, exchange, clock } = stage(answer);
    const captured = watch.captures('pith.rpc.a');
    await turn();
    exchange.deliver();
    clock.advance(1_999);
    expect(await Promise.race([captured, turn().then(() => 'open')])).toBe('open');
    clock.advance(1);
    expect(await captured).toBe(true);
  });

  test('is asked for as JSON', async () => {
    const { captures, asked } = stage('{"streams":null}');
    await captures('pith.rpc.shop.buy');
    expect(asked).toEqual(['{"subject":"pith.rpc.shop.buy"}']);
  });

  test('that is captured is remembered as such for 10 s, and then asked for anew', async () => {
    const { captures, watch, asked, current, clock } = stage('{"streams":["S"]}');
    expect(await captures()).toBe(true);
    current.answer = '{"streams":[]}';
    clock.advance(9_999);
    expect(watch.captures('pith.rpc.a')).toBe(true);
    expect(asked).toHaveLength(1);
    clock.advance(1);
    expect(await captures()).toBe(false);
    expect(asked).toHaveLength(2);
  });

  test('that is not captured is asked for each time: a stream may have been made', async () => {
    const { captures, asked, current } = stage('{"streams":[]}');
    expect(await captures()).toBe(false);
    current.answer = '{"streams":["NEW"]}';
    expect(await captures()).toBe(true);
    expect(asked).toHaveLength(2);
  });

  test('that many ask for at once is asked for once', async () => {
    const { watch, exchange, asked } = stage('{"streams":["S"]}');
    const all = [1, 2, 3].map(() => watch.captures('pith.rpc.a'));
    await turn();
    exchange.deliver();
    expect(await Promise.all(all.map(async (one) => one))).toEqual([true, true, true]);
    expect(asked).toHaveLength(1);
  });

  test('beyond a thousand that are under way counts as captured', () => {
    const { watch } = stage(null);
    for (let i = 0; i < 1_000; i++) expect(watch.captures(`pith.rpc.r${i}`)).not.toBe(true);
    expect(watch.captures('pith.rpc.more')).toBe(true);
  });
});

describe('the check at the start', () => {
  const lookAtAll = async ({ watch, exchange }: ReturnType<typeof stage>): Promise<void> => {
    watch.lookAtAll();
    await turn();
    exchange.deliver();
    await turn();
  };

  test('asks for each kind of subject, and names the streams once', async () => {
    const made = stage('{"streams":["B","A"]}');
    await lookAtAll(made);
    const kinds = ['rpc', 'to', 'session', 'user', 'group', 'all', 'gateway', 'control', 'fleet'];
    expect(made.asked).toEqual(
      ['pith.connect', ...kinds.map((kind) => `pith.${kind}.>`)].map((subject) =>
        JSON.stringify({ subject }),
      ),
    );
    expect(made.lines).toHaveLength(1);
    expect(made.lines[0]).toMatchObject({ level: 'error', msg: 'bus' });
    expect(made.lines[0]!['what']).toMatch(
      /^JetStream captures pith\.all\.>, .* in the streams A, B, /,
    );
  });

  test.each([
    ['no stream captures any', '{"streams":null}'],
    ['there is no JetStream', undefined],
  ])('says nothing where %s', async (_, answer) => {
    const made = stage(answer);
    await lookAtAll(made);
    expect(made.lines).toEqual([]);
  });
});
