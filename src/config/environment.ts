/** Settings from outside the file: PITH_A__B=… variables and --a.b=… flags, each a path and a value. */
import { parseDocument } from 'yaml';
import { z } from 'zod';
import { placeNear } from './place-of-key.ts';
import { didYouMean, formatPath, type Problem } from './problem.ts';
import { keysAt, listKeys, optionsOf, type Path, schemasAt } from './schema-tree.ts';
import { getAt, isMap, withValueAt } from './tree.ts';

/** One setting from outside the file. */
export type Assignment = {
  /** The variable, or `--set` and the key. */
  source: string;
  path: Path;
};

/** A tree with settings put in, and where they went. */
export type Applied = {
  tree: unknown;
  /** In the order in which they were put in; a later one wins. */
  assignments: Assignment[];
  problems: Problem[];
};

type Setting = {
  source: string;
  segments: string[];
  text: string;
};

/** What Kubernetes puts into every pod for a Service named pith or pith-x. */
const KUBERNETES_PATTERN = /^PITH(_[A-Z0-9]+)*_(SERVICE_.+|PORT(_.+)?)$/;

/** Puts the PITH_ variables into a tree; empty ones count as unset. */
export function applyEnvironment(
  tree: unknown,
  root: z.core.$ZodType,
  env: Readonly<Record<string, string | undefined>>,
): Applied {
  const settings: Setting[] = [];
  for (const [source, text] of Object.entries(env)) {
    if (text === undefined || text === '' || !/^PITH_/i.test(source)) continue;
    settings.push({ source, segments: source.slice('PITH_'.length).split('__'), text });
  }
  const applied = apply(tree, root, settings);
  applied.problems = applied.problems.filter(({ file, path }) => {
    return path !== '' || !KUBERNETES_PATTERN.test(file);
  });
  return applied;
}

/** Puts flags into a tree; their names are paths, as `log.level` or `listen.0.url`. */
export function applyFlags(
  tree: unknown,
  root: z.core.$ZodType,
  flags: Readonly<Record<string, string>>,
): Applied {
  const settings = Object.entries(flags).map(([name, text]) => ({
    source: `--set ${name}`,
    segments: name.replace(/\[(\d+)\]/g, '.$1').split('.'),
    text,
  }));
  return apply(tree, root, settings);
}

/** Reads text for a key: kept where the schema wants text, else as YAML. */
export function coerce(
  root: z.core.$ZodType,
  path: Path,
  text: string,
): { value: unknown; message?: string } {
  const options = schemasAt(root, path).flatMap((schema) => optionsOf(schema));
  const isText = options.some((option) => {
    return option instanceof z.ZodString || option instanceof z.ZodEnum;
  });
  const isStructured = /^\s*[[{]/.test(text);
  const takesStructure = options.some((option) => {
    return (
      option instanceof z.ZodArray ||
      option instanceof z.ZodObject ||
      option instanceof z.ZodRecord ||
      option instanceof z.ZodUnknown
    );
  });
  if (isText && !(isStructured && takesStructure)) return { value: text };
  const document = parseDocument(text, { prettyErrors: false });
  const [error] = document.errors;
  if (error !== undefined) return { value: text, message: `not valid YAML: ${error.message}` };
  try {
    return { value: document.toJS({ maxAliasCount: 0 }) };
  } catch {
    return { value: text, message: 'not valid YAML: aliases are not allowed here' };
  }
}

function apply(tree: unknown, root: z.core.$ZodType, settings: readonly Setting[]): Applied {
  const applied: Applied = { tree, assignments: [], problems: [] };
  // The less deep first, so PITH_LISTEN and PITH_LISTEN__0__URL can be used together.
  const ordered = settings.toSorted((a, b) => {
    return a.segments.length - b.segments.length || (a.source < b.source ? -1 : 1);
  });
  for (const setting of ordered) {
    const { source, segments, text } = setting;
    const refuse = (message: string, path: Path = []) => {
      applied.problems.push({ file: source, line: 0, column: 0, path: formatPath(path), message });
    };
    const path = resolve(applied.tree, root, segments);
    if (path === undefined) {
      refuse(`no such key${suggestion(applied.tree, root, setting)}`);
      continue;
    }
    const gap = findGap(applied.tree, path);
    if (gap !== undefined) {
      refuse(gap, path);
      continue;
    }
    const { value, message } = coerce(root, path, text);
    if (message !== undefined) {
      refuse(message, path);
      continue;
    }
    applied.tree = withValueAt(applied.tree, path, value);
    applied.assignments.push({ source, path });
  }
  return applied;
}

/** Names are compared without regard to case; a name that users chose is looked for among those in the file. */
function resolve(tree: unknown, root: z.core.$ZodType, segments: string[]): Path | undefined {
  const path: (string | number)[] = [];
  for (const segment of segments) {
    const name = segment.toLowerCase();
    const options = schemasAt(root, path).flatMap((schema) => optionsOf(schema));
    if (keysAt(root, path).includes(name)) {
      path.push(name);
    } else if (/^\d{1,4}$/.test(name) && options.some((option) => option instanceof z.ZodArray)) {
      path.push(Number(name));
    } else if (name !== '' && options.some((option) => option instanceof z.ZodRecord)) {
      path.push(nameInUse(getAt(tree, path), name) ?? name);
    } else {
      return undefined;
    }
  }
  return path;
}

/** The path as far as there is one, and after that as it was written. */
function pathOf(tree: unknown, root: z.core.$ZodType, segments: string[]): Path {
  return segments.map((segment, depth) => {
    const path = resolve(tree, root, segments.slice(0, depth + 1));
    return path?.at(-1) ?? segment.toLowerCase();
  });
}

function nameInUse(map: unknown, name: string): string | undefined {
  if (!isMap(map)) return undefined;
  const names = Object.keys(map);
  return (
    names.find((key) => key.toLowerCase() === name) ??
    // A variable's name cannot hold a hyphen.
    names.find((key) => key.toLowerCase().replaceAll('-', '_') === name)
  );
}

/** A setting reaches into what is there, and puts nothing in its place. */
function findGap(tree: unknown, path: Path): string | undefined {
  for (const [depth, segment] of path.entries()) {
    const parent = path.slice(0, depth);
    const container = getAt(tree, parent) ?? undefined;
    const isIndex = typeof segment === 'number';
    const fits = isIndex ? Array.isArray(container) : isMap(container);
    if (container !== undefined && !fits) return `${formatPath(parent)} is already another value`;
    const length = Array.isArray(container) ? container.length : 0;
    if (isIndex && segment > length) {
      return `the next index of this list is ${length}`;
    }
  }
  return undefined;
}

function suggestion(tree: unknown, root: z.core.$ZodType, { source, segments }: Setting): string {
  const isFlag = source.startsWith('--set ');
  const write = (parts: Path): string =>
    isFlag ? parts.join('.') : `PITH_${parts.join('__').toUpperCase().replaceAll('-', '_')}`;
  const place = placeNear(pathOf(tree, root, segments), root, tree);
  if (place !== null) return `; did you mean "${write(place)}"?`;
  // What stands for a name or an index is taken from what was written.
  const names = listKeys(root).map(({ env }) => {
    const known = env.slice('PITH_'.length).split('__');
    return known.map((part, i) =>
      /^(0|<NAME>)$/.test(part) ? (segments[i] ?? part) : part.toLowerCase(),
    );
  });
  return didYouMean(isFlag ? source.slice('--set '.length) : source, names.map(write));
}
