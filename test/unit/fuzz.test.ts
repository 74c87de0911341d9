/** Every parser on the inputs that `make fuzz` has kept, and on a few new ones; see test/README.md. */
import { expect, test } from 'vitest';

import { replay } from '../fuzz/replay.ts';
import { TARGETS } from '../fuzz/targets.ts';

const CHANGED = 200;

test.each(Object.keys(TARGETS))('%s keeps its contract on what the fuzzer kept', async (name) => {
  const target = await TARGETS[name]!.load();
  expect(await replay(target, CHANGED)).toBeGreaterThan(CHANGED);
});
