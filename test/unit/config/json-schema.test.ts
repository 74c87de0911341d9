/** The JSON Schema of pith.yaml: it takes what the gateway takes, and what it refuses the gateway refuses as well. */
import { readFileSync } from 'node:fs';
import { parse } from 'yaml';
import { describe, expect, test } from 'vitest';

import { configJsonSchema, type JsonSchema } from '../../../src/config/json-schema.ts';

const schema = configJsonSchema();

/** Whether a value fits, for the keywords that are used. */
function fits(node: JsonSchema, value: unknown): boolean {
  const isMap = typeof value === 'object' && value !== null && !Array.isArray(value);
  const kinds = [
    Array.isArray(value) ? 'array' : value === null ? 'null' : isMap ? 'object' : typeof value,
  ];
  if (Number.isInteger(value)) kinds.push('integer');
  const types = node.type === undefined ? kinds : [node.type].flat();
  if (!kinds.some((kind) => types.includes(kind))) return false;
  if (node.enum !== undefined && !node.enum.includes(value)) return false;
  if (typeof value === 'string' && node.pattern !== undefined)
    if (!new RegExp(node.pattern).test(value)) return false;
  if (typeof value === 'number') {
    const { minimum = -Infinity, maximum = Infinity } = node as Record<string, number>;
    if (value < minimum || value > maximum) return false;
  }
  if (node.anyOf !== undefined && !node.anyOf.some((option) => fits(option, value))) return false;
  for (const rule of node.allOf ?? [])
    if (fits(rule.if!, value) && !fits(rule.then!, value)) return false;
  if (Array.isArray(value)) return value.every((item) => fits(node.items ?? {}, item));
  if (!isMap) return true;
  if ((node.required ?? []).some((key) => !(key in value))) return false;
  return Object.entries(value).every(([key, item]) => {
    const own = node.properties?.[key];
    if (own !== undefined) return fits(own, item);
    const others = node.additionalProperties ?? true;
    return typeof others === 'boolean' ? others : fits(others, item);
  });
}

test('it says which kind of schema it is, and has no word of our own', () => {
  expect(schema['$schema']).toBe('http://json-schema.org/draft-07/schema#');
  expect(schema['title']).toBe('pith.yaml');
  const keywords = new Set<string>();
  const collect = (node: JsonSchema): void => {
    for (const key of Object.keys(node)) keywords.add(key);
    for (const child of [
      ...Object.values(node.properties ?? {}),
      ...[node.items, node.if, node.then, node.additionalProperties],
      ...(node.anyOf ?? []),
      ...(node.allOf ?? []),
    ])
      if (typeof child === 'object') collect(child);
  };
  collect(schema);
  expect([...keywords].sort()).toEqual([
    '$schema',
    'additionalProperties',
    'allOf',
    'anyOf',
    'default',
    'description',
    'enum',
    'if',
    'items',
    'maximum',
    'minItems',
    'minLength',
    'minimum',
    'pattern',
    'properties',
    'propertyNames',
    'required',
    'then',
    'title',
    'type',
  ]);
});

test('it takes every key of deploy/pith.yaml', () => {
  const file = new URL('../../../deploy/pith.yaml', import.meta.url);
  expect(fits(schema, parse(readFileSync(file, 'utf8')))).toBe(true);
});

describe('it takes', () => {
  test.each([
    ['nothing', {}],
    ['a size as a number or as text', { limits: { packet: 4096, outbox: '1MiB' } }],
    ['auto', { limits: { outboxes: 'auto', connections: 'auto' } }],
    ['a number in its place', { limits: { connections: 100 } }],
    ['each kind of backend', { backends: { a: { nats: {} }, b: { reply: { any: [1, null] } } } }],
    ['one backend or several', { routes: [{ match: '>', backend: [{ backend: 'a' }] }] }],
    ['a reference for a number', { limits: { connections: '${env:MANY}' } }],
    ['a reference for a word', { log: { level: '${env:LEVEL}' } }],
    ['a reference for a list', { events: { data: '${env:KEYS}' } }],
    ['a reference within a duration', { heartbeat: '${env:SECONDS}s' }],
  ])('%s', (_, value) => {
    expect(fits(schema, value)).toBe(true);
  });
});

describe('it refuses', () => {
  test.each([
    ['an unknown key', { lisen: [] }],
    ['an unknown key further in', { limits: { paket: '1KiB' } }],
    ['an unknown key of a backend', { backends: { a: { nats: {}, grcp: 'x' } } }],
    ['a backend of no kind', { backends: { a: { timeout: '1s' } } }],
    ['a duration without its unit', { heartbeat: 3 }],
    ['a unit that is none', { limits: { packet: '4KB' } }],
    ['a word that is none', { log: { level: 'loud' } }],
    ['text for a flag', { telemetry: { metrics: 'yes' } }],
    ['a number out of its range', { backends: { a: { grpc: 'x:1', links: 65 } } }],
    ['half a number', { sessions: { groups: 1.5 } }],
    ['a list for a map', { backends: [] }],
    ['a name that is none', { id: 'a b' }],
  ])('%s', (_, value) => {
    expect(fits(schema, value)).toBe(false);
  });
});
