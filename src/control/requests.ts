/** Control's requests as bytes, read by the contract's codec, over gRPC and HTTP alike. */
import type { Close, JsonObject, Push, Target } from '../contract/commands.ts';
import {
  decodeBody,
  decodeClose,
  decodePush,
  decodeTarget,
  jsonIn,
  Names,
} from '../contract/protobuf-shapes.ts';
import { decodeStruct } from '../contract/struct.ts';
import { decodeSignedMs, WireError, WireReader } from '../contract/protobuf-wire.ts';
import { GatewayError } from '../errors.ts';

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
  readonly ttlMs?: number;
  readonly uids?: readonly string[];
  readonly prefix?: string;
  readonly limit?: number;
  readonly pageToken?: string;
  readonly route?: string;
  readonly body?: Uint8Array;
  readonly notify?: boolean;
  readonly timeoutMs?: number;
  readonly data?: JsonObject;
  readonly budgetMs?: number;
  readonly reason?: string;
  readonly level?: string;
  readonly bodies?: boolean;
  readonly kind?: string;
  readonly durationMs?: number;
  readonly perSecond?: number;
  readonly network?: string;
  readonly client?: string;
  readonly lastsMs?: number;
  readonly on?: boolean;
  readonly routes?: readonly string[];
  readonly allowUids?: readonly string[];
  readonly message?: string;
  readonly scope?: string;
  readonly handshakeCode?: number;
  readonly gateway?: string;
  readonly search?: string;
  readonly stats?: boolean;
  readonly about?: string;
  readonly worker?: number;
};

/** null: a list of names, one a field. */
type Field = readonly [
  name: keyof Request,
  read: ((reader: WireReader, convertBytesMax: number) => unknown) | null,
];

/** A negative one must not be read as 0, which means for ever, or at once. */
const duration =
  (name: string) =>
  (reader: WireReader): number => {
    const ms = decodeSignedMs(reader.message());
    if (ms < 0) throw new WireError(`${name} is negative`);
    return ms;
  };
const text = (reader: WireReader): string => reader.string();
const number = (reader: WireReader): number => reader.uint();
const SID: Field = ['sid', text];
const STATS: Field = ['stats', (reader) => reader.bool()];
const TARGET: Field = ['target', (reader, max) => decodeTarget(reader.message(), max)];

const PUSH_REQUEST: Readonly<Record<number, Field>> = {
  1: ['push', (reader, max) => decodePush(reader.message(), max)],
  2: ['waitMs', duration('wait')],
};
const BLOCKED: Readonly<Record<number, Field>> = {
  1: ['network', text],
  2: ['uid', text],
  3: ['client', text],
};
const GROUP_REQUEST: Readonly<Record<number, Field>> = {
  1: TARGET,
  2: ['groups', null],
  3: ['ttlMs', duration('ttl')],
};

/** By method: the fields of its request, by number. [proto/pith/v1/control.proto] */
const FIELDS: Readonly<Record<string, Readonly<Record<number, Field>>>> = {
  Push: PUSH_REQUEST,
  PushMany: PUSH_REQUEST,
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
  GetSession: { 1: SID, 2: STATS },
  GetPresence: { 1: ['uids', null] },
  Call: {
    1: SID,
    2: ['route', text],
    3: ['body', (reader, max) => decodeBody(reader.message(), max)],
    4: ['notify', (reader) => reader.bool()],
    5: ['timeoutMs', duration('timeout')],
  },
  ExplainRoute: {
    1: ['route', text],
    2: ['uid', text],
    3: ['data', (reader, max) => jsonIn(reader, 'data', max, decodeStruct)],
  },
  Block: {
    ...BLOCKED,
    4: ['reason', text],
    5: ['lastsMs', duration('expires_in')],
  },
  Unblock: BLOCKED,
  ListBlocks: { 1: ['limit', number], 2: ['pageToken', text] },
  SetMaintenance: {
    1: ['on', (reader) => reader.bool()],
    2: ['routes', null],
    3: ['allowUids', null],
    4: ['message', text],
    5: ['scope', text],
    6: ['handshakeCode', number],
  },
  Drain: { 1: ['budgetMs', duration('budget')], 2: ['reason', text] },
  Watch: {
    1: TARGET,
    2: ['route', text],
    3: ['bodies', (reader) => reader.bool()],
    4: ['perSecond', number],
  },
  Why: { 1: ['about', text] },
  Profile: { 1: ['kind', text], 2: ['durationMs', duration('duration')], 3: ['worker', number] },
  SetLogLevel: { 1: ['level', text], 2: ['lastsMs', duration('expires_in')] },
  ListGroups: { 1: ['prefix', text], 2: ['limit', number], 3: ['pageToken', text] },
  ListSessions: {
    ...{ 1: TARGET, 2: ['limit', number], 3: ['pageToken', text], 4: ['search', text] },
    5: STATS,
  },
  ListBackends: { 1: ['gateway', text] },
  WatchLog: { 1: ['level', text] },
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
