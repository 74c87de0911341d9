/** Turns what zod found into findings for people. */
import type { z } from 'zod';
import { keysOf, placeNear } from './place-of-key.ts';
import { didYouMean, type Finding, formatPath } from './problem.ts';
import { type BackendKind, BACKEND_KINDS } from './schema-backends.ts';
import { listKeys, type Path } from './schema-tree.ts';
import { getAt, isMap } from './tree.ts';

/** Texts for what the schema itself has no text for. */
export const schemaErrors: z.core.$ZodErrorMap = (issue) => {
  if (issue.code === 'invalid_type') {
    if (issue.input === undefined) return 'missing';
    const hint = issue.expected === 'string' && typeof issue.input !== 'object' ? QUOTE_HINT : '';
    return `expected ${TYPE_NAMES[issue.expected] ?? issue.expected}, got ${nameOf(issue.input)}${hint}`;
  }
  if (issue.code === 'invalid_value') {
    const values = issue.values.map(String);
    const near = typeof issue.input === 'string' ? didYouMean(issue.input, values) : '';
    if (issue.input === undefined) return `missing; expected one of ${values.join(', ')}`;
    return `expected one of ${values.join(', ')}${near}`;
  }
  return undefined;
};

const QUOTE_HINT = '; put it in quotes';

const TYPE_NAMES: Readonly<Record<string, string>> = {
  string: 'text',
  boolean: 'true or false',
  array: 'a list',
  object: 'a map',
  record: 'a map',
  number: 'a number',
};

/** All that is wrong with a tree, from the issues that the schema raised. */
export function findingsOf(
  issues: readonly z.core.$ZodIssue[],
  root: z.core.$ZodType,
  tree: unknown,
): Finding[] {
  return issues.flatMap((issue) => flatten(issue, [], root, tree));
}

function flatten(
  issue: z.core.$ZodIssue,
  base: Path,
  root: z.core.$ZodType,
  tree: unknown,
): Finding[] {
  const path = [...base, ...issue.path] as Path;
  if (issue.code === 'unrecognized_keys') {
    return issue.keys.map((key) => unknownKey([...path, key], root, tree));
  }
  if (issue.code === 'invalid_key') {
    return [{ path, message: issue.issues[0]?.message ?? issue.message, isKey: true }];
  }
  if (issue.code === 'invalid_union') {
    const branch = bestBranch(issue.errors);
    if (branch !== undefined) return branch.flatMap((inner) => flatten(inner, path, root, tree));
  }
  const hint = issue.code === 'invalid_type' ? kindHint(path, root, tree) : '';
  return [{ path, message: issue.message + hint }];
}

/** Of the alternatives, the one that was meant: of the right type, with the fewest mistakes. */
function bestBranch(branches: readonly z.core.$ZodIssue[][]): z.core.$ZodIssue[] | undefined {
  const isWrongType = (issue: z.core.$ZodIssue) =>
    issue.path.length === 0 && (issue.code === 'invalid_type' || issue.code === 'invalid_value');
  // The key that makes an entry another kind of backend.
  const isWrongKind = (issue: z.core.$ZodIssue) =>
    issue.code === 'unrecognized_keys' &&
    issue.path.length === 0 &&
    issue.keys.some((key) => BACKEND_KINDS.includes(key as BackendKind));
  return branches
    .filter((issues) => !issues.some((issue) => isWrongType(issue) || isWrongKind(issue)))
    .toSorted((a, b) => a.length - b.length)[0];
}

function unknownKey(path: Path, root: z.core.$ZodType, tree: unknown): Finding {
  const key = String(path.at(-1));
  const known = keysOf(path.slice(0, -1), root, tree);
  const hint =
    hintAt(path, root, tree) || didYouMean(key, known) || elsewhere(key, root) || listOf(known);
  return { path, message: `unknown key${hint}`, isKey: true };
}

/** The key that makes a backend one of its kind has a map where it is text, or text where it is a map. */
function kindHint(path: Path, root: z.core.$ZodType, tree: unknown): string {
  const value = getAt(tree, path);
  if (!isKindKey(path)) return '';
  if (!isMap(value)) return listOf(keysOf(path, root, tree));
  const beside = Object.keys(value).map((key) => hintAt([...path, key], root, tree));
  return beside.find((hint) => hint !== '') ?? '';
}

function hintAt(path: Path, root: z.core.$ZodType, tree: unknown): string {
  const place = placeNear(path, root, tree);
  if (place === null) return '';
  return `; did you mean "${formatPath(place)}"${place.length === 1 ? ' at the top' : ''}?`;
}

function isKindKey([section, , kind, ...rest]: Path): boolean {
  return section === 'backends' && rest.length === 0 && BACKEND_KINDS.includes(kind as BackendKind);
}

function elsewhere(key: string, root: z.core.$ZodType): string {
  const found = listKeys(root).filter(({ path }) => path.split('.').at(-1) === key);
  const [only] = found;
  // The name of a backend is not known here.
  const isOne = found.length === 1 && only?.path.includes('<') === false;
  return isOne ? `; did you mean "${only.path}"?` : '';
}

function listOf(known: readonly string[]): string {
  return known.length === 0 ? '' : `; known here: ${known.join(', ')}`;
}

function nameOf(value: unknown): string {
  if (value === null) return 'nothing';
  if (Array.isArray(value)) return 'a list';
  if (typeof value === 'object') return 'a map';
  if (typeof value === 'string') return 'text';
  return typeof value === 'boolean' ? 'true or false' : 'a number';
}
