/** The fuzzer itself: it measures, it finds, and what it finds can be run again. `make fuzz` is the long form. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';

import { PLANTED } from '../fuzz/planted.ts';
import { startWorker } from '../fuzz/start-worker.ts';
import { copyTree } from '../tools/copy-tree.ts';

const ROOT = new URL('../..', import.meta.url).pathname;
const ORDER = { seed: 'test', executions: 400, ms: null, keep: 'nothing' } as const;

test.each(['message', 'frames', 'ipc-line'])(
  'the inputs of %s cost no more than they may',
  async (target) => {
    const report = await startWorker({ target, ...ORDER });
    expect(report.findings).toEqual([]);
    expect(report.executions).toBeGreaterThanOrEqual(400);
    expect(report.edges).toBeGreaterThan(50);
    expect(report.worst.steps).toBeGreaterThan(0);
    expect(report.worst.steps).toBeLessThan(1);
  },
);

test('a bug in a parser is found, made short, and found again by its input alone', async () => {
  const planted = PLANTED.find(({ name }) => name === 'route-of-the-message-before')!;
  const copy = copyTree(ROOT, 'fuzz');
  try {
    const path = join(copy, planted.file);
    const source = readFileSync(path, 'utf8');
    const worker = join(copy, 'test/fuzz/worker.ts');
    const order = { ...ORDER, target: planted.target, executions: 100_000, isFirstEnough: true };
    writeFileSync(
      path,
      source.replace(planted.find, () => planted.replace),
    );
    const { findings } = await startWorker(order, worker);
    expect(findings).toHaveLength(1);
    const input = Buffer.from(findings[0]!.input, 'base64');
    expect(input.length).toBeLessThan(40);

    const folder = mkdtempSync(join(tmpdir(), 'pith-fuzz-input-'));
    const file = join(folder, 'input');
    writeFileSync(file, input);
    const again = await startWorker({ ...order, replay: file }, worker);
    expect(again.findings.map(({ key }) => key)).toEqual([findings[0]!.key]);
    writeFileSync(path, source);
    expect((await startWorker({ ...order, replay: file }, worker)).findings).toEqual([]);
    rmSync(folder, { recursive: true });
  } finally {
    rmSync(copy, { recursive: true, force: true });
  }
});
