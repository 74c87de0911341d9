/** Control's messages as bytes: the contract's codec reads requests and writes answers, over gRPC and HTTP alike. */
import type {
  GroupOutcome,
  GroupsOutcome,
  KickOutcome,
  PresenceOutcome,
} from '../bus/fleet-commands.ts';
import type { Close, Json, JsonObject, Push, Target } from '../contract/commands.ts';
import { encodeSession } from '../contract/gateway-frames.ts';
import type { SessionJson } from '../contract/json-shapes.ts';
import {
  decodeClose,
  decodePush,
  decodeTarget,
  jsonIn,
  Names,
} from '../contract/protobuf-shapes.ts';
import { decodeStruct } from '../contract/struct.ts';
import {
  decodeDurationMs,
  encodeMs,
  WireError,
  WireReader,
  WireWriter,
} from '../contract/protobuf-wire.ts';
import { GatewayError } from '../errors.ts';
import { doubleOf, isRawNumber } from '../protocol/exact-json.ts';
import type { Info } from './service.ts';

/** All fields that a request may have. Absent: not given. */
export type Request = {
  readonly sid?: string;
  readonly uid?: string;
  readonly push?: Push;
  readonly waitMs?: number;
  readonly target?: Target;
  readonly close?: Close;
  readonly set?: JsonObject;
  readonly ifVersion?: number;
  readonly groups?: readonly string[];
  readonly uids?: readonly string[];
  readonly prefix?: string;
  readonly limit?: number;
  readonly pageToken?: string;
};

/** null: a list of names, one a field. */
type Field = readonly [
  name: keyof Request,
  read: ((reader: WireReader, convertBytesMax: number) => unknown) | null,
];

const text = (reader: WireReader): string => reader.string();
const number = (reader: WireReader): number => reader.uint();
const SID: Field = ['sid', text];
const TARGET: Field = ['target', (reader, max) => decodeTarget(reader.message(), max)];

const GROUP_REQUEST: Readonly<Record<number, Field>> = { 1: TARGET, 2: ['groups', null] };

/** By method: the fields of its request, by number. [proto/pith/v1/control.proto] */
const FIELDS: Readonly<Record<string, Readonly<Record<number, Field>>>> = {
  Push: {
    1: ['push', (reader, max) => decodePush(reader.message(), max)],
    2: ['waitMs', (reader) => decodeDurationMs(reader.message())],
  },
  Kick: { 1: TARGET, 2: ['close', (reader) => decodeClose(reader.message())] },
  Bind: { 1: SID, 2: ['uid', text] },
  Unbind: { 1: SID },
  SetData: {
    1: SID,
    2: ['set', (reader, max) => jsonIn(reader, 'set', max, decodeStruct)],
    3: ['ifVersion', number],
  },
  Join: GROUP_REQUEST,
  Leave: GROUP_REQUEST,
  GetSession: { 1: SID },
  GetPresence: { 1: ['uids', null] },
  ListGroups: { 1: ['prefix', text], 2: ['limit', number], 3: ['pageToken', text] },
  ListSessions: { 1: TARGET, 2: ['limit', number], 3: ['pageToken', text] },
};

/** @param convertBytesMax `limits.convert`. @throws {GatewayError} It is not valid. */
export function readRequest(method: string, bytes: Buffer, convertBytesMax: number): Request {
  const request: Record<string, unknown> = {};
  const reader = new WireReader(bytes);
  const names = new Names(convertBytesMax);
  try {
    while (reader.next()) {
      const field = FIELDS[method]?.[reader.field];
      if (field === undefined) {
        reader.skip();
        continue;
      }
      const [name, read] = field;
      if (read === null) ((request[name] ??= []) as string[]).push(names.read(reader));
      else request[name] = read(reader, convertBytesMax);
    }
  } catch (error) {
    if (!(error instanceof WireError)) throw error;
    throw new GatewayError('BAD_ARGUMENT', `the request cannot be read: ${error.message}`);
  }
  return request;
}

export function kickResult({ closed, gateways, silentGateways }: KickOutcome): Buffer {
  const writer = new WireWriter();
  writer.uint(1, closed);
  writer.uint(2, gateways);
  writer.strings(3, silentGateways);
  return writer.take();
}

export function groupResult(outcome: GroupOutcome): Buffer {
  const writer = new WireWriter();
  writer.uint(1, outcome.changed);
  writer.uint(2, outcome.gateways);
  writer.strings(3, outcome.silentGateways);
  writer.uint(4, outcome.refused);
  return writer.take();
}

export function presenceMessage({ users, gateways, silentGateways }: PresenceOutcome): Buffer {
  const writer = new WireWriter();
  for (const [uid, { sessions, entries }] of users) {
    const presence = new WireWriter();
    presence.uint(1, sessions);
    for (const { sid } of entries) presence.text(2, sid);
    for (const { sid, gateway, boundAtWall } of entries) {
      const entry = new WireWriter();
      entry.string(1, sid);
      entry.string(2, gateway);
      if (boundAtWall > 0) entry.bytes(3, encodeMs(boundAtWall));
      presence.bytes(3, entry.take());
    }
    const pair = new WireWriter();
    pair.text(1, uid);
    pair.bytes(2, presence.take());
    writer.bytes(1, pair.take());
  }
  writer.strings(2, silentGateways);
  writer.uint(3, gateways);
  return writer.take();
}

/** A page of groups, each a message; and what else there is to say, in one more. */
export function* groupMessages({ groups, more, silentGateways }: GroupsOutcome): Generator<Buffer> {
  const writer = new WireWriter();
  for (const { name, sessions, gateways } of groups) {
    writer.string(1, name);
    writer.uint(2, sessions);
    writer.uint(3, gateways);
    yield writer.take();
  }
  if (!more && silentGateways.length === 0) return;
  if (more) writer.string(4, groups.at(-1)?.name ?? '');
  writer.strings(5, silentGateways);
  yield writer.take();
}

export function infoMessage(info: Info): Buffer {
  const writer = new WireWriter();
  writer.string(1, info.gateway);
  writer.string(2, info.version);
  writer.string(3, info.state);
  writer.uint(4, info.sessions);
  writer.string(5, info.bus);
  for (const { name, kind, addresses, healthy, inFlight } of info.backends) {
    const backend = new WireWriter();
    backend.string(1, name);
    backend.string(2, kind);
    backend.uint(3, addresses);
    backend.uint(4, healthy);
    backend.uint(5, inFlight);
    writer.bytes(6, backend.take());
  }
  writer.bytes(7, encodeMs(info.uptimeMs));
  return writer.take();
}

export function sessionMessage(session: SessionJson): Buffer {
  const facts = {
    ...session,
    gatewayId: session.gateway,
    remoteIp: session.remote_ip,
    clientType: session.client_type,
    clientVersion: session.client_version,
    openedAtWall: Date.parse(session.opened_at),
    boundAtWall: session.bound_at === undefined ? 0 : Date.parse(session.bound_at),
    version: Number(session.version),
    connection: { transport: session.transport },
  };
  return encodeSession(facts, shown(session.data) as JsonObject, session.groups);
}

/**
 * A value as a Struct can hold it: a number that is not exact as a double becomes a string of its digits, like 64-bit
 * integers; an unpaired surrogate, which JSON allows and protobuf does not, becomes U+FFFD.
 */
function shown(value: Json): Json {
  if (typeof value === 'string') return value.toWellFormed();
  if (isRawNumber(value)) return doubleOf(value.rawJSON) ?? value.rawJSON;
  if (typeof value !== 'object' || value === null) return value;
  if (Array.isArray(value)) return value.map(shown);
  const object = Object.create(null) as JsonObject;
  for (const key of Object.keys(value)) object[key.toWellFormed()] = shown(value[key]!);
  return object;
}
