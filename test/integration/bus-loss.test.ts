/** The short form of `make chaos SCENARIO=bus-loss`: a cluster of three nats-servers loses one. */
import { expect, test } from 'vitest';

import { KILLED, LAME_DUCK, lose } from '../chaos/scenarios/bus-loss.ts';
import { PATIENCE_MS } from '../support/wait.ts';

test.each([KILLED, LAME_DUCK])(
  '$name: nobody is disconnected, and a Link does not notice',
  async (way) => {
    const { cells, faults } = await lose(30, way);
    expect(faults, JSON.stringify(cells)).toEqual([]);
    expect(cells).toMatchObject({ gone: 0, 'link: refused': 0, never: 0, again: 0, crossed: 0 });
  },
  4 * PATIENCE_MS,
);
