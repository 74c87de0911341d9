/**
 * The JSON Schema of pith.yaml, for editors and for the chart's values. It knows every key, its type, its words and
 * the range of a number; what needs more than one key, a file or a parser is checked by `pith check` alone.
 */
import { z } from 'zod';
import { configSchema } from './schema.ts';

/** A node of a JSON Schema, draft 7. */
export type JsonSchema = {
  type?: string | string[];
  description?: string;
  default?: unknown;
  enum?: unknown[];
  const?: unknown;
  pattern?: string;
  properties?: Record<string, JsonSchema>;
  additionalProperties?: boolean | JsonSchema;
  required?: string[];
  items?: JsonSchema;
  anyOf?: JsonSchema[];
  allOf?: JsonSchema[];
  if?: JsonSchema;
  then?: JsonSchema;
  [keyword: string]: unknown;
};

/** What the schema's own notes are called; JSON Schema has no such keywords. */
const OWN_NOTES = ['unit', 'range', 'names', 'secret'] as const;
/** A value that comes from elsewhere, as ${env:NAME}, may become one of any type. */
const REFERENCE = '\\$\\{';

/** The schema of the whole file. A new copy each time. */
export function configJsonSchema(): JsonSchema {
  const { $schema, ...schema } = z.toJSONSchema(configSchema, {
    io: 'input',
    target: 'draft-7',
    // Checks written in code have no form in JSON Schema.
    unrepresentable: 'any',
  }) as JsonSchema;
  return { $schema, title: 'pith.yaml', ...refined(schema) };
}

function refined(schema: JsonSchema): JsonSchema {
  const node: JsonSchema = { ...schema };
  for (const note of OWN_NOTES) delete node[note];
  // Any name is one: zod says so.
  if (Object.keys((node['propertyNames'] as JsonSchema) ?? {}).join('') === 'type')
    delete node['propertyNames'];
  if (node.maximum === Number.MAX_SAFE_INTEGER) delete node.maximum;
  if (node.properties !== undefined)
    node.properties = Object.fromEntries(
      Object.entries(node.properties).map(([key, value]) => [key, refined(value)]),
    );
  if (typeof node.additionalProperties === 'object')
    node.additionalProperties = refined(node.additionalProperties);
  if (node.items !== undefined) node.items = refined(node.items);
  if (node.anyOf !== undefined) return refinedUnion(node, node.anyOf);
  return orReference(node);
}

/** Alternatives that each have a key of their own are chosen by it, so that a mistake is reported for that one only. */
function refinedUnion(node: JsonSchema, options: JsonSchema[]): JsonSchema {
  const { anyOf: _, ...rest } = node;
  const keys = options.flatMap(({ type, required }) =>
    type === 'object' && required !== undefined ? required.slice(0, 1) : [],
  );
  if (keys.length < options.length) {
    const flat = options.flatMap((option) => option.anyOf ?? [option]);
    const isScalar = flat.every(({ type }) => type !== 'array' && type !== 'object');
    return isScalar
      ? { ...rest, ...mergedScalars(flat) }
      : { ...rest, anyOf: flat.map((option) => refined(option)) };
  }
  return {
    ...rest,
    type: 'object',
    anyOf: keys.map((key) => ({ required: [key] })),
    allOf: options.map((option, index) => ({
      if: { required: [keys[index]!] },
      // oxlint-disable-next-line unicorn/no-thenable -- a keyword of JSON Schema
      then: refined(option),
    })),
  };
}

/** One node for several scalars, as `auto` or a size: a mistake then has one message instead of one for each. */
function mergedScalars(options: JsonSchema[]): JsonSchema {
  const merged: JsonSchema = {};
  const types = new Set<string>();
  const texts: string[] = [];
  for (const { type, const: word, pattern, minimum, maximum } of options) {
    if (typeof type === 'string') types.add(type);
    if (typeof word === 'string') texts.push(`^${word}$`);
    if (pattern !== undefined) texts.push(pattern);
    if (minimum !== undefined) merged['minimum'] = minimum;
    if (maximum !== undefined && maximum !== Number.MAX_SAFE_INTEGER) merged['maximum'] = maximum;
  }
  return { ...merged, type: [...types.add('string')], pattern: [...texts, REFERENCE].join('|') };
}

function orReference(node: JsonSchema): JsonSchema {
  const { type, pattern } = node;
  if (type === 'string' && pattern !== undefined)
    return { ...node, pattern: `${pattern}|${REFERENCE}` };
  if (type === 'string' && node.enum === undefined) return node;
  if (type === 'string') {
    // As alternatives, not as a pattern: editors offer the words.
    const { enum: words, type: _, ...rest } = node;
    return { ...rest, anyOf: [{ enum: words! }, { type: 'string', pattern: REFERENCE }] };
  }
  if (type === 'integer' || type === 'number' || type === 'boolean' || type === 'array')
    return { ...node, type: [type, 'string'], pattern: REFERENCE };
  return node;
}
