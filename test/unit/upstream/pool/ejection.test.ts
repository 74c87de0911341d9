/** When an endpoint that keeps failing is left alone, and when it is tried again. */
import { describe, expect, test } from 'vitest';

import { Ejection } from '../../../../src/upstream/pool/ejection.ts';

describe('an ejection', () => {
  test('is due after so many failures in a row', () => {
    const ejection = new Ejection();
    for (let i = 1; i < 5; i++) expect(ejection.failed(i)).toBe(false);
    expect(ejection.answered()).toBe(false);
    for (let i = 1; i < 5; i++) expect(ejection.failed(i)).toBe(false);
    expect(ejection.failed(10)).toBe(true);
    expect(ejection.ejected).toBe(false);
  });

  test('admits one session each time that its time is over, and ends with an answer', () => {
    const ejection = new Ejection();
    ejection.eject(1_000);
    expect(ejection.admits(5_999)).toBe(false);
    const again = 6_000;
    expect(ejection.admits(again)).toBe(true);
    ejection.tried(again);
    expect(ejection.admits(again)).toBe(false);
    expect(ejection.admits(again + 5_000)).toBe(true);
    expect(ejection.answered()).toBe(true);
    expect(ejection.admits(again)).toBe(true);
    expect(ejection.failures).toBe(0);
  });

  test('takes longer each time that the try fails, up to a bound; many failures at once count once', () => {
    const ejection = new Ejection();
    let now = 0;
    ejection.eject(now);
    const lengths: number[] = [];
    for (let i = 0; i < 6; i++) {
      now += ejection.ms;
      ejection.tried(now);
      now += 5_000;
      for (let n = 0; n < 100; n++) ejection.failed(now);
      lengths.push(ejection.ms);
    }
    expect(lengths).toEqual([10_000, 20_000, 40_000, 60_000, 60_000, 60_000]);
  });
});
