/** Problems of a configuration, and how they are worded. */
import type { Path } from './schema-tree.ts';

/** One thing that is wrong, and where. */
export type Problem = {
  /** The YAML file, or the environment variable (`PITH_ID`), or the flag (`--set log.level`). */
  file: string;
  /** Line in the file, from 1; 0 for a variable or a flag. */
  line: number;
  /** Column in the file, from 1; 0 for a variable or a flag. */
  column: number;
  /** The key, as `routes[0].backend`; empty where it is about no key. */
  path: string;
  /** What is wrong, and what to do. */
  message: string;
};

/** Where a problem is, before it has its text. */
export type Place = Pick<Problem, 'file' | 'line' | 'column'>;

/** Something found at a path; load.ts adds the place. */
export type Finding = {
  path: Path;
  message: string;
  /** True where the key itself is wrong, not its value. */
  isKey?: boolean;
};

/** One line for people: `pith.yaml:12: routes[0].backend: no backend named "chta"; did you mean "chat"?` */
export function formatProblem(problem: Problem): string {
  const place = problem.line > 0 ? `${problem.file}:${problem.line}` : problem.file;
  return [place, problem.path, problem.message].filter((part) => part !== '').join(': ');
}

/** Writes a path as `routes[0].backend`, unusual keys in quotes. */
export function formatPath(path: Path): string {
  let text = '';
  for (const segment of path) {
    if (typeof segment === 'number') text += `[${segment}]`;
    else if (!/^[A-Za-z0-9_-]+$/.test(segment)) text += `[${JSON.stringify(segment)}]`;
    else text += text === '' ? segment : `.${segment}`;
  }
  return text;
}

/** The nearest of some names, as `; did you mean "chat"?`; empty if none is near. */
export function didYouMean(name: string, candidates: readonly string[]): string {
  const wanted = name.toLowerCase();
  let best: string | undefined;
  let bestDistance = Math.max(1, Math.floor(name.length / 3)) + 1;
  for (const candidate of candidates) {
    const distance = editDistance(wanted, candidate.toLowerCase());
    if (distance >= bestDistance) continue;
    best = candidate;
    bestDistance = distance;
  }
  return best === undefined ? '' : `; did you mean "${best}"?`;
}

/** Insertions, deletions, substitutions, and swaps of neighbours. */
function editDistance(left: string, right: string): number {
  let before: number[] = [];
  let previous = Array.from({ length: right.length + 1 }, (_, index) => index);
  for (let i = 1; i <= left.length; i += 1) {
    const current = [i];
    for (let j = 1; j <= right.length; j += 1) {
      const isSame = left[i - 1] === right[j - 1];
      let cost = Math.min(
        (previous[j] ?? 0) + 1,
        (current[j - 1] ?? 0) + 1,
        (previous[j - 1] ?? 0) + (isSame ? 0 : 1),
      );
      if (i > 1 && j > 1 && left[i - 1] === right[j - 2] && left[i - 2] === right[j - 1]) {
        cost = Math.min(cost, (before[j - 2] ?? 0) + 1);
      }
      current.push(cost);
    }
    before = previous;
    previous = current;
  }
  return previous[right.length] ?? 0;
}
