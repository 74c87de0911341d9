/** Which failures have a message sent again where its route is idempotent, and which a breaker counts. */
import { describe, expect, test } from 'vitest';

import { failure, type Reason, REASONS } from '../../../src/errors.ts';
import { Breaker } from '../../../src/relay/breaker.ts';
import { request } from '../session/support.ts';
import { setUp } from './support.ts';

// oxfmt-ignore
const FAULTS: Readonly<Partial<Record<Reason, readonly [again: boolean, counted: boolean]>>> = {
  BACKEND_AWAY: [true,  true],
  BUS_AWAY:     [true,  true],
  TIMEOUT:      [false, true],
  BAD_REPLY:    [false, true],
};

const ROWS = (Object.keys(REASONS) as Reason[]).map(
  (reason) => [reason, ...(FAULTS[reason] ?? [false, false])] as const,
);

describe.each(ROWS)('%s: again %s, counted %s', (reason, again, counted) => {
  test('is tried again, or not', () => {
    const { backend, clock, client } = setUp();
    client().session.onBytes(request(1, 'again.a'));
    backend.take().fail(failure(reason));
    clock.advance(200);
    expect(backend.sent).toBe(again ? 2 : 1);
  });

  test('opens a breaker, or not', () => {
    const breaker = new Breaker({ failures: 1, openMs: 1_000 });
    breaker.done(reason, 0);
    expect(breaker.isOpen).toBe(counted);
  });
});
