/** The lines that a backend on a Unix socket writes: answers, and what it wants of sessions. Pure. */
import { EMPTY_OBJECT } from '../../bytes.ts';
import {
  deliveryOf,
  objectOf,
  parseJson,
  ShapeError,
  textOf,
  wholeNumberOf,
} from '../../contract/json.ts';
import { readClose, readPatch, readTarget } from '../../contract/json-shapes.ts';
import { errorWords, refusal } from '../../contract/refusal.ts';
import { type Failure, failure } from '../../errors.ts';
import { isObject, parseAsWritten } from '../../protocol/exact-json.ts';
import { isJson, Members } from '../../protocol/json-scan.ts';
import type { Push, Reply, Target } from '../../contract/commands.ts';
import type { SessionVerb } from '../../contract/backend-frames.ts';

type Fields = Readonly<Record<string, unknown>>;

/** `reply` is the payload alone, which is the common case, or all that an answer may say. */
export type Answer = {
  readonly kind: 'answer';
  readonly seqId: number;
  readonly reply: Uint8Array | Reply;
  /** For the log: what of it could not be read; '' for nothing. */
  readonly fault: string;
};

export type BackendLine =
  | Answer
  | { readonly kind: 'push'; readonly push: Push }
  | { readonly kind: 'verb'; readonly verb: SessionVerb }
  /** Of a newer contract, maybe. */
  | { readonly kind: 'unknown'; readonly cmd: string }
  /** A message of a client, sent back: its `cmd` is the client's word. */
  | { readonly kind: 'echo'; readonly cmd: string };

/**
 * What a backend may say by itself. An answer is known by its number, and needs no `cmd`; many programs answer by
 * filling in the request, whose `cmd` a client has chosen. So a line is no command where its number is awaited, or
 * where it has the `session` that only our lines have.
 */
const COMMANDS: ReadonlyMap<string, (fields: Fields) => BackendLine> = new Map([
  ['push', readPush],
  ['patch', readPatchCommand],
  ['kick', readKick],
  ['close', readKick],
]);

const NULL = Buffer.from('null');

/** A line that is no JSON object, so that nothing is known of what comes after it either. */
export class UnreadableLine extends ShapeError {}

/** What an answer says beside its number and its payload, and what a command does. */
const OF_ANSWER = ['error', 'patch', 'close'] as const;
const OF_COMMAND = [
  ...(['cmd', 'route', 'delivery', 'latest_key', 'expires_ms', 'patch'] as const),
  ...(['sid', 'uid', 'group', 'all', 'where', 'except_sids', 'except_uids'] as const),
  ...(['reason', 'code', 'kick', 'retry_after', 'retryAfter'] as const),
] as const;
const members = new Members(['seq_id', 'payload', 'session', ...OF_ANSWER, ...OF_COMMAND]);
type MemberName = Parameters<typeof members.get>[0];
/** Bytes of a seq_id or cmd; what is longer is neither. */
const NAME_BYTES_MAX = 2_048;

/** A seq_id that is no whole number. */
export class SeqIdError extends ShapeError {
  /** The request that is meant, where it is its number as text; null: nobody knows. */
  readonly meant: number | null;

  constructor(seqId: unknown) {
    const text = JSON.stringify(seqId).slice(0, 64);
    super(`seq_id is no whole number, as it was sent, but ${text}`);
    this.meant = typeof seqId === 'string' && /^[0-9]{1,10}$/.test(seqId) ? Number(seqId) : null;
  }
}

/**
 * Reads one line, which is not blank. Its payload stays the bytes that came; of the rest what is needed is parsed, of
 * each at most `convertBytesMax`.
 *
 * @throws {ShapeError} It says what is wrong.
 */
export function readLine(
  line: Buffer,
  convertBytesMax: number,
  awaits: (seqId: number) => boolean = () => false,
): BackendLine {
  if (!members.read(line)) {
    if (isJson(line)) throw new UnreadableLine('it is JSON, but no object');
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
  // Programs that write every field of a structure write 0 for none.
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
  throw new ShapeError('it has neither seq_id, as an answer has, nor cmd, as a push has');
}

function isOurs(): boolean {
  return members.get('session') !== null;
}

/** The values of those members that the line has. @throws {ShapeError} One is too large to be parsed. */
function fieldsOf(names: readonly MemberName[], bytesMax: number): Fields {
  const fields: Record<string, unknown> = {};
  for (const name of names) {
    const json = members.get(name);
    if (json === null) continue;
    // Session data goes out again as it came in.
    const parse = name === 'patch' || name === 'where' ? parseAsWritten : JSON.parse;
    fields[name] = parseJson(json, name, bytesMax, parse);
  }
  return fields;
}

// ---- answers --------------------------------------------------------------------------------------------

function readAnswer(seqId: number, convertBytesMax: number): Answer {
  const body = payloadOf();
  try {
    const fields = fieldsOf(OF_ANSWER, convertBytesMax);
    const { error, patch, close } = fields;
    const isBody = isNoError(error) && isNothing(patch) && isNothing(close);
    return { kind: 'answer', seqId, reply: isBody ? body : replyOf(fields, body), fault: '' };
  } catch (why) {
    if (!(why instanceof ShapeError)) throw why;
    const bad = failure('BAD_REPLY', `the answer's ${why.message}`);
    const reply: Reply = { body: null, failure: bad, patch: null, pushes: [], close: null };
    return { kind: 'answer', seqId, reply, fault: why.message };
  }
}

function replyOf({ error, patch, close }: Fields, body: Buffer): Reply {
  return {
    body,
    failure: isNoError(error) ? null : failureOf(error, body),
    patch: isNothing(patch) ? null : readPatch(objectOf(patch, 'patch')),
    pushes: [],
    close: isNothing(close) ? null : readClose(objectOf(close, 'close')),
  };
}

/** Programs that write every field of a structure write these for "none". */
function isNothing(value: unknown): boolean {
  return value === undefined || value === null || value === '';
}

/** The same for an error that is a structure in a structure. */
function isNoError(error: unknown): boolean {
  if (typeof error !== 'object' || error === null) return isNothing(error);
  const { code, reason, msg } = error as Fields;
  return code === 0 && isNothing(reason) && isNothing(msg);
}

/** `{"code":…,"reason":…,"msg":…}`, or a text; the payload beside it is its body. */
function failureOf(error: unknown, payload: Buffer): Failure {
  const body = payload.equals(EMPTY_OBJECT) ? null : payload;
  if (typeof error === 'string') return refusal({ message: error }, body);
  if (!isObject(error))
    throw new ShapeError('error is neither an object, {"code":…,"reason":…,"msg":…}, nor a text');
  return refusal(errorWords(error), body);
}

/** The payload's bytes as they are; none, or null, is an empty object. */
function payloadOf(): Buffer {
  const payload = members.get('payload');
  return payload === null || payload.equals(NULL) ? EMPTY_OBJECT : payload;
}

// ---- what a backend says by itself ----------------------------------------------------------------------

function readPush(fields: Fields): BackendLine {
  const {
    route,
    delivery = 'must',
    latest_key: latestKey = '',
    expires_ms: expiresMs = 0,
  } = fields;
  if (typeof route !== 'string' || route === '')
    throw new ShapeError('route is missing: what the client listens to');
  const push: Push = {
    target: targetOf(fields),
    route,
    body: payloadOf(),
    delivery: deliveryOf(delivery, 'delivery'),
    latestKey: textOf(latestKey, 'latest_key'),
    expiresInMs: wholeNumberOf(expiresMs, 'expires_ms'),
    afterReply: false,
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

/** Exactly one of sid, uid, group and all; a push may leave some out. */
function targetOf(fields: Fields): Target {
  const names = (['sid', 'uid', 'group', 'all'] as const).filter((name) => {
    const value = fields[name];
    return !isNothing(value) && value !== false;
  });
  const [name] = names;
  if (name === undefined) throw new ShapeError('it names nobody: give one of sid, uid, group, all');
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
