/**
 * A client's JSON to a method's request, and what the method answers to JSON: the proto3 JSON mapping.
 * [protobuf.dev/programming-guides/json] The conversion is the library's, which passes the mapping's conformance
 * suite; here are its options, and errors that a client can use.
 */
import { isUtf8 } from 'node:buffer';

import {
  type DescMessage,
  fromBinary,
  type JsonValue,
  type Registry,
  toJson,
} from '@bufbuild/protobuf';

import { asBuffer, NOTHING } from '../../bytes.ts';
import { JSON_DEPTH_MAX } from '../../contract/json.ts';
import { errorText, type Failure, failure } from '../../errors.ts';
import {
  JSON_DEPTH,
  nestsDeeper,
  tooDeep,
  tooMuch,
  tooMuchText,
  weightOfJson,
} from '../../protocol/conversion-limit.ts';
import { clientJsonBytes } from '../../protocol/packet.ts';
import { readJson } from './json-reader.ts';
import { weightOf } from './message-weight.ts';
import { mayHoldMinusZero, numberInt64, withMinusZero } from './printed.ts';

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
export class AnswerError extends Error {
  /** Shown to the client as well; '': the standard text. */
  readonly clientText: string;

  constructor(
    text: string,
    { clientText = '', cause }: { clientText?: string; cause?: unknown } = {},
  ) {
    super(text, { cause });
    this.clientText = clientText;
  }
}

export class Transcoder {
  readonly #options: JsonOptions;
  readonly #convertBytesMax: number;
  readonly #jsonDepthMax: number;

  /** @param convertBytesMax `limits.convert`. @param jsonDepthMax `limits.json_depth`; never more than JSON_DEPTH_MAX. */
  constructor(options: JsonOptions, convertBytesMax: number, jsonDepthMax = JSON_DEPTH) {
    this.#options = options;
    this.#jsonDepthMax = jsonDepthMax;
    this.#convertBytesMax = convertBytesMax;
  }

  /** @param body JSON; empty: a message without fields. @returns The request's bytes, or the client's error. */
  toRequest(type: DescMessage, registry: Registry, body: Uint8Array): Buffer | Failure {
    if (body.length === 0) return NOTHING;
    if (!isUtf8(body)) return failure('BAD_BODY', 'the body is not UTF-8');
    const weight = weightOfJson(body, this.#convertBytesMax);
    if (weight > this.#convertBytesMax)
      return tooMuch('BAD_BODY', 'the body', weight, this.#convertBytesMax);
    if (nestsDeeper(body, this.#jsonDepthMax)) return tooDeep('the body', this.#jsonDepthMax);
    const json = asBuffer(body);
    const message = readJson(type, json, {
      registry,
      ignoreUnknownFields: this.#options.ignore_unknown_fields,
      recursionLimit: JSON_DEPTH_MAX,
    });
    if (message instanceof Uint8Array) return message;
    const { fields, problem } = message;
    // `problem` names the first; `fields` has all of them.
    const [path = ''] = Object.keys(fields ?? {});
    const what = fields === null ? problem : `${path}: ${fields[path]}`;
    return { ...failure('BAD_BODY', `the body does not fit: ${what}`), fields };
  }

  /** @throws {AnswerError} */
  toJson(type: DescMessage, registry: Registry, bytes: Buffer): Buffer {
    const options = this.#options;
    const bytesMax = this.#convertBytesMax;
    const defaults = options.always_print_primitive_fields;
    const weight = weightOf(type, bytes, { defaults, bytesMax });
    if (weight > bytesMax) {
      const text = tooMuchText('the answer', weight, bytesMax);
      throw new AnswerError(text, { clientText: text });
    }
    try {
      const json = toJson(type, fromBinary(type, bytes), {
        registry,
        alwaysEmitImplicit: defaults,
        enumAsInteger: options.always_print_enums_as_ints,
        useProtoFieldName: options.preserve_proto_field_names,
      }) as JsonValue;
      const numbers = options.print_int64_as_number ? numberInt64(type, registry, json) : json;
      return clientJsonBytes(mayHoldMinusZero(bytes) ? withMinusZero(numbers) : numbers);
    } catch (error) {
      throw new AnswerError(errorText(error), { cause: error });
    }
  }
}
