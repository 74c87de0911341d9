/**
 * pomelo-protobuf with Pinus's additions, from the definitions that the server sends in its handshake. It is not
 * Google's: int32 is zigzag, arrays are counted, and a field's type comes from the definition, never from the wire.
 */
import { isObject, ownError } from './client-error.ts';
import { ProtoReader, writeBlock, writeFloat, writeVarint } from './proto-bytes.ts';
import { encodeText } from './text.ts';

/** How deep messages may be nested; definitions may be recursive. */
export const PROTO_DEPTH_MAX = 32;

/** Definitions by name; a message's `__tags` and `__messages` are among its fields. */
type Names = Readonly<Record<string, unknown>>;
type Field = { readonly option: string; readonly type: string; readonly tag: number };

/** What is being written or read: all definitions, and the path of the current field. */
type Work = { readonly root: Names; readonly path: string[] };

/** Every scalar type, with its wire type as Pomelo's encoder writes it; no decoder reads those. */
const SCALARS: ReadonlyMap<string, number> = new Map(
  Object.entries({
    uInt32: 0,
    uInt64: 0,
    int32: 0,
    sInt32: 0,
    sInt64: 0,
    bool: 0,
    double: 1,
    string: 2,
    float: 5,
  }),
);

/** The definitions for one direction: routes, and messages that any route may use. */
export class Protos {
  readonly #root: Names;

  /** @param parsed As in the handshake, e.g. `sys.protos.server`. Anything else covers no route. */
  constructor(parsed: unknown) {
    this.#root = isObject(parsed) ? parsed : {};
  }

  knows(route: string): boolean {
    return namesIn(this.#root, route) !== null;
  }

  /**
   * Encodes the body for a route that is covered.
   *
   * @throws {ClientError} BAD_BODY, with the path of the field.
   */
  encode(route: string, value: unknown): Uint8Array {
    return this.#work(route, (work, fields) => Uint8Array.from(encodeFields(work, fields, value)));
  }

  /**
   * Decodes the body for a route that is covered.
   *
   * @throws {ClientError} BAD_BODY, with the path of the field.
   */
  decode(route: string, bytes: Uint8Array): Record<string, unknown> {
    return this.#work(route, (work, fields) => decodeFields(work, fields, new ProtoReader(bytes)));
  }

  #work<T>(route: string, go: (work: Work, fields: Names) => T): T {
    const path = [route];
    try {
      return go({ root: this.#root, path }, namesIn(this.#root, route)!);
    } catch (error) {
      throw ownError('BAD_BODY', `the body of ${path.join('.')}: ${(error as Error).message}`);
    }
  }
}

function encodeFields(work: Work, fields: Names, value: unknown): number[] {
  if (!isObject(value)) fail('expected an object');
  for (const name of Object.keys(fields)) {
    const isMissing = value[name] === undefined || value[name] === null;
    if (isMissing && fieldIn(fields, name)?.option === 'required') fail(`${name} is required`);
  }
  const into: number[] = [];
  for (const [name, one] of Object.entries(value)) {
    const field = fieldIn(fields, name);
    if (field === null || one === undefined || one === null) continue;
    enter(work, name);
    encodeField(work, fields, field, one, into);
    work.path.pop();
  }
  return into;
}

function encodeField(
  work: Work,
  inside: Names,
  field: Field,
  value: unknown,
  into: number[],
): void {
  const types = typesOf(work, inside, field);
  const isCounted = hasCount(field);
  const elements: unknown[][] = isMap(field)
    ? value instanceof Map
      ? [...value]
      : Object.entries(value as object)
    : isList(field)
      ? listOf(value).map((one) => [one])
      : [[value]];
  const begin = (): void => {
    writeVarint(into, field.tag * 8 + (SCALARS.get(field.type) ?? 2));
  };
  if (isCounted && elements.length > 0) {
    begin();
    writeVarint(into, elements.length);
  }
  for (const element of elements) {
    if (!isCounted) begin();
    types.forEach((type, at) => {
      const one = element[at];
      if (SCALARS.has(type)) writeScalar(into, type, one);
      else writeBlock(into, encodeFields(work, messageOf(work, inside, type), one));
    });
  }
}

function decodeFields(work: Work, fields: Names, from: ProtoReader): Record<string, unknown> {
  const into: Record<string, unknown> = {};
  while (from.at < from.end) {
    const tag = Math.floor(from.varint() / 8);
    const name = String(own(namesIn(fields, '__tags') ?? {}, String(tag)));
    const field = fieldIn(fields, name) ?? fail(`no field has tag ${tag}`);
    enter(work, name);
    put(into, name, decodeField(work, fields, field, own(into, name), from));
    work.path.pop();
  }
  return into;
}

/** @param before What the field holds so far: a list or a map is extended, anything else is replaced. */
function decodeField(
  work: Work,
  inside: Names,
  field: Field,
  before: unknown,
  from: ProtoReader,
): unknown {
  const types = typesOf(work, inside, field);
  const isMany = isMap(field) || isList(field);
  let value: unknown = isMany
    ? (before ?? (isList(field) ? [] : field.option === 'map' ? new Map() : {}))
    : null;
  for (let count = hasCount(field) ? from.count(bytesMin(field)) : 1; count > 0; count--) {
    const [first, second] = types.map((type) => {
      if (SCALARS.has(type)) return readScalar(from, type);
      const length = from.count(1);
      const { end } = from;
      from.end = from.at + length;
      const message = decodeFields(work, messageOf(work, inside, type), from);
      from.end = end;
      return message;
    });
    if (value instanceof Map) value.set(first, second);
    else if (Array.isArray(value)) value.push(first);
    else if (isMany) put(value as object, String(first), second);
    else value = first;
  }
  return value;
}

/** Thrown and caught in this file. */
function fail(why: string): never {
  throw new TypeError(why);
}

function enter(work: Work, name: string): void {
  if (work.path.push(name) > PROTO_DEPTH_MAX) fail('nested too deeply');
}

/** An own property: names come over the wire, so inherited ones must not be found. */
function own(names: Names, name: string): unknown {
  return Object.hasOwn(names, name) ? names[name] : undefined;
}

function namesIn(names: Names, name: string): Names | null {
  const found = own(names, name);
  return isObject(found) ? found : null;
}

function fieldIn(fields: Names, name: string): Field | null {
  const field = namesIn(fields, name);
  return typeof field?.['tag'] === 'number' ? (field as Field) : null;
}

/** The message that `type` names in a field of `inside`. */
function messageOf({ root }: Work, inside: Names, type: string): Names {
  const near = namesIn(namesIn(inside, '__messages') ?? {}, type);
  return near ?? namesIn(root, `message ${type}`) ?? fail(`unknown type ${type}`);
}

/** The type of an element; for a map, the types of its key and value. [pinus-protobuf: `key` and `value`] */
function typesOf(work: Work, inside: Names, field: Field): string[] {
  if (!isMap(field)) return [field.type];
  const fields = messageOf(work, inside, field.type);
  return ['key', 'value'].map((name) => fieldIn(fields, name)?.type ?? fail('not a map'));
}

function isList({ option }: Field): boolean {
  return option === 'repeated';
}

/** [Pinus: `map` is a Map, `obj` an object; on the wire they are the same] */
function isMap({ option }: Field): boolean {
  return option === 'map' || option === 'obj';
}

/** True for maps and lists of numbers: their elements follow one tag and a count. */
function hasCount(field: Field): boolean {
  return isMap(field) || (isList(field) && SCALARS.has(field.type) && field.type !== 'string');
}

/** Fewest bytes of one element. */
function bytesMin(field: Field): number {
  return field.type === 'double' ? 8 : field.type === 'float' ? 4 : isMap(field) ? 2 : 1;
}

/** [pomelo-protobuf: int32 too] */
function isZigzag(type: string): boolean {
  return type === 'int32' || type[0] === 's';
}

function listOf(value: unknown): unknown[] {
  return Array.isArray(value) ? value : fail('expected an array');
}

function writeScalar(into: number[], type: string, value: unknown): void {
  if (type === 'string') {
    writeBlock(into, encodeText(typeof value === 'string' ? value : fail('expected a string')));
    return;
  }
  // Pomelo accepts numbers in strings too, and truncates fractions.
  const number = type === 'bool' ? (value ? 1 : 0) : Number(value);
  if (Number.isNaN(number) || typeof value === 'object') fail('expected a number');
  if (type === 'float') writeFloat(into, number, 4);
  else if (type === 'double') writeFloat(into, number, 8);
  else {
    const whole = Math.trunc(number);
    const coded = !isZigzag(type) ? whole : whole < 0 ? -2 * whole - 1 : 2 * whole;
    if (!(coded >= 0 && coded <= Number.MAX_SAFE_INTEGER)) fail('out of range');
    writeVarint(into, coded);
  }
}

function readScalar(from: ProtoReader, type: string): unknown {
  if (type === 'string') return from.text();
  if (type === 'float') return from.float(4);
  if (type === 'double') return from.float(8);
  const value = from.varint();
  if (type === 'bool') return value !== 0;
  if (!isZigzag(type)) return value;
  return value % 2 === 0 ? value / 2 : -(value + 1) / 2;
}

/** Sets a field, even one called `__proto__`. */
function put(into: object, name: string, value: unknown): void {
  Object.defineProperty(into, name, {
    value,
    writable: true,
    enumerable: true,
    configurable: true,
  });
}
