/** One reload at a time, and no more than are asked for. */
import { expect, test } from 'vitest';

import type { Config } from '../../../src/config/schema.ts';
import { Reload } from '../../../src/reload/reload.ts';
import { Metrics } from '../../../src/telemetry/metrics.ts';
import { ManualClock } from '../../support/clock.ts';
import { keptLog } from '../../support/report.ts';
import { turn } from '../session/support.ts';

function stage() {
  const { log, lines } = keptLog();
  const reads: ((found: { problems: string[] }) => void)[] = [];
  const reload = new Reload({
    live: { config: {} as Config },
    clock: new ManualClock(),
    log,
    metrics: new Metrics(),
    refusal: () => '',
    read: () => new Promise((resolve) => reads.push(resolve)),
    apply: () => Promise.resolve([]),
  });
  return { reload, reads, lines };
}

test('who asks while one is running waits for the next, together with all others', async () => {
  const { reload, reads } = stage();
  const first = reload.run('first');
  await turn();
  const others = Array.from({ length: 50 }, () => reload.run('more'));
  await turn();
  // The next one reads what is there after the first has read.
  expect(reads).toHaveLength(1);
  reads[0]!({ problems: ['one'] });
  expect((await first).errors).toEqual(['one']);
  await turn();
  expect(reads).toHaveLength(2);
  reads[1]!({ problems: ['two'] });
  for (const { errors } of await Promise.all(others)) expect(errors).toEqual(['two']);
  await turn();
  expect(reads).toHaveLength(2);
  const last = reload.run('last');
  await turn();
  reads[2]!({ problems: ['three'] });
  expect((await last).errors).toEqual(['three']);
});

test('a line names fifty of many', async () => {
  const { reload, reads, lines } = stage();
  const done = reload.run('test');
  await turn();
  reads[0]!({ problems: Array.from({ length: 73 }, (_, i) => `problem ${i}`) });
  expect((await done).errors).toHaveLength(73);
  const { errors } = lines.at(-1) as unknown as { errors: string[] };
  expect(errors).toHaveLength(51);
  expect(errors.at(-1)).toBe('and 23 more');
});
