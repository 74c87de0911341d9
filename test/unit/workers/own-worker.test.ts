/** What a worker says to its parent, and in which order. The pipe between them is a list. */
import { expect, test } from 'vitest';

import { OwnWorker } from '../../../src/workers/own-worker.ts';
import { ManualClock } from '../../support/clock.ts';
import { turn } from '../session/support.ts';

function worker() {
  const said: unknown[] = [];
  const own = new OwnWorker(
    {
      connected: true,
      send(message) {
        const { tell, body } = message as { tell: string; body: unknown };
        said.push([tell, body]);
        return true;
      },
      on() {},
    },
    new ManualClock(),
  );
  const enter = (): (() => void) => own.enterAddress('10.0.0.1', 1, () => {});
  return { enter, said };
}

test('a connection that has left is reported before a new one, in the same turn too', async () => {
  const { enter, said } = worker();
  const leave = enter();
  leave();
  enter();
  await turn();
  expect(said).toEqual([
    ['entered', { n: 1, block: '10.0.0.1', max: 1 }],
    ['left', { ns: [1] }],
    ['entered', { n: 2, block: '10.0.0.1', max: 1 }],
  ]);
});

test('those that leave in one turn are reported together', async () => {
  const { enter, said } = worker();
  const leaves = [enter(), enter(), enter()];
  for (const leave of leaves) leave();
  await turn();
  await turn();
  expect(said.slice(3)).toEqual([['left', { ns: [1, 2, 3] }]]);
});
