/**
 * Pomelo's protobuf for the doubles, with what sets the families' encoders apart. Definitions are in the form in which
 * the handshake carries them.
 */
import { cesu8, readUpToThreeBytes, readUtf8 } from './text.ts';
import { Cursor, Trouble, varint } from './wire.ts';

type Field = { readonly option: string; readonly type: string; readonly tag: number };
type Definition = {
  readonly __messages?: Definitions;
  readonly __tags?: { readonly [tag: string]: string };
  readonly [field: string]: unknown;
};
export type Definitions = { readonly [name: string]: Definition };

export type Habits = {
  /** Wire type bits of whole numbers: browsers write those of a string. */
  readonly varintBits: 0 | 2;
  /** Text as three bytes for each half of a surrogate pair, and read so. */
  readonly isCesu8: boolean;
  /** A list without elements is written as tag and count. */
  readonly writesEmptyLists: boolean;
  /** A key that the definition lacks spoils the whole message; else it is left out. */
  readonly failsOnUnknownKeys: boolean;
};

export const C: Habits = {
  varintBits: 0,
  isCesu8: false,
  writesEmptyLists: true,
  failsOnUnknownKeys: true,
};
export const UNITY: Habits = {
  varintBits: 0,
  isCesu8: false,
  writesEmptyLists: false,
  failsOnUnknownKeys: false,
};
export const BROWSER: Habits = {
  varintBits: 2,
  isCesu8: true,
  writesEmptyLists: false,
  failsOnUnknownKeys: false,
};

const WHOLE = ['uInt32', 'int32', 'sInt32'];
const SIMPLE = [...WHOLE, 'float', 'double'];

/** Refuses definitions in which a client would not find its way: every message needs both its indexes. */
export function checkDefinitions(definitions: unknown): asserts definitions is Definitions {
  if (!isObject(definitions)) throw new Trouble('protos without definitions');
  for (const [name, one] of Object.entries(definitions)) {
    if (!isObject(one)) throw new Trouble(`${name} is no message`);
    if (!isObject(one['__tags'])) throw new Trouble(`${name} has no __tags`);
    checkDefinitions(one['__messages']);
  }
}

/** The body of a message of this route. */
export function encode(all: Definitions, route: string, body: unknown, habits: Habits): Buffer {
  return new Writer(all, habits).message(all[route]!, body as object);
}

/** The value in a body of this route; throws Trouble where the clients' decoders lose their way. */
export function decode(all: Definitions, route: string, bytes: Buffer, habits: Habits): object {
  const reader = new Reader(all, habits, new Cursor(bytes));
  return reader.message(all[route]!, bytes.length);
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function bitsOf(type: string, habits: Habits): number {
  if (WHOLE.includes(type)) return habits.varintBits;
  return type === 'float' ? 5 : type === 'double' ? 1 : 2;
}

/** A message's own inner messages come before those of the whole file. */
function innerOf(all: Definitions, outer: Definition, type: string): Definition {
  const found = outer.__messages?.[type] ?? all[`message ${type}`];
  if (found === undefined) throw new Trouble(`no message ${type}`);
  return found;
}

class Writer {
  readonly #all: Definitions;
  readonly #habits: Habits;

  constructor(all: Definitions, habits: Habits) {
    this.#all = all;
    this.#habits = habits;
  }

  message(definition: Definition, body: object): Buffer {
    const parts: Buffer[] = [];
    for (const [key, value] of Object.entries(body)) {
      const field = definition[key] as Field | undefined;
      if (field === undefined) {
        if (this.#habits.failsOnUnknownKeys) throw new TypeError(`no field ${key}`);
        continue;
      }
      if (field.option === 'repeated')
        parts.push(this.#list(definition, field, value as unknown[]));
      else parts.push(this.#tag(field), this.#value(definition, field.type, value));
    }
    return Buffer.concat(parts);
  }

  #list(outer: Definition, field: Field, list: readonly unknown[]): Buffer {
    const values = list.map((one) => this.#value(outer, field.type, one));
    if (!SIMPLE.includes(field.type)) {
      return Buffer.concat(values.flatMap((one) => [this.#tag(field), one]));
    }
    if (list.length === 0 && !this.#habits.writesEmptyLists) return Buffer.alloc(0);
    return Buffer.concat([this.#tag(field), varint(list.length), ...values]);
  }

  #tag(field: Field): Buffer {
    return varint(field.tag * 8 + bitsOf(field.type, this.#habits));
  }

  #value(outer: Definition, type: string, value: unknown): Buffer {
    if (type === 'uInt32') return varint(value as number);
    if (WHOLE.includes(type)) return varint(zigzag(value as number));
    if (type === 'float') return Buffer.from(Float32Array.of(value as number).buffer);
    if (type === 'double') return Buffer.from(Float64Array.of(value as number).buffer);
    const bytes =
      type === 'string' ? this.#text(value as string) : this.#inner(outer, type, value as object);
    return Buffer.concat([varint(bytes.length), bytes]);
  }

  #text(text: string): Buffer {
    return this.#habits.isCesu8 ? cesu8(text) : Buffer.from(text);
  }

  #inner(outer: Definition, type: string, value: object): Buffer {
    return this.message(innerOf(this.#all, outer, type), value);
  }
}

class Reader {
  readonly #all: Definitions;
  readonly #habits: Habits;
  readonly #cursor: Cursor;

  constructor(all: Definitions, habits: Habits, cursor: Cursor) {
    this.#all = all;
    this.#habits = habits;
    this.#cursor = cursor;
  }

  message(definition: Definition, end: number): object {
    const body: Record<string, unknown> = {};
    while (this.#cursor.at < end) {
      const tag = Math.floor(this.#cursor.varint() / 8);
      const name = definition.__tags?.[tag];
      if (name === undefined) throw new Trouble(`unknown tag ${tag}`);
      const field = definition[name] as Field;
      if (field.option === 'repeated') {
        const list = (body[name] ??= []) as unknown[];
        list.push(...this.#list(definition, field.type));
      } else if (name in body) {
        throw new Trouble(`${name} comes twice`);
      } else {
        body[name] = this.#value(definition, field.type);
      }
    }
    if (this.#cursor.at !== end) throw new Trouble('a message ends within a field');
    return body;
  }

  #list(outer: Definition, type: string): unknown[] {
    const count = SIMPLE.includes(type) ? this.#cursor.varint() : 1;
    return Array.from({ length: count }, () => this.#value(outer, type));
  }

  #value(outer: Definition, type: string): unknown {
    if (type === 'uInt32') return this.#whole();
    if (WHOLE.includes(type)) return unzigzag(this.#whole());
    if (type === 'float') return this.#cursor.take(4).readFloatLE();
    if (type === 'double') return this.#cursor.take(8).readDoubleLE();
    const size = this.#cursor.varint();
    if (type !== 'string') {
      return this.message(innerOf(this.#all, outer, type), this.#cursor.at + size);
    }
    const bytes = this.#cursor.take(size);
    return this.#habits.isCesu8 ? readUpToThreeBytes(bytes) : readUtf8(bytes);
  }

  /** The clients hold 32 bits. */
  #whole(): number {
    const value = this.#cursor.varint();
    if (value > 0xffff_ffff) throw new Trouble(`${value} is more than 32 bits`);
    return value;
  }
}

function zigzag(value: number): number {
  return value < 0 ? -value * 2 - 1 : value * 2;
}

function unzigzag(value: number): number {
  return value % 2 === 1 ? -(value + 1) / 2 : value / 2;
}
