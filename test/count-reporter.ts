// Ends a run with one line that people and machines can read: `12 passed, 0 failed`, or with
// `, 3 skipped` after it if tests were left out. It is the last line of stdout, for all projects together.
// Before it comes the matrix of clients, if any of its tests ran.
// With CI set, leaving a test out is a failure: what is not run there is not run anywhere.

import type { Reporter, SerializedError, TestCase, TestModule, TestSuite } from 'vitest/node';

import { matrixOfRun, type Outcome } from './conformance/matrix-text.ts';

/** What became of a run. `skipped` names the tests, the rest are numbers. */
interface Tally {
  passed: number;
  failed: number;
  skipped: string[];
}

export default class CountReporter implements Reporter {
  onTestRunEnd(
    modules: readonly TestModule[],
    unhandledErrors: readonly SerializedError[],
    reason: 'passed' | 'failed' | 'interrupted',
  ): void {
    const tally = count(modules);
    tally.failed += unhandledErrors.length;
    const { passed, failed, skipped } = tally;
    const matrix = matrixOfRun(modules.flatMap(cells));
    if (matrix !== '') process.stdout.write(`${matrix}\n`);
    if (skipped.length > 0 && isCi()) {
      process.stdout.write(`CI leaves nothing out, but this run skipped: ${skipped.join('; ')}\n`);
      process.exitCode = 1;
    }
    if (reason === 'interrupted') process.stdout.write('The run was interrupted.\n');
    const tail = skipped.length > 0 ? `, ${skipped.length} skipped` : '';
    process.stdout.write(`${passed} passed, ${failed} failed${tail}\n`);
  }
}

/** The cells of the clients' matrix among a module's tests. */
function cells(module: TestModule): Outcome[] {
  return [...module.children.allTests()].flatMap((test) => {
    const { cell } = test.meta();
    return cell === undefined ? [] : [{ ...cell, state: test.result().state }];
  });
}

function count(modules: readonly TestModule[]): Tally {
  const tally: Tally = { passed: 0, failed: 0, skipped: [] };
  for (const module of modules) {
    // A file that can't be imported, or that holds no test, has no tests to count: it is itself one failure.
    // So is a hook that failed, in a file or a suite: the tests under it only say "skipped".
    const tests = [...module.children.allTests()];
    const broken = [module, ...module.children.allSuites()].filter((part) => ownErrors(part) > 0);
    tally.failed += broken.length;
    if (tests.length === 0 && broken.length === 0 && module.state() === 'failed') tally.failed += 1;
    for (const test of tests) countTest(tally, module, test, broken);
  }
  return tally;
}

function countTest(
  tally: Tally,
  module: TestModule,
  test: TestCase,
  broken: readonly (TestModule | TestSuite)[],
): void {
  switch (test.result().state) {
    case 'passed':
      tally.passed += 1;
      return;
    case 'failed':
      tally.failed += 1;
      return;
    case 'skipped':
    case 'pending':
      // A test under a failed hook did not run, but nobody meant to leave it out: it failed with the hook.
      if (test.options.mode === 'run' && isUnder(test, broken)) tally.failed += 1;
      else tally.skipped.push(`${module.relativeModuleId} > ${test.fullName}`);
      return;
  }
}

function ownErrors(part: TestModule | TestSuite): number {
  return part.errors().length;
}

function isUnder(test: TestCase, broken: readonly (TestModule | TestSuite)[]): boolean {
  for (let part: TestModule | TestSuite = test.parent; ; part = part.parent) {
    if (broken.includes(part)) return true;
    if (part.type === 'module') return false;
  }
}

function isCi(): boolean {
  const value = process.env['CI'] ?? '';
  return value !== '' && value !== '0' && value !== 'false';
}
