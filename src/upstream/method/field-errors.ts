/**
 * Which fields of a body do not fit its message, by their paths. The library names the message and the key; a client
 * needs the way to it. Only looked for when the conversion has failed.
 */
import {
  type DescField,
  type DescMessage,
  fromJson,
  type JsonReadOptions,
  type JsonValue,
} from '@bufbuild/protobuf';

import { didYouMean } from '../../config/problem.ts';
import { errorText } from '../../errors.ts';
import { join, FIELD_ERRORS_MAX } from './json-fields.ts';
import { isObject } from '../../protocol/exact-json.ts';

/** Longer keys of a client are cut. */
const KEY_MAX = 64;
/** Values that are checked at most. */
const LOOKS_MAX = 10_000;

/** Path, as `room.seats[2].name`, to what is wrong there; empty where it is about no field. */
export function fieldErrors(
  type: DescMessage,
  json: JsonValue,
  options: Partial<JsonReadOptions>,
  known: Readonly<Record<string, string>> = {},
): Record<string, string> {
  const search = new Search(options);
  Object.assign(search.found, known);
  search.message(type, json, '');
  return search.found;
}

/** What the library says, without the names before it; of some values it only says what they are. */
export function tail(message: string): string {
  const what = message.replace(/^cannot decode .*? from JSON:? /, '');
  return /^[a-z]+ /.test(what) ? what : `cannot be ${what}`;
}

/** All that is known to be wrong, in a line; '' for nothing. What is about no field stands for itself. */
export function fieldErrorsText(fields: Readonly<Record<string, string>>): string {
  return Object.entries(fields)
    .map(([path, what]) => (path === '' ? what : `${path}: ${what}`))
    .join(' · ');
}

class Search {
  readonly found: Record<string, string> = Object.create(null) as Record<string, string>;
  readonly #options: Partial<JsonReadOptions>;
  #looks = 0;

  constructor(options: Partial<JsonReadOptions>) {
    this.#options = options;
  }

  message(type: DescMessage, json: JsonValue, path: string): void {
    if (type.typeName.startsWith('google.protobuf.') || !isObject(json)) {
      this.#try(type, json, path);
      return;
    }
    for (const [key, value] of Object.entries(json)) {
      if (this.#isDone()) return;
      const field = type.fields.find((one) => one.name === key || one.jsonName === key);
      const where = join(path, key);
      if (field === undefined) this.#unknown(type, key, where);
      else if (value !== null) this.#field(type, field, { key, value, where });
    }
  }

  #field(
    type: DescMessage,
    field: DescField,
    { key, value, where }: { key: string; value: JsonValue; where: string },
  ): void {
    const alone = (part: JsonValue, at: string): void => {
      this.#try(type, { [key]: part }, at);
    };
    if (field.fieldKind === 'message') {
      this.message(field.message, value, where);
    } else if (field.fieldKind === 'list' && Array.isArray(value)) {
      for (const [at, item] of value.entries()) {
        if (this.#isDone()) return;
        if (field.listKind === 'message' && item !== null)
          this.message(field.message, item, `${where}[${at}]`);
        else alone([item], `${where}[${at}]`);
      }
    } else if (field.fieldKind === 'map' && isObject(value)) {
      for (const [name, item] of Object.entries(value)) {
        if (this.#isDone()) return;
        const at = join(where, name);
        if (field.mapKind === 'message' && item !== null) this.message(field.message, item, at);
        alone({ [name]: field.mapKind === 'message' && item !== null ? {} : item }, at);
      }
    } else {
      alone(value, where);
    }
  }

  #unknown(type: DescMessage, key: string, where: string): void {
    if (this.#options.ignoreUnknownFields || key.startsWith('[')) return;
    const names = type.fields.map(({ jsonName }) => jsonName);
    this.found[where] = `unknown field${didYouMean(key.slice(0, KEY_MAX), names)}`;
  }

  /** Lets the library say what is wrong with a part. */
  #try(type: DescMessage, json: JsonValue, path: string): void {
    this.#looks++;
    try {
      fromJson(type, json, this.#options);
    } catch (error) {
      this.found[path] ??= path === '' ? wholeBody(type, error) : tail(errorText(error));
    }
  }

  #isDone(): boolean {
    return this.#looks > LOOKS_MAX || Object.keys(this.found).length >= FIELD_ERRORS_MAX;
  }
}

function wholeBody(type: DescMessage, error: unknown): string {
  return `${tail(errorText(error))}; expected the JSON of ${type.typeName}`;
}
