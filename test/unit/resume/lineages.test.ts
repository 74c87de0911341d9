/** Which session of a lineage is left, and which lineages have ended. */
import { describe, expect, test } from 'vitest';

import { ENDED_MAX, EndedLineages } from '../../../src/resume/ended-lineages.ts';
import { type LineagePlace, Lineages } from '../../../src/resume/lineages.ts';
import { ManualClock } from '../../support/clock.ts';
import { activate } from '../session/support.ts';

const at = (counter: number, sid = 'x-0123456789.1', lineage = 'L-1.1'): LineagePlace => ({
  ...{ lineage, counter, sid },
});

function stage() {
  const lineages = new Lineages();
  const live = (counter: number, sid = 'm-0123456789.5') => {
    const made = activate();
    lineages.add({ ...at(counter, sid), session: made.session });
    return made;
  };
  return { lineages, live };
}

describe('a session of another gateway that wants to go on', () => {
  test.each([
    [3, 4, true],
    [3, 3, false],
    [3, 2, false],
    [0, 1, true],
  ])('where one with %i is, with %i: %s', (here, there, may) => {
    const { lineages, live } = stage();
    const { session, host } = live(here);
    expect(lineages.isFreeFor(at(there))).toBe(may);
    expect(session.state).toBe(may ? 'closed' : 'active');
    expect(host.ended.map(({ reason }) => reason)).toEqual(may ? ['resumed'] : []);
  });

  test('may where nobody has the lineage', () => {
    expect(stage().lineages.isFreeFor(at(1))).toBe(true);
  });

  test.each([
    ['a newer token', 3, 'm', 4, 'z', true],
    ['an older one', 3, 'm', 2, 'a', false],
    ['the same, and a smaller sid', 3, 'm', 3, 'a', true],
    ['the same, and a larger sid', 3, 'm', 3, 'z', false],
  ])('while one here wants to, with %s', (_what, counter, sid, other, otherSid, may) => {
    const { lineages } = stage();
    const coming = lineages.come(at(counter, sid))!;
    expect(lineages.isFreeFor(at(other, otherSid))).toBe(may);
    expect(coming.isBeaten).toBe(may);
    expect(lineages.goOn(coming, activate().session)).toBe(!may);
  });
});

describe('a session here', () => {
  test('goes on from an older one, which is closed, and the same token does not count again', () => {
    const { lineages, live } = stage();
    const old = live(0);
    const next = activate();
    expect(lineages.goOn(lineages.come(at(2, 'n.1'))!, next.session)).toBe(true);
    expect(old.session.state).toBe('closed');
    expect(lineages.come(at(2, 'n.2'))).toBeNull();
    expect(lineages.come(at(1, 'n.2'))).toBeNull();
    expect([...lineages.goneOn()]).toMatchObject([at(2, 'n.1')]);
    expect(lineages.size).toBe(1);
  });

  test('gives way to one with a newer token that comes while others are asked', () => {
    const { lineages } = stage();
    const first = lineages.come(at(2, 'n.1'))!;
    expect(lineages.come(at(2, 'n.2'))).toBeNull();
    const second = lineages.come(at(3, 'n.3'))!;
    expect(lineages.goOn(first, activate().session)).toBe(false);
    lineages.giveUp(first);
    expect(lineages.goOn(second, activate().session)).toBe(true);
  });

  test('that is gone, or has given up, is in nobody’s way', () => {
    const { lineages, live } = stage();
    const { session } = live(5);
    lineages.remove('L-1.1', activate().session);
    expect(lineages.size).toBe(1);
    lineages.remove('L-1.1', session);
    lineages.giveUp(lineages.come(at(1))!);
    expect(lineages.come(at(1))).not.toBeNull();
  });
});

describe('what another gateway tells', () => {
  test.each([
    ['a newer one', 3, 'm', 4, 'z', 'closed'],
    ['an older one', 3, 'm', 2, 'a', 'active'],
    ['the same token, and a smaller sid', 3, 'm', 3, 'a', 'closed'],
    ['the same token, and a larger sid', 3, 'm', 3, 'z', 'active'],
  ])('of %s', (_what, counter, sid, other, otherSid, state) => {
    const { lineages, live } = stage();
    const { session } = live(counter, sid);
    const better = lineages.hear(at(other, otherSid));
    expect(session.state).toBe(state);
    // Whoever has the better claim says so.
    expect(better === null).toBe(state === 'closed');
  });

  test('beats one that wants to go on with the same token: it has been used', () => {
    const { lineages } = stage();
    const coming = lineages.come(at(3, 'a'))!;
    lineages.hear(at(3, 'z'));
    expect(lineages.goOn(coming, activate().session)).toBe(false);
  });

  test('of an end closes a session that came with such a token, and no other', () => {
    for (const [upTo, state] of [
      [null, 'closed'],
      [4, 'closed'],
      [3, 'active'],
    ] as const) {
      // prettier-ignore
      const { lineages, live } = stage();
      const { session, host } = live(4);
      lineages.end('L-1.1', upTo);
      expect(session.state).toBe(state);
      expect(host.ended.map(({ reason }) => reason)).toEqual(state === 'closed' ? ['kick'] : []);
    }
  });
});

describe('the list of lineages that have ended', () => {
  const ended = (lineage: string, upTo: number | null = null, leftMs = 60_000) => ({
    ...{ lineage, upTo, leftMs },
  });

  test('holds up to a counter, or for all, as long as a token lasts', () => {
    const clock = new ManualClock(5_000);
    const list = new EndedLineages(clock, 10_000);
    expect(list.add(ended('a', 3))).toBe(true);
    expect([list.has('a', 3), list.has('a', 4), list.has('b', 1)]).toEqual([true, false, false]);
    // What says less is no news, and takes nothing back.
    expect(list.add(ended('a', 2, 1))).toBe(false);
    expect(list.has('a', 3)).toBe(true);
    expect(list.add(ended('a'))).toBe(true);
    expect(list.has('a', 1_000)).toBe(true);
    expect(list.entryOf('a')).toEqual({ lineage: 'a', upTo: null, leftMs: 10_000 });
    clock.advance(9_999);
    expect(list.has('a', 3)).toBe(true);
    clock.advance(1);
    expect([list.has('a', 3), list.entryOf('a')]).toEqual([false, null]);
  });

  test('is told in parts', () => {
    const list = new EndedLineages(new ManualClock(1), 60_000);
    for (const name of ['a', 'b', 'c', 'd', 'e']) list.add(ended(name, 1));
    const names = (after: number): [string[], number] => {
      const { ended: part, next } = list.page(after, 2);
      return [part.map(({ lineage }) => lineage), next];
    };
    expect(names(0)).toEqual([['a', 'b'], 2]);
    // One that is told again goes to the end.
    list.add(ended('c', 1));
    expect(names(2)).toEqual([['d', 'e'], 5]);
    expect(names(5)).toEqual([['c'], 0]);
  });

  test('forgets what is over, and the oldest beyond its bound', () => {
    const clock = new ManualClock(1);
    let forgotten = 0;
    const list = new EndedLineages(clock, 60_000, () => {
      forgotten++;
    });
    for (let i = 0; i < ENDED_MAX; i++) list.add(ended(`g.${i}`));
    expect([list.size, forgotten]).toEqual([100_000, 0]);
    list.add(ended('one more'));
    expect([list.size, forgotten, list.has('g.0', 1), list.has('g.1', 1)]).toEqual([100_000, 1, false, true]); // prettier-ignore
    clock.advance(60_000);
    list.add(ended('later'));
    expect([list.size, forgotten]).toEqual([1, 1]);
  });
});
