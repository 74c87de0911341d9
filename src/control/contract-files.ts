/**
 * The .proto files of the contract, as `make gen` has compiled them. Their comments are four fifths of the bytes, and
 * only reflection and the reference pages want them.
 */
import { readFileSync } from 'node:fs';
import { createFileRegistry, type FileRegistry, fromBinary } from '@bufbuild/protobuf';
import {
  type FileDescriptorProto,
  FileDescriptorProtoSchema,
  FileDescriptorSetSchema,
} from '@bufbuild/protobuf/wkt';
import { BinaryReader, WireType } from '@bufbuild/protobuf/wire';

const DESCRIPTOR_SET = new URL('../gen/pith.binpb', import.meta.url);
/** Numbers of the fields of descriptor.proto: FileDescriptorSet.file; FileDescriptorProto.name, source_code_info. */
const FILE = 1;
const NAME = 1;
const SOURCE_CODE_INFO = 9;

let files: FileRegistry | null = null;
let documented: ReadonlyMap<string, Uint8Array> | null = null;

/**
 * Without comments. Read on first use, which may be a call to a gateway full of players: with their comments it would
 * hold the event loop three times as long.
 */
export function contractFiles(): FileRegistry {
  files ??= createFileRegistry({
    $typeName: 'google.protobuf.FileDescriptorSet',
    file: [...documentedFiles().values()].map(withoutComments),
  });
  return files;
}

/** With comments: takes some 30 ms. */
export function contractFilesWithComments(): FileRegistry {
  return createFileRegistry(fromBinary(FileDescriptorSetSchema, readFileSync(DESCRIPTOR_SET)));
}

/** Each file by its name: a FileDescriptorProto, comments included. */
export function documentedFiles(): ReadonlyMap<string, Uint8Array> {
  if (documented !== null) return documented;
  const found = new Map<string, Uint8Array>();
  for (const { number, value } of fieldsOf(readFileSync(DESCRIPTOR_SET))) {
    if (number === FILE) found.set(nameOf(value), value);
  }
  documented = found;
  return found;
}

function nameOf(file: Uint8Array): string {
  for (const { number, value } of fieldsOf(file))
    if (number === NAME) return Buffer.from(value).toString();
  return '';
}

function withoutComments(file: Uint8Array): FileDescriptorProto {
  const kept: Uint8Array[] = [];
  for (const { number, field } of fieldsOf(file)) if (number !== SOURCE_CODE_INFO) kept.push(field);
  return fromBinary(FileDescriptorProtoSchema, Buffer.concat(kept));
}

type Field = {
  readonly number: number;
  /** With its tag. */
  readonly field: Uint8Array;
  /** Empty where it is no bytes, text or message. */
  readonly value: Uint8Array;
};

/** The fields of a message, in their order, unread. */
function* fieldsOf(message: Uint8Array): Generator<Field> {
  const reader = new BinaryReader(message);
  while (reader.pos < reader.len) {
    const begin = reader.pos;
    const [number, wireType] = reader.tag();
    const isBytes = wireType === WireType.LengthDelimited;
    const value = isBytes ? reader.bytes() : message.subarray(0, 0);
    if (!isBytes) reader.skip(wireType, number);
    yield { number, field: message.subarray(begin, reader.pos), value };
  }
}
