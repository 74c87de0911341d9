/**
 * Control's messages in JSON: the proto3 JSON mapping, written with the names of the .proto and with zero values;
 * camelCase is read too. [protobuf.dev/programming-guides/json] The methods take and return bytes.
 */
import {
  type DescMessage,
  type DescService,
  fromBinary,
  type JsonValue,
  toJson,
} from '@bufbuild/protobuf';

import { JSON_DEPTH_MAX, JSON_DEPTH_MAX_TO_BACKENDS as DEPTH_MAX } from '../contract/json.ts';
import { errorText, GatewayError } from '../errors.ts';
import { CONVERT_BYTES, tooMuchText, weightOfJson } from '../protocol/conversion-limit.ts';
import { sizeOfJson } from '../protocol/json-scan.ts';
import { contractFiles } from './contract-files.ts';
import { readJson } from '../upstream/method/json-reader.ts';
import { parseJsonText } from '../protocol/json-parse.ts';

/** How deep messages may be nested in an answer: each level of JSON in a Struct takes three. */
const RECURSION_MAX = 4 * JSON_DEPTH_MAX;

/** A larger request is read in one turn of the event loop and carried out in the next; so with an answer. */
export const LARGE_BYTES = 16_384;

export class JsonMessages {
  readonly #service: DescService;
  readonly #convertBytesMax: number;

  /**
   * Takes some milliseconds.
   *
   * @param convertBytesMax `limits.convert`.
   */
  constructor(service: string, convertBytesMax = CONVERT_BYTES) {
    this.#convertBytesMax = convertBytesMax;
    this.#service = contractFiles().getService(service)!;
  }

  /** @param text Empty: a message without fields. @throws {GatewayError} Says which field is wrong, and how. */
  request(method: string, text: string): Buffer {
    const { input } = this.#method(method);
    const json = Buffer.from(text === '' ? '{}' : text);
    this.#checkShape(json);
    const bytes = readJson(input, json, { registry: contractFiles() });
    if (!(bytes instanceof Uint8Array))
      throw new GatewayError(
        'BAD_ARGUMENT',
        `the body is not a ${input.typeName}: ${bytes.problem}`,
      );
    return bytes;
  }

  answer(method: string, bytes: Buffer): JsonValue {
    return written(this.#method(method).output, bytes);
  }

  /** A message of another type. @param type Its full name. */
  json(type: string, bytes: Buffer): JsonValue {
    return written(contractFiles().getMessage(type)!, bytes);
  }

  /** @throws {GatewayError} It is not a JSON object, or is nested too deeply. */
  #checkShape(json: Buffer): void {
    const weight = weightOfJson(json, this.#convertBytesMax);
    if (weight > this.#convertBytesMax)
      throw new GatewayError('BAD_BODY', tooMuchText('the body', weight, this.#convertBytesMax));
    const size = sizeOfJson(json);
    const why = size === null ? whyNot(json) : '';
    if (why !== '') throw new GatewayError('BAD_BODY', `the body is not JSON: ${why}`);
    if (!/^\s*\{/.test(json.toString('latin1', 0, 64)))
      throw new GatewayError('BAD_BODY', 'the body is not a JSON object');
    if (size === null || size.depth > DEPTH_MAX)
      throw new GatewayError('BAD_BODY', `the body is nested deeper than ${DEPTH_MAX}`);
  }

  #method(name: string): DescService['methods'][number] {
    return this.#service.methods.find((method) => method.name === name)!;
  }
}

function written(type: DescMessage, bytes: Buffer): JsonValue {
  const answer = fromBinary(type, bytes, { recursionLimit: RECURSION_MAX });
  return toJson(type, answer, {
    registry: contractFiles(),
    alwaysEmitImplicit: true,
    useProtoFieldName: true,
  }) as JsonValue;
}

/** The error of JSON.parse; '': valid, but nested deeper than the scan goes. */
function whyNot(json: Buffer): string {
  try {
    parseJsonText(json.toString());
    return '';
  } catch (error) {
    return errorText(error);
  }
}
