/** What can be wrong, or only awkward, with a text, a number, a name or a run of bytes, whatever carries it. */
import type { Chance } from './chance.ts';

export const MIB = 1_048_576;

/** Where lengths are cut, counted or bounded: by Pomelo, WebSocket, NATS, gRPC, protobuf, and by ourselves. */
const EDGES = [
  0,
  1,
  2,
  125,
  126,
  127,
  128,
  255,
  256,
  4_095,
  4_096,
  16_383,
  16_384,
  65_535,
  65_536,
  131_072,
  524_288,
  MIB - 1,
  MIB,
  MIB + 1,
  4 * MIB,
  4 * MIB + 1,
  8 * MIB,
  16 * MIB - 16,
  16_777_215,
  16_777_216,
  17_000_000,
  20_000_000,
  32 * MIB,
];

/** A length up to `max`: mostly small, at the edges, now and then as large as it may be. */
export function length(chance: Chance, max: number): number {
  if (max < 1) return 0;
  if (chance.is(0.5)) return Math.min(max, chance.logarithmic(20_000));
  if (chance.is(0.7)) return chance.pick(EDGES.filter((edge) => edge <= Math.min(max, 65_536)));
  return chance.pick(EDGES.filter((edge) => edge <= max));
}

/** Numbers of things. */
export function count(chance: Chance, max = 100_000): number {
  return chance.is(0.7) ? chance.int(0, 20) : chance.pick([100, 1_000, 10_000, max]);
}

/** One character or escape each, as it stands inside the quotes of JSON; some grow when they are written anew. */
const LETTERS = [
  'a',
  '0',
  ' ',
  'é',
  '€',
  '漢',
  '😀',
  '\u2028',
  '\u2029',
  '\u007f',
  '\\"',
  '\\\\',
  '\\/',
  '\\n',
  '\\u0000',
  '\\u001f',
  '\\ud83d\\ude00',
  '\\ud800',
  '\\udfff',
  '<',
  '&',
];

/** The inside of a JSON string of about so many bytes. */
export function text(chance: Chance, bytes: number): string {
  const letter = chance.pick(LETTERS);
  const other = chance.is(0.3) ? chance.pick(LETTERS) : '';
  const unit = letter + other;
  return unit.repeat(Math.floor(bytes / Buffer.byteLength(unit)));
}

/** Numbers as JSON allows them to be written. */
export const NUMBERS = [
  '0',
  '-0',
  '-0.0',
  '1.0',
  '1e0',
  '1E+2',
  '0.1e-7',
  '2147483647',
  '2147483648',
  '-2147483649',
  '4294967295',
  '4294967296',
  '9007199254740991',
  '9007199254740992',
  '9007199254740993',
  '9223372036854775807',
  '9223372036854775808',
  '18446744073709551615',
  '18446744073709551616',
  '-9223372036854775809',
  '1e308',
  '1e309',
  '1e400',
  '-1e400',
  '5e-324',
  '1e-400',
  `1${'0'.repeat(400)}`,
  `0.${'1'.repeat(400)}`,
];

/** What programs give a meaning to: ours, the protocol's, the language's. */
export const NAMES = [
  'pith.closed',
  'pith.connect',
  'pith',
  'pith.x',
  'Pith.closed',
  'close',
  'kick',
  'push',
  'patch',
  'connect',
  'closed',
  'error',
  'seq_id',
  'cmd',
  'payload',
  'session',
  '__proto__',
  'constructor',
  'prototype',
  'toString',
  'hasOwnProperty',
  'then',
  '',
  '*',
  '>',
  '$SYS',
  '_INBOX',
  '..',
  '%2e%2e',
  'a\u0000b',
  'a\r\nb',
];

/** JSON by chance, of up to `budget` bytes and now and then of great depth or count. */
export function json(chance: Chance, budget: number): string {
  if (chance.is(0.05)) return deep(chance, Math.min(budget, count(chance) * 2));
  if (chance.is(0.08)) return wide(chance, Math.min(100_000, Math.floor(budget / 8)));
  return value(chance, budget, 4);
}

function value(chance: Chance, budget: number, depth: number): string {
  const kind = chance.int(0, depth > 0 ? 8 : 4);
  if (kind === 0) return chance.pick(NUMBERS);
  if (kind === 1) return chance.pick(['true', 'false', 'null']);
  if (kind <= 4) return `"${text(chance, length(chance, budget))}"`;
  const parts = chance.int(0, 4);
  const each = Math.floor(budget / (parts + 1));
  const inner = Array.from({ length: parts }, () => value(chance, each, depth - 1));
  if (kind <= 6) return `[${inner.join(',')}]`;
  return `{${inner.map((one) => `${JSON.stringify(chance.pick(NAMES))}:${one}`).join(',')}}`;
}

/** So many brackets, closed or not. */
function deep(chance: Chance, bytes: number): string {
  const half = Math.floor(bytes / 2);
  const [open, close] = chance.pick([
    ['[', ']'],
    ['{"a":', '}'],
    ['[{"":', '}]'],
  ] as const);
  const levels = Math.floor(half / open.length);
  return open.repeat(levels) + '1' + (chance.is(0.8) ? close.repeat(levels) : '');
}

/** How deep brackets are nested in a text, those inside its strings left out. */
export function depthOf(json: string): number {
  let depth = 0;
  let deepest = 0;
  let isText = false;
  for (let at = 0; at < json.length; at++) {
    const letter = json[at];
    if (letter === '"') isText = !isText;
    else if (isText && letter === '\\') at++;
    else if (!isText && (letter === '[' || letter === '{')) deepest = Math.max(deepest, ++depth);
    else if (!isText && (letter === ']' || letter === '}')) depth--;
  }
  return deepest;
}

/** So many members, of an array or an object, all of one name or each of its own. */
function wide(chance: Chance, members: number): string {
  const kind = chance.int(0, 2);
  const numbered = Array.from({ length: members }, (_, i) => i);
  if (kind === 0) return `[${numbered.join(',')}]`;
  if (kind === 1) return `{${numbered.map((i) => `"${i}":1`).join(',')}}`;
  return `{${numbered.map(() => '"a":1').join(',')}}`;
}

/** The same bytes with something done to them: cut, flipped, doubled, filled in. */
export function spoilt(chance: Chance, bytes: Buffer): Buffer {
  if (bytes.length === 0) return chance.bytes(chance.int(0, 8));
  const at = chance.int(0, bytes.length - 1);
  switch (chance.int(0, 5)) {
    case 0:
      return bytes.subarray(0, at);
    case 1:
      return bytes.subarray(at);
    case 2: {
      const made = Buffer.from(bytes);
      for (let flips = chance.int(1, 8); flips > 0; flips--)
        made[chance.int(0, made.length - 1)]! ^= 1 << chance.int(0, 7);
      return made;
    }
    case 3:
      return Buffer.concat([bytes, bytes.subarray(at)]);
    case 4:
      return Buffer.concat([bytes.subarray(0, at), chance.bytes(16), bytes.subarray(at)]);
    default: {
      const made = Buffer.from(bytes);
      made.fill(
        chance.pick([0, 0x0a, 0x22, 0x7b, 0x80, 0xff]),
        at,
        Math.min(made.length, at + chance.int(1, 64)),
      );
      return made;
    }
  }
}
