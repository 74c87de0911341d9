/** Backends with methods of their own: .proto files, JSON to messages and back, what a status carries. */
import { fromBinary, fromJson, toBinary, toJson } from '@bufbuild/protobuf';
import { type FileDescriptorProto, FileDescriptorProtoSchema } from '@bufbuild/protobuf/wkt';
import { Metadata } from '@grpc/grpc-js';
import fc from 'fast-check';

import { RETRY_AFTER_MS_MAX, TEXT_CHARACTERS_MAX } from '../../../src/contract/refusal.ts';
import { isFailure } from '../../../src/errors.ts';
import { parseProto } from '../../../src/upstream/method/proto/parser.ts';
import { ProtoError } from '../../../src/upstream/method/proto/tokens.ts';
import { makeSchema } from '../../../src/upstream/method/schema.ts';
import { answerHeaders } from '../../../src/upstream/method/session-metadata.ts';
import { failureOfMethod } from '../../../src/upstream/method/status-details.ts';
import { AnswerError, Transcoder } from '../../../src/upstream/method/transcode.ts';
import { weightOf } from '../../../src/upstream/method/message-weight.ts';
import { printProto } from '../print-proto.ts';
import { anyJson } from '../fresh.ts';
import { check, orError, same, type Target } from '../target.ts';

const SOURCE = `syntax = "proto3"; package t;
import "google/protobuf/struct.proto"; import "google/protobuf/timestamp.proto"; import "google/protobuf/duration.proto";
import "google/protobuf/wrappers.proto"; import "google/protobuf/any.proto"; import "google/protobuf/field_mask.proto";
enum Color { RED = 0; BLUE = 5; DARK_RED = -1; }
message Room {
  string room_id = 1; int32 i32 = 2; int64 i64 = 3; uint32 u32 = 4; uint64 u64 = 5; sint64 s64 = 6; fixed32 f32 = 7; sfixed64 sf64 = 8;
  float f = 9; double d = 10; bool b = 11; bytes raw = 12; Color color = 13; repeated int32 list = 14; repeated Room rooms = 15;
  map<string, Room> by_name = 16; map<int64, string> by_id = 17; map<bool, double> flags = 18;
  oneof one { string text = 19; Room inner = 20; Color tint = 21; google.protobuf.NullValue nothing = 22; }
  optional int32 maybe = 23; repeated string words = 24; repeated Color colors = 25;
  google.protobuf.Struct struct = 30; google.protobuf.Value value = 31; google.protobuf.ListValue values = 32;
  google.protobuf.Timestamp at = 33; google.protobuf.Duration wait = 34; google.protobuf.Int64Value w64 = 35; google.protobuf.BoolValue wb = 36;
  google.protobuf.Any any = 37; google.protobuf.FieldMask mask = 38; google.protobuf.StringValue ws = 39; google.protobuf.BytesValue wraw = 40;
}
service S { rpc A(Room) returns (Room); }`;

const schema = makeSchema(
  { files: [{ proto: parseProto('t.proto', SOURCE), from: 'x' }], problems: [] },
  ['t.S'],
);
if ('problems' in schema) throw new Error(schema.problems.join());
const { registry } = schema;
const room = registry.getMessage('t.Room')!;
const BOUND = 1_048_576;
const OPTIONS = {
  always_print_primitive_fields: false,
  always_print_enums_as_ints: false,
  preserve_proto_field_names: false,
  ignore_unknown_fields: false,
  print_int64_as_number: false,
};
const transcoder = new Transcoder(OPTIONS, BOUND);
const others = [
  new Transcoder(
    { ...OPTIONS, always_print_primitive_fields: true, print_int64_as_number: true },
    BOUND,
  ),
  new Transcoder(
    { ...OPTIONS, preserve_proto_field_names: true, always_print_enums_as_ints: true },
    BOUND,
  ),
];

const ROOMS = [
  '{"roomId":"a","i32":-5,"i64":"9007199254740993","u64":18446744073709551615,"f":1.5,"d":1e300,"b":true,"raw":"AAE=","color":"BLUE","list":[1,2],"rooms":[{"room_id":"b"}]}',
  '{"byName":{"x":{"i32":1}},"byId":{"-1":"a"},"flags":{"true":0.5},"text":"t","maybe":0,"words":["é😀"],"colors":[0,"DARK_RED",7]}',
  '{"struct":{"a":[1,null,{"b":false}]},"value":null,"values":[1],"at":"2026-01-01T00:00:00.5Z","wait":"1.5s","w64":"5","wb":false,"mask":"a.b,c","ws":"x"}',
  '{"any":{"@type":"type.googleapis.com/t.Room","i32":7},"inner":{"nothing":null}}',
  '{"any":{"@type":"type.googleapis.com/google.protobuf.Duration","value":"3s"},"i32":1.0,"u32":1e3,"d":"NaN","f":"-Infinity"}',
];

const requests: Target = {
  name: 'method-request',
  drives: [
    'upstream/method/transcode.ts Transcoder',
    'upstream/method/json-reader.ts readJson',
    'upstream/method/json-reader.ts readMessage',
    'upstream/method/json-fields.ts ready',
    'upstream/method/field-errors.ts fieldErrors',
  ],
  forms: ['json'],
  seeds: ROOMS,
  fresh: anyJson(),
  // The whole message is looked through again for what does not fit.
  steps: { base: 100_000, perByte: 3_000 },
  run(input) {
    const bytes = transcoder.toRequest(room, registry, input);
    if (isFailure(bytes)) {
      same(bytes.reason, 'BAD_BODY', 'it is the body that is wrong');
      check(bytes.message !== '', 'a failure says what is wrong');
      for (const [path, why] of Object.entries(bytes.fields ?? {}))
        check(why !== '' && path.length < 4_000, 'a field has a reason', path);
      return;
    }
    const printed = orError(() => transcoder.toJson(room, registry, bytes), AnswerError);
    if (printed instanceof Error) return;
    const again = transcoder.toRequest(room, registry, printed);
    check(!isFailure(again), 'what is printed can be read', again);
    same(again.toString('hex'), bytes.toString('hex'), 'read(print(x)) = x');
    if (input.length === 0) return;
    sameInt64(input.toString(), printed.toString());
    // What the library makes of the JSON alone, where it holds nothing that JavaScript changes.
    const value = JSON.parse(input.toString()) as unknown;
    if (/[0-9]{16}|[0-9][eE.]|-0|__proto__|"@type"/.test(input.toString())) return;
    const theirs = orError(
      () => toBinary(room, fromJson(room, value as never, { registry })),
      Error,
    );
    check(!(theirs instanceof Error), 'the library reads it, too', theirs);
    same(
      Buffer.from(theirs).toString('hex'),
      bytes.toString('hex'),
      'the bytes are those of the library',
    );
  },
};

const INT64 = ['i64', 'u64', 's64', 'sf64'];
type WithSource = (
  text: string,
  reviver: (key: string, value: unknown, context: { source?: string }) => unknown,
) => unknown;

/** Whole numbers of 64 bits are exact, which JavaScript's numbers are not. */
function sameInt64(sent: string, printed: string): void {
  const sources = (JSON.parse as WithSource)(sent, (_key, value, { source }) =>
    typeof value === 'number' ? { source } : value,
  );
  const back = JSON.parse(printed) as Record<string, unknown>;
  for (const name of INT64) {
    const given = (sources as Record<string, { source?: string } | undefined>)[name]?.source;
    if (given === undefined || !/^-?[1-9][0-9]{0,18}$/.test(given)) continue;
    same(back[name], given, 'a whole number of 64 bits is exact');
  }
}

const answers: Target = {
  name: 'method-answer',
  drives: ['upstream/method/printed.ts numberInt64', 'upstream/method/message-weight.ts weightOf'],
  forms: ['protobuf'],
  seeds: ROOMS.map((text) => transcoder.toRequest(room, registry, Buffer.from(text))).filter(
    (one) => Buffer.isBuffer(one),
  ),
  steps: { base: 100_000, perByte: 3_000 },
  run(input) {
    const weight = weightOf(room, input, { defaults: true, bytesMax: BOUND });
    check(weight >= input.length, 'a message weighs at least its bytes', weight);
    const printed = orError(() => transcoder.toJson(room, registry, input), AnswerError);
    for (const other of others) {
      const otherwise = orError(() => other.toJson(room, registry, input), AnswerError);
      check(
        otherwise instanceof Error === printed instanceof Error,
        'options decide how, and not whether',
      );
      if (!(otherwise instanceof Error)) JSON.parse(otherwise.toString());
    }
    if (printed instanceof Error) return;
    const expected = toJson(room, fromBinary(room, input), { registry });
    same(JSON.parse(printed.toString()), JSON.parse(JSON.stringify(expected, (_key, one: unknown) => (Object.is(one, -0) ? JSON.parse('{"z":0}') : one)).replaceAll('{"z":0}', '-0')), 'the JSON is that of the library'); // prettier-ignore
  },
};

const FILES = [
  SOURCE,
  'syntax = "proto2"; package a.b; import public "x.proto"; message M { required int32 a = 1; optional group G = 2 { repeated bool b = 1 [packed = true]; } extensions 100 to max; reserved 5, 7 to 9; } extend M { optional string e = 100; }',
  'edition = "2023"; option features.field_presence = IMPLICIT; message M { int32 a = 1 [features.field_presence = EXPLICIT]; enum E { option features.enum_type = CLOSED; X = 0; Y = -1; } E e = 2; }',
  'syntax = "proto3"; package t; message M { optional int32 a = 1 [json_name = "z", (x).y = { a: 1 b: [ "c" ] }]; oneof o { .t.M m = 2; } map<string, t.M> map = 0x10; } service S { option deprecated = true; rpc A(stream M) returns (stream M) { option idempotency_level = NO_SIDE_EFFECTS; } rpc B(M) returns (M); }',
  '/* c */ syntax = "proto3"; // d\n message stream {} message message { string option = 017; }',
];

/** A descriptor as a value. Nested messages are in the order of their names: those of maps stand where the maps do. */
function shown(file: FileDescriptorProto): unknown {
  const json = toJson(
    FileDescriptorProtoSchema,
    fromBinary(FileDescriptorProtoSchema, toBinary(FileDescriptorProtoSchema, file)),
  );
  return JSON.parse(JSON.stringify(json), (key, value: unknown) =>
    key === 'nestedType'
      ? (value as { name: string }[]).toSorted((a, b) => (a.name < b.name ? -1 : 1))
      : value,
  );
}

const protos: Target = {
  name: 'proto-file',
  drives: ['upstream/method/proto/parser.ts parseProto', 'upstream/method/schema.ts makeSchema'],
  forms: ['words', 'lines'],
  bytesMax: 2_000,
  seeds: FILES,
  tokens: [
    'syntax',
    '"proto3"',
    'message',
    'enum',
    'oneof',
    'map<',
    'group',
    'extend',
    'option',
    'reserved',
    'service',
    'rpc',
    'returns',
    'stream',
    '{',
    '}',
    ';',
    '=',
    '[',
    ']',
    '.t.M',
    '/*',
    '//',
    '\\"',
    'features.field_presence',
  ],
  steps: { base: 200_000, perByte: 5_000 },
  run(input) {
    const source = input.toString();
    const file = orError(() => parseProto('f.proto', source), ProtoError);
    if (file instanceof Error) {
      check(
        /^f\.proto:[1-9][0-9]*:[1-9][0-9]*: ./.test(file.message),
        'an error has its place',
        file.message,
      );
      return;
    }
    const services = file.service.map(({ name }) =>
      file.package === '' ? name : `${file.package}.${name}`,
    );
    const made = makeSchema({ files: [{ proto: file, from: 'x' }], problems: [] }, services);
    if ('problems' in made) {
      check(made.problems.length > 0, 'what is refused has a problem');
      for (const problem of made.problems) check(problem !== '', 'a problem says what is wrong');
    }
    const parsed = parseProto('f.proto', source);
    const printed = printProto(parsed);
    const again = orError(() => parseProto('f.proto', printed), ProtoError);
    check(!(again instanceof Error), 'what is printed can be read', again, printed);
    same(shown(again), shown(parsed), 'parse(print(x)) = x');
  },
};

const NAMES = ['ErrorInfo', 'RetryInfo', 'BadRequest', 'LocalizedMessage'];
const bytes = (hex: string): Buffer => Buffer.from(hex.replaceAll(' ', ''), 'hex');

const status: Target = {
  name: 'status-details',
  drives: [
    'upstream/method/status-details.ts failureOfMethod',
    'upstream/method/session-metadata.ts answerHeaders',
  ],
  forms: ['protobuf'],
  seeds: [
    bytes('0a036e6f74'),
    bytes('0a04 0802 1064'),
    bytes('0a09 0a0161 1204 6c6f6e67'),
    bytes('0a02656e 1203736179'),
  ],
  fresh: fc.uint8Array({ maxLength: 60 }),
  run(input) {
    for (const name of ['', ...NAMES]) {
      const metadata = new Metadata();
      metadata.set('grpc-status-details-bin', name === '' ? input : detail(name, input));
      metadata.set('x-pith-bind', input.toString('hex'));
      const failed = failureOfMethod({ code: 1 + (input.length % 16), details: 'd', metadata });
      check(failed.code >= 400 && failed.reason !== '', 'there is a failure', failed);
      check(
        failed.message.length <= TEXT_CHARACTERS_MAX,
        'its text is bounded',
        failed.message.length,
      );
      check(
        Number.isInteger(failed.retryAfterMs) &&
          failed.retryAfterMs >= 0 &&
          failed.retryAfterMs <= RETRY_AFTER_MS_MAX,
        'its wait is bounded',
        failed.retryAfterMs,
      );
      check(Object.keys(failed.fields ?? {}).length <= 64, 'its fields are bounded');
      for (const text of [
        failed.reason,
        failed.message,
        ...Object.entries(failed.fields ?? {}).flat(),
      ])
        check(text.isWellFormed(), 'texts are well-formed');
      same(
        answerHeaders(metadata, null)?.get('pith-bind'),
        input.toString('hex'),
        'a header comes back',
      );
    }
  },
};

/** A google.rpc.Status with one detail. */
function detail(name: string, value: Buffer): Buffer {
  const field = (number: number, held: Buffer): Buffer =>
    Buffer.concat([Buffer.from([number * 8 + 2]), lengthOf(held), held]);
  return field(
    3,
    Buffer.concat([
      field(1, Buffer.from(`type.googleapis.com/google.rpc.${name}`)),
      field(2, value),
    ]),
  );
}

function lengthOf({ length }: Buffer): Buffer {
  return length < 128 ? Buffer.from([length]) : Buffer.from([(length & 0x7f) | 0x80, length >> 7]);
}

export const targets: readonly Target[] = [requests, answers, protos, status];
