/** Our own client: what a server may send, beside the gateway's own readers, which are other code. */
import { ClientError } from '../../../src/client/client-error.ts';
import { readHandshake, readKick } from '../../../src/client/handshake.ts';
import { inflate, isDeflated } from '../../../src/client/inflate.ts';
import { fromJson, parseJson } from '../../../src/client/json.ts';
import { JsonWire } from '../../../src/client/json-wire.ts';
import { DefinitionCache } from '../../../src/client/definition-cache.ts';
import { decodeMessage, RESPONSE } from '../../../src/client/messages.ts';
import { PacketWire } from '../../../src/client/packet-wire.ts';
import { PacketReader } from '../../../src/client/packets.ts';
import { ProtoReader } from '../../../src/client/proto-bytes.ts';
import { Protos } from '../../../src/client/protobuf.ts';
import { decodeText } from '../../../src/client/text.ts';
import type { WireOutput } from '../../../src/client/wire.ts';
import {
  decodeMessage as decodeByGateway,
  idOfRaw,
  Message,
} from '../../../src/protocol/message.ts';
import { Protos as GatewayProtos } from '../../../src/protocol/protobuf/protos.ts';
import { PacketReader as GatewayReader } from '../../../src/protocol/packet-reader.ts';
import { textFromClient } from '../../../src/protocol/text.ts';
import { deflateSync, gzipSync, inflateSync, gunzipSync } from 'node:zlib';

import { ManualClock } from '../../support/clock.ts';
import { difference } from '../../unit/protocol/fuzz/difference.ts';
import { waysToCut } from '../cuts.ts';
import { check, orError, same, type Target } from '../target.ts';

const BODY_MAX = 256;
const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex');

const packets: Target = {
  name: 'client-packets',
  drives: ['client/packets.ts PacketReader'],
  forms: ['packets', 'bytes'],
  seeds: [
    Buffer.from('0100000d7b22737973223a7b7d7d7b7d0300000004000005000161627b', 'hex'),
    Buffer.from('0400012d', 'hex'),
    Buffer.from('06000000', 'hex'),
  ],
  run(input) {
    const theirs: [number, string][] = [];
    const fault = new GatewayReader(BODY_MAX, (type, body) => theirs.push([type, hex(body)])).push(
      input,
    );
    for (const pieces of waysToCut(input)) {
      const read: [number, string][] = [];
      const reader = new PacketReader(BODY_MAX, (type, body) => read.push([type, hex(body)]));
      let found: string | null = null;
      for (const piece of pieces) found ??= reader.push(piece);
      same([read, found], [theirs, fault], 'the packets that the gateway reads');
    }
  },
};

const messages: Target = {
  name: 'client-message',
  drives: ['client/messages.ts decodeMessage'],
  forms: ['bytes'],
  seeds: [
    Buffer.from('04077b7d', 'hex'),
    Buffer.from('06036f6e587b7d', 'hex'),
    Buffer.from('0700017b7d', 'hex'),
    Buffer.from('2480017b7d', 'hex'),
    Buffer.from('000105612e622e637b7d', 'hex'),
  ],
  run(input) {
    const ours = decodeMessage(input);
    const theirs = new Message();
    const fault = decodeByGateway(input, (code) => String(code), theirs);
    if (typeof ours === 'string') {
      check(fault !== null, 'what the client refuses the gateway refuses', ours);
      return;
    }
    check(fault === null, 'what the client reads the gateway reads', fault);
    const route = theirs.routeWasCode ? Number(theirs.route) : theirs.route;
    same(
      [
        ours.kind,
        ours.id,
        ours.kind === RESPONSE ? '' : ours.route,
        hex(ours.body),
        ours.isCompressed,
        ours.isError,
      ],
      [
        theirs.kind,
        idOfRaw(theirs.rawId),
        theirs.kind === RESPONSE ? '' : route,
        hex(theirs.body),
        theirs.compressed,
        theirs.error,
      ],
      'the message that the gateway reads',
    );
  },
};

const texts: Target = {
  name: 'client-text',
  drives: [
    'client/text.ts decodeText',
    'client/json.ts parseJson',
    'client/json.ts fromJson',
    'client/handshake.ts readHandshake',
    'client/handshake.ts readKick',
  ],
  forms: ['json', 'bytes'],
  seeds: [
    '{"code":200,"sys":{"heartbeat":3}}',
    '{"reason":"x😀"}',
    Buffer.from('22eda0bdedb88222', 'hex'),
    Buffer.from('eda0bd80c080ff', 'hex'),
    '{"code":"PIT-404"}',
  ],
  run(input) {
    const text = decodeText(input);
    same(text, textFromClient(input), 'the text that the gateway reads');
    const value = parseJson(input);
    const read = readHandshake(value, text);
    if (read instanceof ClientError)
      check(
        read.message.length < 600 && read.reason === 'REFUSED',
        'a refusal is short',
        read.message.length,
      );
    check(typeof readKick(value).reason === 'string', 'a kick has a reason');
    const body = orError(() => fromJson('r', text), ClientError);
    check(
      body instanceof ClientError === (value === undefined),
      'a body is JSON, or an error that names its route',
    );
  },
};

const FILE = {
  'message Pos': { 'required uInt32 x': 1, 'optional Pos next': 2 },
  r: {
    'message Entry': { 'required string key': 1, 'required Pos value': 2 },
    'optional uInt32 u': 1,
    'optional int32 i': 2,
    'optional float f': 3,
    'optional double d': 4,
    'optional string t': 5,
    'repeated sInt32 us': 6,
    'repeated string ts': 7,
    'optional Pos pos': 8,
    'repeated Pos list': 9,
    'optional bool b': 10,
    'obj Entry o': 11,
    'repeated float fs': 12,
  },
};
const gateway = GatewayProtos.of(FILE);
const protos = new Protos(gateway.parsed);
const bytes = (text: string): Buffer => Buffer.from(text.replaceAll(' ', ''), 'hex');

const protobuf: Target = {
  name: 'client-protobuf',
  drives: ['client/protobuf.ts Protos', 'client/proto-bytes.ts ProtoReader'],
  forms: ['protobuf', 'bytes'],
  seeds: [
    bytes('0801 1004 1d0000803f 21000000000000f03f 2a0161 3003010203 3a0161 3a0162'),
    bytes('42060801120208 02'),
    bytes('4a020801 4a020802 5001 5a02 0161 020801 0162 020802'),
    bytes('62020000803f00000040'),
  ],
  run(input) {
    const ours = orError(() => protos.decode('r', input), ClientError);
    const theirs = gateway.decode('r', input);
    if (ours instanceof ClientError) {
      same(ours.reason, 'BAD_BODY', 'an error is about the body');
      check('fault' in theirs, 'what the client refuses the gateway refuses', ours.message);
      return;
    }
    // The gateway's bounds on depth and numbers are the same; it counts what a list needs at least.
    if ('fault' in theirs) return;
    const differs = difference(ours, theirs.value);
    check(differs === null, 'the values that the gateway reads', differs);
    const written = orError(() => protos.encode('r', ours), ClientError);
    if (written instanceof Error) return;
    const again = gateway.decode('r', Buffer.from(written));
    check(
      'value' in again,
      'the gateway reads what the client writes',
      'fault' in again ? again.fault : '',
    );
    const reader = new ProtoReader(input);
    while (reader.at < reader.end) {
      const at = reader.at;
      if (orError(() => reader.varint(), RangeError) instanceof Error) break;
      check(reader.at > at && reader.at <= input.length, 'each number moves on');
    }
  },
};

const INFLATED_MAX = 5_000;

const inflated: Target = {
  name: 'client-inflate',
  drives: ['client/inflate.ts inflate', 'client/inflate.ts isDeflated'],
  isAsync: true,
  forms: ['bytes'],
  bytesMax: 600,
  seeds: [
    deflateSync('{"a":1}'),
    gzipSync('hello'),
    deflateSync(Buffer.alloc(100_000)),
    Buffer.from('789c', 'hex'),
    Buffer.from('7801030000000001', 'hex'),
  ],
  async run(input) {
    isDeflated(input);
    let ours: Uint8Array | null = null;
    try {
      ours = await inflate(input, INFLATED_MAX);
    } catch (error) {
      check(error instanceof Error, 'what is no compressed body is an error');
    }
    if (ours !== null) check(ours.length <= INFLATED_MAX, 'what comes out is bounded', ours.length);
    let theirs: Buffer | null = null;
    try {
      theirs = (input[0] === 0x1f ? gunzipSync : inflateSync)(input, {
        maxOutputLength: INFLATED_MAX,
      });
    } catch {
      return;
    }
    if (ours !== null) same(hex(ours), hex(theirs), "what Node's own reader makes of it");
  },
};

type Heard = unknown[];

function output(heard: Heard): WireOutput {
  return {
    write: () => {},
    fail: (error) => heard.push(['fail', error.reason]),
    onOpen: (handshake) => heard.push(['open', handshake.code]),
    routeOf: (id) => (id === 7 ? 'r' : undefined),
    onAnswer: (id, answer) => heard.push(['answer', id, bodyOf(() => answer.body), answer.isError]),
    onPush: (push) => heard.push(['push', push.route, bodyOf(() => push.body)]),
    onKick: (kick) => heard.push(['kick', kick.reason]),
    onProblem: (error) => heard.push(['problem', error.reason]),
  };
}

function bodyOf(read: () => unknown): unknown {
  const body = orError(read, ClientError);
  return body instanceof Error ? 'bad' : body;
}

const OPENED = Buffer.from(
  JSON.stringify({ code: 200, sys: { dict: { onX: 5 }, protos: { server: gateway.parsed } } }),
);

function packet(type: number, body: Uint8Array): Buffer {
  const head = Buffer.from([type, 0, 0, 0]);
  head.writeUIntBE(body.length, 1, 3);
  return Buffer.concat([head, body]);
}

function settings(dialect: 'pomelo' | 'nano' | 'json') {
  return {
    dialect,
    clock: new ManualClock(),
    sys: {},
    packetBytesMax: 1_000,
    definitions: new DefinitionCache(undefined, 'ws://h'),
  };
}

const packetWire: Target = {
  name: 'client-packet-wire',
  drives: ['client/packet-wire.ts PacketWire'],
  forms: ['packets', 'bytes'],
  seeds: [
    Buffer.concat([
      packet(1, OPENED),
      packet(4, bytes('04077b7d')),
      packet(4, bytes('0700057b7d')),
      packet(3, bytes('')),
    ]),
    Buffer.concat([
      packet(1, OPENED),
      packet(4, bytes('0407 2a0161')),
      packet(5, Buffer.from('{"reason":"x"}')),
    ]),
    packet(1, Buffer.from('{"code":500}')),
  ],
  run(input) {
    for (const dialect of ['pomelo', 'nano'] as const) {
      const all = waysToCut(input).map((pieces) => {
        const heard: Heard = [];
        const wire = new PacketWire(settings(dialect), output(heard));
        for (const piece of pieces) {
          // A connection that has failed receives nothing more.
          if (!heard.some((one) => (one as unknown[])[0] === 'fail')) wire.receive(piece);
        }
        wire.stop();
        return heard;
      });
      // What is behind the first failure depends on what came with it.
      const first = (heard: Heard): Heard => {
        const end = heard.findIndex((one) => (one as unknown[])[0] === 'fail');
        return end < 0 ? heard : heard.slice(0, end + 1);
      };
      for (const heard of all) same(first(heard), first(all[0]!), 'the same however it is cut');
    }
  },
};

const jsonWire: Target = {
  name: 'client-json-wire',
  drives: ['client/json-wire.ts JsonWire'],
  forms: ['json', 'lines'],
  seeds: [
    '{"handshake":{"code":200}}\n{"id":7,"body":{"a":1}}\n{"route":"onX","body":[]}\n{"kick":{"reason":"x"}}\n{"error":{"code":5}}',
    '{"handshake":{"code":500}}\n{"id":7,"error":{"code":404,"reason":"NO_ROUTE"}}',
    '[]',
  ],
  run(input) {
    const heard: Heard = [];
    const wire = new JsonWire(settings('json'), output(heard));
    for (const text of input.toString().split('\n')) wire.receive(text);
    for (const [what] of heard as [string][])
      check(/^(?:fail|open|answer|push|kick|problem)$/.test(what), 'something is told');
  },
};

export const targets: readonly Target[] = [
  packets,
  messages,
  texts,
  protobuf,
  inflated,
  packetWire,
  jsonWire,
];
