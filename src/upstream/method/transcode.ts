/**
 * A client's JSON to a method's request, and what the method answers to JSON: the proto3 JSON mapping.
 * [protobuf.dev/programming-guides/json] The conversion is the library's, which passes the mapping's conformance
 * suite; here are its options, and errors that a client can use.
 */
import { isUtf8 } from 'node:buffer';

import {
  type DescMessage,
  fromBinary,
  fromJson,
  fromJsonString,
  type JsonValue,
  type Registry,
  toBinary,
  toJson,
} from '@bufbuild/protobuf';

import { JSON_DEPTH_MAX } from '../../contract/json-depth.ts';
import { errorText, type Failure, failure } from '../../errors.ts';
import { clientJson } from '../../protocol/packet.ts';
import { mayHoldLarge, numberInt64, parseLarge } from './int64.ts';
import { misfits, tail } from './misfits.ts';

/** Envoy's names where Envoy has the option. */
export type JsonOptions = {
  /** Print fields without presence that have their default: 0, "", false, [], {}. */
  readonly always_print_primitive_fields: boolean;
  readonly always_print_enums_as_ints: boolean;
  /** `room_id` instead of `roomId`; both are read in any case. */
  readonly preserve_proto_field_names: boolean;
  /** Pass over fields, and names of enum values, that the schema does not have. */
  readonly ignore_unknown_fields: boolean;
  /** 64-bit integers as numbers where a double holds them exactly, else as strings. */
  readonly print_int64_as_number: boolean;
};

/** An answer that cannot be written as JSON; the text is for the log. */
export class AnswerError extends Error {}

const NOTHING = Buffer.alloc(0);

export class Transcoder {
  readonly #options: JsonOptions;

  constructor(options: JsonOptions) {
    this.#options = options;
  }

  /** @param body JSON; empty: a message without fields. @returns The request's bytes, or what the client is told. */
  toRequest(type: DescMessage, registry: Registry, body: Uint8Array): Buffer | Failure {
    if (body.length === 0) return NOTHING;
    if (!isUtf8(body)) return failure('BAD_BODY', 'the body is not UTF-8');
    const text = Buffer.from(body.buffer, body.byteOffset, body.length).toString('utf8');
    const options = {
      registry,
      ignoreUnknownFields: this.#options.ignore_unknown_fields,
      recursionLimit: JSON_DEPTH_MAX,
    };
    let bytes: Uint8Array;
    try {
      const message = mayHoldLarge(text)
        ? fromJson(type, parseLarge(type, registry, text), options)
        : fromJsonString(type, text, options);
      bytes = toBinary(type, message);
    } catch (error) {
      return badBody(error, misfits(type, text, options));
    }
    return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
  }

  /** @throws {AnswerError} */
  toJson(type: DescMessage, registry: Registry, bytes: Uint8Array): Buffer {
    const options = this.#options;
    try {
      const json = toJson(type, fromBinary(type, bytes), {
        registry,
        alwaysEmitImplicit: options.always_print_primitive_fields,
        enumAsInteger: options.always_print_enums_as_ints,
        useProtoFieldName: options.preserve_proto_field_names,
      }) as JsonValue;
      const printed = options.print_int64_as_number ? numberInt64(type, registry, json) : json;
      return Buffer.from(clientJson(printed));
    } catch (error) {
      throw new AnswerError(errorText(error), { cause: error });
    }
  }
}

function badBody(error: unknown, fields: Readonly<Record<string, string>>): Failure {
  const [first] = Object.entries(fields);
  const what = first === undefined ? tail(errorText(error)) : `${first[0]}: ${first[1]}`;
  return {
    ...failure('BAD_BODY', `the body does not fit: ${what}`),
    fields: first === undefined ? null : fields,
  };
}
