/** The short form of `make chaos SCENARIO=rolling`: three gateways roll under load, and nats-server in the middle. */
import { expect, test } from 'vitest';

import { roll } from '../chaos/scenarios/rolling.ts';

test('players stay in their sessions, and get each kept push once', async () => {
  const { cells, faults } = await roll(30, { way: 'SIGTERM', isBusToo: true });
  expect(faults, JSON.stringify(cells)).toEqual([]);
  expect(cells).toMatchObject({ lost: 0, twice: 0, disordered: 0, logins: 0 });
});
