/** Our parser of .proto files beside buf's: what the fuzzer kept, and changes to it, as far as buf compiles it. */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { fromBinary, type JsonValue, toJson } from '@bufbuild/protobuf';
import {
  type FileDescriptorProto,
  FileDescriptorProtoSchema,
  FileDescriptorSetSchema,
} from '@bufbuild/protobuf/wkt';
import { expect, test } from 'vitest';

import { makeSchema } from '../../src/upstream/method/schema.ts';
import { parseProto } from '../../src/upstream/method/proto/parser.ts';
import { Chance } from '../border/chance.ts';
import { CORPUS, readInputs } from '../fuzz/corpus.ts';
import { mutateWords } from '../fuzz/mutate-text.ts';
import { TARGETS } from '../fuzz/targets.ts';
import { wordsOf } from '../fuzz/tokens.ts';

const CHANGED = 150;
const BUF = fileURLToPath(new URL('../../node_modules/.bin/buf', import.meta.url));

/** buf skips what no token can begin with. [protobuf.dev/reference/protobuf/proto3-spec, "Lexical elements"] */
function hasOdd(source: Buffer): boolean {
  const words = source
    .toString()
    .replaceAll(/"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*'|\/\/.*|\/\*[^]*?\*\//g, ' ');
  return /[^\s\w{}[\]()<>=;:,.+-]/.test(words);
}

/** What the file defines; null: buf does not compile it. */
function compiled(folder: string, source: Buffer): FileDescriptorProto | null {
  writeFileSync(join(folder, 'f.proto'), source);
  const args = ['build', folder, '--exclude-source-info', '-o', '-'];
  const { status, stdout } = spawnSync(BUF, args, { maxBuffer: 1e8 });
  if (status !== 0) return null;
  return fromBinary(FileDescriptorSetSchema, stdout).file.find(({ name }) => name === 'f.proto')!;
}

/** Only what counts for bytes and JSON: names, numbers, types, labels, oneofs. Options and ranges do not. */
function shown(value: JsonValue | undefined): JsonValue | undefined {
  if (Array.isArray(value)) return value.map((item) => shown(item)!);
  if (typeof value !== 'object' || value === null) return value;
  const left = ['options', 'reservedRange', 'reservedName', 'extensionRange', 'defaultValue'];
  const kept = Object.entries(value).filter(
    ([key, inner]) => !left.includes(key) && inner !== false,
  );
  return Object.fromEntries(kept.map(([key, inner]) => [key, shown(inner)!]));
}

function typesOf(file: FileDescriptorProto): JsonValue | undefined {
  const {
    messageType,
    enumType,
    service,
    extension,
    package: name,
  } = toJson(FileDescriptorProtoSchema, file);
  return shown({ messageType, enumType, service, extension, package: name } as never);
}

/** What ours makes of it, with its types found. */
function ours(source: Buffer): FileDescriptorProto {
  const proto = parseProto('f.proto', source.toString());
  const schema = makeSchema({ files: [{ proto, from: 'x' }], problems: [] }, []);
  expect(schema).not.toHaveProperty('problems');
  const service = proto.service.map(({ name }) => `${proto.package}${proto.package && '.'}${name}`);
  expect(makeSchema({ files: [{ proto, from: 'x' }], problems: [] }, service)).not.toHaveProperty(
    'problems',
  );
  return proto;
}

test('what buf compiles we read as the same', async () => {
  const target = await TARGETS['proto-file']!.load();
  const kept = [
    ...target.seeds.map((seed) => Buffer.from(seed)),
    ...readInputs(join(CORPUS, 'proto-file')),
  ];
  const chance = new Chance('proto files');
  const word = wordsOf([], target.tokens ?? [], chance);
  const pool = { chance, word, other: () => chance.pick(kept) };
  const changed = Array.from({ length: CHANGED }, () => mutateWords(chance.pick(kept), pool));
  const folder = mkdtempSync(join(tmpdir(), 'pith-proto-files-'));
  let count = 0;
  try {
    for (const source of [...kept, ...changed]) {
      const theirs = compiled(folder, source);
      if (theirs === null || hasOdd(source)) continue;
      count++;
      expect(typesOf(ours(source)), source.toString()).toEqual(typesOf(theirs));
    }
  } finally {
    rmSync(folder, { recursive: true });
  }
  expect(count).toBeGreaterThan(10);
});
