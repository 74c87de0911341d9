/** Readers of plain values that must have exactly the shape that is expected: what differs is refused, and named. */
import { ShapeError } from '../contract/json.ts';
import { isObject } from '../protocol/exact-json.ts';

/** @throws {ShapeError} naming `name`. */
export type ReadAs<T> = (value: unknown, name: string) => T;

export const text: ReadAs<string> = (value, name) => {
  if (typeof value !== 'string') throw new ShapeError(`${name} is not a string`);
  return value;
};

export const flag: ReadAs<boolean> = (value, name) => {
  if (typeof value !== 'boolean') throw new ShapeError(`${name} is neither true nor false`);
  return value;
};

export const number: ReadAs<number> = (value, name) => {
  if (typeof value !== 'number' || !Number.isFinite(value))
    throw new ShapeError(`${name} is not a number`);
  return value;
};

/** A whole number from 0 on. */
export const count: ReadAs<number> = (value, name) => {
  if (!Number.isSafeInteger(value) || (value as number) < 0)
    throw new ShapeError(`${name} is not a whole number from 0 on`);
  return value as number;
};

export const base64: ReadAs<string> = (value, name) => {
  const encoded = text(value, name);
  if (encoded === '') return '';
  if (Buffer.from(encoded, 'base64').toString('base64') !== encoded)
    throw new ShapeError(`${name} is not base64`);
  return encoded;
};

export const anObject: ReadAs<Record<string, unknown>> = (value, name) => {
  if (!isObject(value)) throw new ShapeError(`${name} is not an object`);
  return value;
};

export function oneOf<T extends string>(...all: readonly T[]): ReadAs<T> {
  return (value, name) => {
    const found = all.find((one) => one === value);
    if (found === undefined) throw new ShapeError(`${name} is not ${all.join(' or ')}`);
    return found;
  };
}

export function orNull<T>(read: ReadAs<T>): ReadAs<T | null> {
  return (value, name) => (value === null ? null : read(value, name));
}

export function listOf<T>(read: ReadAs<T>): ReadAs<readonly T[]> {
  return (value, name) => {
    if (!Array.isArray(value)) throw new ShapeError(`${name} is not a list`);
    return value.map((item, i) => read(item, `${name}[${i}]`));
  };
}

export type Fields<T extends object> = { readonly [K in keyof T]-?: ReadAs<T[K]> };

/** All of these fields, and no others. */
export function fieldsOf<T extends object>(fields: Fields<T>): ReadAs<T> {
  const names = Object.keys(fields) as (keyof T & string)[];
  return (value, name) => {
    const given = onlyKnown(value, name, fields);
    const read = {} as T;
    for (const key of names) read[key] = fields[key](given[key], within(name, key));
    return read;
  };
}

/** Any of these fields, and no others. */
export function someOf<T extends object>(fields: Fields<T>): ReadAs<Partial<T>> {
  return (value, name) => {
    const given = onlyKnown(value, name, fields);
    const read: Partial<T> = {};
    for (const key of Object.keys(given) as (keyof T & string)[])
      read[key] = fields[key](given[key], within(name, key));
    return read;
  };
}

function onlyKnown(value: unknown, name: string, fields: object): Record<string, unknown> {
  const given = anObject(value, name);
  for (const key of Object.keys(given))
    if (!Object.hasOwn(fields, key)) throw new ShapeError(`${within(name, key)} is not known here`);
  return given;
}

function within(name: string, key: string): string {
  return name === '' ? key : `${name}.${key}`;
}
