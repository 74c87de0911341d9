/** Definitions compiled for the hot path: every name resolved, every tag encoded. */
import {
  type FieldDefinition,
  findMessage,
  isScalar,
  type MessageDefinition,
  type ProtosDefinition,
  type Scalar,
  whyNotUsable,
} from './definition.ts';

/** How deep messages may be nested in a body, both ways. */
export const NESTING_MAX = 32;

/** How a value is laid out. */
export const Kind = {
  UNSIGNED: 0,
  /** Zigzag: in Pomelo `int32` as well. */
  SIGNED: 1,
  BOOL: 2,
  FLOAT: 3,
  DOUBLE: 4,
  STRING: 5,
  MESSAGE: 6,
} as const;
export type Kind = (typeof Kind)[keyof typeof Kind];

/** How many values a field has. */
export const Shape = {
  ONE: 0,
  /** A tag, a count, and values without tags of their own: scalar types except strings. */
  PACKED: 1,
  /** A tag before each value. */
  LIST: 2,
  /** A tag, a count, and alternating keys and values. */
  MAP: 3,
} as const;
export type Shape = (typeof Shape)[keyof typeof Shape];

/** The type of a value, or of a map's keys or values. */
export type ValueType = {
  readonly kind: Kind;
  /** For a MESSAGE. */
  readonly message: MessageType | null;
  /** Bytes of the shortest value, for checking counts. */
  readonly bytesMin: number;
};

export type Field = {
  readonly name: string;
  readonly isRequired: boolean;
  readonly shape: Shape;
  readonly value: ValueType;
  /** For a MAP. */
  readonly key: ValueType | null;
  /** True for Pinus's `map`, which is written even if it is empty; no other field is. */
  readonly isWrittenEmpty: boolean;
  /** Tag and wire type as one number, at most 2^32 - 1. */
  readonly head: number;
  /** The wire type shows which build wrote it: 0 for Node's, 2 for browsers'. */
  readonly isVarint: boolean;
};

export type MessageType = {
  readonly byTag: Map<number, Field>;
  readonly byName: Map<string, Field>;
  /** How many fields are required. */
  requiredCount: number;
};

const KINDS: Readonly<Record<Scalar, Kind>> = {
  uInt32: Kind.UNSIGNED,
  uInt64: Kind.UNSIGNED,
  int32: Kind.SIGNED,
  sInt32: Kind.SIGNED,
  sInt64: Kind.SIGNED,
  bool: Kind.BOOL,
  float: Kind.FLOAT,
  double: Kind.DOUBLE,
  string: Kind.STRING,
};
/** By kind. */
const WIRE_TYPES = [0, 0, 0, 5, 1, 2, 2];
const BYTES_MIN = [1, 1, 1, 4, 8, 1, 1];
/** By kind: scalar types, which are all but messages. */
const SCALAR_TYPES: readonly ValueType[] = BYTES_MIN.slice(0, Kind.MESSAGE).map(
  (bytesMin, kind) => ({
    kind: kind as Kind,
    message: null,
    bytesMin,
  }),
);

/** The messages of a definition, by route. Fields with a problem are omitted. */
export function compile(definition: ProtosDefinition): Map<string, MessageType> {
  const compiler = new Compiler(definition.messages);
  const types = new Map<string, MessageType>();
  for (const [route, message] of definition.routes) types.set(route, compiler.typeOf(message));
  compiler.fill();
  return types;
}

class Compiler {
  readonly #top: ReadonlyMap<string, MessageDefinition>;
  /** Each message once: messages may be recursive. */
  readonly #types = new Map<MessageDefinition, MessageType>();

  constructor(top: ReadonlyMap<string, MessageDefinition>) {
    this.#top = top;
  }

  /** Empty until `fill`. */
  typeOf(definition: MessageDefinition): MessageType {
    let type = this.#types.get(definition);
    if (type === undefined) {
      type = { byTag: new Map(), byName: new Map(), requiredCount: 0 };
      this.#types.set(definition, type);
    }
    return type;
  }

  fill(): void {
    // Messages found on the way are appended to the map, so the loop reaches them too.
    for (const [definition, type] of this.#types) {
      for (const field of definition.fields) {
        if (whyNotUsable(field, definition, this.#top) !== null) continue;
        const compiled = this.#field(field, definition);
        type.byTag.set(field.tag, compiled);
        type.byName.set(field.name, compiled);
        if (compiled.isRequired) type.requiredCount++;
      }
    }
  }

  #field(field: FieldDefinition, within: MessageDefinition): Field {
    const { name, option, tag } = field;
    if (option === 'map' || option === 'obj') return this.#map(field, within);
    const value = this.#value(field.type, within);
    const { kind } = value;
    const isPacked = kind < Kind.STRING;
    return {
      name,
      isRequired: option === 'required',
      shape: option !== 'repeated' ? Shape.ONE : isPacked ? Shape.PACKED : Shape.LIST,
      value,
      key: null,
      isWrittenEmpty: false,
      head: tag * 8 + WIRE_TYPES[kind]!,
      isVarint: kind <= Kind.BOOL,
    };
  }

  #map({ name, option, type, tag }: FieldDefinition, within: MessageDefinition): Field {
    const entry = findMessage(type, within, this.#top)!;
    const part = (wanted: string) => {
      const { type: partType } = entry.fields.find((field) => field.name === wanted)!;
      return this.#value(partType, within);
    };
    return {
      name,
      isRequired: false,
      shape: Shape.MAP,
      value: part('value'),
      key: part('key'),
      isWrittenEmpty: option === 'map',
      head: tag * 8 + WIRE_TYPES[Kind.MESSAGE]!,
      isVarint: false,
    };
  }

  #value(type: string, within: MessageDefinition): ValueType {
    if (isScalar(type)) return SCALAR_TYPES[KINDS[type]]!;
    const message = this.typeOf(findMessage(type, within, this.#top)!);
    return { kind: Kind.MESSAGE, message, bytesMin: BYTES_MIN[Kind.MESSAGE]! };
  }
}
