/** Body, Error, Patch, Close, Target, Push, Reply and ConnectResponse, read from protobuf. */
import { NOTHING } from '../bytes.ts';
import { type Failure, failure } from '../errors.ts';
import { tooMuchText, VALUE_BYTES } from '../protocol/conversion-limit.ts';
import { clientJsonBytes } from '../protocol/packet.ts';
import {
  type Accepted,
  type Close,
  DELIVERIES,
  type JsonObject,
  type Patch,
  type Push,
  type Reply,
  type Target,
} from './commands.ts';
import { readCursor, readPushCursor } from './cursor.ts';
import { traceparentOf } from './facts.ts';
import { ShapeError } from './json.ts';
import { FIELDS_MAX, refusal } from './refusal.ts';
import { bounded, decodeJsonValue, decodeStruct, StructError } from './struct.ts';
import { decodeDurationMs, decodeSignedMs, WireReader } from './protobuf-wire.ts';

/** Pushes in one reply or batch: all are handled in one turn, so that whatever follows them stays behind them. */
export const PUSHES_MAX = 1_000;

// `convertBytesMax`, here and below: `limits.convert`, how much may be made of a message; see protocol/conversion-limit.ts.

/** The bytes that go to the client. @throws {StructError} JSON that cannot be converted, or too much of it. */
export function decodeBody(reader: WireReader, convertBytesMax: number): Uint8Array {
  let body: Uint8Array = NOTHING;
  while (reader.next()) {
    if (reader.field === 1 || reader.field === 3) body = reader.bytes();
    else if (reader.field === 2)
      body = clientJsonBytes(jsonIn(reader, 'json', convertBytesMax, decodeJsonValue));
    else reader.skip();
  }
  return body;
}

/** The JSON in a Struct or Value; `name` is the field's. @throws {StructError} */
export function jsonIn<T>(
  reader: WireReader,
  name: string,
  bytesMax: number,
  decode: (json: WireReader) => T,
): T {
  const json = reader.bytes();
  if (json.length > bytesMax) {
    const what = `has ${json.length} bytes to convert; limits.convert allows ${bytesMax}`;
    throw new StructError(what, name);
  }
  try {
    return bounded(new WireReader(json), bytesMax, decode);
  } catch (error) {
    if (error instanceof StructError) throw error.under(name);
    throw error;
  }
}

export function decodeError(reader: WireReader, convertBytesMax: number): Failure {
  let code = 0;
  let reason = '';
  let message = '';
  let retryAfterMs = 0;
  let body: Uint8Array | null = null;
  const fields: Record<string, string> = Object.create(null) as Record<string, string>;
  let fieldsRead = 0;
  while (reader.next()) {
    if (reader.field === 1) code = reader.int32();
    else if (reader.field === 2) reason = reader.string();
    else if (reader.field === 3) message = reader.string();
    else if (reader.field === 4) retryAfterMs = decodeDurationMs(reader.message());
    else if (reader.field === 5 && fieldsRead++ < FIELDS_MAX) decodeField(reader.message(), fields);
    else if (reader.field === 6) body = decodeBody(reader.message(), convertBytesMax);
    else reader.skip();
  }
  return refusal({ code, reason, message, retryAfterMs, fields }, body);
}

function decodeField(reader: WireReader, fields: Record<string, string>): void {
  let path = '';
  let problem = '';
  while (reader.next()) {
    if (reader.field === 1) path = reader.string();
    else if (reader.field === 2) problem = reader.string();
    else reader.skip();
  }
  fields[path] = problem;
}

/** Reads the lists of names in one message, which may hold millions. */
export class Names {
  readonly #bytesMax: number;
  #bytes = 0;

  constructor(convertBytesMax: number) {
    this.#bytesMax = convertBytesMax;
  }

  /** @throws {StructError} There are too many. */
  read(reader: WireReader): string {
    const name = reader.string();
    this.#bytes += Math.max(name.length, VALUE_BYTES);
    if (this.#bytes > this.#bytesMax)
      throw new StructError(tooMuchText('names', this.#bytes, this.#bytesMax));
    return name;
  }
}

/** A patch whose data cannot be converted has a `fault`. */
export function decodePatch(reader: WireReader, convertBytesMax: number): Patch {
  const patch: Patch = {};
  try {
    readPatchInto(patch, reader, convertBytesMax);
  } catch (error) {
    if (!(error instanceof StructError)) throw error;
    patch.fault = error.message;
  }
  return patch;
}

function readPatchInto(patch: Patch, reader: WireReader, convertBytesMax: number): void {
  const join: string[] = [];
  const leave: string[] = [];
  const names = new Names(convertBytesMax);
  while (reader.next()) {
    if (reader.field === 1) patch.uid = reader.string();
    else if (reader.field === 2) patch.set = jsonIn(reader, 'set', convertBytesMax, decodeStruct);
    else if (reader.field === 3) join.push(names.read(reader));
    else if (reader.field === 4) leave.push(names.read(reader));
    else if (reader.field === 5) patch.ifVersion = reader.uint();
    else reader.skip();
  }
  if (join.length > 0) patch.join = join;
  if (leave.length > 0) patch.leave = leave;
}

export function decodeClose(reader: WireReader): Close {
  const close: Close = { reason: '', code: 0, kick: false, retryAfterMs: 0 };
  while (reader.next()) {
    if (reader.field === 1) close.reason = reader.string();
    else if (reader.field === 2) close.code = reader.int32();
    else if (reader.field === 3) close.kick = reader.bool();
    else if (reader.field === 4) close.retryAfterMs = decodeDurationMs(reader.message());
    else reader.skip();
  }
  return close;
}

/** @throws {StructError} `where` cannot be converted, or there are too many names. */
export function decodeTarget(reader: WireReader, convertBytesMax: number): Target {
  const sids: string[] = [];
  const uids: string[] = [];
  const groups: string[] = [];
  const exceptSids: string[] = [];
  const exceptUids: string[] = [];
  const target: Target = { sids, uids, groups, exceptSids, exceptUids };
  const names = new Names(convertBytesMax);
  while (reader.next()) {
    if (reader.field === 1) sids.push(names.read(reader));
    else if (reader.field === 2) uids.push(names.read(reader));
    else if (reader.field === 3) groups.push(names.read(reader));
    else if (reader.field === 4) target.all = reader.bool();
    else if (reader.field === 5) exceptSids.push(names.read(reader));
    else if (reader.field === 6) exceptUids.push(names.read(reader));
    else if (reader.field === 7)
      target.where = jsonIn(reader, 'where', convertBytesMax, decodeStruct);
    else if (reader.field === 8) target.local = reader.uint() === 1;
    else reader.skip();
  }
  return target;
}

/** A push whose body or target cannot be converted, whose cursor is none, or whose time is negative, has a `fault`. */
export function decodePush(reader: WireReader, convertBytesMax: number): Push {
  const push: Push = {
    target: null,
    route: '',
    body: NOTHING,
    delivery: 'must',
    latestKey: '',
    expiresInMs: 0,
    afterReply: false,
  };
  while (reader.next()) {
    if (reader.field === 1 || reader.field === 3) readPart(reader, push, convertBytesMax);
    else if (reader.field === 2) push.route = reader.string();
    else if (reader.field === 4) push.delivery = DELIVERIES[reader.uint()] ?? 'must';
    else if (reader.field === 5) push.latestKey = reader.string();
    else if (reader.field === 6) readExpiry(push, decodeSignedMs(reader.message()));
    else if (reader.field === 7) push.afterReply = reader.bool();
    else if (reader.field === 8) readPushCursorInto(push, reader.string());
    else if (reader.field === 9) push.keep = reader.bool();
    else if (reader.field === 10) readTraceparent(push, reader.string());
    else reader.skip();
  }
  return push;
}

/** One that is none is ignored, as the specification wants it. */
function readTraceparent(push: Push, text: string): void {
  const traceparent = traceparentOf(text);
  if (traceparent !== undefined) push.traceparent = traceparent;
}

/** One that is over must not be read as 0, which means never. */
function readExpiry(push: Push, ms: number): void {
  if (ms < 0) push.fault = 'push.expires_in is negative';
  else push.expiresInMs = ms;
}

function readPushCursorInto(push: Push, text: string): void {
  // Zero values may be written.
  if (text === '') return;
  try {
    push.cursor = readPushCursor(text, 'push.cursor');
  } catch (error) {
    if (!(error instanceof ShapeError)) throw error;
    push.fault = error.message;
  }
}

/** The target, or the body. */
function readPart(reader: WireReader, push: Push, convertBytesMax: number): void {
  const isTarget = reader.field === 1;
  const part = reader.message();
  try {
    if (isTarget) push.target = decodeTarget(part, convertBytesMax);
    else push.body = decodeBody(part, convertBytesMax);
  } catch (error) {
    if (!(error instanceof StructError)) throw error;
    push.fault = error.under(isTarget ? 'push.target' : 'push.body').message;
  }
}

/**
 * The body alone, if the reply holds nothing else, as nearly all do; otherwise the whole reply. A body that cannot be
 * converted makes it a failure whose text says where.
 *
 * @throws {WireError} It is not valid protobuf.
 */
export function decodeReply(reader: WireReader, convertBytesMax: number): Uint8Array | Reply {
  try {
    return replyIn(reader, convertBytesMax);
  } catch (error) {
    if (!(error instanceof StructError || error instanceof ShapeError)) throw error;
    const bad = failure('BAD_REPLY', `the answer: ${error.message}`);
    return { body: null, failure: bad, patch: null, pushes: [], close: null };
  }
}

function replyIn(reader: WireReader, convertBytesMax: number): Uint8Array | Reply {
  let body: Uint8Array = NOTHING;
  let reply: Reply | null = null;
  const pushes: Push[] = [];
  while (reader.next()) {
    if (reader.field === 1) {
      body = decodeBody(reader.message(), convertBytesMax);
      if (reply !== null) reply.failure = null;
      continue;
    }
    reply ??= { body: null, failure: null, patch: null, pushes, close: null };
    if (reader.field === 2) reply.failure = decodeError(reader.message(), convertBytesMax);
    else if (reader.field === 3) reply.patch = decodePatch(reader.message(), convertBytesMax);
    else if (reader.field === 4) readReplyPush(reader.message(), pushes, convertBytesMax);
    else if (reader.field === 5) reply.close = decodeClose(reader.message());
    else if (reader.field === 6) readFromInto(reply, reader.string());
    else reader.skip();
  }
  if (reply === null) return body;
  reply.body = body;
  return reply;
}

/** @throws {ShapeError} */
function readFromInto(reply: Reply, text: string): void {
  if (text !== '') reply.from = readCursor(text, 'from');
}

/** @throws {StructError} Too many pushes, or too many names in one. */
function readReplyPush(reader: WireReader, pushes: Push[], convertBytesMax: number): void {
  if (pushes.length === PUSHES_MAX)
    throw new StructError(
      `more than ${PUSHES_MAX} pushes in one reply: send the rest outside a reply`,
    );
  pushes.push(decodePush(reader, convertBytesMax));
}

/** Why a ConnectResponse admits no client, though the backend may have meant it to. */
export const NO_OUTCOME = 'the answer to Connect must hold either accept or error';
export const EXPIRED = 'the answer to Connect has an expires_in in the past';

/** Reads a ConnectResponse; one that cannot be converted admits no client. @throws {WireError} It is not valid protobuf. */
export function decodeConnectResponse(
  reader: WireReader,
  convertBytesMax: number,
): Accepted | Failure {
  try {
    return outcomeIn(reader, convertBytesMax);
  } catch (error) {
    if (!(error instanceof StructError)) throw error;
    return failure('BAD_REPLY', `the answer to Connect: ${error.message}`);
  }
}

function outcomeIn(reader: WireReader, convertBytesMax: number): Accepted | Failure {
  let outcome: Accepted | Failure = failure('BAD_REPLY', NO_OUTCOME);
  while (reader.next()) {
    if (reader.field === 1) outcome = decodeAccept(reader.message(), convertBytesMax);
    else if (reader.field === 2) outcome = decodeError(reader.message(), convertBytesMax);
    else reader.skip();
  }
  return outcome;
}

function decodeAccept(reader: WireReader, convertBytesMax: number): Accepted | Failure {
  let patch: Patch | null = null;
  let user: JsonObject | null = null;
  let expiresInMs = 0;
  while (reader.next()) {
    if (reader.field === 1) patch = decodePatch(reader.message(), convertBytesMax);
    else if (reader.field === 2) user = jsonIn(reader, 'user', convertBytesMax, decodeStruct);
    else if (reader.field === 3) expiresInMs = decodeSignedMs(reader.message());
    else reader.skip();
  }
  // A time in the past must not be read as 0, which means never.
  return expiresInMs < 0 ? failure('BAD_REPLY', EXPIRED) : { patch, user, expiresInMs };
}
