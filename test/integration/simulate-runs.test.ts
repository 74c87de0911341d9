/** What is said of a run that does not come to its end, or whose process does not. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, expect, test } from 'vitest';

import { CRASHED, ENDLESS, type Run, Slots, startRun } from '../simulate/runs.ts';

const OPTIONS = { seed: '7', hours: 1, gateways: 1, clients: 1 };
const LONG_MS = 60_000;
const roots: string[] = [];

afterEach(() => {
  for (const root of roots.splice(0)) rmSync(root, { recursive: true, force: true });
});

/** A tree whose run is this program. */
function treeOf(program: string): string {
  const root = mkdtempSync(join(tmpdir(), 'pith-runs-'));
  roots.push(root);
  mkdirSync(join(root, 'test/simulate'), { recursive: true });
  writeFileSync(join(root, 'package.json'), '{"type":"module"}');
  writeFileSync(join(root, 'test/simulate/one.ts'), program);
  return root;
}

const ruleOf = (run: Run): string => run.violations[0]!.rule;

test('a run gets its options, and gives its result', async () => {
  const echo = 'process.stdin.pipe(process.stdout)';
  expect(await startRun(treeOf(echo), OPTIONS, LONG_MS).run).toEqual(OPTIONS);
});

test('one that goes round in circles is ended, and breaks a rule', async () => {
  const run = await startRun(treeOf('for (;;);'), OPTIONS, 1_000).run;
  expect(run.violations).toEqual([{ rule: ENDLESS, what: 'nothing in 1 s of CPU', atMs: 0 }]);
  expect(run.digest).toBe(ENDLESS);
});

test('one whose process ends by an error breaks a rule, which says how', async () => {
  const run = await startRun(treeOf("throw new Error('so it ended')"), OPTIONS, LONG_MS).run;
  expect(ruleOf(run)).toBe(CRASHED);
  expect(run.violations[0]!.what).toContain('so it ended');
});

test('one whose process aborts breaks it, too', async () => {
  const run = await startRun(treeOf('process.abort()'), OPTIONS, LONG_MS).run;
  expect(ruleOf(run)).toBe(CRASHED);
});

test('one that somebody ends has found nothing', async () => {
  const { run } = startRun(treeOf("process.kill(process.pid, 'SIGTERM')"), OPTIONS, LONG_MS);
  await expect(run).rejects.toThrow('seed 7 was ended from outside: SIGTERM');
});

test('no more than the slots allow go on at once, in their order', async () => {
  const slots = new Slots(2);
  const began: number[] = [];
  const ends: (() => void)[] = [];
  const work = (n: number): Promise<number> =>
    slots.use(async () => {
      began.push(n);
      await new Promise<void>((resolve) => ends.push(resolve));
      return n;
    });
  const all = [1, 2, 3].map(work);
  expect(began).toEqual([1, 2]);
  ends[0]!();
  expect(await all[0]).toBe(1);
  expect(began).toEqual([1, 2, 3]);
  for (const end of ends) end();
  expect(await Promise.all(all)).toEqual([1, 2, 3]);
});
