/** YAML text, PITH_ variables and flags in; a checked, frozen configuration out, or everything that is wrong. */
import { isAbsolute, join } from 'node:path';
import { crossCheck } from './cross-checks.ts';
import { type ParsedDocument, parseYaml } from './document.ts';
import { isReloadedKey } from './changes.ts';
import { applyEnvironment, applyFlags, type Assignment } from './environment.ts';
import { interpolate } from './interpolate.ts';
import { applyOtel } from './otel-variables.ts';
import { findingsOf, schemaErrors } from './issues.ts';
import { type NamedPath, resolvePaths } from './paths.ts';
import { type Finding, formatPath, type Place, type Problem } from './problem.ts';
import { type Config, configSchema } from './schema.ts';
import type { Path } from './schema-tree.ts';
import { getAt, isMap, startsWith } from './tree.ts';

/** What a configuration is made of; flags beat the environment, the environment beats the file. */
export type ConfigSources = {
  /** The YAML text; empty: only defaults. */
  text: string;
  /** The file's name, for messages. */
  file: string;
  /** A second file, whose keys win, and which may hold only keys that a reload applies. Default: none. */
  live?: { text: string; file: string };
  /** The environment; names beginning with PITH_ are settings, all are there for `${env:NAME}`. */
  env: Readonly<Record<string, string | undefined>>;
  /** Values by path, as `log.level` or `listen.0.url`. Default: none. */
  flags?: Readonly<Record<string, string>>;
  /** Reads the file of a `${file:/path}`; throws if it cannot. Default: every file is refused. */
  readFile?: (path: string) => string;
  /** Folder that relative paths in the file are taken from. Default: they are left as they are. */
  folder?: string;
  /** Folder that relative paths in variables and flags are taken from. Default: as `folder`. */
  settingsFolder?: string;
  /** Returns why a file or folder cannot be read, or nothing. Default: not checked. */
  checkPath?: (location: string, kind: 'file' | 'folder') => string | undefined;
};

/** A configuration, or everything that is wrong with it; `'config' in result` tells which. */
export type LoadResult = Loaded | { problems: Problem[] };

/** A configuration that is right. */
export type Loaded = {
  config: Config;
  warnings: Problem[];
  /** Files with keys of `auth.jwt`: a running gateway looks whether they have changed. */
  keyFiles: readonly string[];
  /** Gives what is found later the place of its key. */
  readonly place: (finding: Finding) => Problem;
};

const JWT: Path = ['auth', 'jwt'];

/** Reads a configuration. Pure but for `readFile` and `checkPath`; never throws; the configuration is deeply frozen. */
export function loadConfig(sources: ConfigSources): LoadResult {
  const document = parseFiles(sources);
  if (document.problems.length > 0) return { problems: document.problems };

  const environment = applyEnvironment(document.tree, configSchema, sources.env);
  const flags = applyFlags(environment.tree, configSchema, sources.flags ?? {});
  const otel = applyOtel(flags.tree, sources.env);
  const refused: Finding[] = [];
  // The later setting is the one that holds.
  const assignments = [
    ...environment.assignments,
    ...flags.assignments,
    ...otel.assignments,
  ].toReversed();
  const { folder = '', settingsFolder = folder, readFile = refuseFile } = sources;
  const folderOf = (path: Path): string =>
    assignmentOf(path, assignments, document) === undefined ? folder : settingsFolder;
  const keyFiles = new Set<string>();
  const values = {
    env: sources.env,
    locate: (name: string, path: Path) => {
      const location = isAbsolute(name) ? name : join(folderOf(path), name);
      if (startsWith(path, JWT)) keyFiles.add(location);
      return location;
    },
    readFile,
  };
  const filled = interpolate(otel.tree, configSchema, values, (finding) => refused.push(finding));
  const { tree, named } = resolvePaths(filled, configSchema, folderOf);
  for (const { path, location } of named) if (startsWith(path, JWT)) keyFiles.add(location);

  const parsed = configSchema.safeParse(tree, { error: schemaErrors });
  const crossChecks = crossCheck(tree);
  const findings = [
    ...(parsed.success ? [] : findingsOf(parsed.error.issues, configSchema, tree)),
    ...crossChecks.problems,
    ...unreadable(named, sources.checkPath),
  ];
  // Consequences of a reference without a value, or an unknown key are not reported as well.
  const isCause = (finding: Finding): boolean => finding.isKey === true;
  const causes = [...refused, ...findings.filter(isCause)];
  const meant = findings.filter(
    (finding) => !causes.some((other) => other !== finding && startsWith(finding.path, other.path)),
  );
  const placed = placer(document, assignments);
  const problems = inOrder([
    ...environment.problems,
    ...flags.problems,
    ...[...refused, ...meant].map((finding) => placed(finding)),
  ]);
  if (problems.length > 0 || !parsed.success) return { problems };
  const warnings = inOrder([
    ...crossChecks.warnings.map((finding) => placed(finding)),
    ...otel.warnings,
  ]);
  return {
    config: deepFreeze(parsed.data),
    warnings,
    keyFiles: [...keyFiles],
    place: placed,
  };
}

/** Both files as one. */
function parseFiles({ text, file, live = { text: '', file: '' } }: ConfigSources): ParsedDocument {
  const files = [parseYaml(text, file), parseYaml(live.text, live.file)] as const;
  const [main, over] = files;
  const problems = files.flatMap((one) => {
    if (one.problems.length > 0 || isMap(one.tree)) return one.problems;
    return [{ ...one.locate([]), path: '', message: 'expected a map of keys, as "id: pith"' }];
  });
  if (problems.length > 0) return { ...main, problems };
  const notLive = keysOf(over.tree).filter((path) => !isReloadedKey(path));
  for (const path of notLive) {
    const message = `a reload cannot apply it; set it in ${file}`;
    problems.push({ ...over.locateKey(path), path: formatPath(path), message });
  }
  // Whichever has more of the path.
  const fileOf = (path: Path): ParsedDocument => {
    for (let depth = path.length; depth > 0; depth--) {
      const part = path.slice(0, depth);
      if (over.has(part)) return over;
      if (main.has(part)) return main;
    }
    return main;
  };
  return {
    tree: overlaid(main.tree, over.tree),
    problems,
    locate: (path) => fileOf(path).locate(path),
    locateKey: (path) => fileOf(path).locateKey(path),
    has: (path) => fileOf(path).has(path),
  };
}

/** Maps are merged, and everything else is replaced. */
function overlaid(below: unknown, above: unknown): unknown {
  if (above === undefined) return below;
  if (!isMap(below) || !isMap(above)) return above;
  const both = Object.entries(above).map(([key, value]) => [
    key,
    overlaid(getAt(below, [key]), value),
  ]);
  return Object.fromEntries([...Object.entries(below), ...both]) as unknown;
}

/** The paths of a tree down to its values, or to a key that a reload applies as a whole. */
function keysOf(tree: unknown, path: Path = []): Path[] {
  if (path.length > 0 && (isReloadedKey(path) || !isMap(tree))) return [path];
  if (!isMap(tree)) return [];
  return Object.entries(tree).flatMap(([key, value]) => keysOf(value, [...path, key]));
}

function unreadable(
  named: readonly NamedPath[],
  checkPath: ConfigSources['checkPath'] = () => undefined,
): Finding[] {
  return named.flatMap(({ path, kind, location, written }) => {
    const message = checkPath(location, kind);
    if (message === undefined) return [];
    const home = written.startsWith('~') ? '; "~" does not stand for a home here' : '';
    return [{ path, message: message + home }];
  });
}

function placer(document: ParsedDocument, assignments: readonly Assignment[]) {
  return ({ path, message, isKey = false }: Finding): Problem => {
    const assignment = assignmentOf(path, assignments, document);
    const place: Place =
      assignment === undefined
        ? isKey
          ? document.locateKey(path)
          : document.locate(path)
        : { file: assignment.source, line: 0, column: 0 };
    return { ...place, path: formatPath(path), message };
  };
}

function assignmentOf(
  path: Path,
  assignments: readonly Assignment[],
  document: ParsedDocument,
): Assignment | undefined {
  const setting = assignments.find((assignment) => startsWith(path, assignment.path));
  if (setting !== undefined || document.has(path)) return setting;
  // Neither the file nor a setting has this very key: it is missing from an entry that a setting began.
  const parent = path.slice(0, -1);
  if (parent.length === 0 || document.has(parent)) return undefined;
  return assignments.find((assignment) => startsWith(assignment.path, parent));
}

/** By line, problems without a line last. The same message about the same key is reported once. */
export function inOrder(problems: readonly Problem[]): Problem[] {
  const rank = ({ line }: Problem) => (line === 0 ? Number.MAX_SAFE_INTEGER : line);
  const isFirst = (problem: Problem, index: number) =>
    problems.findIndex((other) => {
      return (
        other.path === problem.path &&
        other.message === problem.message &&
        other.file === problem.file
      );
    }) === index;
  return problems
    .filter((problem, index) => isFirst(problem, index))
    .toSorted((a, b) => rank(a) - rank(b) || a.column - b.column);
}

function refuseFile(): string {
  throw new Error('files cannot be read here');
}

function deepFreeze<Value>(value: Value): Value {
  if (typeof value !== 'object' || value === null || Object.isFrozen(value)) return value;
  for (const item of Object.values(value)) deepFreeze(item);
  return Object.freeze(value);
}
