/** The contract's messages by another implementation, @bufbuild/protobuf: what ours reads is compared with what it reads. */
import { readFileSync } from 'node:fs';

import {
  createFileRegistry,
  type DescMessage,
  fromBinary,
  fromJson,
  type JsonValue,
  toBinary,
  toJson,
} from '@bufbuild/protobuf';
import { FileDescriptorSetSchema } from '@bufbuild/protobuf/wkt';

export const registry = createFileRegistry(
  fromBinary(
    FileDescriptorSetSchema,
    readFileSync(new URL('../../src/gen/pith.binpb', import.meta.url)),
  ),
);

/** Deeper than ours reads. */
const RECURSION_MAX = 400;

export function typeOf(name: string): DescMessage {
  return registry.getMessage(`pith.v1.${name}`)!;
}

/** The bytes of a message given as proto3 JSON. */
export function bytesOfJson(name: string, json: JsonValue): Buffer {
  return Buffer.from(toBinary(typeOf(name), fromJson(typeOf(name), json, { registry })));
}

/** Bytes as the library would have written what they hold, and the JSON of it. */
export type Rewritten = { readonly bytes: Buffer; readonly json: Record<string, unknown> };

/** null: the library does not read them, or JSON cannot hold what they say. */
export function rewritten(name: string, input: Buffer): Rewritten | null {
  const type = typeOf(name);
  try {
    const message = fromBinary(type, input, {
      readUnknownFields: false,
      recursionLimit: RECURSION_MAX,
    });
    const bytes = Buffer.from(toBinary(type, message));
    const json = toJson(type, message, { registry, useProtoFieldName: true });
    // As text and back, since it goes over the wire as text.
    return { bytes, json: JSON.parse(JSON.stringify(json)) as Record<string, unknown> };
  } catch {
    return null;
  }
}
