/** Pomelo's protobuf: definitions, and bodies both ways, beside the published codecs. */
import { Protos } from '../../../src/protocol/protobuf/protos.ts';
import { parsePomelo, parsePinus, pinusCodec } from '../../unit/protocol/fuzz/references.ts';
import { difference } from '../../unit/protocol/fuzz/difference.ts';
import { check, same, type Target } from '../target.ts';

/** Every type, every option, messages within messages, a recursive one. */
const FILE = {
  'message Pos': { 'required uInt32 x': 1, 'required uInt32 y': 2, 'optional Pos next': 3 },
  r: {
    'message Inner': { 'optional string s': 1, 'repeated Pos list': 2 },
    'message Entry': { 'required string key': 1, 'required Inner value': 2 },
    'message Count': { 'required sInt32 key': 1, 'optional uInt64 value': 2 },
    'optional uInt32 u': 1,
    'optional int32 i': 2,
    'optional sInt32 s': 3,
    'optional float f': 4,
    'optional double d': 5,
    'optional string t': 6,
    'repeated uInt32 us': 7,
    'repeated string ts': 8,
    'repeated double ds': 9,
    'optional Pos pos': 10,
    'repeated Inner inners': 11,
    'optional bool b': 12,
    'optional uInt64 u64': 13,
    'optional sInt64 s64': 14,
    'map Entry m': 15,
    'obj Count o': 16,
    'required string __proto': 17,
  },
};
const protos = Protos.of(FILE);
const pinus = pinusCodec(parsePinus(FILE));
const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex');

/** Wrong in the published codec: test/unit/protocol/fuzz/known.ts has why. */
function isKnown(value: unknown): boolean {
  if (typeof value === 'number')
    return value < -(2 ** 52) || Math.abs(value) > Number.MAX_SAFE_INTEGER;
  if (typeof value === 'string') return /[\ud800-\udfff\ufffd]/.test(value);
  if (typeof value !== 'object' || value === null) return false;
  return Object.entries(value).some(([key, inner]) => isKnown(key) || isKnown(inner));
}

/** A list without elements is not written, nor is Pinus's `obj`. */
function withoutEmpty(value: unknown): unknown {
  if (typeof value !== 'object' || value === null) return value;
  if (Array.isArray(value)) return value.map(withoutEmpty);
  const kept = Object.entries(value).filter(
    ([key, inner]) =>
      !(key === 'o'
        ? Object.keys(inner as object).length === 0
        : Array.isArray(inner) && inner.length === 0),
  );
  return Object.fromEntries(kept.map(([key, inner]) => [key, withoutEmpty(inner)]));
}

const bytes = (hexes: string): Buffer => Buffer.from(hexes.replaceAll(' ', ''), 'hex');

const decode: Target = {
  name: 'pomelo-protobuf',
  drives: ['protocol/protobuf/protos.ts Protos', 'protocol/protobuf/reader.ts Reader'],
  forms: ['protobuf', 'bytes'],
  seeds: [
    bytes('0801 1004 1803 250000803f 29000000000000f03f 320161 8a010178'),
    bytes('3803 010203 4201 61 4201 62 4902 000000000000f03f 0000000000000080'),
    bytes('5204 0801 1002 5206 0801 1002 1a04 08011002'),
    bytes('5a07 0a0161 1204 08011002 6001 68ffffffffffffff0f 7001'),
    bytes('7a02 0161 03 0a0162 0162 00 8201 02 0105 0206'),
    bytes('3206eda0bdedb882'),
    bytes('0a01 1203'),
  ],
  run(input) {
    const decoded = protos.decode('r', input);
    const again = protos.decode('r', input);
    same(again, decoded, 'the same twice');
    if ('fault' in decoded) {
      check(decoded.fault.message !== '', 'a fault says what is wrong');
      return;
    }
    const { value, isPlain } = decoded;
    // The same from the middle of other bytes.
    const view = Buffer.concat([bytes('ff'), input, bytes('ff')]).subarray(1, -1);
    same(protos.decode('r', view), decoded, 'the bytes around a body do not count');
    const json = protos.decodeJson('r', input);
    if ('fault' in json) check(!isPlain, 'only what JSON cannot hold has no JSON', json.fault);
    else if (isPlain)
      same(
        JSON.parse(json.json.toString()),
        JSON.parse(JSON.stringify(value)),
        'the JSON of a body is its value',
      );
    const isKnownWrong = isKnown(value);
    if (!isKnownWrong) {
      const theirs = pinus.decode('r', input);
      const differs = difference(value, theirs);
      check(differs === null, "what Pinus's codec reads", differs);
    }
    const encoded = protos.encodeValue('r', value, 'utf8');
    if ('fault' in encoded) {
      const { message } = encoded.fault;
      check(
        /required but missing|below -2\^52|fit into a float|for a number$/.test(message),
        'what was read can be written',
        encoded.fault,
      );
      return;
    }
    const twice = protos.decode('r', encoded.bytes);
    check(!('fault' in twice), 'what is written can be read');
    // Fields that came apart are written together, and NaN has many forms.
    same(twice.value, withoutEmpty(value), 'decode(encode(x)) = x');
    const third = protos.encodeValue('r', twice.value, 'utf8');
    check(
      'bytes' in third && hex(third.bytes) === hex(encoded.bytes),
      'encode(decode(encode(x))) = encode(x)',
    );
    for (const strings of ['utf8', 'cesu8'] as const) {
      const written = protos.encodeValue('r', value, strings);
      if ('bytes' in written) {
        const read = protos.decode('r', written.bytes);
        check('value' in read, 'each form of strings can be read');
        same(read.value, twice.value, 'each form of strings is the same text');
      }
    }
  },
};

const encode: Target = {
  name: 'pomelo-protobuf-json',
  drives: ['protocol/protobuf/protos.ts Protos', 'protocol/protobuf/writer.ts Writer'],
  forms: ['json'],
  seeds: [
    '{"__proto":"x","u":1,"i":-2,"s":3,"f":1.5,"d":-0,"t":"é😀","us":[1,2],"ts":["a"],"ds":[1e300]}',
    '{"__proto":"","pos":{"x":1,"y":2,"next":{"x":3,"y":4}},"inners":[{"s":"a","list":[{"x":1,"y":2}]}]}',
    '{"__proto":"","b":true,"u64":9007199254740991,"s64":-4503599627370496,"m":{"k":{"s":"v"}},"o":{"5":7}}',
    '{"u":"12abc","i":3.9,"f":1e39,"__proto":"z"}',
    '{"u":9007199254740993}',
  ],
  run(input) {
    const written = protos.encode('r', input, 'utf8');
    same(protos.encode('r', input, 'utf8'), written, 'the same twice');
    const loosely = protos.encodeLoosely('r', input, 'utf8');
    const read = protos.decode('r', loosely);
    check(
      'value' in read || isBeyond(read),
      'what is written loosely can be read',
      'fault' in read ? read.fault : '',
    );
    if ('fault' in written) {
      check(written.fault.message !== '', 'a fault says what is wrong');
      return;
    }
    const decoded = protos.decode('r', written.bytes);
    if (isBeyond(decoded)) return;
    check(
      'value' in decoded,
      'what is written can be read',
      'fault' in decoded ? decoded.fault : '',
    );
    const again = protos.encodeValue('r', decoded.value, 'utf8');
    // A half character was written as U+FFFD.
    check('bytes' in again, 'what was read can be written', 'fault' in again ? again.fault : '');
    const other = protos.decode('r', again.bytes);
    check('value' in other, 'and read again');
    same(other.value, decoded.value, 'decode(encode(x)) = x');
  },
};

/** Clients read such a number if it is even enough; the gateway, which has to write it as JSON, does not. */
function isBeyond(decoded: object): boolean {
  return (
    'fault' in decoded &&
    /(?:beyond|above) 2\^53 - 1$/.test((decoded.fault as { message: string }).message)
  );
}

const definition: Target = {
  name: 'pomelo-definitions',
  drives: ['protocol/protobuf/definition.ts parseProtos', 'protocol/protobuf/schema.ts compile'],
  forms: ['json'],
  seeds: [
    JSON.stringify(FILE),
    '{"onMove":{"required uInt32 x":1,"message A":{"optional string s":1},"repeated A list":2}}',
    '{"a":{"optional string x":"1","optional string y":268435456,"optional string x":2}}',
    '{"a b":{"message X Y":{},"foo bar":1,"message string":{}},"message M":[],"c":null}',
    '{"a":{"map E m":1,"message E":{"required string key":1,"optional a value":2}}}',
    '{"r":{"optional __proto__ x":1,"optional string __messages":2}}',
  ],
  tokens: ['message ', 'required ', 'optional ', 'repeated ', 'map ', 'obj ', ' '],
  run(input) {
    let file: unknown;
    try {
      file = JSON.parse(input.toString());
    } catch {
      return;
    }
    const made = Protos.of(file);
    same(Protos.of(file).parsed, made.parsed, 'the same twice');
    for (const { message } of [...made.problems, ...made.warnings])
      check(message !== '', 'a problem says what is wrong');
    if (typeof file !== 'object' || file === null || Array.isArray(file)) {
      check(made.problems.length > 0, 'only an object is a file');
      return;
    }
    for (const route of Object.keys(file)) {
      const isMessage = /^message [^ ]+$/.test(route) || route === 'message ';
      if (made.knows(route)) check(!isMessage, 'a message is no route', route);
      const body = made.decode(route, bytes('08010a00'));
      if ('value' in body && made.problems.length === 0) {
        const written = made.encodeValue(route, body.value, 'utf8');
        check(
          'bytes' in written || /required/.test(written.fault.message),
          'what was read can be written',
          written,
        );
      }
    }
    if (made.problems.length > 0 || hasOdd(file)) return;
    same(
      made.parsed,
      (hasMaps(file) ? parsePinus : parsePomelo)(file),
      "what Pomelo's parser makes of it",
    );
  },
};

/** Only Pinus has maps. */
function hasMaps(file: object): boolean {
  return /"(?:map|obj) /.test(JSON.stringify(file));
}

/** Where Pomelo's own parser throws, or makes something of what is not an object. */
function hasOdd(value: unknown): boolean {
  return Object.entries(value as object).some(([key, inner]) => {
    if (key === '__proto__') return true;
    const isMessage = key.split(' ')[0] === 'message';
    return typeof inner === 'object' ? inner === null || hasOdd(inner) : isMessage;
  });
}

export const targets: readonly Target[] = [decode, encode, definition];
