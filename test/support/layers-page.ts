/** The table of folders in src/README.md, made of what the check of the layers allows. */
import { ENTRY, FOR_ALL, RULES, type Rules, WHAT } from './layers.ts';

/** The page's part between the two marker comments, as Markdown. */
export function layersPage(rules = RULES, what = WHAT): string {
  const rows = Object.entries(rules).map(([row, allowed]) => [
    `\`${row}\``,
    what[row] ?? `**has no sentence: add one to WHAT in test/support/layers.ts**`,
    folders(row, allowed, rules),
    packages(allowed),
  ]);
  const head = ['folder or file', 'what', 'may import from', 'packages'];
  const table = [head, head.map(() => '---'), ...rows].map((row) => `| ${row.join(' | ')} |`);
  const all = FOR_ALL.map((file) => `\`${file}\``);
  return [
    ...table,
    '',
    `Everything may import ${all.slice(0, -1).join(', ')} and ${all.at(-1)}, and the files of its own folder, but not those of a subfolder with a row of its own. ` +
      'Which parts, and which modules of Node: see `test/support/layers.ts`.',
  ].join('\n');
}

/** The imports from src/, each folder once: `protocol, session; parts of telemetry; types of config`. */
function folders(row: string, allowed: readonly string[], rules: Rules): string {
  if (allowed.includes('*')) return everything(row, allowed);
  const parent = Object.keys(rules).find(
    (name) => name !== row && name.endsWith('/') && row.startsWith(name),
  );
  const inherited = parent === undefined ? [] : (rules[parent] ?? []);
  const isLikeParent = inherited.length > 0 && inherited.every((item) => allowed.includes(item));
  const own = isLikeParent ? allowed.filter((item) => !inherited.includes(item)) : allowed;
  const words = groups(row, own);
  if (isLikeParent) words.unshift(`what \`${parent}\` may`);
  return words.length === 0 ? '–' : words.join('; ');
}

/** Whole folders and files at the top; folders of which some files, or types alone, may be imported. */
function groups(row: string, allowed: readonly string[]): string[] {
  const whole = new Set<string>();
  const parts = new Set<string>();
  const types = new Set<string>();
  for (const item of allowed) {
    const { isType, target } = read(item);
    if (!isSource(target) || target === row) continue;
    const [, folder = '', file = ''] = /^(.*?)([^/]*)$/.exec(target)!;
    const name = nameOf(folder || file);
    (isType ? types : folder === '' || file === '' ? whole : parts).add(name);
  }
  const list = (names: Set<string>, ...others: Set<string>[]): string =>
    [...names.difference(new Set(others.flatMap((other) => [...other])))].toSorted().join(', ');
  return [
    list(whole),
    list(parts, whole).replace(/^(?=.)/, 'parts of '),
    list(types, whole, parts).replace(/^(?=.)/, 'types of '),
  ].filter((words) => words !== '');
}

function everything(row: string, allowed: readonly string[]): string {
  const but = ENTRY.filter((entry) => entry !== row && !allowed.includes(entry));
  return `everything but ${but.map(nameOf).join(', ')}`;
}

function packages(allowed: readonly string[]): string {
  const names = allowed
    .map(read)
    .filter(({ target }) => !isSource(target) && !target.startsWith('node:'))
    .map(({ isType, target }) => (isType ? `${target} (types)` : target));
  return names.length === 0 ? '' : [...new Set(names)].join(', ');
}

function read(item: string): { isType: boolean; target: string } {
  const isType = item.startsWith('type ');
  return { isType, target: isType ? item.slice(5) : item };
}

/** A module of src/ ends in `.ts`, or is a folder; `node:net` and `@grpc/grpc-js` are neither. */
function isSource(target: string): boolean {
  return /(?:\.ts|\/|\*)$/.test(target);
}

function nameOf(target: string): string {
  return target.endsWith('/') ? target.slice(0, -1) : target;
}
