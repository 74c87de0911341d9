/** The proto3 JSON mapping to the letter: protobuf's own conformance cases, recorded as data. */
import { readFileSync } from 'node:fs';
import { fromBinary } from '@bufbuild/protobuf';
import { FileDescriptorSetSchema } from '@bufbuild/protobuf/wkt';
import { describe, expect, test } from 'vitest';

import { parseProto } from '../../../../src/upstream/method/proto/parser.ts';
import { makeSchema } from '../../../../src/upstream/method/schema.ts';
import { AnswerError, Transcoder } from '../../../../src/upstream/method/transcode.ts';
import { AS_IT_IS } from './schemas.ts';

type Case = {
  readonly name: string;
  readonly ignoreUnknown?: boolean;
  /** Input: JSON, or base64. */
  readonly json?: string;
  readonly bytes?: string;
  /** Output: JSON, base64, or none. */
  readonly to?: unknown;
  readonly toBytes?: string;
  readonly error?: true;
};

const vectors = JSON.parse(
  readFileSync(new URL('../../../vectors/proto3-json.json', import.meta.url), 'utf8'),
) as { message: string; schema: string; cases: Case[] };

const [proto] = fromBinary(FileDescriptorSetSchema, Buffer.from(vectors.schema, 'base64')).file;
const service = parseProto(
  'service.proto',
  `syntax = "proto3"; import "${proto!.name}"; service All { rpc Echo(${vectors.message}) returns (${vectors.message}); }`,
);
const schema = makeSchema(
  { files: [proto!, service].map((file) => ({ proto: file!, from: 'test' })), problems: [] },
  ['All'],
);
if ('problems' in schema) throw new Error(schema.problems.join('\n'));
const { registry } = schema;
const type = schema.methods.get('/All/Echo')!.input;

/** JSON, base64, or BAD for what is refused. */
function transcode({ ignoreUnknown = false, json, bytes, toBytes }: Case): unknown {
  const transcoder = new Transcoder(
    { ...AS_IT_IS, ignore_unknown_fields: ignoreUnknown },
    1_048_576,
  );
  let request: Buffer = Buffer.from(bytes ?? '', 'base64');
  if (json !== undefined) {
    const made = transcoder.toRequest(type, registry, Buffer.from(json));
    if (!Buffer.isBuffer(made)) return 'BAD';
    request = made;
  }
  if (toBytes !== undefined) return request.toString('base64');
  try {
    return JSON.parse(transcoder.toJson(type, registry, request).toString());
  } catch (error) {
    if (error instanceof AnswerError) return 'BAD';
    throw error;
  }
}

describe('of the public cases', () => {
  test('there are all', () => {
    expect(vectors.cases).toHaveLength(778);
  });

  test.each(vectors.cases)('$name', (one) => {
    expect(transcode(one)).toEqual(one.error ? 'BAD' : (one.toBytes ?? one.to));
  });
});
