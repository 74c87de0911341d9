/** A million operations, compared with the model, leave registry, subscriptions and groups empty. */
import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { expect, test } from 'vitest';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const N = 500_000;
const MS_MAX = 3_600_000;

/** @returns What it prints. Rejects when the gateways are not as the model. */
async function play(seed: number): Promise<string> {
  const env = { ...process.env, N: String(N), SEED: String(seed) };
  const { stdout } = await promisify(execFile)(process.execPath, ['test/simulate/model/run.ts'], {
    cwd: ROOT,
    env,
    maxBuffer: 2 ** 26,
  });
  return stdout;
}

test('a million operations', { timeout: MS_MAX }, async () => {
  for (const printed of await Promise.all([play(1), play(1_000_001)])) {
    console.log(printed);
    expect(Number(/(\d+) operations/.exec(printed)![1])).toBeGreaterThanOrEqual(N);
    for (const kind of [
      'change: bind',
      'change: unbind',
      'change: join',
      'change: leave',
      'kick',
      'kill -9',
      'apart',
      'at once',
      'resumed: ok',
    ])
      // prettier-ignore
      expect(printed).toMatch(new RegExp(`^ *${kind} +\\d+`, 'm'));
  }
});
