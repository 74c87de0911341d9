/** Reads messages and enums of a .proto file; their fields' type names are as they were written. */
import { create } from '@bufbuild/protobuf';
import {
  type DescriptorProto,
  DescriptorProtoSchema,
  type EnumDescriptorProto,
  EnumDescriptorProtoSchema,
  EnumOptionsSchema,
  EnumValueDescriptorProtoSchema,
  type FieldDescriptorProto,
  FieldDescriptorProto_Label as Label,
  FieldDescriptorProto_Type as Type,
  FieldDescriptorProtoSchema,
  FieldOptionsSchema,
  MessageOptionsSchema,
  OneofDescriptorProtoSchema,
} from '@bufbuild/protobuf/wkt';

import {
  featuresOf,
  type Options,
  readInlineOptions,
  readOptionLine,
  readOver,
  readTypeName,
} from './options.ts';
import type { Tokens } from './tokens.ts';

/** [protobuf.dev/programming-guides/proto3, "Assigning Field Numbers"] */
const FIELD_NUMBERS = [1, 2 ** 29 - 1] as const;
/** An int32. */
const ENUM_NUMBERS = [-(2 ** 31), 2 ** 31 - 1] as const;

/** How deep messages may be nested in each other. */
const DEPTH_MAX = 32;

const SCALARS: ReadonlyMap<string, Type> = new Map([
  ['double', Type.DOUBLE],
  ['float', Type.FLOAT],
  ['int64', Type.INT64],
  ['uint64', Type.UINT64],
  ['int32', Type.INT32],
  ['fixed64', Type.FIXED64],
  ['fixed32', Type.FIXED32],
  ['bool', Type.BOOL],
  ['string', Type.STRING],
  ['bytes', Type.BYTES],
  ['uint32', Type.UINT32],
  ['sfixed32', Type.SFIXED32],
  ['sfixed64', Type.SFIXED64],
  ['sint32', Type.SINT32],
  ['sint64', Type.SINT64],
]);

const LABELS: ReadonlyMap<string, Label> = new Map([
  ['optional', Label.OPTIONAL],
  ['required', Label.REQUIRED],
  ['repeated', Label.REPEATED],
]);

/** Where fields go: a message, or an `extend` of one. */
type Place = {
  readonly fields: FieldDescriptorProto[];
  /** Gets the messages of groups and maps. */
  readonly nested: DescriptorProto[];
  /** '' but in an `extend`. */
  readonly extendee: string;
  readonly depth: number;
};

/** `first_name` is `firstName`: the name in JSON that protoc gives. */
export function jsonNameOf(name: string): string {
  return name.replace(/_+(.?)/g, (_, letter: string) => letter.toUpperCase());
}

export class MessageParser {
  readonly #tokens: Tokens;
  /** proto2, proto3 or editions. */
  readonly #syntax: string;

  constructor(tokens: Tokens, syntax: string) {
    this.#tokens = tokens;
    this.#syntax = syntax;
  }

  /** What stands behind `message`. */
  message(depth = 0): DescriptorProto {
    const message = create(DescriptorProtoSchema, { name: this.#tokens.name('a name') });
    this.#messageBody(message, depth);
    return message;
  }

  #messageBody(message: DescriptorProto, depth: number): void {
    const tokens = this.#tokens;
    if (depth > DEPTH_MAX) throw tokens.error(`messages nested deeper than ${DEPTH_MAX}`);
    const { field: fields, nestedType: nested } = message;
    const place: Place = { fields, nested, extendee: '', depth: depth + 1 };
    const options: Options = new Map();
    const { next } = tokens;
    tokens.expect('{');
    while (!tokens.skip('}')) this.#member(message, place, options);
    expectNamesOnce(tokens, message, next);
    const features = featuresOf(options);
    if (features !== undefined) message.options = create(MessageOptionsSchema, { features });
    // Behind those that were written, as protoc has it.
    for (const field of fields.filter((one) => one.proto3Optional)) {
      field.oneofIndex = message.oneofDecl.length;
      message.oneofDecl.push(create(OneofDescriptorProtoSchema, { name: `_${field.name}` }));
    }
  }

  #member(message: DescriptorProto, place: Place, options: Options): void {
    const tokens = this.#tokens;
    if (tokens.skip(';')) return;
    if (tokens.is('.')) {
      this.#field(readTypeName(tokens), place, null);
      return;
    }
    const word = tokens.name('a field, message, enum, oneof, map, option, reserved or extensions');
    // Any keyword but a label, with a dot behind it, is a package.
    if (tokens.is('.') && !LABELS.has(word)) {
      this.#field(readTypeName(tokens, word), place, null);
      return;
    }
    switch (word) {
      case 'message':
        message.nestedType.push(this.message(place.depth));
        return;
      case 'enum':
        message.enumType.push(this.enum());
        return;
      case 'extend':
        this.extend(message.extension, message.nestedType, place.depth);
        return;
      case 'oneof':
        this.#oneof(message, place);
        return;
      case 'option':
        readOptionLine(tokens, options);
        return;
      case 'reserved':
      case 'extensions':
        readOver(tokens);
        return;
      case 'export':
      case 'local':
        return;
      default:
        this.#anyField(word, place);
    }
  }

  #oneof(message: DescriptorProto, place: Place): void {
    const tokens = this.#tokens;
    const { next } = tokens;
    const index = message.oneofDecl.length;
    const oneof = create(OneofDescriptorProtoSchema, { name: tokens.name('a name') });
    message.oneofDecl.push(oneof);
    const first = place.fields.length;
    tokens.expect('{');
    while (!tokens.skip('}')) {
      if (tokens.skip(';')) continue;
      if (tokens.skip('option')) {
        readOptionLine(tokens, new Map());
      } else {
        this.#anyField(tokens.is('.') ? readTypeName(tokens) : tokens.name('a field'), place);
      }
    }
    if (place.fields.length === first) throw tokens.error(`oneof ${oneof.name} has no field`, next);
    for (const field of place.fields.slice(first)) field.oneofIndex = index;
  }

  /** What stands behind `extend`. @param nested Gets the messages of groups. */
  extend(fields: FieldDescriptorProto[], nested: DescriptorProto[], depth = 0): void {
    const tokens = this.#tokens;
    const place: Place = { fields, nested, extendee: readTypeName(tokens), depth: depth + 1 };
    tokens.expect('{');
    while (!tokens.skip('}')) {
      if (tokens.skip(';')) continue;
      this.#anyField(tokens.is('.') ? readTypeName(tokens) : tokens.name('a field'), place);
    }
  }

  /** A field whose first word has been taken: a label, `map`, `group`, or its type. */
  #anyField(word: string, place: Place): void {
    const tokens = this.#tokens;
    if (word === 'map' && tokens.is('<')) {
      this.#map(place);
      return;
    }
    const label = LABELS.get(word);
    if (label === undefined) this.#field(readTypeName(tokens, word), place, null);
    else this.#field(readTypeName(tokens), place, label);
  }

  #field(type: string, place: Place, label: Label | null): void {
    const tokens = this.#tokens;
    const isGroup = type === 'group' && this.#syntax !== 'editions';
    const field = create(FieldDescriptorProtoSchema, {
      name: tokens.name("the field's name"),
      label: label ?? Label.OPTIONAL,
    });
    tokens.expect('=');
    field.number = tokens.integer("the field's number", FIELD_NUMBERS);
    if (place.extendee !== '') field.extendee = place.extendee;
    if (label === Label.OPTIONAL && this.#syntax === 'proto3') field.proto3Optional = true;
    const scalar = SCALARS.get(type);
    if (isGroup) field.type = Type.GROUP;
    else if (scalar !== undefined) field.type = scalar;
    if (scalar === undefined) field.typeName = type;
    this.#fieldOptions(field);
    if (isGroup) {
      const message = create(DescriptorProtoSchema, { name: field.name });
      field.typeName = field.name;
      field.name = field.name.toLowerCase();
      this.#messageBody(message, place.depth);
      place.nested.push(message);
    } else {
      tokens.expect(';');
    }
    field.jsonName ||= jsonNameOf(field.name);
    place.fields.push(field);
  }

  #map(place: Place): void {
    const tokens = this.#tokens;
    tokens.expect('<');
    const key = SCALARS.get(tokens.name("the key's type"));
    if (key === undefined || [Type.DOUBLE, Type.FLOAT, Type.BYTES].includes(key))
      throw tokens.error("a map's key is an integer, a bool or a string");
    tokens.expect(',');
    const type = readTypeName(tokens);
    tokens.expect('>');
    const name = tokens.name("the field's name");
    tokens.expect('=');
    const field = create(FieldDescriptorProtoSchema, {
      name,
      label: Label.REPEATED,
      type: Type.MESSAGE,
      typeName: `${jsonNameOf(`_${name}`)}Entry`,
      number: tokens.integer("the field's number", FIELD_NUMBERS),
    });
    this.#fieldOptions(field);
    tokens.expect(';');
    field.jsonName ||= jsonNameOf(name);
    place.fields.push(field);
    place.nested.push(mapEntry(field.typeName, key, type));
  }

  #fieldOptions(field: FieldDescriptorProto): void {
    const options = readInlineOptions(this.#tokens);
    field.jsonName = options.get('json_name') ?? '';
    const features = featuresOf(options);
    const packed = options.get('packed');
    if (features === undefined && packed === undefined) return;
    field.options = create(FieldOptionsSchema, { ...(features && { features }) });
    if (packed !== undefined) field.options.packed = packed === 'true';
  }

  /** What stands behind `enum`. */
  enum(): EnumDescriptorProto {
    const tokens = this.#tokens;
    const { next } = tokens;
    const made = create(EnumDescriptorProtoSchema, { name: tokens.name('a name') });
    const options: Options = new Map();
    tokens.expect('{');
    while (!tokens.skip('}')) {
      if (tokens.skip(';')) continue;
      const name = tokens.name('a value, option or reserved');
      if (name === 'option' && !tokens.is('=')) {
        readOptionLine(tokens, options);
      } else if (name === 'reserved' && !tokens.is('=')) {
        readOver(tokens);
      } else {
        tokens.expect('=');
        const number = tokens.integer("the value's number", ENUM_NUMBERS);
        readInlineOptions(tokens);
        tokens.expect(';');
        made.value.push(create(EnumValueDescriptorProtoSchema, { name, number }));
      }
    }
    if (made.value.length === 0) throw tokens.error(`enum ${made.name} has no value`, next);
    const features = featuresOf(options);
    if (features !== undefined) made.options = create(EnumOptionsSchema, { features });
    return made;
  }
}

/** A second message of a name would never be found. A map has one of its own, for `a` it is `AEntry`. */
function expectNamesOnce(
  tokens: Tokens,
  { name: outer, nestedType }: DescriptorProto,
  at: Tokens['next'],
): void {
  const names = new Set<string>();
  for (const { name } of nestedType) {
    if (names.has(name)) {
      const isOfMap = nestedType.some((one) => one.name === name && one.options?.mapEntry);
      const why = isOfMap ? ': the map that one belongs to needs another name' : '';
      throw tokens.error(`${outer} has two messages ${name}${why}`, at);
    }
    names.add(name);
  }
}

function mapEntry(name: string, key: Type, valueType: string): DescriptorProto {
  const scalar = SCALARS.get(valueType);
  const entry = create(DescriptorProtoSchema, {
    name,
    options: create(MessageOptionsSchema, { mapEntry: true }),
  });
  for (const [at, part] of (['key', 'value'] as const).entries()) {
    const type = part === 'key' ? key : scalar;
    const field = create(FieldDescriptorProtoSchema, {
      name: part,
      jsonName: part,
      number: at + 1,
      label: Label.OPTIONAL,
    });
    if (type === undefined) field.typeName = valueType;
    else field.type = type;
    entry.field.push(field);
  }
  return entry;
}
