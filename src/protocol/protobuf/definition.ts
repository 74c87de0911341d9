/**
 * serverProtos.json and clientProtos.json: the file's content becomes fields and messages, and the parsed form that goes
 * to clients in the handshake. That form is exactly what Pomelo's parser makes, because clients cache it by its version.
 *
 * A key is `<option> <type> <name>` with the tag as its value, or `message <Name>` with an object of the same form.
 * [pomelo-protobuf 0.4.0, pinus-protobuf 1.7.4]
 */

/** How deep messages may be nested in a definition. */
const DEFINITION_DEPTH_MAX = 32;
/** The largest tag of a field: 29 bits. */
const TAG_MAX = 2 ** 29 - 1;
/** The largest tag that Pomelo's own encoder can write: it shifts tags as signed 32-bit numbers. */
const TAG_OF_POMELO_MAX = 2 ** 28 - 1;

const OPTIONS = ['required', 'optional', 'repeated', 'map', 'obj'] as const;
export type Option = (typeof OPTIONS)[number];

const SCALARS = [
  'uInt32',
  'int32',
  'sInt32',
  'float',
  'double',
  'string',
  'bool',
  'uInt64',
  'sInt64',
] as const;
/** `bool` and the 64-bit types are Pinus's, as are the options `map` and `obj`. */
export type Scalar = (typeof SCALARS)[number];

/** Pomelo keeps the first two as keys of its own among the fields; the third would change the object's prototype. */
const NAMES_REFUSED = ['__messages', '__tags', '__proto__'];

export type FieldDefinition = {
  readonly key: string;
  readonly option: Option;
  readonly type: string;
  readonly name: string;
  readonly tag: number;
};

export type MessageDefinition = {
  /** The keys of the file that lead to it. */
  readonly keys: readonly string[];
  readonly fields: readonly FieldDefinition[];
  readonly messages: ReadonlyMap<string, MessageDefinition>;
};

/** One problem in a file of definitions. */
export type ProtosProblem = {
  /** The keys that lead to it, as `onMove > message Pos > required uInt32 x`; empty for the whole file. */
  readonly path: string;
  /** What is wrong, and what is expected. */
  readonly message: string;
};

export type ProtosDefinition = {
  /** By route: what its bodies hold. */
  readonly routes: ReadonlyMap<string, MessageDefinition>;
  /** By name: the messages at the top of the file, which all others may use. */
  readonly messages: ReadonlyMap<string, MessageDefinition>;
  /** What Pomelo's parser makes of the file, with its keys in order: sent to clients as JSON. */
  readonly parsed: object;
  /** Errors. A field with one is neither read nor written. */
  readonly problems: readonly ProtosProblem[];
  /** What Pomelo silently ignores, and what not every client supports. */
  readonly warnings: readonly ProtosProblem[];
};

/** Reads the JSON value of one file. Never throws: errors are in `problems`. */
export function parseProtos(definition: unknown): ProtosDefinition {
  const parser = new Parser();
  const routes = new Map<string, MessageDefinition>();
  const messages = new Map<string, MessageDefinition>();
  const parsed: Record<string, unknown> = {};
  for (const [key, value] of parser.entries(definition, [])) {
    const message = parser.message(value, [key]);
    parsed[key] = message.parsed;
    const [word, name, more] = key.split(' ');
    if (word === 'message' && name !== undefined && more === undefined) messages.set(name, message);
    else routes.set(key, message);
    if (key.includes(' ') && routes.has(key)) {
      parser.warn([key], 'a route has no spaces, so no client can ask for this one');
    }
  }
  parser.checkTypes([...routes.values()], messages);
  const { problems, warnings } = parser;
  return { routes, messages, parsed, problems, warnings };
}

export function isScalar(type: string): type is Scalar {
  return (SCALARS as readonly string[]).includes(type);
}

/** The message that `type` names in a field of `within`: Pomelo only looks in that message and at the top level. */
export function findMessage(
  type: string,
  within: MessageDefinition,
  top: ReadonlyMap<string, MessageDefinition>,
): MessageDefinition | undefined {
  return within.messages.get(type) ?? top.get(type);
}

type Parsed = MessageDefinition & { readonly parsed: object };
type Keys = readonly string[];

class Parser {
  readonly problems: ProtosProblem[] = [];
  readonly warnings: ProtosProblem[] = [];

  refuse(keys: Keys, message: string): void {
    this.problems.push({ path: keys.join(' > '), message });
  }

  warn(keys: Keys, message: string): void {
    this.warnings.push({ path: keys.join(' > '), message });
  }

  /** The keys and values of an object; for anything else none, and a problem. */
  entries(value: unknown, keys: Keys): [string, unknown][] {
    if (typeof value !== 'object' || value === null || Array.isArray(value)) {
      this.refuse(keys, `expected an object, found ${describe(value)}`);
      return [];
    }
    if (keys.length > DEFINITION_DEPTH_MAX) {
      this.refuse(keys, `messages are nested deeper than ${DEFINITION_DEPTH_MAX}`);
      return [];
    }
    return Object.entries(value).filter(([key]) => {
      if (key === '__proto__')
        this.refuse([...keys, key], 'not a name that a JavaScript object can have');
      return key !== '__proto__';
    });
  }

  message(value: unknown, keys: Keys): Parsed {
    const fields = new Map<string, FieldDefinition>();
    const messages = new Map<string, Parsed>();
    const parsed: Record<string, unknown> = {};
    const nested: Record<string, object> = {};
    const tags: Record<string, string> = {};
    for (const [key, inner] of this.entries(value, keys)) {
      const path = [...keys, key];
      const words = key.split(' ');
      const option = OPTIONS.find((one) => one === words[0]);
      if (words[0] === 'message') {
        if (words.length !== 2) {
          this.warn(path, 'Pomelo ignores it; expected "message <Name>"');
          continue;
        }
        const name = words[1]!;
        if (isScalar(name)) this.refuse(path, `${name} is a built-in type; choose another name`);
        const message = this.message(inner, path);
        messages.set(name, message);
        nested[name] = message.parsed;
      } else if (option === undefined || words.length !== 3) {
        const expected = `"<option> <type> <name>" with an option of ${OPTIONS.join(', ')}`;
        this.warn(path, `Pomelo ignores it; expected ${expected}, or "message <Name>"`);
      } else {
        const field = { key, option, type: words[1]!, name: words[2]!, tag: inner as number };
        this.#field(field, path, { fields, parsed, tags });
      }
    }
    // Last, as in Pomelo.
    parsed['__messages'] = nested;
    parsed['__tags'] = tags;
    return { keys, fields: [...fields.values()], messages, parsed };
  }

  #field(
    field: FieldDefinition,
    path: Keys,
    into: {
      fields: Map<string, FieldDefinition>;
      parsed: Record<string, unknown>;
      tags: Record<string, string>;
    },
  ): void {
    const { option, type, name } = field;
    const { fields, parsed, tags } = into;
    const tag = this.#tag(field.tag, path);
    if (NAMES_REFUSED.includes(name) || name === '') {
      this.refuse(path, `${name === '' ? 'an empty name' : name} cannot be a field's name`);
      return;
    }
    const key = keyOf(field.tag);
    if (Object.hasOwn(tags, key)) {
      this.refuse(path, `tag ${tag} is already used by ${tags[key]}`);
      return;
    }
    if (fields.has(name)) this.refuse(path, `there is already a field ${name}`);
    parsed[name] = { option, type, tag: field.tag };
    tags[key] = name;
    if (tag > 0 && !fields.has(name)) fields.set(name, { ...field, tag });
  }

  /** The tag as a number; 0: not a tag. */
  #tag(value: unknown, path: Keys): number {
    const isText = typeof value === 'string' && /^[1-9][0-9]{0,8}$/.test(value);
    const tag = isText ? Number(value) : value;
    if (typeof tag !== 'number' || !Number.isInteger(tag) || tag < 1 || tag > TAG_MAX) {
      this.refuse(
        path,
        `${describe(value)} is not a tag; expected a whole number, 1 to ${TAG_MAX}`,
      );
      return 0;
    }
    if (isText)
      this.warn(path, 'the tag is a string, which clients in C do not read; write a number');
    if (tag > TAG_OF_POMELO_MAX) {
      this.warn(path, `clients in JavaScript cannot write tags above ${TAG_OF_POMELO_MAX}`);
    }
    return tag;
  }

  /** Checks the fields of `messages`, and of all messages that they hold; a message that is only declared may be a map entry. */
  checkTypes(
    messages: readonly MessageDefinition[],
    top: ReadonlyMap<string, MessageDefinition>,
  ): void {
    const used = new Set(messages);
    for (const message of used) {
      for (const field of message.fields) {
        const why = whyNotUsable(field, message, top);
        if (why === null) used.add(heldMessage(field, message, top) ?? message);
        else this.refuse([...message.keys, field.key], why);
      }
    }
  }
}

/** The message that a field of `within` holds; for a map, the one of its values. */
function heldMessage(
  { option, type }: FieldDefinition,
  within: MessageDefinition,
  top: ReadonlyMap<string, MessageDefinition>,
): MessageDefinition | undefined {
  const message = findMessage(type, within, top);
  if (option !== 'map' && option !== 'obj') return isScalar(type) ? undefined : message;
  const value = message!.fields.find(({ name }) => name === 'value')!;
  return isScalar(value.type) ? undefined : findMessage(value.type, within, top);
}

/** Why a field of `within` can be neither read nor written; null: it can. */
export function whyNotUsable(
  field: FieldDefinition,
  within: MessageDefinition,
  top: ReadonlyMap<string, MessageDefinition>,
): string | null {
  const { type } = field;
  const isMap = field.option === 'map' || field.option === 'obj';
  const message = findMessage(type, within, top);
  if (!isMap) return isScalar(type) || message !== undefined ? null : unknownType(type);
  if (message === undefined) return unknownType(type);
  const key = message.fields.find(({ name }) => name === 'key');
  const value = message.fields.find(({ name }) => name === 'value');
  const isSingle = (part: FieldDefinition | undefined) =>
    part?.option === 'required' || part?.option === 'optional';
  if (!isSingle(key) || !isScalar(key!.type) || !isSingle(value)) {
    return `message ${type} is not a map entry; expected a field key of a scalar type and a field value`;
  }
  // The value's message is resolved where the map is, not where the entry is, as in Pinus.
  if (isScalar(value!.type) || findMessage(value!.type, within, top) !== undefined) return null;
  return unknownType(value!.type);
}

/** As JavaScript writes a key; objects, which are no tags, are all alike, since one of them may have no text. */
function keyOf(tag: unknown): string {
  return typeof tag === 'object' && tag !== null ? '[object Object]' : String(tag);
}

function unknownType(type: string): string {
  const messages = 'a message declared in the same message or at the top of the file';
  return `unknown type ${JSON.stringify(type)}; expected ${SCALARS.join(', ')}, or ${messages}`;
}

function describe(value: unknown): string {
  if (Array.isArray(value)) return 'an array';
  if (value === null) return 'null';
  return typeof value === 'object' ? 'an object' : JSON.stringify(value);
}
