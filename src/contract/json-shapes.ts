/**
 * The shapes of the contract in JSON: the proto3 JSON mapping with the names of the .proto; camelCase is read too.
 * A ShapeError says which field is wrong.
 */
import { asBuffer, NOTHING } from '../bytes.ts';
import { type Failure, failure } from '../errors.ts';
import { CONVERT_BYTES } from '../protocol/conversion-limit.ts';
import { clientJsonBytes } from '../protocol/packet.ts';
import type { Accepted, Close, Json, JsonObject, Patch, Target } from './commands.ts';
import type { ConnectFacts, SessionFacts } from './facts.ts';
import {
  INT32,
  objectOf,
  parseJson,
  SAFE,
  ShapeError,
  textOf,
  textsOf,
  wholeNumberOf,
} from './json.ts';
import { refusal } from './refusal.ts';
import { EXPIRED, NO_OUTCOME } from './protobuf-shapes.ts';
import { msOf } from './protobuf-wire.ts';

type Fields = Record<string, unknown>;

/** Parses a payload: a JSON object, or nothing. @param convertBytesMax `limits.convert`. @throws {ShapeError} */
export function readObject(payload: Uint8Array, convertBytesMax = CONVERT_BYTES): Fields {
  if (payload.length === 0) return {};
  return objectOf(parseJson(asBuffer(payload), 'the payload', convertBytesMax), 'the payload');
}

/** The field by its name in the .proto or in camelCase; null and absent are the same. */
function field(fields: Fields, name: string): unknown {
  const camel = name.replace(/_([a-z])/g, (_, letter: string) => letter.toUpperCase());
  const value = Object.hasOwn(fields, name)
    ? fields[name]
    : Object.hasOwn(fields, camel)
      ? fields[camel]
      : undefined;
  return value ?? undefined;
}

function text(fields: Fields, name: string): string | undefined {
  const value = field(fields, name);
  return value === undefined ? undefined : textOf(value, name);
}

function bool(fields: Fields, name: string): boolean {
  const value = field(fields, name) ?? false;
  if (typeof value !== 'boolean') throw new ShapeError(`${name} is not true or false`);
  return value;
}

function texts(fields: Fields, name: string): string[] | undefined {
  const value = field(fields, name);
  return value === undefined ? undefined : textsOf(value, name);
}

function struct(fields: Fields, name: string): JsonObject | undefined {
  const value = field(fields, name);
  return value === undefined ? undefined : (objectOf(value, name) as JsonObject);
}

/** [google/protobuf/duration.proto] */
const DURATION_SECONDS_MAX = 315_576_000_000;

/** A Duration, `"1.5s"`, in milliseconds: 0, or at least 1. */
function durationMs(fields: Fields, name: string): number {
  const ms = signedMs(fields, name);
  if (ms < 0) throw new ShapeError(`${name} is negative`);
  return ms;
}

function signedMs(fields: Fields, name: string): number {
  const value = text(fields, name);
  if (value === undefined) return 0;
  const match = /^(-?)([0-9]{1,12})(?:\.([0-9]{1,9}))?s$/.exec(value);
  if (match === null) throw new ShapeError(`${name} is not a duration like "1.5s"`);
  const [, sign, seconds, fraction = ''] = match;
  if (Number(seconds) > DURATION_SECONDS_MAX)
    throw new ShapeError(`${name} is longer than ${DURATION_SECONDS_MAX}s`);
  const ms = msOf(Number(seconds), Number(fraction.padEnd(9, '0')));
  return sign === '-' && ms !== 0 ? -ms : ms;
}

/** @throws {ShapeError} */
export function readPatch(fields: Fields): Patch {
  const patch: Patch = {};
  const uid = text(fields, 'uid');
  const set = struct(fields, 'set');
  const join = texts(fields, 'join');
  const leave = texts(fields, 'leave');
  const ifVersion = wholeNumberOf(field(fields, 'if_version') ?? 0, 'if_version');
  if (uid !== undefined) patch.uid = uid;
  if (set !== undefined) patch.set = set;
  if (join !== undefined) patch.join = join;
  if (leave !== undefined) patch.leave = leave;
  if (ifVersion !== 0) patch.ifVersion = ifVersion;
  return patch;
}

/** `{"groups": [...]}`. @throws {ShapeError} */
export function readGroups(fields: Fields): string[] {
  const groups = texts(fields, 'groups');
  if (groups === undefined || groups.length === 0)
    throw new ShapeError('groups is missing: an array of group names');
  return groups;
}

/** `{"groups": [...], "ttl": "60s"}`. @throws {ShapeError} */
export function readJoin(fields: Fields): Patch {
  const join = readGroups(fields);
  const hasTtl = field(fields, 'ttl') !== undefined;
  return { join, ...(hasTtl && { groupTtlMs: durationMs(fields, 'ttl') }) };
}

/** @throws {ShapeError} */
export function readClose(fields: Fields): Close {
  return {
    reason: text(fields, 'reason') ?? '',
    code: wholeNumberOf(field(fields, 'code') ?? 0, 'code', INT32),
    kick: bool(fields, 'kick'),
    retryAfterMs: durationMs(fields, 'retry_after'),
  };
}

/** @throws {ShapeError} */
export function readError(fields: Fields): Failure {
  const body = field(fields, 'body');
  const given = {
    // One beyond an int32 counts as none, like in every other form of a refusal.
    code: wholeNumberOf(field(fields, 'code') ?? 0, 'code', SAFE),
    reason: text(fields, 'reason') ?? '',
    message: text(fields, 'message') ?? '',
    retryAfterMs: durationMs(fields, 'retry_after'),
    fields: textsByName(fields, 'fields'),
  };
  return refusal(given, body === undefined ? null : readBody(objectOf(body, 'body')));
}

function textsByName(fields: Fields, name: string): Record<string, string> {
  const found = struct(fields, name) ?? {};
  for (const key of Object.keys(found)) {
    if (typeof found[key] !== 'string') throw new ShapeError(`${name}.${key} is not a string`);
  }
  return found as Record<string, string>;
}

/** The bytes that go to the client. */
function readBody(fields: Fields): Uint8Array {
  const base64 = text(fields, 'bytes');
  if (base64 !== undefined) return bytesOf(base64);
  const plain = text(fields, 'text');
  if (plain !== undefined) return Buffer.from(plain);
  // Here null is a value like any other.
  return Object.hasOwn(fields, 'json') ? clientJsonBytes(fields['json'] as Json) : NOTHING;
}

/** [proto3 JSON mapping] Either alphabet, with or without padding. */
const BASE64 = /^[A-Za-z0-9+/_-]*={0,2}$/;

function bytesOf(base64: string): Buffer {
  const isSound = BASE64.test(base64) && base64.replace(/=+$/, '').length % 4 !== 1;
  if (!isSound) throw new ShapeError('body.bytes is not base64');
  return Buffer.from(base64, 'base64');
}

/** Milliseconds as a Duration in JSON: at most nine digits after the point, and never an exponent. */
export function durationText(ms: number): string {
  const text = (ms / 1_000).toFixed(9).replace(/\.?0+$/, '');
  return `${text}s`;
}

/** A ConnectRequest. */
export function connectJson(facts: ConnectFacts): JsonObject {
  const { session, user, sys, headers, resumed, refresh } = facts;
  return { session: sessionJson(session), user, sys, headers: { ...headers }, resumed, refresh };
}

/** Reads a ConnectResponse; one that cannot be read admits no client, and the failure's text says what is wrong. */
export function readConnectResponse(
  payload: Uint8Array,
  convertBytesMax = CONVERT_BYTES,
): Accepted | Failure {
  try {
    const fields = readObject(payload, convertBytesMax);
    const accept = struct(fields, 'accept');
    const error = struct(fields, 'error');
    if ((accept === undefined) === (error === undefined)) return failure('BAD_REPLY', NO_OUTCOME);
    return error === undefined ? readAccept(accept!) : readError(error);
  } catch (error) {
    if (!(error instanceof ShapeError)) throw error;
    return failure('BAD_REPLY', `the answer to Connect: ${error.message}`);
  }
}

function readAccept(fields: Fields): Accepted | Failure {
  const patch = struct(fields, 'patch');
  if (signedMs(fields, 'expires_in') < 0) return failure('BAD_REPLY', EXPIRED);
  return {
    patch: patch === undefined ? null : readPatch(patch),
    user: struct(fields, 'user') ?? null,
    expiresInMs: durationMs(fields, 'expires_in'),
  };
}

/** @throws {ShapeError} */
export function readTarget(value: unknown): Target {
  const fields = objectOf(value, 'target');
  const target: Target = { all: bool(fields, 'all') };
  for (const name of ['sids', 'uids', 'groups'] as const) target[name] = texts(fields, name) ?? [];
  target.exceptSids = texts(fields, 'except_sids') ?? [];
  target.exceptUids = texts(fields, 'except_uids') ?? [];
  const where = struct(fields, 'where');
  if (where !== undefined) target.where = where;
  return target;
}

export function targetJson(target: Target): JsonObject {
  const json: JsonObject = {};
  if (target.all) json['all'] = true;
  if (target.sids?.length) json['sids'] = [...target.sids];
  if (target.uids?.length) json['uids'] = [...target.uids];
  if (target.groups?.length) json['groups'] = [...target.groups];
  if (target.exceptSids?.length) json['except_sids'] = [...target.exceptSids];
  if (target.exceptUids?.length) json['except_uids'] = [...target.exceptUids];
  if (target.where !== undefined) json['where'] = target.where;
  return json;
}

/** `pith.v1.Session` in JSON: zero values are written, 64-bit numbers are strings. */
export type SessionJson = {
  sid: string;
  uid: string;
  gateway: string;
  remote_ip: string;
  client_type: string;
  client_version: string;
  /** RFC 3339. */
  opened_at: string;
  data: JsonObject;
  version: string;
  groups: string[];
  transport: string;
  dialect: string;
  /** RFC 3339; absent until bound, and from gateways of older releases. */
  bound_at?: string;
  stats?: SessionStatsJson;
};

/** `pith.v1.SessionStats` in JSON, from a gateway that may be of another release. */
export type SessionStatsJson = {
  readonly state: string;
  readonly messages: number;
  readonly in_flight: number;
  readonly outbox_bytes: number;
  readonly silent_for: string;
  readonly round_trip?: string;
  readonly outbox_age?: string;
  readonly reconnects?: number;
};

export function sessionJson(session: SessionFacts): SessionJson {
  return {
    sid: session.sid,
    uid: session.uid,
    gateway: session.gatewayId,
    remote_ip: session.remoteIp,
    client_type: session.clientType,
    client_version: session.clientVersion,
    opened_at: new Date(session.openedAtWall).toISOString(),
    data: session.data,
    version: String(session.version),
    groups: [...session.groups],
    transport: session.connection.transport,
    dialect: session.dialect,
    ...(session.boundAtWall > 0 && { bound_at: new Date(session.boundAtWall).toISOString() }),
  };
}

/** The body of a refusal. */
export type ErrorJson = { error: { code: number; reason: string; msg: string } };

export function errorJson(why: Failure): ErrorJson {
  return { error: { code: why.code, reason: why.reason, msg: why.message } };
}
