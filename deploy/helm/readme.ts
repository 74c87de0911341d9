/**
 * Writes what the chart says of itself, from what it says already: README.md has the values of values.yaml with their
 * defaults and comments, and Chart.yaml the icon.   node deploy/helm/readme.ts [FOLDER]
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { isCollection, isMap, type Pair, parseDocument, type Scalar, type YAMLMap } from 'yaml';

const CHART = fileURLToPath(new URL('pith', import.meta.url));
const BEGIN = '<!-- From values.yaml: run make manifests. -->';

/** Longer defaults are left to values.yaml. */
const DEFAULT_MAX = 90;

const read = (name: string): string => readFileSync(join(CHART, name), 'utf8');

/** Rows of the table: one for each value that stands for itself. */
function rowsOf(map: YAMLMap, path: string): string[] {
  return map.items.flatMap((item, index) => {
    const { key, value } = item as Pair<Scalar<string>, unknown>;
    // The comment before a map's first key belongs to the map.
    const above = key.commentBefore ?? (index === 0 ? map.commentBefore : null) ?? '';
    // What an empty line parts from it is about more than this key.
    const comment = above.split('\n\n').at(-1)!;
    const name = path === '' ? key.value : `${path}.${key.value}`;
    if (isMap(value) && hasComments(value)) {
      return [...(comment === '' ? [] : [row(name, '', comment)]), ...rowsOf(value, name)];
    }
    return [row(name, defaultOf(value), comment)];
  });
}

/** Whether some key in it is explained for itself. */
function hasComments(map: YAMLMap): boolean {
  if (map.commentBefore) return true;
  return map.items.some(
    ({ key, value }) =>
      Boolean((key as Scalar).commentBefore) || (isMap(value) && hasComments(value as YAMLMap)),
  );
}

function defaultOf(value: unknown): string {
  const plain: unknown = isCollection(value) ? value.toJSON() : (value as Scalar | null)?.value;
  if (plain === undefined || plain === null || plain === '') return '';
  const text = JSON.stringify(plain);
  return text.length > DEFAULT_MAX ? 'see values.yaml' : `\`${text}\``;
}

/** Lines of an example, which are indented further, become code; longer ones are left to values.yaml. */
function row(name: string, value: string, comment: string): string {
  const lines = comment.split('\n').map((line) => line.replace(/^ /, ''));
  const examples = lines.filter((line) => line.startsWith('  '));
  const prose = lines.filter((line) => line !== '' && !line.startsWith('  ')).join(' ');
  const example = examples.length === 1 ? ` \`${examples[0]!.trim()}\`` : '';
  const text = examples.length > 1 ? prose.replace(/:$/, '; values.yaml has an example') : prose;
  const cells = [`\`${name}\``, value, `${text}${example}`];
  return `| ${cells.map((cell) => cell.replaceAll('|', '\\|').trim()).join(' | ')} |`;
}

const to = process.argv[2] ?? CHART;
const values = parseDocument(read('values.yaml'));
const table = ['| value | default | |', '|---|---|---|', ...rowsOf(values.contents as YAMLMap, '')];
const [page] = read('README.md').split(BEGIN, 1);
writeFileSync(join(to, 'README.md'), `${page}${BEGIN}\n\n${table.join('\n')}\n`);

const icon = `data:image/svg+xml;base64,${Buffer.from(read('icon.svg')).toString('base64')}`;
writeFileSync(
  join(to, 'Chart.yaml'),
  read('Chart.yaml').replace(/^icon: .*$/m, () => `icon: ${icon}`),
);
