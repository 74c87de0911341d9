/**
 * `make bench-method`: CPU per message of what mode: method converts, JSON to a request and an answer to JSON, against protobufjs, whose
 * classes are compiled from the same .proto: it is the faster one, and does not keep to the JSON mapping.
 */
import protobuf from 'protobufjs';

import { parseProto } from '../../src/upstream/method/proto/parser.ts';
import { makeSchema } from '../../src/upstream/method/schema.ts';
import { Transcoder } from '../../src/upstream/method/transcode.ts';

const WARM = 20_000;
const COUNT = 100_000;
const ROUNDS = 5;

const PROTO = `syntax = "proto3"; package bench;
  message Join { string room = 1; int32 seats = 2; repeated string tags = 3; int64 at = 4; Place place = 5; }
  message Place { double x = 1; double y = 2; }
  message Joined { string room = 1; repeated Player players = 2; int64 number = 3; }
  message Player { string uid = 1; string name = 2; int32 score = 3; Place place = 4; }
  service Rooms { rpc Join(Join) returns (Joined); }`;

const REQUEST = {
  room: 'lobby-7',
  seats: 4,
  tags: ['ranked', 'eu'],
  at: '1700000000000',
  place: { x: 1.5, y: 2.25 },
};
const ANSWER = {
  room: 'lobby-7',
  number: '12',
  players: [0, 1, 2, 3].map((n) => ({
    uid: `u${n}`,
    name: `player${n}`,
    score: n * 10,
    place: { x: n + 0.5, y: n },
  })),
};

/** Microseconds of CPU of one run, the median of the rounds. */
function cpuUs(run: () => unknown): number {
  for (let i = 0; i < WARM; i++) run();
  const rounds = Array.from({ length: ROUNDS }, () => {
    const before = process.cpuUsage();
    for (let i = 0; i < COUNT; i++) run();
    const { user, system } = process.cpuUsage(before);
    return (user + system) / COUNT;
  });
  return rounds.sort((a, b) => a - b)[ROUNDS >> 1]!;
}

/** Lines to print: what it costs here, and with protobufjs. */
function transcoding(): string[] {
  const file = { proto: parseProto('bench.proto', PROTO), from: 'bench' };
  const schema = makeSchema({ files: [file], problems: [] }, ['bench.Rooms']);
  if ('problems' in schema) throw new Error(schema.problems.join('\n'));
  const { registry } = schema;
  const { input, output } = schema.methods.get('/bench.Rooms/Join')!;
  const transcoder = new Transcoder(
    {
      always_print_primitive_fields: false,
      always_print_enums_as_ints: false,
      preserve_proto_field_names: false,
      ignore_unknown_fields: false,
      print_int64_as_number: false,
    },
    1_048_576,
  );
  const { root } = protobuf.parse(PROTO);
  const [Join, Joined] = [root.lookupType('bench.Join'), root.lookupType('bench.Joined')];
  const asked = Buffer.from(JSON.stringify(REQUEST));
  const answered = Buffer.from(Joined.encode(Joined.fromObject(ANSWER)).finish());
  const line = (what: string, ours: number, theirs: number): string =>
    `${what}: ${ours.toFixed(2)} us, protobufjs ${theirs.toFixed(2)} us (${(ours / theirs).toFixed(1)} times)`;
  return [
    line(
      `JSON of ${asked.length} bytes to a request`,
      cpuUs(() => transcoder.toRequest(input, registry, asked)),
      cpuUs(() => Join.encode(Join.fromObject(JSON.parse(asked.toString()) as object)).finish()),
    ),
    line(
      `an answer of ${answered.length} bytes to JSON`,
      cpuUs(() => transcoder.toJson(output, registry, answered)),
      cpuUs(() => JSON.stringify(Joined.toObject(Joined.decode(answered), { longs: String }))),
    ),
  ];
}

console.log('mode: method, CPU per message, medians:');
for (const line of transcoding()) console.log(line);
