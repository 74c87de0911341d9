/**
 * JSON to the bytes of a message, by the proto3 JSON mapping: exact, or with the path of what has no exact form.
 * [protobuf.dev/programming-guides/json] The conversion is the library's, which passes the mapping's conformance suite.
 */
import {
  type DescMessage,
  fromJson,
  type JsonReadOptions,
  type JsonValue,
  type Message,
  type Registry,
  toBinary,
} from '@bufbuild/protobuf';

import { asBuffer } from '../../bytes.ts';
import { errorText } from '../../errors.ts';
import { parseExact } from '../../protocol/exact-json.ts';
import { repeatedKey } from '../../protocol/json-keys.ts';
import { ready, type Value } from './json-fields.ts';
import { fieldErrors, fieldErrorsText, tail } from './field-errors.ts';

export type ReadOptions = Partial<JsonReadOptions> & { readonly registry: Registry };

/** Why a text is not the message's. */
export type Misread = {
  /** By their paths; null: it is about no field. */
  readonly fields: Readonly<Record<string, string>> | null;
  /** All of it in a line. */
  readonly problem: string;
};

/** @param json UTF-8. */
export function readJson(type: DescMessage, json: Buffer, options: ReadOptions): Buffer | Misread {
  const read = readMessage(type, json, options);
  return 'problem' in read ? read : bytesOf(type, read.message);
}

/** The same, not yet in bytes. */
export function readMessage(
  type: DescMessage,
  json: Buffer,
  options: ReadOptions,
): { readonly message: Message } | Misread {
  let value: Value;
  try {
    value = parseExact(json.toString('utf8')) as Value;
  } catch (error) {
    return { fields: null, problem: errorText(error) };
  }
  const twice = repeatedKey(json);
  if (twice !== null)
    return { fields: null, problem: `duplicate object key ${JSON.stringify(twice)}` };
  const known = Object.create(null) as Record<string, string>;
  const prepared = ready(type, options.registry, value, known) as JsonValue;
  if (Object.keys(known).length > 0)
    return misread(fieldErrors(type, prepared, options, known), '');
  try {
    return { message: fromJson(type, prepared, options) };
  } catch (error) {
    return misread(fieldErrors(type, prepared, options), tail(errorText(error)));
  }
}

export function bytesOf(type: DescMessage, message: Message): Buffer {
  const bytes = toBinary(type, message);
  return asBuffer(bytes);
}

/** `problem`: what the library says where no field is to blame. */
function misread(found: Readonly<Record<string, string>>, problem: string): Misread {
  const isOfFields = Object.keys(found).some((path) => path !== '');
  return { fields: isOfFields ? found : null, problem: fieldErrorsText(found) || problem };
}
