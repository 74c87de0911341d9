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
    `Everything may import ${all.slice(0, -1).join(', ')} and ${all.at(-1)}, and its own folder; a folder does not include its subfolders that have their own row. ` +
      'In parentheses: only these files. For modules of Node see `test/support/layers.ts`.',
  ].join('\n');
}

/** The imports from src/, each folder once: `session (types), upstream (call…, upstream), …`. */
function folders(row: string, allowed: readonly string[], rules: Rules): string {
  const parent = Object.keys(rules).find(
    (name) => name !== row && name.endsWith('/') && row.startsWith(name),
  );
  const inherited = parent === undefined ? [] : (rules[parent] ?? []);
  const isLikeParent = inherited.length > 0 && inherited.every((item) => allowed.includes(item));
  const own = isLikeParent ? allowed.filter((item) => !inherited.includes(item)) : allowed;
  const words = ownFolders(row, own);
  if (isLikeParent) words.unshift(`what \`${parent}\` may`);
  return words.length === 0 ? '–' : words.join(', ');
}

function ownFolders(row: string, allowed: readonly string[]): string[] {
  const parts = new Map<string, Set<string>>();
  for (const item of allowed) {
    const { isType, target } = read(item);
    if (!isSource(target) || target === row) continue;
    if (target === '*') return [everything(row, allowed)];
    const [, folder = '', file = ''] = /^(.*?)([^/]*)$/.exec(target)!;
    // Files at the top have names of their own.
    const name = nameOf(folder || file);
    const part = folder === '' ? '' : file.replace(/\.ts$/, '').replace(/\*$/, '…');
    const of = isType ? `types${part && ` of ${part}`}` : part;
    parts.set(name, (parts.get(name) ?? new Set()).add(of));
  }
  return [...parts]
    .map(([name, of]) => (of.has('') ? name : `${name} (${[...of].join(', ')})`))
    .toSorted();
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
