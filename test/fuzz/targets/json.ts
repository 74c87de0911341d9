/** JSON text: scanned, split, parsed with exact numbers; beside JSON.parse and a tokenizer of a few lines. */
import { isUtf8 } from 'node:buffer';

import {
  JSON_DEPTH_MAX,
  nestsTooDeep,
  parseJson,
  ShapeError,
  wholeNumberOf,
} from '../../../src/contract/json.ts';
import { CONVERT_BYTES, weightOfJson } from '../../../src/protocol/conversion-limit.ts';
import {
  doubleOf,
  isSameNumber,
  mayLose,
  parseAsWritten,
  parseExact,
  plainText,
  rawNumber,
  wholeOf,
} from '../../../src/protocol/exact-json.ts';
import { elementsOf } from '../../../src/protocol/json-elements.ts';
import { parseJsonText } from '../../../src/protocol/json-parse.ts';
import { repeatedKey } from '../../../src/protocol/json-keys.ts';
import { afterKnown, isJson, Members, sizeOfJson } from '../../../src/protocol/json-scan.ts';
import {
  copyOnOneLine,
  faultOfJson,
  PAYLOAD_DEPTH_MAX,
} from '../../../src/upstream/ipc/json-text.ts';
import { anyJson } from '../fresh.ts';
import { chanceOf } from '../cuts.ts';
import { check, orError, same, type Target } from '../target.ts';

const SEEDS = [
  '{"\\\\":{"a":1,"\\\\u":[-0,"\\n"]},"\\n":2,"\\\\":3}',
  '{"id":7,"route":"a.b.c","body":{"x":[1,2,{"y":null}],"z":"\\u00e9\\ud83d\\ude00"}}',
  '[1.0,-0,1e2,1E+400,9007199254740993,0.1,123456789012345678901234567890]',
  '  {"a":{"b":{"c":[[],{},""]}},"a":1}\r\n',
  '{"r\\u006fute":"x","id":1,"id":2,"__proto__":{},"":""}',
  '"text"',
  '[[[[[[[[1]]]]]]]]',
  '-12.5e-3',
  'true',
];

/** The value; undefined: JSON.parse refuses it, too. */
function parsed(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return undefined;
  }
}

const TOKEN = /"(?:\\.|[^"\\])*"|-?[0-9][-+.0-9eE]*|true|false|null|[{}[\],:]/g;

/** Of valid JSON. */
function tokensOf(text: string): string[] {
  return text.match(TOKEN) ?? [];
}

/** What a text holds, by its tokens. */
function sizes(text: string): unknown {
  const tokens = tokensOf(text);
  let [containers, values, keys, depth, deepest] = [0, 0, 0, 0, 0];
  for (const [i, token] of tokens.entries()) {
    if (token === '{' || token === '[') {
      containers++;
      deepest = Math.max(deepest, ++depth);
    } else if (token === '}' || token === ']') depth--;
    else if (tokens[i + 1] === ':') keys++;
    else if (token !== ',' && token !== ':') values++;
  }
  return { containers, values: values + containers, keys, depth: deepest };
}

/** The first key that comes twice in one object. */
function firstRepeated(text: string): string | null {
  const tokens = tokensOf(text);
  const open: Set<string>[] = [];
  for (const [i, token] of tokens.entries()) {
    if (token === '{' || token === '[') open.push(new Set());
    else if (token === '}' || token === ']') open.pop();
    else if (tokens[i + 1] === ':') {
      const key = JSON.parse(token) as string;
      if (open.at(-1)!.has(key)) return key;
      open.at(-1)!.add(key);
    }
  }
  return null;
}

const NAMES = ['id', 'route', 'body', 'a', 'constructor'] as const;
const members = new Members(NAMES);

const scan: Target = {
  name: 'json-scan',
  drives: [
    'protocol/json-scan.ts isJson',
    'protocol/json-scan.ts sizeOfJson',
    'protocol/json-scan.ts Members',
    'protocol/json-scan.ts afterKnown',
    'protocol/json-elements.ts elementsOf',
    'protocol/json-keys.ts repeatedKey',
    'protocol/conversion-limit.ts weightOfJson',
  ],
  forms: ['json'],
  seeds: SEEDS,
  tokens: [
    '\\u',
    '\\u00',
    '\\x',
    'f',
    'F',
    'g',
    'G',
    ':',
    '@',
    '/',
    '"a',
    '-0',
    '01',
    '1.',
    'e+',
    'tru',
    'nul',
  ],
  fresh: anyJson(),
  run(input) {
    const text = input.toString();
    const value = parsed(text);
    const isValid = value !== undefined;
    same(isJson(input), isValid, 'isJson is what JSON.parse says');
    // Beyond its end there may be anything.
    const chance = chanceOf(input);
    const [before, after] = [chance.bytes(3), chance.bytes(3)];
    const within = Buffer.concat([before, input, after]).subarray(3, 3 + input.length);
    same(isJson(within), isValid, 'the bytes around a text do not count');
    same(sizeOfJson(within), isValid ? sizes(text) : null, 'sizeOfJson is what the tokens say');
    check(weightOfJson(input, 16) >= input.length, 'a text weighs at least its bytes');
    const isObject = typeof value === 'object' && value !== null && !Array.isArray(value);
    same(members.read(within), isObject, 'Members.read wants an object');
    if (!isValid) return;
    same(repeatedKey(input), firstRepeated(text), 'the first key that comes twice');
    if (isObject) {
      sameMembers(value as Record<string, unknown>);
      same(members.readKnown(within), true, 'Members.readKnown reads what read reads');
      sameMembers(value as Record<string, unknown>);
    } else same(members.readKnown(within), false, 'Members.readKnown wants an object');
    // White space and the ends of values are ASCII, whatever the strings hold.
    const latin = input.toString('latin1');
    const start = latin.search(/[^ \t\r\n]/);
    same(
      afterKnown(within, start),
      latin.replace(/[ \t\r\n]+$/, '').length,
      'afterKnown finds the end',
    );
    const elements = elementsOf(within).map((one) => JSON.parse(one.toString()) as unknown);
    same(elements, Array.isArray(value) ? value : [], 'the elements are those of the list');
  },
};

function sameMembers(value: Record<string, unknown>): void {
  for (const name of NAMES) {
    const found = members.get(name);
    if (!Object.hasOwn(value, name))
      check(found === null, 'no member is found that is not there', name);
    else
      same(
        found === null ? 'none' : JSON.parse(found.toString()),
        value[name],
        `the member ${name}`,
      );
  }
}

/** A number in any notation as digits without zeros around them, and a power of ten; null: too long to compare. */
function decimal(text: string): string | null {
  const [, sign, whole, fraction = '', exponent = '0'] =
    /^(-?)([0-9]+)(?:\.([0-9]+))?(?:[eE]([+-]?[0-9]+))?$/.exec(text)!;
  if (exponent.length > 12) return null;
  let digits = (whole! + fraction).replace(/^0+/, '');
  let power = Number(exponent) - fraction.length;
  if (digits === '') return '0';
  const short = digits.replace(/0+$/, '');
  power += digits.length - short.length;
  digits = short;
  return `${sign}${digits}e${power}`;
}

const numbers: Target = {
  name: 'json-numbers',
  drives: [
    'protocol/exact-json.ts wholeOf',
    'protocol/exact-json.ts doubleOf',
    'protocol/exact-json.ts isSameNumber',
    'protocol/exact-json.ts plainText',
    'contract/json.ts wholeNumberOf',
  ],
  forms: ['words', 'text'],
  seeds: [
    '1 1.0',
    '-0 0',
    '1e400 1e401',
    '9007199254740993 9007199254740992',
    '123e-2 1.23',
    '1E+3 1000',
    '"12" 12',
    '5e-324 0',
  ],
  tokens: ['e', 'E', '.', '-', '+', '0', '000', '1e'],
  run(input) {
    const [a, b] = input.toString('latin1').split(' ').filter((one) => /^-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?$/.test(one)); // prettier-ignore
    if (a === undefined) return;
    const number = Number(a);
    const exact = decimal(a);
    const whole = wholeOf(a);
    if (exact !== null) {
      const [digits, power] = exact.split('e') as [string, string | undefined];
      const isWhole = power === undefined || Number(power) >= 0;
      const length = digits.length + Number(power ?? 0);
      if (length < 390) {
        const expected = isWhole
          ? BigInt(power === undefined ? 0 : digits + '0'.repeat(Number(power)))
          : null;
        same(whole, expected, 'wholeOf is exact');
      }
      const double = doubleOf(a);
      const isKept =
        Number.isFinite(number) &&
        (number !== 0 || exact === '0') &&
        (!isWhole || decimal(String(number)) === exact);
      same(
        double,
        isKept ? number : null,
        'doubleOf is exact for whole numbers, and refuses what overflows or underflows',
      );
      const plain = plainText(rawNumber(a));
      if (
        plain.length < 400 &&
        /^-?[0-9.]+(?:e[+-]?[0-9]+)?$/.test(plain) &&
        (isWhole || double === null)
      )
        same(decimal(plain), exact, 'plainText is the same number');
    }
    const read = orError(() => wholeNumberOf(parseAsWritten(a), 'x'), ShapeError);
    if (typeof read === 'number')
      check(exact === null || BigInt(read) === whole, 'wholeNumberOf is exact');
    if (b === undefined) return;
    const [one, other] = [decimal(a), decimal(b)];
    if (one !== null && other !== null && Math.max(a.length, b.length) < 1_000)
      same(isSameNumber(a, b), one === other, 'isSameNumber compares values');
  },
};

/** A text as it would be written without white space, and with every string in one notation. */
function compact(text: string, number: (token: string) => string): string {
  return tokensOf(text)
    .map((token) =>
      token.startsWith('"')
        ? JSON.stringify(JSON.parse(token))
        : /^[-0-9]/.test(token)
          ? number(token)
          : token,
    )
    .join('');
}

const exact: Target = {
  name: 'exact-json',
  drives: [
    'protocol/exact-json.ts parseAsWritten',
    'protocol/exact-json.ts parseExact',
    'protocol/exact-json.ts mayLose',
    'protocol/json-parse.ts parseJsonText',
  ],
  forms: ['json'],
  seeds: SEEDS,
  fresh: anyJson(),
  run(input) {
    const text = input.toString();
    const value = parsed(text);
    const plain = orError(() => parseJsonText(text), SyntaxError);
    if (value === undefined)
      check(plain instanceof Error, 'parseJsonText refuses what JSON.parse refuses');
    else same(plain, value, 'parseJsonText is JSON.parse');
    const ours = orError(() => parseAsWritten(text), SyntaxError);
    const shorter = orError(() => parseExact(text), SyntaxError);
    check(
      ours instanceof Error === (value === undefined),
      'parseAsWritten refuses what JSON.parse refuses',
    );
    check(
      shorter instanceof Error === (value === undefined),
      'parseExact refuses what JSON.parse refuses',
    );
    if (value === undefined || ours instanceof Error || shorter instanceof Error) return;
    same(JSON.parse(JSON.stringify(shorter)), value, 'as JSON.parse but for the form of numbers');
    // JavaScript keeps one of equal keys, and puts those first that are like indexes.
    if (firstRepeated(text) !== null || /"[0-9]+"\s*:/.test(compact(text, (one) => one))) return;
    same(
      JSON.stringify(ours),
      compact(text, (one) => one),
      'every number is written as it came',
    );
    const canonical = (token: string): string => {
      const number = decimal(token) ?? token;
      return number === '0' && token.startsWith('-') ? '-0' : number;
    };
    same(
      compact(JSON.stringify(shorter), (token) => (token === '-0' ? '-0' : canonical(token))),
      compact(text, (token) =>
        Object.is(Number(token), -0) && canonical(token) === '0' ? '-0' : canonical(token),
      ),
      'every number has its value',
    );
    if (!mayLose(text)) same(shorter, value, 'nothing is lost where mayLose says so');
  },
};

const bounded: Target = {
  name: 'json-bounded',
  drives: [
    'contract/json.ts parseJson',
    'contract/json.ts nestsTooDeep',
    'upstream/ipc/json-text.ts faultOfJson',
    'upstream/ipc/json-text.ts copyOnOneLine',
  ],
  forms: ['json'],
  seeds: [
    ...SEEDS,
    '['.repeat(64) + ']'.repeat(64),
    '['.repeat(65) + ']'.repeat(65),
    '[\n1,\r\n"a\\n"]',
  ],
  run(input) {
    const text = input.toString();
    const value = parsed(text);
    const read = orError(() => parseJson(input, 'it', CONVERT_BYTES), ShapeError);
    const depth = value === undefined ? 0 : (sizes(text) as { depth: number }).depth;
    check(
      read instanceof Error === (value === undefined || depth > JSON_DEPTH_MAX),
      'refused only if not JSON or too deep',
      depth,
    );
    // Of equal keys one value is left.
    if (!(read instanceof Error) && firstRepeated(text) === null)
      same(nestsTooDeep(read, 5), depth > 5, 'nestsTooDeep counts what the scan counts');
    check(
      orError(() => parseJson(input, 'it', 8), ShapeError) instanceof Error || input.length <= 8,
      'the bound is kept',
    );
    const fault = faultOfJson(input);
    same(
      fault === null,
      isUtf8(input) && value !== undefined && depth <= PAYLOAD_DEPTH_MAX,
      'faultOfJson says what cannot stand in a line',
    );
    if (fault !== null) return;
    const line = Buffer.alloc(input.length + 2, 0x78);
    copyOnOneLine(input, line, 1);
    check(line[0] === 0x78 && line.at(-1) === 0x78, 'nothing is written around it');
    const copy = line.subarray(1, -1).toString();
    check(!/[\r\n]/.test(copy), 'it is one line');
    same(JSON.parse(copy), value, 'on one line it is the same value');
  },
};

export const targets: readonly Target[] = [scan, numbers, exact, bounded];
