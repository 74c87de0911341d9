/** Lines from a backend on a Unix socket: answers, and commands for sessions. Pure. */
import { EMPTY_OBJECT } from '../../bytes.ts';
import {
  flagOf,
  deliveryOf,
  objectOf,
  parseJson,
  ShapeError,
  textOf,
  wholeNumberOf,
} from '../../contract/json.ts';
import { readCursor, readPushCursor } from '../../contract/cursor.ts';
import { traceparentOf } from '../../contract/facts.ts';
import { readClose, readPatch, readTarget } from '../../contract/json-shapes.ts';
import { errorFields, refusal } from '../../contract/refusal.ts';
import { type Failure, failure } from '../../errors.ts';
import { isObject, parseAsWritten } from '../../protocol/exact-json.ts';
import { isJson, Members } from '../../protocol/json-scan.ts';
import type { Push, Reply, Target } from '../../contract/commands.ts';
import type { SessionVerb } from '../../contract/backend-frames.ts';
import { parseJsonText } from '../../protocol/json-parse.ts';

type Fields = Readonly<Record<string, unknown>>;

/** `reply` is the payload alone, as mostly, or everything that an answer may hold. */
export type Answer = {
  readonly kind: 'answer';
  readonly seqId: number;
  readonly reply: Uint8Array | Reply;
  /** For the log: what could not be read; '' for nothing. */
  readonly fault: string;
};

export type BackendLine =
  | Answer
  | { readonly kind: 'push'; readonly push: Push }
  | { readonly kind: 'verb'; readonly verb: SessionVerb }
  /** It wants nothing more over this connection. */
  | { readonly kind: 'goaway'; readonly reason: string }
  /** Perhaps of a newer contract. */
  | { readonly kind: 'unknown'; readonly cmd: string }
  /** A client's message, sent back: a client has chosen its `cmd`. */
  | { readonly kind: 'echo'; readonly cmd: string };

/**
 * What a backend may send on its own. An answer is known by its number and needs no `cmd`; many programs answer by
 * filling in the request, whose `cmd` a client has chosen. So a line is not a command if an answer with its number is
 * awaited, or if it has `session`, which only our lines have.
 */
const COMMANDS: ReadonlyMap<string, (fields: Fields) => BackendLine> = new Map([
  ['push', readPush],
  ['patch', readPatchCommand],
  ['kick', readKick],
  ['close', readKick],
  ['goaway', readGoaway],
]);

const NULL = Buffer.from('null');

/** A line that is not a JSON object, so the lines after it may be anything, too. */
export class UnreadableLine extends ShapeError {}

/** The members of an answer besides its number and its payload, and those of a command. */
const OF_ANSWER = ['error', 'patch', 'close', 'from'] as const;
const OF_COMMAND = [
  ...(['cmd', 'route', 'delivery', 'latest_key', 'expires_ms', 'cursor'] as const),
  ...(['keep', 'patch'] as const),
  ...(['sid', 'uid', 'group', 'all', 'where', 'except_sids', 'except_uids'] as const),
  ...(['reason', 'code', 'kick', 'retry_after', 'retryAfter'] as const),
] as const;
const members = new Members(['seq_id', 'payload', 'session', ...OF_ANSWER, ...OF_COMMAND]);
type MemberName = Parameters<typeof members.get>[0];
/** Bytes of a seq_id or cmd; a longer one is refused. */
const NAME_BYTES_MAX = 2_048;

/** A seq_id that is not a whole number. */
export class SeqIdError extends ShapeError {
  /** The request that is meant, if it is the number as text; null: unknown. */
  readonly meant: number | null;

  constructor(seqId: unknown) {
    const text = JSON.stringify(seqId).slice(0, 64);
    super(`seq_id is ${text}, not a whole number as it was sent`);
    this.meant = typeof seqId === 'string' && /^[0-9]{1,10}$/.test(seqId) ? Number(seqId) : null;
  }
}

/**
 * Reads one line, which is not blank. Its payload stays the bytes that came; of the other members only what is needed
 * is parsed.
 *
 * @param convertBytesMax Of each of them: `limits.convert`.
 * @param awaits True if an answer with this number is awaited.
 * @throws {ShapeError}
 */
export function readLine(
  line: Buffer,
  convertBytesMax: number,
  awaits: (seqId: number) => boolean = () => false,
): BackendLine {
  if (!members.read(line)) {
    if (isJson(line)) throw new UnreadableLine('it is JSON, but not an object');
    throw new UnreadableLine(`it is not JSON: ${JSON.stringify(line.toString('utf8', 0, 64))}`);
  }
  try {
    return readMembers(convertBytesMax, awaits);
  } finally {
    members.forget();
  }
}

function readMembers(convertBytesMax: number, awaits: (seqId: number) => boolean): BackendLine {
  const { cmd, seq_id: seqId } = fieldsOf(['cmd', 'seq_id'], NAME_BYTES_MAX);
  if (!isNothing(seqId) && !Number.isSafeInteger(seqId)) throw new SeqIdError(seqId);
  const command = typeof cmd === 'string' ? COMMANDS.get(cmd) : undefined;
  // Programs that write every field of a struct write 0 for none.
  const number = isNothing(seqId) || (seqId === 0 && command !== undefined) ? null : seqId;
  if (number !== null && (command === undefined || awaits(number as number) || isOurs()))
    return readAnswer(number as number, convertBytesMax);
  if (command === undefined) {
    if (typeof cmd === 'string') return { kind: isOurs() ? 'echo' : 'unknown', cmd };
  } else {
    if (isOurs()) return { kind: 'echo', cmd: cmd as string };
    try {
      return command(fieldsOf(OF_COMMAND, convertBytesMax));
    } catch (error) {
      // An answer that comes late.
      if (number !== null && error instanceof ShapeError)
        return readAnswer(number as number, convertBytesMax);
      throw error;
    }
  }
  throw new ShapeError('it has neither seq_id, like an answer, nor cmd, like a push');
}

function isOurs(): boolean {
  return members.get('session') !== null;
}

/** The values of those of these members that the line has. @throws {ShapeError} */
function fieldsOf(names: readonly MemberName[], bytesMax: number): Fields {
  const fields: Record<string, unknown> = {};
  for (const name of names) {
    const json = members.get(name);
    if (json === null) continue;
    // Session data goes out again as it came in.
    const parse = name === 'patch' || name === 'where' ? parseAsWritten : parseJsonText;
    fields[name] = parseJson(json, name, bytesMax, parse);
  }
  return fields;
}

// ---- answers --------------------------------------------------------------------------------------------

function readAnswer(seqId: number, convertBytesMax: number): Answer {
  const body = payloadOf();
  try {
    const fields = fieldsOf(OF_ANSWER, convertBytesMax);
    const { error, patch, close, from } = fields;
    const isBody = isNoError(error) && isNothing(patch) && isNothing(close) && isNothing(from);
    return { kind: 'answer', seqId, reply: isBody ? body : replyOf(fields, body), fault: '' };
  } catch (why) {
    if (!(why instanceof ShapeError)) throw why;
    const bad = failure('BAD_REPLY', `the answer's ${why.message}`);
    const reply: Reply = { body: null, failure: bad, patch: null, pushes: [], close: null };
    return { kind: 'answer', seqId, reply, fault: why.message };
  }
}

function replyOf({ error, patch, close, from }: Fields, body: Buffer): Reply {
  return {
    body,
    failure: isNoError(error) ? null : failureOf(error, body),
    patch: isNothing(patch) ? null : readPatch(objectOf(patch, 'patch')),
    pushes: [],
    close: isNothing(close) ? null : readClose(objectOf(close, 'close')),
    ...(!isNothing(from) && { from: readCursor(textOf(from, 'from'), 'from') }),
  };
}

/** Programs that write every field of a struct write these for "none". */
function isNothing(value: unknown): boolean {
  return value === undefined || value === null || value === '';
}

/** The same for an error that is a struct within a struct. */
function isNoError(error: unknown): boolean {
  if (typeof error !== 'object' || error === null) return isNothing(error);
  const { code, reason, msg } = error as Fields;
  return code === 0 && isNothing(reason) && isNothing(msg);
}

/** `{"code":…,"reason":…,"msg":…}`, or a string; the payload is its body. */
function failureOf(error: unknown, payload: Buffer): Failure {
  const body = payload.equals(EMPTY_OBJECT) ? null : payload;
  if (typeof error === 'string') return refusal({ message: error }, body);
  if (!isObject(error))
    throw new ShapeError('error is neither an object, {"code":…,"reason":…,"msg":…}, nor a string');
  return refusal(errorFields(error), body);
}

/** The payload, byte for byte; an empty object if there is none, or null. */
function payloadOf(): Buffer {
  const payload = members.get('payload');
  return payload === null || payload.equals(NULL) ? EMPTY_OBJECT : payload;
}

// ---- what a backend sends on its own ----------------------------------------------------------------------

function readPush(fields: Fields): BackendLine {
  const {
    route,
    delivery = 'must',
    latest_key: latestKey = '',
    expires_ms: expiresMs = 0,
    cursor,
  } = fields;
  if (typeof route !== 'string' || route === '')
    throw new ShapeError('route is missing: the one that the client listens to');
  const told = fields['traceparent'];
  const traceparent = typeof told === 'string' ? traceparentOf(told) : undefined;
  const push: Push = {
    target: targetOf(fields),
    route,
    body: payloadOf(),
    delivery: deliveryOf(delivery, 'delivery'),
    latestKey: textOf(latestKey, 'latest_key'),
    expiresInMs: wholeNumberOf(expiresMs, 'expires_ms'),
    afterReply: false,
    ...(!isNothing(cursor) && { cursor: readPushCursor(textOf(cursor, 'cursor'), 'cursor') }),
    keep: flagOf(fields['keep'] ?? false, 'keep'),
    ...(traceparent !== undefined && { traceparent }),
  };
  return { kind: 'push', push };
}

function readPatchCommand(fields: Fields): BackendLine {
  const patch = readPatch(objectOf(fields['patch'], 'patch'));
  return { kind: 'verb', verb: { target: targetOf(fields), patch, close: null } };
}

function readKick(fields: Fields): BackendLine {
  const close = { ...readClose(fields), kick: fields['cmd'] === 'kick' };
  return { kind: 'verb', verb: { target: targetOf(fields), patch: null, close } };
}

function readGoaway({ reason = '' }: Fields): BackendLine {
  return { kind: 'goaway', reason: textOf(reason, 'reason') };
}

/** Exactly one of sid, uid, group and all; `except_…` and `where` may narrow it. */
function targetOf(fields: Fields): Target {
  const names = (['sid', 'uid', 'group', 'all'] as const).filter((name) => {
    const value = fields[name];
    return !isNothing(value) && value !== false;
  });
  const [name] = names;
  if (name === undefined)
    throw new ShapeError('it has no target: give one of sid, uid, group, all');
  if (names.length > 1)
    throw new ShapeError(`give one of sid, uid, group, all; there are ${names.join(' and ')}`);
  if (name !== 'all') textOf(fields[name], name);
  const { where, except_sids: exceptSids, except_uids: exceptUids } = fields;
  return readTarget({
    ...(name === 'all' ? { all: fields['all'] } : { [`${name}s`]: [fields[name]] }),
    except_sids: exceptSids,
    except_uids: exceptUids,
    where,
  });
}
