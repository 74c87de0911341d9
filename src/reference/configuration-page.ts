/** Every key of pith.yaml: what it may be, its default, what it is for. */
import { z } from 'zod';

import { RELOADED_KEYS } from '../config/changes.ts';
import { configSchema } from '../config/schema.ts';
import { inspect, type KeyInfo, listKeys, optionsOf } from '../config/schema-tree.ts';
import { code, heading, page, prose, table, WRITTEN } from './markdown.ts';

const HEAD = ['key', 'what it may be', 'default', 'meaning'];

export function configurationPage(): string {
  const sections = Object.entries(configSchema.shape) as [string, z.ZodType][];
  const singles = sections.filter(([, schema]) => isSingle(schema));
  const others = sections.filter(([, schema]) => !isSingle(schema));
  return page(
    WRITTEN,
    heading(1, 'Configuration'),
    'Every key of `pith.yaml`. `[]` is each entry of a list, `<name>` any name. ↻: a reload applies it to a running ' +
      'gateway; any other key needs a restart. A key without a default is required, or not set.',
    'In the environment `a.b` is `PITH_A__B`, and an entry of a list has its number: `listen[].url` of the first is ' +
      '`PITH_LISTEN__0__URL`. `--set a.b=…` overrides both. A value may come from elsewhere: `${env:NAME}`, `${file:PATH}`.',
    table(
      HEAD,
      singles.flatMap(([name, schema]) => rowsOf(schema, name)),
    ),
    ...others.flatMap(([name, schema]) => section(name, schema)),
  );
}

/** A key that holds one value. */
function isSingle(schema: z.ZodType): boolean {
  return !optionsOf(schema).some(
    (option) =>
      option instanceof z.ZodObject ||
      option instanceof z.ZodArray ||
      option instanceof z.ZodRecord,
  );
}

function section(name: string, schema: z.ZodType): string[] {
  const about = prose(inspect(schema).about);
  const head = [heading(2, `\`${name}\``), about];
  const [only] = optionsOf(schema);
  const entry =
    only instanceof z.ZodRecord
      ? only.valueType
      : only instanceof z.ZodArray
        ? only.element
        : only!;
  const kinds = optionsOf(entry);
  const path =
    only instanceof z.ZodRecord
      ? `${name}.<name>`
      : only instanceof z.ZodArray
        ? `${name}[]`
        : name;
  if (kinds.length === 1) return [...head, table(HEAD, rowsOf(entry, path))];
  // Entries of several kinds, each with keys of its own.
  return [
    ...head,
    ...kinds.flatMap((kind) => [
      heading(3, `with \`${firstKeyOf(kind)}\``),
      table(HEAD, rowsOf(kind, path)),
    ]),
  ];
}

function firstKeyOf(kind: z.core.$ZodType): string {
  return kind instanceof z.ZodObject ? Object.keys(kind.shape)[0]! : '';
}

function rowsOf(schema: z.core.$ZodType, path: string): string[][] {
  const keys = listKeys(schema);
  if (keys.length === 0) return [row({ path, schema, env: '', ...inspect(schema) })];
  return keys.map((key) => row({ ...key, path: `${path}.${key.path}` }));
}

function row({ path, about, fallback, schema }: KeyInfo): string[] {
  return [
    `${code(path)}${isReloaded(path) ? ' ↻' : ''}`,
    typeOf(schema),
    fallback === undefined ? '' : code(defaultText(fallback)),
    prose(about),
  ];
}

function isReloaded(path: string): boolean {
  const plain = path.replaceAll('[]', '');
  return RELOADED_KEYS.some((key) => plain === key || plain.startsWith(`${key}.`));
}

function defaultText(fallback: unknown): string {
  return typeof fallback === 'string' && fallback !== '' ? fallback : JSON.stringify(fallback);
}

/** What a value may be, in words. */
function typeOf(schema: z.core.$ZodType): string {
  const { unit, range, isSecret, names } = inspect(schema);
  const options = optionsOf(schema);
  const words = options.flatMap((option) =>
    option instanceof z.ZodLiteral ? option.def.values.map((value) => code(String(value))) : [],
  );
  if (unit !== undefined) return [...words, `${unit}, ${range}`].join(' or ');
  const types = options.map((option) => typeOfOption(option, names !== undefined));
  return `${[...new Set(types)].join(' or ')}${isSecret ? ', secret' : ''}`;
}

function typeOfOption(option: z.core.$ZodType, namesFile: boolean): string {
  if (option instanceof z.ZodLiteral) return code(String(option.def.values[0]));
  if (option instanceof z.ZodEnum)
    return option.options.map((word) => code(String(word))).join(', ');
  if (option instanceof z.ZodBoolean) return 'true or false';
  if (option instanceof z.ZodNumber) return numberType(option);
  if (option instanceof z.ZodArray) return `list of ${plural(typeOf(option.element))}`;
  if (option instanceof z.ZodRecord) return `map of ${plural(typeOf(option.valueType))}`;
  if (option instanceof z.ZodObject) return 'map';
  return namesFile ? 'path' : 'text';
}

function plural(type: string): string {
  return type.replace(/^(text|path|map|whole number)\b/, '$1s');
}

function numberType({ minValue, maxValue, format }: z.ZodNumber): string {
  const kind = format === null ? 'number' : 'whole number';
  return `${kind}, ${minValue} to ${maxValue}`;
}
