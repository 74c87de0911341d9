/** The messages of pith.v1.Backend as tests write and read them, and its service for a gRPC server. */
import { fileURLToPath } from 'node:url';
import type { ServiceDefinition } from '@grpc/grpc-js';
import { loadSync } from '@grpc/proto-loader';

import type { Json, JsonObject } from '../../src/contract/commands.ts';

const PROTO_DIR = fileURLToPath(new URL('../../proto', import.meta.url));

/** A message of the contract, with the names as in the .proto. */
export type Shape = { [field: string]: unknown };

export type SessionShape = Shape & {
  sid: string;
  uid: string;
  data: StructShape | null;
  version: number;
};

export type RequestShape = {
  session: SessionShape;
  route: string;
  notify: boolean;
  body: Buffer;
  seq: number;
  timeout_ms: number;
  to: string;
};

export type ConnectShape = {
  session: SessionShape;
  user: StructShape;
  sys: StructShape;
  headers: Record<string, string>;
  resumed: boolean;
  refresh: boolean;
};

export type ClosedShape = { session: SessionShape; reason: string; code: number };

type StructShape = { fields: Record<string, Shape> };

/** What a GatewayFrame may be; `frame` names the one that is set. */
export type GatewayFrame = Shape & { id: number; frame: string };

export const backendService = loadService();

/** Buffers go out as they are: garbage, where a test wants it. */
function loadService(): ServiceDefinition {
  const loaded = loadSync('pith/v1/backend.proto', {
    includeDirs: [PROTO_DIR],
    keepCase: true,
    longs: Number,
    enums: String,
    defaults: true,
    oneofs: true,
  })['pith.v1.Backend'] as ServiceDefinition;
  const rawToo = Object.entries(loaded).map(([name, method]) => {
    const responseSerialize = (value: unknown): Buffer =>
      Buffer.isBuffer(value) ? value : method.responseSerialize(value);
    return [name, { ...method, responseSerialize }];
  });
  return Object.fromEntries(rawToo) as ServiceDefinition;
}

export function jsonBytes(body: Json): Shape {
  return { bytes: Buffer.from(JSON.stringify(body)) };
}

export function duration(ms: number): Shape {
  return { seconds: Math.floor(ms / 1_000), nanos: (ms % 1_000) * 1e6 };
}

/** google.protobuf.Value */
export function toValue(value: Json): Shape {
  if (value === null) return { nullValue: 'NULL_VALUE' };
  if (typeof value === 'boolean') return { boolValue: value };
  if (typeof value === 'number') return { numberValue: value };
  if (typeof value === 'string') return { stringValue: value };
  if (Array.isArray(value)) return { listValue: { values: value.map(toValue) } };
  return { structValue: toStruct(value) };
}

/** google.protobuf.Struct */
export function toStruct(object: JsonObject): StructShape {
  return {
    fields: Object.fromEntries(Object.entries(object).map(([key, value]) => [key, toValue(value)])),
  };
}

export function fromStruct({ fields }: StructShape): JsonObject {
  return Object.fromEntries(Object.entries(fields).map(([key, value]) => [key, fromValue(value)]));
}

function fromValue(value: Shape): Json {
  const kind = value['kind'] as string;
  if (kind === 'structValue') return fromStruct(value[kind] as StructShape);
  if (kind === 'listValue') return (value[kind] as { values: Shape[] }).values.map(fromValue);
  return kind === 'nullValue' ? null : (value[kind] as Json);
}
