/** Reads what describes a backend's services from the disk: FileDescriptorSets, and folders of .proto files. */
import { readdir, readFile, stat } from 'node:fs/promises';
import { join, relative } from 'node:path';

import { fromBinary } from '@bufbuild/protobuf';
import { type FileDescriptorProto, FileDescriptorSetSchema } from '@bufbuild/protobuf/wkt';

import { errorText } from '../../errors.ts';
import { parseProto } from './proto/parser.ts';
import type { SchemaFiles } from './schema.ts';

/** A schema has at most this many bytes, */
export const SCHEMA_BYTES_MAX = 32 * 1024 * 1024;
/** and this many files. */
export const SCHEMA_FILES_MAX = 10_000;
/** Folders in folders. */
const FOLDER_DEPTH_MAX = 32;

export type SchemaPaths = {
  /** Files. */
  readonly descriptors: readonly string[];
  /** Folders to search for imports, as with protoc's -I. */
  readonly protos: readonly string[];
};

type Found = { readonly path: string; readonly root: string; readonly kind: 'set' | 'proto' };

/** What is on the disk now. */
export class SchemaDisk {
  readonly #paths: SchemaPaths;

  constructor(paths: SchemaPaths) {
    this.#paths = paths;
  }

  /** Changes when a file changes, comes or goes; nothing is read. Never rejects. */
  async stamp(): Promise<string> {
    const { found, problems } = await this.#find();
    const stamps = await Promise.all(
      found.map(async ({ path }) => {
        const facts = await stat(path, { bigint: true }).catch(() => null);
        return `${path} ${facts === null ? '' : `${facts.ino} ${facts.size} ${facts.mtimeNs}`}`;
      }),
    );
    return [...stamps, ...problems].join('\n');
  }

  /** Never rejects. */
  async read(): Promise<SchemaFiles> {
    const { found, problems } = await this.#find();
    const files: { proto: FileDescriptorProto; from: string }[] = [];
    let bytesLeft = SCHEMA_BYTES_MAX;
    for (const { path, root, kind } of found) {
      try {
        const bytes = await readFile(path);
        bytesLeft -= bytes.length;
        if (bytesLeft < 0) throw new Error(`more than ${SCHEMA_BYTES_MAX} bytes in all`);
        if (kind === 'set') for (const proto of readSet(bytes)) files.push({ proto, from: path });
        else files.push({ proto: readProto(path, root, bytes), from: root });
      } catch (error) {
        const text = errorText(error);
        problems.push(text.startsWith(path) ? text : `${path}: ${text}`);
      }
    }
    return { files, problems };
  }

  async #find(): Promise<{ found: Found[]; problems: string[] }> {
    const found: Found[] = [];
    const problems: string[] = [];
    for (const path of this.#paths.descriptors) found.push({ path, root: path, kind: 'set' });
    for (const root of this.#paths.protos) {
      try {
        for (const path of await protosIn(root)) found.push({ path, root, kind: 'proto' });
      } catch (error) {
        problems.push(`${root}: ${errorText(error)}`);
      }
    }
    return { found, problems };
  }
}

function readSet(bytes: Buffer): FileDescriptorProto[] {
  const advice = 'make one with "buf build -o" or "protoc --include_imports --descriptor_set_out"';
  let files: FileDescriptorProto[];
  try {
    files = fromBinary(FileDescriptorSetSchema, bytes).file;
  } catch {
    throw new Error(`not a FileDescriptorSet; ${advice}`);
  }
  if (files.length === 0 || files.some(({ name }) => name === ''))
    throw new Error(`a FileDescriptorSet without files; ${advice}`);
  return files;
}

function readProto(path: string, root: string, bytes: Buffer): FileDescriptorProto {
  // Errors name the file by its path, importers by its name below the folder.
  const proto = parseProto(path, bytes.toString('utf8'));
  proto.name = relative(root, path);
  return proto;
}

/** All .proto files in a folder and those in it, sorted. Names with a dot before them are left out. */
async function protosIn(root: string): Promise<string[]> {
  const paths: string[] = [];
  const look = async (folder: string, depth: number): Promise<void> => {
    if (depth > FOLDER_DEPTH_MAX) throw new Error(`folders nested deeper than ${FOLDER_DEPTH_MAX}`);
    for (const name of (await readdir(folder)).sort()) {
      if (name.startsWith('.')) continue;
      const path = join(folder, name);
      // Follows links: in a mounted ConfigMap every file is one.
      const facts = await stat(path);
      if (facts.isDirectory()) await look(path, depth + 1);
      else if (name.endsWith('.proto')) paths.push(path);
      if (paths.length > SCHEMA_FILES_MAX) throw new Error(`more than ${SCHEMA_FILES_MAX} files`);
    }
  };
  await look(root, 0);
  if (paths.length === 0) throw new Error('there is no .proto file in this folder');
  return paths;
}
