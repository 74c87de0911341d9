/** What either side of a Link may send before the other has dealt with it. */
import { describe, expect, test } from 'vitest';

import { ReceiveWindow } from '../../../../src/upstream/link/receive-window.ts';
import { SendWindow } from '../../../../src/upstream/link/send-window.ts';

describe('what a backend sends by itself', () => {
  test('without credit is counted only', () => {
    const inflow = new ReceiveWindow();
    for (let i = 0; i < 10_000; i++) expect(inflow.take(1_000)).toBe(true);
    expect(inflow.asked).toBe(10_000);
    expect(inflow.grant()).toBeNull();
  });

  test('with credit is a window, granted anew in halves', () => {
    const inflow = new ReceiveWindow();
    inflow.useCredit();
    expect(inflow.grant()).toEqual({ frames: 4_096, bytes: 4_194_304 });
    for (let i = 0; i < 4_096; i++) expect(inflow.take(10)).toBe(true);
    expect(inflow.take(10)).toBe(false);
    for (let i = 1; i < 2_048; i++) inflow.done(10);
    expect(inflow.grant()).toBeNull();
    inflow.done(10);
    expect(inflow.grant()).toEqual({ frames: 2_048, bytes: 20_480 });
    expect(inflow.take(10)).toBe(true);
  });

  test('may end with one that is larger than what is left of the bytes', () => {
    const inflow = new ReceiveWindow();
    inflow.useCredit();
    inflow.grant();
    expect(inflow.take(4_194_303)).toBe(true);
    expect(inflow.take(5_000)).toBe(true);
    expect(inflow.take(1)).toBe(false);
  });
});

describe('what we send', () => {
  test('is unbounded until the backend says otherwise', () => {
    const window = new SendWindow();
    for (let i = 0; i < 10_000; i++) window.spend(1_000_000);
    expect(window.isSpent(1_000_000)).toBe(false);
    window.inFlightMax = 2;
    expect([window.isSpent(1), window.isSpent(2)]).toEqual([false, true]);
  });

  test('is what was granted, by frames and by bytes; the last may be larger than what is left', () => {
    const window = new SendWindow();
    window.useCredit();
    expect(window.isSpent(0)).toBe(true);
    window.grant({ frames: 2, bytes: 100 });
    window.spend(10);
    expect(window.isSpent(0)).toBe(false);
    window.spend(10);
    expect(window.isSpent(0)).toBe(true);
    window.grant({ frames: 5, bytes: 0 });
    window.spend(500);
    expect(window.isSpent(0)).toBe(true);
    window.grant({ frames: 0, bytes: 421 });
    expect(window.isSpent(0)).toBe(false);
  });
});
