/**
 * Walks the schema by path: which keys there are, what they are called in the environment, and what kind of value
 * one wants. Knows zod's wrappers so that nobody else has to.
 */
import { z } from 'zod';
import type { PathKind } from './paths.ts';

/** A place in the configuration: keys of maps and indices of lists. */
export type Path = readonly (string | number)[];

/** A schema without its wrappers, and what the wrappers add. */
export type Inspected = {
  inner: z.core.$ZodType;
  about: string;
  /** The default as it would be written in YAML; undefined if there is none. */
  fallback: unknown;
  unit?: 'duration' | 'size';
  range?: string;
  names?: PathKind;
  isSecret: boolean;
};

/** One key of the configuration, for reference pages and for suggestions. */
export type KeyInfo = {
  /** As `limits.packet`, `listen[].url`, `backends.<name>.links`. */
  path: string;
  /** As `PITH_LIMITS__PACKET`, `PITH_LISTEN__0__URL`, `PITH_BACKENDS__<NAME>__LINKS`. */
  env: string;
  about: string;
  /** The default as it would be written in YAML; undefined if there is none. */
  fallback: unknown;
  schema: z.core.$ZodType;
};

/** Takes the wrappers off a schema. */
export function inspect(schema: z.core.$ZodType): Inspected {
  const found: Inspected = { inner: schema, about: '', fallback: undefined, isSecret: false };
  for (;;) {
    const meta = z.globalRegistry.get(found.inner);
    found.about ||= meta?.description ?? '';
    found.isSecret ||= meta?.secret === true;
    if (meta?.unit !== undefined) found.unit = meta.unit;
    if (meta?.range !== undefined) found.range = meta.range;
    if (meta?.names !== undefined) found.names = meta.names;
    const next = unwrapOnce(found.inner);
    if (next === undefined) return found;
    if (found.inner instanceof z.ZodPrefault) found.fallback ??= found.inner.def.defaultValue;
    found.inner = next;
  }
}

/** The schemas that a path may mean: several where a union stands on the way, none for an unknown key. */
export function schemasAt(root: z.core.$ZodType, path: Path): z.core.$ZodType[] {
  let schemas = [root];
  for (const segment of path) schemas = schemas.flatMap((schema) => stepInto(schema, segment));
  return schemas;
}

/** Names of the keys that a map at this path may have; empty if it is not a map, or takes any name. */
export function keysAt(root: z.core.$ZodType, path: Path): string[] {
  const keys = schemasAt(root, path).flatMap((schema) =>
    optionsOf(schema).flatMap((option) =>
      option instanceof z.ZodObject ? Object.keys(option.shape) : [],
    ),
  );
  return [...new Set(keys)];
}

/** Every key that holds a value, in the order of the schema. */
export function listKeys(root: z.core.$ZodType): KeyInfo[] {
  const keys: KeyInfo[] = [];
  collectKeys(root, { path: '', env: 'PITH' }, keys);
  return keys;
}

/** The alternatives of a schema, without wrappers: itself, unless it is a union. */
export function optionsOf(schema: z.core.$ZodType): z.core.$ZodType[] {
  const { inner } = inspect(schema);
  if (!(inner instanceof z.ZodUnion)) return [inner];
  return inner.options.flatMap((option) => optionsOf(option));
}

function unwrapOnce(schema: z.core.$ZodType): z.core.$ZodType | undefined {
  if (schema instanceof z.ZodPrefault || schema instanceof z.ZodOptional) return schema.unwrap();
  if (!(schema instanceof z.ZodPipe)) return undefined;
  // What is written comes in on the left, unless the left is only a function (z.preprocess).
  return schema.def.in instanceof z.ZodTransform ? schema.def.out : schema.def.in;
}

function stepInto(schema: z.core.$ZodType, segment: string | number): z.core.$ZodType[] {
  return optionsOf(schema).flatMap((option) => {
    if (option instanceof z.ZodArray) return typeof segment === 'number' ? [option.element] : [];
    if (typeof segment === 'number') return [];
    if (option instanceof z.ZodRecord) return [option.valueType];
    if (!(option instanceof z.ZodObject) || !Object.hasOwn(option.shape, segment)) return [];
    return [option.shape[segment] as z.core.$ZodType];
  });
}

function collectKeys(
  schema: z.core.$ZodType,
  place: { path: string; env: string },
  keys: KeyInfo[],
): void {
  const { about, fallback } = inspect(schema);
  const options = optionsOf(schema);
  if (place.path !== '' && options.some((option) => isLeaf(option))) {
    keys.push({ ...place, about, fallback, schema });
  }
  for (const option of options) {
    if (option instanceof z.ZodObject) {
      for (const [name, value] of Object.entries(option.shape)) {
        const path = place.path === '' ? name : `${place.path}.${name}`;
        const env = `${place.env}_${place.path === '' ? '' : '_'}${name.toUpperCase()}`;
        collectKeys(value as z.core.$ZodType, { path, env }, keys);
      }
    } else if (option instanceof z.ZodArray && !isLeaf(option)) {
      collectKeys(option.element, { path: `${place.path}[]`, env: `${place.env}__0` }, keys);
    } else if (option instanceof z.ZodRecord && !isLeaf(option)) {
      const inside = { path: `${place.path}.<name>`, env: `${place.env}__<NAME>` };
      collectKeys(option.valueType, inside, keys);
    }
  }
}

/** Lists of words and maps of words count as one key: they are written as one value. */
function isLeaf(option: z.core.$ZodType): boolean {
  if (option instanceof z.ZodObject) return false;
  const element =
    option instanceof z.ZodArray
      ? option.element
      : option instanceof z.ZodRecord
        ? option.valueType
        : undefined;
  if (element === undefined) return true;
  return !optionsOf(element).some((inner) => inner instanceof z.ZodObject);
}
