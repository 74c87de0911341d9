/** What tests are told of the programs that they start. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';

import { start } from '../support/process.ts';
import { eventually } from '../support/wait.ts';

/** Writes `early`, and ends; what it has left behind writes `late` as soon as there is a line in the file. */
const SCRIPT = 'mkfifo "$0"; (read -r _ < "$0"; echo late) & echo early';

function isGone(pid: number): boolean {
  try {
    return !process.kill(pid, 0);
  } catch {
    return true;
  }
}

test('a program that has ended is waited for as long as some of its output may come', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'pith-late-'));
  const pipe = join(folder, 'pipe');
  await using running = await start('sh', ['-c', SCRIPT, pipe], { ready: /early\n/ });
  await eventually(() => isGone(running.pid), 'the end');
  const late = running.waitFor(/late\n/);
  late.catch(() => {});
  writeFileSync(pipe, '\n');
  await late;
  expect(await running.exited).toBe(0);
  await expect(running.waitFor(/never/)).rejects.toThrow('sh ended before /never/:\nearly\nlate\n');
  rmSync(folder, { recursive: true });
});
