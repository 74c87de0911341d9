/** Reads YAML text into a plain tree, and finds the line of every key in it. */
import {
  type Document,
  isAlias,
  isCollection,
  isMap,
  isScalar,
  isSeq,
  LineCounter,
  type Node,
  type Pair,
  parseDocument,
  type Scalar,
  visit,
} from 'yaml';
import type { Place, Problem } from './problem.ts';
import type { Path } from './schema-tree.ts';

/** Aliases may be followed this often, so a small file cannot become a huge tree. */
const ALIAS_COUNT_MAX = 100;

/** YAML text as a tree, with the places of its keys. */
export type ParsedDocument = {
  /** Maps, lists and scalars; an empty map for an empty file. */
  tree: unknown;
  /** Syntax errors; the tree means nothing if there are any. */
  problems: Problem[];
  /** Where the value at a path stands; of the nearest key above it if the file has no such key. */
  locate(path: Path): Place;
  /** Where the key at a path stands. */
  locateKey(path: Path): Place;
  /** True if the file has this key. */
  has(path: Path): boolean;
};

/** Parses YAML 1.2 with unique keys; never throws. */
export function parseYaml(text: string, file: string): ParsedDocument {
  const lineCounter = new LineCounter();
  const document = parseDocument(text, {
    lineCounter,
    prettyErrors: false,
    version: '1.2',
    // As in the tree, where every key is text: 1 and "1" are the same.
    uniqueKeys: (a, b) => isScalar(a) && isScalar(b) && String(a.value) === String(b.value),
  });
  const placeAt = (offset: number): Place => {
    const { line, col } = lineCounter.linePos(offset);
    return { file, line: Math.max(1, line), column: Math.max(1, col) };
  };
  // The first error of a line is the cause; the others follow from it.
  const problems: Problem[] = [];
  for (const { pos, message } of [...document.errors, ...document.warnings]) {
    const place = placeAt(pos[0]);
    if (problems.some((problem) => problem.line === place.line)) continue;
    const isTwice = message === 'Map keys must be unique';
    const explained = isTwice
      ? explainTwice(document, pos[0], (offset) => placeAt(offset).line)
      : explain(message, lineOf(text, place.line));
    problems.push({ ...place, path: '', message: explained });
  }
  const endless = problems.length === 0 ? endlessAlias(document) : undefined;
  if (endless !== undefined)
    problems.push({
      ...placeAt(endless),
      path: '',
      message: 'an alias refers to something that contains it',
    });
  const merging = problems.length === 0 ? mergeKey(document) : undefined;
  if (merging !== undefined)
    problems.push({
      ...placeAt(merging),
      path: '',
      message:
        '"<<" merges nothing in YAML 1.2: write the keys out, or use an alias for a whole value',
    });
  let tree: unknown = {};
  if (problems.length === 0) {
    try {
      tree = document.toJS({ maxAliasCount: ALIAS_COUNT_MAX }) ?? {};
    } catch (error) {
      problems.push({ ...placeAt(0), path: '', message: `not valid YAML: ${messageOf(error)}` });
    }
  }
  return {
    tree,
    problems,
    locate: (path) => placeAt(find(document, path).valueOffset),
    locateKey: (path) => placeAt(find(document, path).keyOffset),
    has: (path) => find(document, path).depth === path.length,
  };
}

/** Where an alias stands that is a part of what it stands for: a tree without an end. */
function endlessAlias(document: Document.Parsed): number | undefined {
  let found: number | undefined;
  visit(document, {
    Alias(_, alias, ancestors) {
      const named = alias.resolve(document);
      if (named === undefined || !ancestors.includes(named)) return undefined;
      found = offsetOf(alias);
      return visit.BREAK;
    },
  });
  return found;
}

/** Where a key of YAML 1.1 stands that would merge maps. */
function mergeKey(document: Document.Parsed): number | undefined {
  let found: number | undefined;
  visit(document, {
    Pair(_, { key }) {
      if (!isScalar(key) || key.value !== '<<' || key.type !== 'PLAIN') return undefined;
      found = offsetOf(key as Node);
      return visit.BREAK;
    },
  });
  return found;
}

type Found = {
  /** How many segments of the path the file has. */
  depth: number;
  keyOffset: number;
  valueOffset: number;
};

function find(document: Document.Parsed, path: Path): Found {
  let node = document.contents as Node | null;
  const found: Found = { depth: 0, keyOffset: 0, valueOffset: 0 };
  for (const segment of path) {
    const container = isAlias(node) ? node.resolve(document) : node;
    let keyOffset: number | undefined;
    if (isMap(container) && typeof segment === 'string') {
      const pair = container.items.find((item) => keyText(item) === segment);
      if (pair === undefined) return found;
      keyOffset = offsetOf(pair.key as Node);
      node = pair.value as Node | null;
    } else if (
      isSeq(container) &&
      typeof segment === 'number' &&
      segment < container.items.length
    ) {
      node = container.items[segment] as Node | null;
      keyOffset = offsetOf(node);
    } else {
      return found;
    }
    found.depth += 1;
    found.keyOffset = keyOffset ?? found.keyOffset;
    // A map or list begins on the next line; its key is what a reader looks for.
    const isWritten = node !== null && !isCollection(node) && isScalarWithText(node);
    found.valueOffset = (isWritten ? offsetOf(node) : undefined) ?? found.keyOffset;
  }
  return found;
}

function keyText(pair: Pair): string {
  return isScalar(pair.key) ? String((pair.key as Scalar).value) : '';
}

function offsetOf(node: Node | null): number | undefined {
  return node?.range?.[0];
}

function isScalarWithText(node: Node): boolean {
  return !isScalar(node) || node.source !== '';
}

function explain(message: string, line: string): string {
  if (/\{[^}]*:\s*\$\{/.test(line)) return 'inside { } write "${…}" in quotes';
  if (message.startsWith('Source contains multiple documents')) {
    return 'expected one YAML document; found a second one';
  }
  return `not valid YAML: ${message}`;
}

/** Names the key at an offset that an earlier one of its map has as well. */
function explainTwice(
  document: Document.Parsed,
  offset: number,
  lineAt: (offset: number) => number,
): string {
  let message = 'duplicate key';
  visit(document, {
    Map(_, { items }) {
      const twice = items.find(({ key }) => offsetOf(key as Node) === offset);
      if (twice === undefined) return undefined;
      const name = keyText(twice as Pair);
      const first = items.find((pair) => keyText(pair as Pair) === name)!;
      const line = lineAt(offsetOf(first.key as Node) ?? 0);
      message = `${JSON.stringify(name)} is a duplicate; the first is in line ${line}`;
      return visit.BREAK;
    },
  });
  return message;
}

function lineOf(text: string, line: number): string {
  return text.split('\n')[line - 1] ?? '';
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
