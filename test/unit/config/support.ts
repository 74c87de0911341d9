import { loadConfig, type ConfigSources } from '../../../src/config/load.ts';
import { formatProblem, type Problem } from '../../../src/config/problem.ts';
import type { Config } from '../../../src/config/schema.ts';

type Extra = Partial<Omit<ConfigSources, 'text'>>;

/** Loads text that must be right; every problem is in the error otherwise. */
export function load(text: string, extra: Extra = {}): Config {
  const result = loadConfig({ text, file: 'pith.yaml', env: {}, ...extra });
  if ('config' in result) return result.config;
  throw new Error(result.problems.map((problem) => formatProblem(problem)).join('\n'));
}

/** Loads text and gives what is wrong with it, one line each. */
export function problemsOf(text: string, extra: Extra = {}): string[] {
  return problemObjectsOf(text, extra).map((problem) => formatProblem(problem));
}

/** Loads text and gives what is wrong with it. */
export function problemObjectsOf(text: string, extra: Extra = {}): Problem[] {
  const result = loadConfig({ text, file: 'pith.yaml', env: {}, ...extra });
  return 'problems' in result ? result.problems : [];
}

/** Loads text that must be right and gives its warnings, one line each. */
export function warningsOf(text: string, extra: Extra = {}): string[] {
  const result = loadConfig({ text, file: 'pith.yaml', env: {}, ...extra });
  if ('config' in result) return result.warnings.map((problem) => formatProblem(problem));
  throw new Error(result.problems.map((problem) => formatProblem(problem)).join('\n'));
}
