/** Changes to what is made of pieces with lengths: protobuf messages, and Pomelo's packets. Lengths stay right. */
import type { Chance } from '../border/chance.ts';
import { interesting, mutateBytes, type Pool, varint } from './mutate-bytes.ts';
import { mutateJson } from './mutate-text.ts';

/** One field of a protobuf message: what it holds is bytes, or a message itself. */
type Field = { tag: number; type: number; bytes: Buffer; message: Field[] | null };

const DEPTH_MAX = 8;

/** null: these bytes are no message. */
function fieldsOf(bytes: Buffer, depth = 0): Field[] | null {
  const fields: Field[] = [];
  let at = 0;
  const number = (): number => {
    let value = 0;
    for (let scale = 1; at < bytes.length && scale < 2 ** 63; scale *= 128) {
      const byte = bytes[at++]!;
      value += (byte & 0x7f) * scale;
      if (byte < 0x80) return value;
    }
    return -1;
  };
  while (at < bytes.length) {
    const head = number();
    if (head < 8 || head > 2 ** 32) return null;
    const type = head % 8;
    const start = at;
    if (type === 0 && number() < 0) return null;
    else if (type === 1) at += 8;
    else if (type === 5) at += 4;
    else if (type !== 0 && type !== 2) return null;
    let from = start;
    if (type === 2) {
      const length = number();
      if (length < 0) return null;
      from = at;
      at += length;
    }
    if (at > bytes.length) return null;
    const held = bytes.subarray(from, at);
    const message =
      type === 2 && held.length > 0 && depth < DEPTH_MAX ? fieldsOf(held, depth + 1) : null;
    fields.push({ tag: Math.floor(head / 8), type, bytes: held, message });
  }
  return fields;
}

function written(fields: readonly Field[]): Buffer {
  return Buffer.concat(
    fields.map(({ tag, type, bytes, message }) => {
      const held = message === null ? bytes : written(message);
      const head = varint(tag * 8 + type);
      return Buffer.concat(type === 2 ? [head, varint(held.length), held] : [head, held]);
    }),
  );
}

/** All lists of fields, of the message and of those within it. */
function listsOf(fields: Field[], into: Field[][] = []): Field[][] {
  into.push(fields);
  for (const { message } of fields) if (message !== null) listsOf(message, into);
  return into;
}

export function mutateProtobuf(input: Buffer, pool: Pool): Buffer {
  const { chance } = pool;
  const fields = fieldsOf(input);
  if (fields === null || chance.is(0.1)) return mutateBytes(input, pool);
  const list = chance.pick(listsOf(fields));
  if (list.length === 0 || chance.is(0.15))
    list.splice(chance.int(0, list.length), 0, freshField(pool));
  else changeField(list, chance.int(0, list.length - 1), pool);
  return written(fields);
}

/** A field of the message, or of one within it, so many times. */
export function repeatedField(input: Buffer, { chance }: Pool, bytes: number): Buffer {
  const fields = fieldsOf(input) ?? [];
  const list = chance.pick(listsOf(fields));
  if (list.length === 0) return input;
  const at = chance.int(0, list.length - 1);
  const times = Math.floor(bytes / Math.max(2, written([list[at]!]).length));
  list.splice(at, 0, ...Array<Field>(times).fill(list[at]!));
  return written(fields);
}

function changeField(list: Field[], at: number, pool: Pool): void {
  const { chance } = pool;
  const field = list[at]!;
  switch (chance.int(0, 7)) {
    case 0:
      list.splice(at, 1);
      return;
    case 1:
      list.splice(chance.int(0, list.length), 0, copyOf(field));
      return;
    case 2:
      field.tag = Math.max(
        1,
        Math.min(2 ** 29 - 1, chance.is(0.7) ? chance.int(1, 16) : interesting(chance)),
      );
      return;
    case 3: {
      const other = fieldsOf(pool.other());
      if (other !== null && other.length > 0) {
        const from = chance.pick(listsOf(other).filter((one) => one.length > 0));
        list.splice(at, chance.int(0, 1), chance.pick(from));
      }
      return;
    }
    case 4:
      list[at] = { ...freshField(pool), tag: field.tag };
      return;
    case 5:
      // A message in place of what was not one, or in itself.
      field.message =
        field.message === null
          ? [freshField(pool)]
          : [{ ...copyOf(field), tag: chance.int(1, 12) }];
      field.type = 2;
      return;
    default:
      if (field.type === 0) field.bytes = number(chance);
      else {
        field.bytes = held(
          field.message === null ? field.bytes : written(field.message),
          field.type,
          pool,
        );
        field.message = null;
      }
  }
}

function copyOf({ tag, type, bytes, message }: Field): Field {
  return { tag, type, bytes, message: message === null ? null : message.map(copyOf) };
}

/** Bytes that stay as long as their type wants them. */
function held(bytes: Buffer, type: number, pool: Pool): Buffer {
  const isJson = bytes[0] === 0x7b || bytes[0] === 0x5b || bytes[0] === 0x22;
  const made = isJson ? mutateJson(bytes, pool) : mutateBytes(bytes, pool);
  if (type === 2) return made;
  const fixed = Buffer.alloc(type === 1 ? 8 : 4);
  made.copy(fixed);
  return fixed;
}

function number(chance: Chance): Buffer {
  if (chance.is(0.1)) return Buffer.from('ffffffffffffffffff01', 'hex');
  return varint(Math.max(0, chance.is(0.5) ? chance.int(0, 300) : interesting(chance)));
}

function freshField(pool: Pool): Field {
  const { chance } = pool;
  const tag = chance.int(1, 16);
  const type = chance.pick([0, 0, 2, 2, 2, 1, 5]);
  if (type === 0) return { tag, type, bytes: number(chance), message: null };
  if (type !== 2) return { tag, type, bytes: chance.bytes(type === 1 ? 8 : 4), message: null };
  const bytes = chance.is(0.3) ? Buffer.alloc(0) : Buffer.from(pool.word());
  return {
    tag,
    type,
    bytes,
    message: chance.is(0.3)
      ? [{ tag: chance.int(1, 8), type: 0, bytes: number(chance), message: null }]
      : null,
  };
}

type Packet = { type: number; body: Buffer };

function packetsOf(bytes: Buffer): { packets: Packet[]; rest: Buffer } {
  const packets: Packet[] = [];
  let at = 0;
  while (at + 4 <= bytes.length) {
    const end = at + 4 + bytes.readUIntBE(at + 1, 3);
    if (end > bytes.length) break;
    packets.push({ type: bytes[at]!, body: bytes.subarray(at + 4, end) });
    at = end;
  }
  return { packets, rest: bytes.subarray(at) };
}

export function mutatePackets(input: Buffer, pool: Pool): Buffer {
  const { chance } = pool;
  const { packets, rest } = packetsOf(input);
  if (packets.length === 0 || chance.is(0.15)) return mutateBytes(input, pool);
  const at = chance.int(0, packets.length - 1);
  const packet = packets[at]!;
  switch (chance.int(0, 6)) {
    case 0:
      packets.splice(at, 1);
      break;
    case 1:
      packets.splice(chance.int(0, packets.length), 0, packet);
      break;
    case 2:
      packets[at] = { ...packet, type: chance.int(0, 6) };
      break;
    case 3: {
      const other = packetsOf(pool.other()).packets;
      if (other.length > 0) packets.splice(at, chance.int(0, 1), chance.pick(other));
      break;
    }
    default: {
      const body = chance.is(0.5) ? mutateJson(packet.body, pool) : mutateBytes(packet.body, pool);
      packets[at] = { ...packet, body };
    }
  }
  const written = packets.map(({ type, body }) => {
    const head = Buffer.alloc(4);
    head[0] = type;
    head.writeUIntBE(body.length, 1, 3);
    return Buffer.concat([head, body]);
  });
  return Buffer.concat([...written, rest]);
}
