/**
 * What the published codecs get wrong, so that the comparisons leave it out: for each, why ours does otherwise, and
 * a case with what both make of it.
 */
import {
  decodeMessage,
  encodeResponse,
  Message,
  rawIdOf,
} from '../../../../src/protocol/message.ts';
import { packetOffset } from '../../../../src/protocol/packet.ts';
import { Protos } from '../../../../src/protocol/protobuf/protos.ts';
import { escapeAstral } from '../../../../src/protocol/text.ts';
import { readAll } from '../wire.ts';
import {
  browserProtocol,
  parsePinus,
  pinusCodec,
  pomeloCodecs,
  pomeloProtocol,
} from './references.ts';

export type Known = {
  readonly what: string;
  readonly why: string;
  /** Of the case: run, and as it was when the row was written. */
  readonly reference: () => unknown;
  readonly gives: unknown;
  readonly ours: () => unknown;
  readonly oursGives: unknown;
};

const FILE = {
  double: { 'repeated double v': 1 },
  text: { 'optional string v': 1 },
  whole: { 'optional sInt64 v': 1 },
  float: { 'optional float v': 1 },
};
const protos = Protos.of(FILE);
const parsed = parsePinus(FILE);
const pinus = pinusCodec(parsed);

const bytes = (hex: string) => Buffer.from(hex, 'hex');

function orThrew(what: () => unknown): unknown {
  try {
    return what();
  } catch {
    return 'threw';
  }
}

/** How many bytes, or why not. */
function written(route: string, value: object): unknown {
  const result = protos.encodeValue(route, value, 'utf8');
  return 'fault' in result ? result.fault.message : result.bytes.length;
}

function read(route: string, hex: string): unknown {
  const result = protos.decode(route, bytes(hex));
  return 'fault' in result ? result.fault.message : result.value['v'];
}

function readByPinus(route: string, from: Uint8Array): unknown {
  return (pinus.decode(route, from) as { v: unknown }).v;
}

const DOUBLES = { v: Array.from({ length: 40 }, () => 0) };
const EMOJI = '0a06eda0bdedb882';
const SIGNED = -(2 ** 52) - 1;
const SIGNED_BYTES = '088180808080808010';
const TEN_BYTES = '08ffffffffffffffffff01';

export const knownOfProtobuf: readonly Known[] = [
  {
    what: 'too little room in Pomelo',
    why: 'it makes room for twice the JSON at every message: messages with room are compared, others only with Pinus, whose buffer is given',
    reference: () => orThrew(() => pomeloCodecs(parsed).node.encode('double', DOUBLES)),
    gives: 'threw',
    ours: () => written('double', DOUBLES),
    oursGives: 2 + 40 * 8,
  },
  {
    what: 'too little room in a browser',
    why: 'its build makes room for the JSON once, and what does not fit is lost',
    reference: () => pomeloCodecs(parsed).browser.encode('double', { v: [1] })?.length,
    gives: '{"v":[1]}'.length,
    ours: () => written('double', { v: [1] }),
    oursGives: 2 + 8,
  },
  {
    what: 'strings of browsers, read by Node',
    why: 'what browsers write for a character beyond the basic plane is no UTF-8; ours reads the character',
    reference: () => readByPinus('text', bytes(EMOJI)),
    gives: '\ufffd'.repeat(6),
    ours: () => read('text', EMOJI),
    oursGives: '\u{1f602}',
  },
  {
    what: 'numbers below -2^52, written',
    why: 'they are doubled as a float, which loses the last bit, the sign; ours refuses them',
    reference: () => readByPinus('whole', pinus.encode('whole', { v: SIGNED })!),
    gives: 2 ** 52,
    ours: () => written('whole', { v: SIGNED }),
    oursGives: `${SIGNED} for a whole number; no client reads one below -2^52`,
  },
  {
    what: 'numbers beyond the range of a float',
    why: 'they are written as infinity, and so another number; ours refuses them',
    reference: () => readByPinus('float', pinus.encode('float', { v: 1e39 })!),
    gives: Infinity,
    ours: () => written('float', { v: 1e39 }),
    oursGives: '1e+39 does not fit into a float',
  },
  {
    what: 'numbers below -2^52, read',
    why: 'they are added up as a float, which loses the last bit, the sign; ours reads them down to -2^53',
    reference: () => readByPinus('whole', bytes(SIGNED_BYTES)),
    gives: 2 ** 52,
    ours: () => read('whole', SIGNED_BYTES),
    oursGives: SIGNED,
  },
  {
    what: 'numbers beyond 2^53',
    why: 'JavaScript and JSON lose their last bits; ours refuses to read them',
    reference: () => readByPinus('whole', bytes(TEN_BYTES)),
    gives: 2 ** 63,
    ours: () => read('whole', TEN_BYTES),
    oursGives: 'a number is beyond 2^53 - 1',
  },
  {
    what: 'bytes that are not there',
    why: 'a string is what there is of it; ours refuses, so only what ours reads is compared',
    reference: () => readByPinus('text', bytes('0a0561')),
    gives: 'a',
    ours: () => read('text', '0a0561'),
    oursGives: 'a string of 5 bytes, 1 are left',
  },
  {
    what: 'unknown fields',
    why: 'Pomelo throws, and Pinus reads on in the middle of the field; ours refuses',
    reference: () => readByPinus('text', bytes('120a0161')),
    gives: 'a',
    ours: () => read('text', '120a0161'),
    oursGives: 'no field has tag 2',
  },
  {
    what: 'null',
    why: 'it throws, or is written as 0; ours takes it for a field that is not there',
    reference: () => pinus.encode('float', { v: null })?.length,
    gives: 5,
    ours: () => written('float', { v: null }),
    oursGives: 0,
  },
];

function decodedByUs(hex: string): unknown {
  return decodeMessage(bytes(hex), () => undefined, new Message());
}

function lengthOfResponse(id: number): number {
  const packet = encodeResponse(rawIdOf(id), bytes('7b7d'))!;
  return packet.length - packetOffset(packet) - 4;
}

const first = (hex: string) => [pomeloProtocol.Package.decode(bytes(hex))].flat()[0];

export const knownOfPackets: readonly Known[] = [
  {
    what: 'ids from 2^31 on',
    why: 'they are sized and added up in 32 bits, so the message is cut off and the id negative; ours reads 35 bits',
    reference: () => pomeloProtocol.Message.encode(2 ** 31, 2, 0, null, bytes('7b7d')).length,
    gives: 1 + 1 + 2,
    ours: () => lengthOfResponse(2 ** 31),
    oursGives: 1 + 5 + 2,
  },
  {
    what: 'messages that are cut off',
    why: 'it throws; ours gives a fault, so only what ours reads is compared',
    reference: () => orThrew(() => pomeloProtocol.Message.decode(bytes('00010561'))),
    gives: 'threw',
    ours: () => decodedByUs('00010561'),
    oursGives: 'truncated',
  },
  {
    what: 'packets that are cut off',
    why: 'their bodies are filled up with zeros; ours waits for the rest',
    reference: () => first('0400000561')?.body?.length,
    gives: 5,
    ours: () => readAll([bytes('0400000561')]),
    oursGives: { packets: [], fault: null, heldBytes: 5 },
  },
  {
    what: 'packets of other types than 1 to 5',
    why: 'the codec gives them; ours faults, as the server behind the codec does',
    reference: () => first('06000000')?.type,
    gives: 6,
    ours: () => readAll([bytes('06000000')]),
    oursGives: { packets: [], fault: 'bad_packet_type', heldBytes: 0 },
  },
  {
    what: 'characters of four bytes, read by a browser',
    why: 'it knows three bytes at most; ours escapes them in JSON and writes pairs in protobuf',
    reference: () => browserProtocol.strdecode(Buffer.from('\u{1f602}')),
    gives: '\u07d8\u0080',
    ours: () => JSON.parse(browserProtocol.strdecode(escapeAstral(Buffer.from('"\u{1f602}"')))),
    oursGives: '\u{1f602}',
  },
];
