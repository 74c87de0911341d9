/** Every parser on the inputs that `make fuzz` has kept, and on a few new ones; see test/README.md. */
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';

import { NOT_FUZZED } from '../fuzz/not-fuzzed.ts';
import { PLANTED } from '../fuzz/planted.ts';
import { replay } from '../fuzz/replay.ts';
import { Schedule } from '../fuzz/schedule.ts';
import { TARGETS } from '../fuzz/targets.ts';
import { sourceFiles } from '../support/layers.ts';

const names = Object.keys(TARGETS);

test.each(names)('%s keeps its contract on what the fuzzer kept', async (name) => {
  const target = await TARGETS[name]!.load();
  expect(await replay(target)).toBeGreaterThan(target.seeds.length);
});

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const EXPORTED = /^export (?:abstract )?(?:async )?(?:function\*?|class|const) (\w+)/gm;
/** What makes something of bytes or of text from outside. */
const READS = /^(?:parse|read|decode|inflate)(?:[A-Z]|$)|(?:Reader|Parser)$/;

/** As `protocol/message.ts decodeMessage`. */
function exportsOf(file: string): string[] {
  const source = readFileSync(`${ROOT}src/${file}`, 'utf8');
  return [...source.matchAll(EXPORTED)].map(([, name]) => `${file} ${name}`);
}

describe('the list of targets', () => {
  const all = sourceFiles(`${ROOT}src`).flatMap(exportsOf);

  async function driven(): Promise<string[]> {
    const targets = await Promise.all(names.map((name) => TARGETS[name]!.load()));
    return targets.flatMap(({ drives }) => drives);
  }

  test('has everything in src/ that reads, but what not-fuzzed.ts lists', async () => {
    const known = new Set([...(await driven()), ...Object.keys(NOT_FUZZED)]);
    const reads = all.filter((one) => READS.test(one.split(' ')[1]!));
    expect(reads.length).toBeGreaterThan(60);
    expect(reads.filter((one) => !known.has(one))).toEqual([]);
  });

  test('names nothing that is not there, and nothing twice', async () => {
    const listed = [...(await driven()), ...Object.keys(NOT_FUZZED)];
    expect(listed.filter((one) => !all.includes(one))).toEqual([]);
    expect(
      Object.keys(NOT_FUZZED).filter((one) => listed.filter((other) => other === one).length > 1),
    ).toEqual([]);
  });
});

test.each(PLANTED)('the planted bug $name still fits its file', ({ file, find, target }) => {
  expect(readFileSync(`${ROOT}${file}`, 'utf8').split(find)).toHaveLength(2);
  expect(names).toContain(target);
});

test('every target has a turn, even where there is no time', () => {
  const schedule = new Schedule(['close', 'push'], { ms: 0 }, 1);
  const worst = { steps: 0, allocated: 0 };
  const report = { target: '', executions: 1, ms: 1, edgesBefore: 0, edges: 0, features: 0, executionsBefore: 0, newEdgeMs: null, kept: 0, worst, findings: [] }; // prettier-ignore
  for (const target of ['close', 'push']) {
    expect(schedule.next()).toEqual({ target, ms: 1_000, number: 0 });
    schedule.done({ ...report, target }, 1);
  }
  expect(schedule.next()).toBeNull();
});
