/** When a silent peer is asked for a sign of life, and when it is given up. */
import { describe, expect, test } from 'vitest';

import { TimerWheel } from '../../../src/timer-wheel.ts';
import { Liveness } from '../../../src/upstream/liveness.ts';
import { ManualClock } from '../../support/clock.ts';

/** A peer and what happened to it, each with its second. */
function watch(deadAfterMs = 30_000): {
  clock: ManualClock;
  liveness: Liveness;
  peer: { bytes: number; awaited: boolean; answers: boolean };
  log: string[];
} {
  const clock = new ManualClock();
  const log: string[] = [];
  const peer = { bytes: 0, awaited: false, answers: false };
  const second = (): number => Math.round(clock.now() / 1_000);
  const liveness = new Liveness(deadAfterMs, new TimerWheel(clock), {
    isAwaited: () => peer.awaited,
    heard: () => peer.bytes,
    ask() {
      log.push(`asked ${second()}`);
      if (peer.answers) peer.bytes += 9;
    },
    giveUp(why) {
      log.push(`dead ${second()}: ${why}`);
    },
  });
  return { clock, liveness, peer, log };
}

describe('a peer from which something is awaited', () => {
  test('is asked twice while nothing comes, and then given up', () => {
    const { clock, liveness, peer, log } = watch();
    peer.awaited = true;
    liveness.begin();
    clock.advance(300_000);
    const why = 'nothing came for 30 s (dead_after) although it was asked';
    expect(log).toEqual(['asked 10', 'asked 20', `dead 30: ${why}`]);
  });

  test('that answers when it is asked is never given up, however long the call takes', () => {
    const { clock, liveness, peer, log } = watch();
    peer.awaited = true;
    peer.answers = true;
    liveness.begin();
    clock.advance(600_000);
    expect(log.filter((line) => line.startsWith('dead'))).toEqual([]);
    expect(log.length).toBeGreaterThan(10);
  });

  test('is not asked while something comes', () => {
    const { clock, liveness, peer, log } = watch();
    peer.awaited = true;
    liveness.begin();
    for (let i = 0; i < 60; i++) {
      peer.bytes++;
      clock.advance(5_000);
    }
    expect(log).toEqual([]);
    clock.advance(300_000);
    expect(log).toHaveLength(3);
  });

  test('is given up too when each call has run out of time long before', () => {
    const { clock, liveness, peer, log } = watch();
    for (let i = 0; i < 10; i++) {
      peer.awaited = true;
      liveness.begin();
      clock.advance(1_000);
      peer.awaited = false;
      clock.advance(2_500);
    }
    expect(log.map((line) => line.replace(/:.*/, ''))).toEqual(['asked 10', 'asked 20', 'dead 30']);
  });
});

test('a peer that has answered everything is left in peace', () => {
  const { clock, liveness, peer, log } = watch();
  peer.awaited = true;
  liveness.begin();
  clock.advance(4_000);
  peer.bytes += 100;
  peer.awaited = false;
  clock.advance(600_000);
  expect(log).toEqual([]);
  expect(clock.timerCount).toBe(0);
});

test('0s: nobody is asked, and nobody is dead', () => {
  const { clock, liveness, peer, log } = watch(0);
  peer.awaited = true;
  liveness.begin();
  clock.advance(600_000);
  expect(log).toEqual([]);
  expect(clock.timerCount).toBe(0);
});
