/**
 * How long the event loop stands still for one message, by its size, in each decoder that a client or backend can reach:
 * `node test/bench/stall.ts`. Each row is a kind of content that is dear for that decoder. Up to `limits.convert` things
 * are converted; beyond it they are refused, which is the last columns, or pass as they are.
 */
import { generateKeyPairSync, sign } from 'node:crypto';
import { deflateSync, gzipSync } from 'node:zlib';

import { readConnectResponse, readObject } from '../../src/contract/json-shapes.ts';
import { WireReader, WireWriter } from '../../src/contract/protobuf-wire.ts';
import { AttachJson } from '../../src/control/attach-json.ts';
import { JsonDialect } from '../../src/dialect/json.ts';
import { PitayaDialect } from '../../src/dialect/pitaya.ts';
import { PomeloDialect } from '../../src/dialect/pomelo.ts';
import type { Wire } from '../../src/dialect/wire.ts';
import { CONVERT_BYTES } from '../../src/protocol/conversion-limit.ts';
import { Message } from '../../src/protocol/message.ts';
import { Protos } from '../../src/protocol/protobuf/protos.ts';
import { decodeReply } from '../../src/contract/protobuf-shapes.ts';
import { readLine } from '../../src/upstream/ipc/backend-lines.ts';
import { faultOfJson } from '../../src/upstream/ipc/json-text.ts';
import { parseProto } from '../../src/upstream/method/proto/parser.ts';
import { makeSchema } from '../../src/upstream/method/schema.ts';
import { Transcoder } from '../../src/upstream/method/transcode.ts';
import { writeRequestFrame } from '../../src/contract/gateway-frames.ts';

const MIB = 1024 * 1024;
const SIZES = [64 * 1024, MIB / 2, MIB - 64, 4 * MIB, 16 * MIB - 64];
const PROTO = `syntax = "proto3"; package t; import "google/protobuf/struct.proto";
  message M { repeated M ms = 1; repeated int32 is = 2; bytes b = 3; google.protobuf.Value v = 4; string s = 5; }
  service S { rpc Call(M) returns (M); }`;

/** `count` of the text, as many as `bytes` hold, with commas between them. */
function filled(text: string, bytes: number): string {
  return Array(Math.max(1, Math.floor(bytes / (text.length + 1))))
    .fill(text)
    .join(',');
}

type Row = readonly [name: string, make: (bytes: number) => () => unknown];

const made = makeSchema(
  { files: [{ proto: parseProto('t.proto', PROTO), from: 't' }], problems: [] },
  ['t.S'],
);
if ('problems' in made) throw new Error(made.problems.join('\n'));
const { registry } = made;
const { input } = made.methods.get('/t.S/Call')!;
const transcoder = new Transcoder(
  {
    always_print_primitive_fields: false,
    always_print_enums_as_ints: false,
    preserve_proto_field_names: false,
    ignore_unknown_fields: false,
    print_int64_as_number: false,
  },
  CONVERT_BYTES,
);
const request = (json: string) => {
  const body = Buffer.from(json);
  return () => transcoder.toRequest(input, registry, body);
};
/** Protobuf of `M`, printed; that it is refused is a result too. */
const printed = (bytes: Buffer) => () => {
  try {
    return transcoder.toJson(input, registry, bytes);
  } catch (error) {
    return error;
  }
};
const field = (number: number, content: Uint8Array): Buffer => {
  const writer = new WireWriter(content.length + 16);
  writer.bytes(number, content);
  return writer.take();
};

const protos = Protos.of({
  'message I': { 'optional uInt32 x': 1 },
  known: { 'repeated uInt32 n': 1, 'repeated I is': 2, 'optional string t': 3 },
});
const common = { heartbeatSeconds: 30, dictionary: null };
const project = { client: protos, server: protos, version: 'v' };
const pomelo = new PomeloDialect({
  ...common,
  protos: project,
  signatures: null,
  profile: 'browser',
}).wire;
const signed = new PomeloDialect({
  ...common,
  protos: null,
  signatures: 'error',
  profile: 'pomelo',
}).wire;
const pitaya = new PitayaDialect({
  ...common,
  serializer: 'json',
  compress: true,
  inflateBytesMax: MIB,
}).wire;
const json = new JsonDialect().wire;
const attach = new AttachJson();
const { privateKey, publicKey } = generateKeyPairSync('rsa', { modulusLength: 1024 });

const answer = (wire: Wire, route: string, text: string) => {
  const body = Buffer.from(text);
  return () => wire.answer(1, route, body, 'auto');
};
const read = (wire: Wire, route: string, body: Buffer, more: Partial<Message> = {}) => {
  const message = Object.assign(new Message(), { route, body, ...more });
  return () => wire.readBody({ wire, publicKey }, message, false);
};
const attached = (frame: string) => {
  const text = Buffer.from(`{"frames":[${frame}]}`);
  return () => attach.toGateway(attach.open(text));
};
const tried = (run: () => unknown) => () => {
  try {
    return run();
  } catch (error) {
    return error;
  }
};

const ROWS: readonly Row[] = [
  [
    'json dialect, message of numbers',
    (n) => {
      const text = Buffer.from(`{"id":1,"route":"a.b","body":[${filled('1', n)}]}`);
      return () => json.decode(text, new Message());
    },
  ],
  [
    'json dialect, message of text',
    (n) => {
      const text = Buffer.from(`{"id":1,"route":"a.b","body":"${'x'.repeat(n)}"}`);
      return () => json.decode(text, new Message());
    },
  ],
  ['json dialect, answer of objects', (n) => answer(json, 'a', `[${filled('{}', n)}]`)],
  ['pomelo, answer that is escaped', (n) => answer(pomelo, 'a', `{"t":"${'😀'.repeat(n / 4)}"}`)],
  [
    'pomelo, body of browsers',
    (n) =>
      read(
        pomelo,
        'a',
        Buffer.concat([
          Buffer.from('{"t":"'),
          Buffer.alloc(n, Buffer.from('eda0bdedb880', 'hex')).subarray(0, n - (n % 6)),
          Buffer.from('"}'),
        ]),
      ),
  ],
  ['pomelo, serverProtos: numbers', (n) => answer(pomelo, 'known', `{"n":[${filled('1', n)}]}`)],
  ['pomelo, serverProtos: messages', (n) => answer(pomelo, 'known', `{"is":[${filled('{}', n)}]}`)],
  [
    'pomelo, clientProtos: messages',
    (n) => read(pomelo, 'known', Buffer.alloc(n - (n % 2), Buffer.from('1200', 'hex'))),
  ],
  [
    'pomelo, clientProtos: text',
    (n) => {
      const text = Buffer.alloc(n, 'x');
      return read(pomelo, 'known', field(3, text));
    },
  ],
  [
    'pomelo, useCrypto',
    (n) => {
      const text = `{"t":"${'x'.repeat(n)}"}`;
      const signature = sign('sha256', Buffer.from(text), privateKey).toString('hex');
      return read(signed, 'a', Buffer.from(`${text.slice(0, -1)},"__crypto__":"${signature}"}`));
    },
  ],
  ['pitaya, inflate', (n) => read(pitaya, 'a', deflateSync(Buffer.alloc(n)), { compressed: true })],
  [
    'pitaya, inflate many small',
    (n) =>
      read(pitaya, 'a', Buffer.concat(Array<Buffer>(Math.floor(n / 20)).fill(gzipSync(''))), {
        compressed: true,
      }),
  ],
  [
    'pitaya, deflate',
    (n) =>
      answer(
        pitaya,
        'a',
        `{"t":"${Array.from({ length: n / 8 }, (_, i) => i.toString(36).padStart(8, 'x')).join('')}"}`,
      ),
  ],
  ['method, request of objects', (n) => request(`{"ms":[${filled('{}', n)}]}`)],
  ['method, request of numbers', (n) => request(`{"is":[${filled('1', n)}]}`)],
  ['method, request of long numbers', (n) => request(`{"is":[${filled('1e0', n)}]}`)],
  ['method, request of a Struct', (n) => request(`{"v":[${filled('1', n)}]}`)],
  [
    'method, request of unknown keys',
    (n) => request(`{${Array.from({ length: n / 12 }, (_, i) => `"k${i}":1`).join(',')}}`),
  ],
  [
    'method, answer of messages',
    (n) => printed(Buffer.alloc(n - (n % 2), Buffer.from('0a00', 'hex'))),
  ],
  ['method, answer of bytes', (n) => printed(field(3, Buffer.alloc(n, 7)))],
  ['method, answer of numbers', (n) => printed(field(2, Buffer.alloc(n, 1)))],
  [
    'Link, reply in JSON',
    (n) => {
      const nothings = Buffer.alloc(n - (n % 4), Buffer.from('0a022a00', 'hex'));
      const bytes = field(1, field(2, field(6, nothings)));
      return tried(() => decodeReply(new WireReader(bytes), CONVERT_BYTES));
    },
  ],
  [
    'Link, patch',
    (n) => {
      const bytes = field(
        3,
        field(2, Buffer.alloc(n - (n % 8), Buffer.from('0a060a0161120000', 'hex'))),
      );
      return tried(() => decodeReply(new WireReader(bytes), CONVERT_BYTES));
    },
  ],
  [
    'dial-in, reply in JSON',
    (n) => attached(`{"id":1,"reply":{"body":{"json":[${filled('1', n)}]}}}`),
  ],
  [
    'dial-in, reply in text',
    (n) => attached(`{"id":1,"reply":{"body":{"text":"${'x'.repeat(n)}"}}}`),
  ],
  [
    'dial-in, reply in base64',
    (n) => attached(`{"id":1,"reply":{"body":{"bytes":"${'AAAA'.repeat(n / 4)}"}}}`),
  ],
  [
    'dial-in, patch',
    (n) => attached(`{"id":1,"reply":{"patch":{"set":{"a":[${filled('{}', n)}]}}}}`),
  ],
  [
    'dial-in, request in base64',
    (n) => {
      const writer = new WireWriter(n + 64);
      const body = Buffer.alloc(Math.min(n, CONVERT_BYTES), 7);
      const request = { route: 'a.b', wantsAnswer: true, body, seq: 1, instance: '', trace: null };
      writeRequestFrame(writer, 1, request, Buffer.alloc(0), 1);
      const bytes = writer.take();
      return () => attach.toBackend(bytes);
    },
  ],
  [
    'ipc, payload to the backend',
    (n) => {
      const body = Buffer.from(`[${filled('1', n)}]`);
      return () => faultOfJson(body);
    },
  ],
  [
    'ipc, line with a payload',
    (n) => {
      const line = Buffer.from(`{"seq_id":1,"payload":[${filled('{}', n)}]}`);
      return () => readLine(line, CONVERT_BYTES);
    },
  ],
  [
    'ipc, line with a patch',
    (n) => {
      const line = Buffer.from(`{"seq_id":1,"patch":{"set":{"a":[${filled('1.0', n)}]}}}`);
      return () => readLine(line, CONVERT_BYTES);
    },
  ],
  [
    'NATS verb, HTTP patch',
    (n) => {
      const body = Buffer.from(`{"set":{"a":[${filled('1.0', n)}]}}`);
      return tried(() => readObject(body));
    },
  ],
  [
    'Connect answer',
    (n) => {
      const body = Buffer.from(`{"accept":{"user":{"a":[${filled('{}', n)}]}}}`);
      return () => readConnectResponse(body);
    },
  ],
];

console.log(
  `ms of the event loop for one message; beyond ${CONVERT_BYTES} bytes what has to be converted is refused`,
);
console.log(
  ['decoder'.padEnd(36), ...SIZES.map((size) => `${Math.round(size / 1024)}KiB`.padStart(9))].join(
    '',
  ),
);
const only = process.argv[2] ?? '';
for (const [name, make] of ROWS) {
  if (!name.includes(only)) continue;
  const cells = SIZES.map((size) => {
    const run = make(size);
    const times = [0, 1, 2].map(() => {
      const { user, system } = process.cpuUsage();
      run();
      const after = process.cpuUsage({ user, system });
      return (after.user + after.system) / 1_000;
    });
    return times
      .sort((a, b) => a - b)[1]!
      .toFixed(1)
      .padStart(9);
  });
  console.log(name.padEnd(36) + cells.join(''));
}
