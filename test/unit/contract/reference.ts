/** The other implementation: protobufjs, by way of proto-loader, with the same .proto files. */
import { loadSync, type MethodDefinition, type ServiceDefinition } from '@grpc/proto-loader';
import fc from 'fast-check';

import type { Json, JsonObject } from '../../../src/contract/commands.ts';

const definition = loadSync('pith/v1/backend.proto', {
  includeDirs: ['proto'],
  keepCase: true,
  longs: Number,
  enums: Number,
  oneofs: true,
  defaults: true,
});
const link = (definition['pith.v1.Backend'] as ServiceDefinition)['Link']!;

type Method = MethodDefinition<object, object>;
export type Frame = Readonly<Record<string, unknown>> & { readonly id: number };

export function encodeToGateway(frames: readonly object[]): Buffer {
  return (link as Method).responseSerialize({ frames });
}

export function decodeToGateway(bytes: Buffer): Frame[] {
  return ((link as Method).responseDeserialize(bytes) as { frames: Frame[] }).frames;
}

export function decodeToBackend(bytes: Buffer): Frame[] {
  return ((link as Method).requestDeserialize(bytes) as { frames: Frame[] }).frames;
}

const handle = (definition['pith.v1.Backend'] as ServiceDefinition)['Handle']! as Method;
export function decodeRequest(bytes: Buffer): Record<string, unknown> {
  return handle.requestDeserialize(bytes) as Record<string, unknown>;
}

// ---- Struct, Duration: as protobufjs has them, and as JSON has them -------------------------------------

type ProtoValue = { kind?: string; [field: string]: unknown };

export function toStruct(object: JsonObject): object {
  const fields = Object.keys(object).map((key) => [key, toValue(object[key]!)]);
  return { fields: Object.fromEntries(fields) as object };
}

export function toValue(value: Json): object {
  if (value === null) return { nullValue: 0 };
  if (typeof value === 'number') return { numberValue: value };
  if (typeof value === 'string') return { stringValue: value };
  if (typeof value === 'boolean') return { boolValue: value };
  if (Array.isArray(value)) return { listValue: { values: value.map(toValue) } };
  return { structValue: toStruct(value) };
}

export function fromStruct(struct: unknown): JsonObject {
  const { fields } = struct as { fields: Record<string, ProtoValue> };
  return Object.fromEntries(Object.keys(fields).map((key) => [key, fromValue(fields[key]!)]));
}

function fromValue(value: ProtoValue): Json {
  if (value.kind === 'numberValue') return value['numberValue'] as number;
  if (value.kind === 'stringValue') return value['stringValue'] as string;
  if (value.kind === 'boolValue') return value['boolValue'] as boolean;
  if (value.kind === 'structValue') return fromStruct(value['structValue']);
  if (value.kind === 'listValue') {
    return (value['listValue'] as { values: ProtoValue[] }).values.map(fromValue);
  }
  if (value.kind === 'nullValue') return null;
  throw new Error(`no kind of value: ${JSON.stringify(value)}`);
}

export function toDuration(ms: number): object {
  return { seconds: Math.floor(ms / 1_000), nanos: (ms % 1_000) * 1_000_000 };
}

export function fromDuration(duration: unknown): number {
  const { seconds, nanos } = duration as { seconds: number; nanos: number };
  return seconds * 1_000 + nanos / 1_000_000;
}

/** What ours keeps of a value: -0, which `JSON.stringify` would write as 0, is its text. */
export function kept<T>(value: T): T {
  if (Object.is(value, -0)) return (JSON as unknown as { rawJSON(text: string): T }).rawJSON('-0');
  if (typeof value !== 'object' || value === null || ArrayBuffer.isView(value)) return value;
  if (Array.isArray(value)) return value.map(kept) as T;
  return Object.fromEntries(Object.entries(value).map(([key, of]) => [key, kept(of)])) as T;
}

// ---- random things --------------------------------------------------------------------------------------

export const text = fc.oneof(
  fc.string({ unit: 'grapheme', maxLength: 12 }),
  fc.constantFrom('', 'zoë', '你好', '😀', 'a.b', 'x'.repeat(200)),
);
export const someText = text.filter((value) => value !== '');
export const bytes = fc.uint8Array({ maxLength: 200 }).map((array) => Buffer.from(array));
export const uint32 = fc.integer({ min: 0, max: 0xffff_ffff });
export const ms = fc.integer({ min: 0, max: 10_000_000 });

const { object: jsonObjects } = fc.letrec<{ value: Json; object: JsonObject }>((tie) => ({
  value: fc.oneof(
    { depthSize: 'small' },
    fc.constant(null),
    fc.boolean(),
    fc.double({ noNaN: true, noDefaultInfinity: true }),
    text,
    fc.array(tie('value'), { maxLength: 3 }),
    tie('object'),
  ),
  // protobufjs cannot have the key __proto__; ours is tested by hand.
  object: fc.dictionary(
    text.filter((key) => key !== '__proto__'),
    tie('value'),
    { maxKeys: 3 },
  ),
}));
export { jsonObjects };
