/**
 * The options in a .proto file. Only those that change the bytes or the JSON are kept; all others, whatever they
 * hold, are read over, so nobody needs the files that define them.
 */
import { create } from '@bufbuild/protobuf';
import {
  type FeatureSet,
  FeatureSet_EnumType,
  FeatureSet_FieldPresence,
  FeatureSet_MessageEncoding,
  FeatureSet_RepeatedFieldEncoding,
  FeatureSet_Utf8Validation,
  FeatureSetSchema,
} from '@bufbuild/protobuf/wkt';

import type { Token, Tokens } from './tokens.ts';

/** Name to value of the options of one thing; an aggregate's own simple entries are `name.entry`. */
export type Options = Map<string, string>;

/** What a feature may be, by its name; other features change nothing here. */
const FEATURES: Readonly<Record<string, Readonly<Record<string, string | number>>>> = {
  field_presence: FeatureSet_FieldPresence,
  enum_type: FeatureSet_EnumType,
  repeated_field_encoding: FeatureSet_RepeatedFieldEncoding,
  utf8_validation: FeatureSet_Utf8Validation,
  message_encoding: FeatureSet_MessageEncoding,
};

/** Reads `a.b.C` or `.a.b.C`; `first` has been taken already. */
export function readTypeName(tokens: Tokens, first = ''): string {
  let name = first;
  if (first === '') name = (tokens.skip('.') ? '.' : '') + tokens.name('a type');
  while (tokens.skip('.')) name += `.${tokens.name('a name')}`;
  return name;
}

/** Reads `[a = 1, b = 2]`, if it is there. */
export function readInlineOptions(tokens: Tokens): Options {
  const options: Options = new Map();
  if (!tokens.skip('[')) return options;
  do readOption(tokens, options);
  while (tokens.skip(','));
  tokens.expect(']');
  return options;
}

/** Reads `name = value;` into `options`. */
export function readOptionLine(tokens: Tokens, options: Options): void {
  readOption(tokens, options);
  tokens.expect(';');
}

function readOption(tokens: Tokens, options: Options): void {
  const name = readOptionName(tokens);
  tokens.expect('=');
  if (tokens.is('{')) {
    readAggregate(tokens, name, options);
    return;
  }
  const sign = tokens.skip('-') ? '-' : '';
  const { next } = tokens;
  const { kind } = next;
  if (kind === 'mark' || kind === 'end') throw tokens.unexpected('a value');
  const value = sign + (kind === 'string' ? tokens.string('text') : tokens.take().text);
  put(tokens, options, [name, value], next);
}

function readOptionName(tokens: Tokens): string {
  const parts: string[] = [];
  do {
    if (tokens.skip('(')) {
      parts.push(`(${readTypeName(tokens)})`);
      tokens.expect(')');
    } else {
      parts.push(tokens.name("an option's name"));
    }
  } while (tokens.skip('.'));
  return parts.join('.');
}

/** Reads `{ … }`: its own simple entries are kept, what is nested is not. */
function readAggregate(tokens: Tokens, name: string, options: Options): void {
  let depth = 0;
  let key = '';
  do {
    const token = tokens.take();
    const { kind, text } = token;
    if (kind === 'end') throw tokens.unexpected('"}"');
    if (kind === 'mark' && (text === '{' || text === '[')) depth++;
    else if (kind === 'mark' && (text === '}' || text === ']')) depth--;
    else if (depth === 1 && kind === 'word' && tokens.is(':')) key = text;
    else if (depth === 1 && kind !== 'mark' && key !== '')
      put(tokens, options, [`${name}.${key}`, text], token);
  } while (depth > 0);
}

/** Reads to behind the `;` or the block that ends what cannot matter here. */
export function readOver(tokens: Tokens): void {
  let depth = 0;
  for (;;) {
    const { kind, text } = tokens.take();
    if (kind === 'end') throw tokens.unexpected('";" or "}"');
    if (kind !== 'mark') continue;
    if (text === '{' || text === '[') depth++;
    else if (text === '}' || text === ']') depth--;
    if (depth <= 0 && (text === ';' || text === '}')) return;
  }
}

/** The features among the options; undefined: none. */
export function featuresOf(options: Options): FeatureSet | undefined {
  let features: FeatureSet | undefined;
  for (const [name, known] of Object.entries(FEATURES)) {
    const value = options.get(`features.${name}`);
    if (value === undefined) continue;
    features ??= create(FeatureSetSchema);
    const field = FeatureSetSchema.fields.find((one) => one.name === name)!.localName;
    Object.assign(features, { [field]: numberOf(known, value) });
  }
  return features;
}

/** Takes down an option, whose value is the token `at`. @throws {ProtoError} A feature has no such value. */
function put(
  tokens: Tokens,
  options: Options,
  [name, value]: readonly [string, string],
  at: Token,
): void {
  const [, feature = ''] = /^features\.(\w+)$/.exec(name) ?? [];
  const known = Object.hasOwn(FEATURES, feature) ? FEATURES[feature]! : null;
  if (known !== null && numberOf(known, value) === undefined)
    throw tokens.error(`${name} has no value "${value}"; there are ${wordsOf(known)}`, at);
  options.set(name, value);
}

type Words = Readonly<Record<string, string | number>>;

/** undefined: there is no such word. An enum's object has its numbers as keys, too. */
function numberOf(known: Words, word: string): number | undefined {
  const number = Object.hasOwn(known, word) ? known[word] : undefined;
  return typeof number === 'number' ? number : undefined;
}

function wordsOf(known: Words): string {
  return Object.keys(known)
    .filter((word) => numberOf(known, word) !== undefined)
    .join(', ');
}
