/**
 * What the double of nats-server in test/simulate does is what nats-server does: the same rows, with the same literal
 * expectations, are played to both.
 */
import { describe, expect, test } from 'vitest';

import { ROWS } from '../simulate/nats-rows/all.ts';
import { playScript } from '../simulate/nats-script.ts';
import { VirtualStage } from '../simulate/nats-virtual-stage.ts';
import { realStage } from '../support/nats-real-stage.ts';

describe('the double', () => {
  test.each(ROWS)('$name', async ({ on, script }) => {
    const stage = new VirtualStage({ servers: 1, ...on });
    expect(await playScript(stage, script)).toEqual([]);
  });
});

describe('nats-server', () => {
  test.concurrent.each(ROWS)('$name', async ({ on, script }) => {
    await using stage = await realStage({ servers: 1, ...on });
    expect(await playScript(stage, script)).toEqual([]);
  });
});
