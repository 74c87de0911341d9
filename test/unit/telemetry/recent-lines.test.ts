/** The warnings and errors of the log that are kept for operators. */
import { expect, test } from 'vitest';

import { makeLog } from '../../../src/telemetry/log.ts';
import { RecentLines } from '../../../src/telemetry/recent-lines.ts';
import { ManualClock } from '../../support/clock.ts';

function stage(format: 'json' | 'pretty' = 'json') {
  const recent = new RecentLines();
  const lines: string[] = [];
  const clock = new ManualClock();
  const write = (line: string): void => void lines.push(line);
  const log = makeLog({ clock, level: 'debug', format, write, alsoTo: recent });
  return { recent, log, lines };
}

test.each(['json', 'pretty'] as const)(
  'warnings and errors are kept, whatever the format: %s',
  (format) => {
    const { recent, log, lines } = stage(format);
    log.info({ a: 1 }, 'not this');
    log.warn({ backend: 'chat', why: 'nothing listens' }, 'backend');
    log.error({ gateway: '{"level":"warn"' }, 'failed');
    log.debug('{"level":"error"');
    expect(lines).toHaveLength(4);
    expect(recent.after(0)).toEqual([
      {
        ...{
          seq: 1,
          level: 'warn',
          message: 'backend',
          time: expect.stringMatching(/^\d{4}-.*Z$/),
        },
        fields: '{"backend":"chat","why":"nothing listens"}',
      },
      {
        ...{
          seq: 2,
          level: 'error',
          message: 'failed',
          time: expect.stringMatching(/^\d{4}-.*Z$/),
        },
        fields: String.raw`{"gateway":"{\"level\":\"warn\""}`,
      },
    ]);
  },
);

test('the last 256 are kept, and only what is new is given', () => {
  const { recent, log } = stage();
  for (let i = 1; i <= 300; i++) log.warn({ i }, 'again');
  const all = recent.after(0);
  expect([all.length, all[0]!.seq, all.at(-1)!.seq]).toEqual([256, 45, 300]);
  expect(recent.after(298).map(({ fields }) => fields)).toEqual(['{"i":299}', '{"i":300}']);
  expect(recent.after(300)).toEqual([]);
  expect(recent.after(1_000)).toEqual([]);
});

test('a long line is cut', () => {
  const { recent, log } = stage();
  log.warn({ why: 'x'.repeat(10_000) }, 'y'.repeat(10_000));
  const [line] = recent.after(0);
  expect([line!.fields.length, line!.fields.at(-1), line!.message.length]).toEqual([
    2_000,
    '…',
    2_000,
  ]);
});
