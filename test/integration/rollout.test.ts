/** The short form of `make chaos SCENARIO=rollout`: three gateways replaced one by one, with generations. */
import { expect, test } from 'vitest';

import { rollOut } from '../chaos/scenarios/rollout.ts';

test('each player is cut once, and they come back no faster than they were let go', async () => {
  const options = { gateways: 3, generations: true, perSecond: 40 };
  const { cells, faults } = await rollOut(90, options);
  expect(faults, JSON.stringify(cells)).toEqual([]);
  expect(cells).toMatchObject({ disconnects: 90, 'of one': 1 });
});
