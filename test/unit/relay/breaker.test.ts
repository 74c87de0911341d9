import { describe, expect, test } from 'vitest';

import { Breaker } from '../../../src/relay/breaker.ts';

/** What becomes of a message that ends so; `refused` when it is not sent. */
function send(breaker: Breaker, now: number, outcome: string): string {
  if (breaker.refusal(now) !== null) return 'refused';
  breaker.done(outcome, now);
  return outcome;
}

describe('a breaker of three failures and 1,000 ms', () => {
  const make = (): Breaker => new Breaker({ failures: 3, openMs: 1_000 });

  test('opens at the third in a row, and says when to come again', () => {
    const breaker = make();
    for (let i = 0; i < 3; i++) expect(send(breaker, 0, 'TIMEOUT')).toBe('TIMEOUT');
    expect(breaker.refusal(100)).toMatchObject({ reason: 'BACKEND_AWAY', retryAfterMs: 900 });
  });

  test('counts anew after an answer, whatever the answer says', () => {
    const breaker = make();
    for (const outcome of ['TIMEOUT', 'BACKEND_AWAY', 'BACKEND', 'TIMEOUT', 'TIMEOUT', 'ok'])
      send(breaker, 0, outcome);
    for (let i = 0; i < 2; i++) send(breaker, 0, 'BACKEND_AWAY');
    expect(breaker.refusal(0)).toBeNull();
  });

  test('lets one message try after its time; that decides', () => {
    const breaker = make();
    for (let i = 0; i < 3; i++) send(breaker, 0, 'BACKEND_AWAY');
    expect(breaker.refusal(1_000)).toBeNull();
    expect(breaker.refusal(1_000)).not.toBeNull();
    breaker.done('TIMEOUT', 1_500);
    expect(breaker.refusal(2_400)).toMatchObject({ retryAfterMs: 100 });
    expect(send(breaker, 2_500, 'ok')).toBe('ok');
    expect([send(breaker, 2_500, 'ok'), breaker.isOpen]).toEqual(['ok', false]);
  });

  test('tries again when the client of the one that tried has gone', () => {
    const breaker = make();
    for (let i = 0; i < 3; i++) send(breaker, 0, 'BACKEND_AWAY');
    expect(send(breaker, 1_000, 'client_gone')).toBe('client_gone');
    expect(send(breaker, 1_000, 'ok')).toBe('ok');
    expect(breaker.isOpen).toBe(false);
  });
});

test('a breaker of 0 failures never opens', () => {
  const breaker = new Breaker({ failures: 0, openMs: 1_000 });
  for (let i = 0; i < 100; i++) expect(send(breaker, 0, 'TIMEOUT')).toBe('TIMEOUT');
});
