/** Control's messages as proto-loader gives and takes them, to and from our own shapes. */
import type { PushOutcome } from '../bus/bus.ts';
import { doubleOf, isRawNumber, type RawNumber } from '../protocol/exact-json.ts';
import { clientJsonBytes } from '../protocol/packet.ts';
import type { SessionJson } from '../contract/json-shapes.ts';
import type { Close, Delivery, Json, JsonObject, Push, Target } from '../contract/commands.ts';

export type DurationMessage = { readonly seconds: number; readonly nanos: number };
export type StructMessage = { readonly fields?: Readonly<Record<string, ValueMessage>> };
export type ValueMessage = {
  readonly nullValue?: 0;
  readonly kind?: string;
  readonly numberValue?: number;
  readonly stringValue?: string;
  readonly boolValue?: boolean;
  readonly structValue?: StructMessage;
  readonly listValue?: { readonly values?: readonly ValueMessage[] };
};
export type BodyMessage = {
  readonly content?: 'bytes' | 'json' | 'text';
  readonly bytes?: Buffer;
  readonly json?: ValueMessage;
  readonly text?: string;
};
export type TargetMessage = {
  readonly sids: readonly string[];
  readonly uids: readonly string[];
  readonly groups: readonly string[];
  readonly all: boolean;
  readonly exceptSids: readonly string[];
  readonly exceptUids: readonly string[];
  readonly where: StructMessage | null;
  readonly scope: 'SCOPE_FLEET' | 'SCOPE_LOCAL';
};
export type PushMessage = {
  readonly target: TargetMessage | null;
  readonly route: string;
  readonly body: BodyMessage | null;
  readonly delivery: string;
  readonly latestKey: string;
  readonly expiresIn: DurationMessage | null;
};
export type CloseMessage = {
  readonly reason: string;
  readonly code: number;
  readonly retryAfter: DurationMessage | null;
};

/** Milliseconds; `absent` where the message has none. */
export function durationMs(duration: DurationMessage | null, absent: number): number {
  return duration === null
    ? absent
    : Math.max(0, duration.seconds * 1_000 + duration.nanos / 1_000_000);
}

export function durationMessage(ms: number): DurationMessage {
  return { seconds: Math.floor(ms / 1_000), nanos: Math.floor(ms % 1_000) * 1_000_000 };
}

/** A Struct as an object without a prototype: its keys may be anything. */
export function structJson(struct: StructMessage): JsonObject {
  const object = Object.create(null) as JsonObject;
  for (const [key, value] of Object.entries(struct.fields ?? {})) object[key] = valueJson(value);
  return object;
}

function valueJson(value: ValueMessage): Json {
  switch (value.kind) {
    case 'numberValue':
      return value.numberValue!;
    case 'stringValue':
      return value.stringValue!;
    case 'boolValue':
      return value.boolValue!;
    case 'structValue':
      return structJson(value.structValue!);
    case 'listValue':
      return (value.listValue!.values ?? []).map(valueJson);
    default:
      return null;
  }
}

function structMessage(object: JsonObject): StructMessage {
  return {
    fields: Object.fromEntries(
      Object.entries(object).map(([key, value]) => [key.toWellFormed(), valueMessage(value)]),
    ),
  };
}

/** What a double does not hold is shown by its digits, as 64-bit integers are. */
function rawMessage({ rawJSON }: RawNumber): ValueMessage {
  const number = doubleOf(rawJSON);
  return number === null ? { stringValue: rawJSON } : { numberValue: number };
}

function valueMessage(value: Json): ValueMessage {
  if (value === null) return { nullValue: 0 };
  if (typeof value === 'number') return { numberValue: value };
  if (isRawNumber(value)) return rawMessage(value);
  // JSON can say half a character, protobuf cannot: it is shown as U+FFFD.
  if (typeof value === 'string') return { stringValue: value.toWellFormed() };
  if (typeof value === 'boolean') return { boolValue: value };
  if (Array.isArray(value)) return { listValue: { values: value.map(valueMessage) } };
  return { structValue: structMessage(value) };
}

export function targetOf(message: TargetMessage | null): Target {
  if (message === null) return {};
  const { sids, uids, groups, all, exceptSids, exceptUids, where, scope } = message;
  return {
    ...{ sids, uids, groups, all, exceptSids, exceptUids },
    ...(where !== null && { where: structJson(where) }),
    local: scope === 'SCOPE_LOCAL',
  };
}

/** Anything else is DELIVERY_MUST. */
const DELIVERIES: Readonly<Record<string, Delivery>> = {
  DELIVERY_DROPPABLE: 'droppable',
  DELIVERY_LATEST: 'latest',
};

export function pushOf(message: PushMessage): Push {
  return {
    target: message.target === null ? null : targetOf(message.target),
    route: message.route,
    body: bodyBytes(message.body),
    delivery: DELIVERIES[message.delivery] ?? 'must',
    latestKey: message.latestKey,
    expiresInMs: durationMs(message.expiresIn, 0),
    afterReply: false,
  };
}

function bodyBytes(body: BodyMessage | null): Uint8Array {
  if (body === null) return Buffer.alloc(0);
  if (body.content === 'json') return clientJsonBytes(valueJson(body.json!));
  if (body.content === 'text') return Buffer.from(body.text!);
  return body.bytes ?? Buffer.alloc(0);
}

/** A kick: Control's Kick implies the kick packet. */
export function kickOf(message: CloseMessage | null): Close {
  return {
    reason: message?.reason ?? '',
    code: message?.code ?? 0,
    kick: true,
    retryAfterMs: durationMs(message?.retryAfter ?? null, 0),
  };
}

export function sessionMessage(session: SessionJson): object {
  const { opened_at: openedAt, data, ...rest } = session;
  const ms = Date.parse(openedAt);
  return {
    sid: rest.sid,
    uid: rest.uid,
    gateway: rest.gateway,
    remoteIp: rest.remote_ip,
    clientType: rest.client_type,
    clientVersion: rest.client_version,
    openedAt: durationMessage(ms),
    data: structMessage(data),
    version: Number(rest.version),
    groups: rest.groups,
    transport: rest.transport,
    dialect: rest.dialect,
  };
}

export function pushResult(outcome: PushOutcome): object {
  return { ...outcome };
}
