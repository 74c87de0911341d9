/** Definitions of pomelo-protobuf and messages that fit them, by chance. */
import type { Scalar } from '../../../../src/protocol/protobuf/definition.ts';
import type { Random } from './random.ts';

export type ValueSpec =
  | { readonly scalar: Scalar; readonly message?: never }
  | { readonly message: MessageSpec; readonly scalar?: never };

export type FieldSpec = {
  readonly name: string;
  readonly option: 'required' | 'optional' | 'repeated' | 'map' | 'obj';
  readonly value: ValueSpec;
  /** Of `map` and `obj`. */
  readonly key?: Scalar;
};

export type MessageSpec = { readonly fields: FieldSpec[]; readonly file: Record<string, unknown> };

export type Dialect = 'pomelo' | 'pinus';

export const ROUTE = 'area.role.move';

/** A key that no message has. Its length makes room in encoders that go by the length of the JSON. */
const PAD = '~pad';
/** Characters for each value: more than its tag, count and bytes take. */
const PAD_CHARACTERS = 32;

const POMELO_SCALARS = ['uInt32', 'int32', 'sInt32', 'float', 'double', 'string'] as const;
const PINUS_SCALARS = [...POMELO_SCALARS, 'bool', 'uInt64', 'sInt64'] as const;
/** Not `bool`: Pinus reads the key 'false' of an object as true. */
const KEY_SCALARS = ['string', 'string', 'uInt32', 'sInt64'] as const;
const FIELD_NAMES = [
  'a',
  'b',
  'id',
  'name',
  'pos',
  '名',
  '7',
  'length',
  'type',
  'option',
  'x.y',
  'v',
];
const NESTED_DEPTH_MAX = 2;
const VALUE_DEPTH_MAX = 4;
/** Values in one message, after which only what is required comes. */
const VALUES = 16;

export class RandomProtos {
  /** What would be in the file. */
  readonly file: Record<string, unknown> = {};
  readonly route: MessageSpec;
  readonly #random: Random;
  readonly #isPinus: boolean;
  readonly #top = new Map<string, MessageSpec>();
  #left = VALUES;

  constructor(random: Random, dialect: Dialect) {
    this.#random = random;
    this.#isPinus = dialect === 'pinus';
    for (const name of ['Top', 'Other'].slice(random.below(3))) {
      const spec: MessageSpec = { fields: [], file: {} };
      // In the map before it has fields, so that it may hold itself.
      this.#top.set(name, spec);
      this.file[`message ${name}`] = spec.file;
      this.#fill(spec, NESTED_DEPTH_MAX);
    }
    this.route = { fields: [], file: {} };
    this.#fill(this.route, 0);
    this.file[ROUTE] = this.route.file;
  }

  #fill(spec: MessageSpec, depth: number): void {
    const random = this.#random;
    const local = new Map<string, MessageSpec>();
    const count = depth < NESTED_DEPTH_MAX ? random.below(3) : 0;
    // One called as a message at the top hides that.
    for (const name of random.shuffled(['Local', 'Near', 'Top']).slice(0, count)) {
      const nested: MessageSpec = { fields: [], file: {} };
      this.#fill(nested, depth + 1);
      local.set(name, nested);
      spec.file[`message ${name}`] = nested.file;
    }
    const messages = [...new Map([...this.#top, ...local])];
    const tags = new Set<number>();
    for (const name of random.shuffled(FIELD_NAMES).slice(0, random.between(1, 6))) {
      let tag = this.#tag();
      while (tags.has(tag)) tag = this.#tag();
      tags.add(tag);
      if (this.#isPinus && random.oneIn(4)) this.#addMap(spec, messages, name, tag);
      else this.#addField(spec, messages, name, tag);
    }
  }

  #addField(
    spec: MessageSpec,
    messages: readonly (readonly [string, MessageSpec])[],
    name: string,
    tag: number,
  ): void {
    const [type, value] = this.#value(messages);
    // What holds itself must be able to end.
    const isOpen = value.message !== undefined && [...this.#top.values()].includes(value.message);
    const options = isOpen
      ? (['optional', 'repeated'] as const)
      : (['required', 'optional', 'repeated'] as const);
    const option = this.#random.pick(options);
    spec.fields.push({ name, option, value });
    spec.file[`${option} ${type} ${name}`] = tag;
  }

  #addMap(
    spec: MessageSpec,
    messages: readonly (readonly [string, MessageSpec])[],
    name: string,
    tag: number,
  ): void {
    const [type, value] = this.#value(messages);
    const key = this.#random.pick(KEY_SCALARS);
    const option = this.#random.pick(['map', 'obj'] as const);
    const entry = `Entry${tag}`;
    spec.file[`message ${entry}`] = { [`required ${key} key`]: 1, [`required ${type} value`]: 2 };
    spec.fields.push({ name, option, value, key });
    spec.file[`${option} ${entry} ${name}`] = tag;
  }

  #value(messages: readonly (readonly [string, MessageSpec])[]): [string, ValueSpec] {
    const random = this.#random;
    if (messages.length > 0 && random.oneIn(3)) {
      const [type, message] = random.pick(messages);
      return [type, { message }];
    }
    const scalar: Scalar = random.pick(this.#isPinus ? PINUS_SCALARS : POMELO_SCALARS);
    return [scalar, { scalar }];
  }

  #tag(): number {
    const random = this.#random;
    if (random.below(10) < 7) return random.between(1, 15);
    return random.between(1, random.pick([2047, 2 ** 18, 2 ** 28 - 1]));
  }

  /** A message of the route, as JSON.parse would give it. Without room most encoders fail on some. */
  message(withRoom: boolean): Record<string, unknown> {
    this.#left = VALUES;
    const message = this.#message(this.route, 0);
    if (withRoom) addRoom(message);
    return message;
  }

  #message(spec: MessageSpec, depth: number): Record<string, unknown> {
    const random = this.#random;
    const entries: [string, unknown][] = [];
    for (const field of spec.fields) {
      if (field.option !== 'required' && random.oneIn(4)) continue;
      const value = this.#fieldValue(field, depth);
      if (value !== undefined) entries.push([field.name, value]);
    }
    if (random.oneIn(10)) entries.push([random.pick(['zzz', 'constructor']), { a: [1] }]);
    return Object.fromEntries(random.shuffled(entries));
  }

  #fieldValue({ option, value, key }: FieldSpec, depth: number): unknown {
    const random = this.#random;
    const one = () => {
      this.#left--;
      if (value.message !== undefined) return this.#message(value.message, depth + 1);
      return this.#scalar(value.scalar);
    };
    if (option === 'required') return one();
    const isEnough = this.#left <= 0 || (value.message !== undefined && depth >= VALUE_DEPTH_MAX);
    if (option === 'optional') return isEnough ? undefined : one();
    // Above 127 the count takes two bytes.
    const isLong = value.message === undefined && random.oneIn(50);
    const count = isEnough ? 0 : isLong ? random.between(120, 140) : random.below(4);
    if (key === undefined) return Array.from({ length: count }, one);
    const keys = Array.from({ length: count }, () => String(this.#key(key)));
    return Object.fromEntries(keys.map((name) => [name, one()]));
  }

  #key(type: Scalar): string | number {
    if (type === 'string') return this.#text(8);
    return type === 'uInt32' ? this.#natural() : this.#whole();
  }

  #scalar(type: Scalar): unknown {
    switch (type) {
      case 'uInt32':
      case 'uInt64':
        return this.#asPeopleWrite(this.#natural());
      case 'int32':
      case 'sInt32':
      case 'sInt64':
        return this.#asPeopleWrite(this.#whole());
      case 'float': {
        const number = this.#float();
        // Beyond its range the reference writes infinity.
        return Number.isFinite(Math.fround(number)) ? number : 1.5;
      }
      case 'double':
        return this.#float();
      case 'string':
        return this.#text(this.#random.pick(this.#random.oneIn(1000) ? [20_000] : [4, 4, 30, 140]));
      case 'bool':
        return this.#random.oneIn(2);
    }
  }

  #natural(): number {
    const random = this.#random;
    const power = 2 ** random.pick([0, 7, 14, 21, 28, 31, 32, 35, 49, 53]);
    if (random.oneIn(2)) return random.below(power);
    return Math.min(Math.max(power + random.between(-2, 2), 0), Number.MAX_SAFE_INTEGER);
  }

  /** Down to -2^52: below, the reference loses a bit. */
  #whole(): number {
    const natural = this.#natural();
    return this.#random.oneIn(2) ? natural : -Math.min(natural, 2 ** 52);
  }

  /** Seldom as text or with a fraction, which the reference reads by parseInt. */
  #asPeopleWrite(number: number): unknown {
    if (!this.#random.oneIn(20)) return number;
    return this.#random.pick([String(number), `${number}abc`, number / 8]);
  }

  #float(): number {
    const random = this.#random;
    const edges = [0, -0, 1, -1.5, 5e-324, 1e308, 1e39, 2 ** 53, 0.1];
    return random.oneIn(2) ? random.pick(edges) : (random.unit() - 0.5) * 10 ** random.below(40);
  }

  #text(lengthMax: number): string {
    const random = this.#random;
    const characters = random.pick([
      'abcdefg /"\\',
      'abc',
      '你好안녕',
      'aé你\u{1f602}',
      '\u{1f602}\u{10ffff}',
    ]);
    const all = Array.from(characters);
    return Array.from({ length: random.below(lengthMax + 1) }, () => random.pick(all)).join('');
  }
}

/** Adds to each message of `value` a key that nobody knows, long enough for all that it holds. */
function addRoom(value: unknown): number {
  if (typeof value !== 'object' || value === null) return 1;
  let values = 1;
  for (const inner of Object.values(value)) values += addRoom(inner);
  if (!Array.isArray(value)) {
    (value as Record<string, unknown>)[PAD] = '~'.repeat(values * PAD_CHARACTERS);
  }
  return values;
}

/** With each field of Pinus's `map` as a Map, its keys of the type that they have there. */
export function withMaps(
  value: Record<string, unknown>,
  spec: MessageSpec,
): Record<string, unknown> {
  const one = (inner: unknown, type: ValueSpec) =>
    type.message === undefined ? inner : withMaps(inner as Record<string, unknown>, type.message);
  const result = { ...value };
  for (const { name, option, value: type, key } of spec.fields) {
    const inner = value[name];
    if (inner === undefined) continue;
    if (option === 'repeated') {
      result[name] = (inner as unknown[]).map((element) => one(element, type));
    } else if (option === 'map' || option === 'obj') {
      const entries = Object.entries(inner as object).map(
        ([text, part]) => [text, one(part, type)] as const,
      );
      const toKey = (text: string) => (key === 'string' ? text : Number(text));
      result[name] =
        option === 'obj'
          ? Object.fromEntries(entries)
          : new Map(entries.map(([text, part]) => [toKey(text), part]));
    } else {
      result[name] = one(inner, type);
    }
  }
  return result;
}
