/** What all messages of a session have in common is encoded once, and again when it is no longer true. */
import { expect, test } from 'vitest';

import type { Call } from '../../../src/upstream/call.ts';
import { FactsCache } from '../../../src/upstream/facts-cache.ts';

test('facts are encoded again when the session has changed, or the route forwards something else', () => {
  let encoded = 0;
  const cache = new FactsCache((session, forward) => {
    encoded++;
    return `${session.uid} ${forward.join()}`;
  });
  const session = { uid: '', version: 0 };
  const call = (ordinal: number, forward: readonly string[]): Call =>
    ({ session, target: { ordinal, forward } }) as unknown as Call;
  const [plain, level] = [call(0, []), call(1, ['level'])];
  expect([cache.of(plain), cache.of(plain), encoded]).toEqual([' ', ' ', 1]);
  expect([cache.of(level), encoded]).toEqual([' level', 2]);
  Object.assign(session, { uid: 'ann', version: 1 });
  expect([cache.of(level), cache.of(level), encoded]).toEqual(['ann level', 'ann level', 3]);
});
