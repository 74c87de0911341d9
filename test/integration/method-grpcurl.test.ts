/** JSON becomes the bytes that grpcurl makes of it, and the bytes of an answer the JSON that it prints. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fromBinary } from '@bufbuild/protobuf';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';

import { TestClient } from '../support/client.ts';
import { startGateway, type TestGateway } from '../support/gateway.ts';
import { grpcurl } from '../support/grpcurl.ts';
import { MethodBackend } from '../support/method-backend.ts';

const PROTO = `syntax = "proto3"; package t;
  import "google/protobuf/any.proto"; import "google/protobuf/duration.proto";
  import "google/protobuf/empty.proto";
  import "google/protobuf/struct.proto"; import "google/protobuf/timestamp.proto";
  import "google/protobuf/wrappers.proto";
  enum Color { COLOR_UNSPECIFIED = 0; RED = 1; BLUE = -2; }
  message Point { double x = 1; float y = 2; }
  message M {
    string a_string = 1; bytes a_bytes = 2; bool a_bool = 3; int32 a_int = 4; sint64 a_sint = 5; fixed64 a_fixed = 6;
    Color color = 7; repeated Color colors = 8; Point point = 9; map<string, Point> points = 10; map<bool, int64> flags = 11;
    google.protobuf.Timestamp at = 12; google.protobuf.Duration wait = 13; google.protobuf.Struct free = 14;
    google.protobuf.Value value = 15; google.protobuf.ListValue list = 16;
    google.protobuf.Int64Value big = 18; google.protobuf.BytesValue raw = 19; google.protobuf.BoolValue flag = 20;
    google.protobuf.Any any = 21; optional int32 maybe = 22; oneof pick { string left = 23; Point right = 24; }
    google.protobuf.Empty nothing = 25; repeated uint32 packed = 26; google.protobuf.StringValue text = 27;
    string named = 28 [json_name = "Other"]; google.protobuf.DoubleValue real = 29;
  }
  service S { rpc Echo(M) returns (M); }`;

const BODIES: readonly object[] = [
  {},
  { aString: 'é😀"\\ \u0000', aBytes: '+/8=', aBool: true },
  { a_string: 'by its own name', a_int: '-2147483648', aSint: '-9223372036854775808' },
  { aInt: 1e3, aFixed: '18446744073709551615', packed: [0, 4294967295] },
  { color: 'RED', colors: ['BLUE', 0, 1, -2, 7] },
  { point: { x: 'NaN', y: '-Infinity' }, points: { '': { x: 1e-300 }, __proto__x: {} } },
  { flags: { true: 1, false: '-1' } },
  { at: '2026-11-22T05:00:00.123456789Z', wait: '-3.000000001s' },
  { at: '1969-12-31T23:59:59.5+01:30', wait: '0s' },
  { at: '9999-12-31T23:59:59Z', wait: '31557600s' },
  { free: { a: [1, 'x', null, true, { b: [] }], '': {} }, value: null, list: [null, [1]] },
  { value: 1.5 },
  { big: '0', raw: 'AQI=', flag: false, text: '', real: 'Infinity' },
  { big: null, maybe: 0, left: '' },
  { right: {}, nothing: {} },
  { any: { '@type': 'type.googleapis.com/t.Point', x: 1 } },
  { any: { '@type': 'type.googleapis.com/google.protobuf.Duration', value: '1.5s' } },
  { Other: 'x' },
];

/** Refused by both. Where grpcurl is laxer than the mapping the conformance cases count. */
const BAD: readonly string[] = [
  '{"none":1}',
  '{"aInt":1.5}',
  '{"aInt":2147483648}',
  '{"aBytes":"*"}',
  '{"color":"GREEN"}',
  '{"at":"2026-11-22"}',
  '{"wait":"1"}',
  '{"wait":"315576000001s"}',
  '{"any":{"x":1}}',
  '{"any":{"@type":"type.googleapis.com/t.Gone"}}',
  '{"flags":{"yes":1}}',
  '{"aString":1}',
  '[]',
];

describe('as grpcurl has it', () => {
  const dir = mkdtempSync(join(tmpdir(), 'pith-grpcurl-'));
  const flags = ['-import-path', dir, '-proto', 't.proto'];
  let backend: MethodBackend;
  let gateway: TestGateway;
  let client: TestClient;

  beforeAll(async () => {
    writeFileSync(join(dir, 't.proto'), PROTO);
    backend = await MethodBackend.start({
      proto: PROTO,
      service: 't.S',
      handler: (asked) => {
        asked.answerBytes(asked.bytes);
      },
    });
    gateway = await startGateway(`
backends: { t: { grpc: "${backend.address}", mode: method, services: [t.S], protos: [${dir}] } }
routes: [{ match: t.echo, backend: t, method: /t.S/Echo }]
`);
    client = await TestClient.connect(gateway.port, 'tcp');
  });

  afterAll(async () => {
    await client[Symbol.asyncDispose]();
    await gateway[Symbol.asyncDispose]();
    await backend[Symbol.asyncDispose]();
    rmSync(dir, { recursive: true, force: true });
  });

  test.each(BODIES)('%j', async (body) => {
    const from = backend.asked.length;
    const printed = JSON.parse(
      await grpcurl(backend.address, ['t.S/Echo'], [...flags, '-d', JSON.stringify(body)]),
    ) as object;
    const answer = await client.request('t.echo', body);
    expect(answer).toEqual(printed);
    const [theirs, ours] = [await backend.nth(from), await backend.nth(from + 1)];
    // Fields may stand in another order: what is read of them counts.
    const { input } = backend.schema.methods.get('/t.S/Echo')!;
    expect(fromBinary(input, ours.bytes)).toEqual(fromBinary(input, theirs.bytes));
    expect(ours.bytes.length).toBe(theirs.bytes.length);
  });

  test.each(BAD)('%s is refused', async (text) => {
    const from = backend.asked.length;
    await expect(grpcurl(backend.address, ['t.S/Echo'], [...flags, '-d', text])).rejects.toThrow(
      'grpcurl',
    );
    const id = client.send('t.echo', Buffer.from(text));
    expect(await client.answer(id)).toMatchObject({ code: 400, reason: 'BAD_BODY' });
    expect(backend.asked).toHaveLength(from);
  });
});
