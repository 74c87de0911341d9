/** The .proto files of the contract, comments included, as `make gen` has compiled them. */
import { readFileSync } from 'node:fs';
import { createFileRegistry, type FileRegistry, fromBinary } from '@bufbuild/protobuf';
import { FileDescriptorSetSchema } from '@bufbuild/protobuf/wkt';

const DESCRIPTOR_SET = new URL('../gen/pith.binpb', import.meta.url);
let files: FileRegistry | null = null;

/** Read on first use, which takes some milliseconds: most gateways never need them. */
export function contractFiles(): FileRegistry {
  files ??= createFileRegistry(fromBinary(FileDescriptorSetSchema, readFileSync(DESCRIPTOR_SET)));
  return files;
}
