/** What a message counts for `limits.convert`, seen before anything is made of it. */
import { type DescField, type DescMessage, ScalarType } from '@bufbuild/protobuf';

import { WireError, WireReader } from '../../contract/protobuf-wire.ts';
import { CONTAINER_BYTES, isSmall, VALUE_BYTES } from '../../protocol/conversion-limit.ts';

/** Messages within each other that are looked into; the library reads no more. */
const DEPTH_MAX = 100;
const BYTES = 2;
/** Nothing so short holds enough to be worth a look. */
const LITTLE_BYTES = 1_024;

/**
 * Its bytes, or what its messages and values count where that is more; of what cannot be read, its bytes.
 *
 * @param defaults Fields that are not there are printed too.
 */
export function weightOf(
  type: DescMessage,
  bytes: Buffer,
  { defaults, bytesMax }: { readonly defaults: boolean; readonly bytesMax: number },
): number {
  const isLittle = bytes.length < LITTLE_BYTES || (!defaults && isSmall(bytes.length, bytesMax));
  if (isLittle || bytes.length > bytesMax) return bytes.length;
  try {
    return Math.max(bytes.length, new Weigher(defaults).message(type, new WireReader(bytes), 0));
  } catch (error) {
    if (error instanceof WireError) return bytes.length;
    throw error;
  }
}

class Weigher {
  readonly #defaults: boolean;

  constructor(defaults: boolean) {
    this.#defaults = defaults;
  }

  message(type: DescMessage, reader: WireReader, depth: number): number {
    let weight = CONTAINER_BYTES + (this.#defaults ? VALUE_BYTES * type.fields.length : 0);
    if (depth > DEPTH_MAX) return weight;
    const fields = fieldsOf(type);
    while (reader.next()) {
      const field = fields.get(reader.field);
      if (field === undefined || reader.type !== BYTES) {
        reader.skip();
        weight += VALUE_BYTES;
      } else if (field.message !== undefined && field.fieldKind !== 'map') {
        weight += this.message(field.message, reader.message(), depth + 1);
      } else {
        weight += this.#part(field, reader.bytes());
      }
    }
    return weight;
  }

  #part(field: DescField, bytes: Buffer): number {
    if (field.fieldKind === 'map') return this.#entry(field, bytes);
    if (field.fieldKind !== 'list' || !isNumeric(field)) return VALUE_BYTES;
    if (FIXED.has(field.scalar)) return 2 * bytes.length;
    // Packed: a number ends with each byte below 0x80.
    let numbers = 0;
    for (let at = 0; at < bytes.length; at++) if (bytes[at]! < 0x80) numbers++;
    return numbers * VALUE_BYTES;
  }

  #entry(field: DescField & { fieldKind: 'map' }, bytes: Buffer): number {
    const { message } = field;
    let weight = 2 * VALUE_BYTES;
    if (message === undefined) return weight;
    const entry = new WireReader(bytes);
    while (entry.next()) {
      if (entry.field === 2 && entry.type === BYTES)
        weight += this.message(message, entry.message(), 1);
      else entry.skip();
    }
    return weight;
  }
}

/** What can be packed. */
function isNumeric({ scalar, enum: choice }: DescField): boolean {
  return choice !== undefined || (scalar !== ScalarType.STRING && scalar !== ScalarType.BYTES);
}

/** In four bytes or eight. */
const FIXED: ReadonlySet<ScalarType | undefined> = new Set([
  ...[ScalarType.DOUBLE, ScalarType.FLOAT, ScalarType.FIXED32, ScalarType.FIXED64],
  ...[ScalarType.SFIXED32, ScalarType.SFIXED64],
]);

const fieldsByNumber = new WeakMap<DescMessage, ReadonlyMap<number, DescField>>();

function fieldsOf(type: DescMessage): ReadonlyMap<number, DescField> {
  let fields = fieldsByNumber.get(type);
  if (fields === undefined) {
    fields = new Map(type.fields.map((field) => [field.number, field]));
    fieldsByNumber.set(type, fields);
  }
  return fields;
}
