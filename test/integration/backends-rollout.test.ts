/** The short form of `make chaos SCENARIO=backends-rollout`: instances of all kinds of backends are replaced at once. */
import { expect, test } from 'vitest';

import { KINDS } from '../chaos/rollout/fleet.ts';
import { rollOut } from '../chaos/scenarios/backends-rollout.ts';

test('three instances of each kind of backend are replaced one by one, and no player notices', async () => {
  const rows = await rollOut(KINDS, { players: 6, perSecond: 280 });
  for (const { cells, faults } of rows) {
    expect(faults, JSON.stringify(cells)).toEqual([]);
    expect(Number(cells['sent']), JSON.stringify(cells)).toBeGreaterThan(50);
  }
  expect(rows.map(({ cells }) => cells['backends'])).toEqual(KINDS);
});
