/**
 * What a client gets when a backend refuses. Each kind of upstream reads code, reason, message and body in its own form;
 * what becomes of them is decided here, by one rule for all. Pure.
 *
 * The rule [proto/README.md, Refusals]: a body of JSON with a `code` goes to the client as it is. One without it
 * fills the standard error with its reason and message. Bytes that the gateway does not read go where bytes pass: on routes with
 * `codec: raw` or `protobuf`, and to clients that read protobuf.
 */
import { asBuffer } from '../bytes.ts';
import { type Failure, reasonOfCode, REASONS } from '../errors.ts';
import { isObject } from '../protocol/exact-json.ts';
import { parseJsonText } from '../protocol/json-parse.ts';

/** The longest wait that is passed on, in milliseconds. */
export const RETRY_AFTER_MS_MAX = 86_400_000;
/** Characters of a backend's text that are passed on. */
export const TEXT_CHARACTERS_MAX = 1_024;
/** Likewise of a reason. */
export const REASON_CHARACTERS_MAX = 128;
/** How many fields of an error are passed on. */
export const FIELDS_MAX = 64;
/** A longer body is not parsed; its code is searched for in its first bytes, this many. */
const PARSED_BYTES_MAX = 64 * 1024;

/** Clients take this code for success, so in a refusal it does not count as one. */
const SUCCESS = 200;
/** Used if there is no code anywhere. */
const CODE_OTHERWISE = 500;

/** Messages for codes whose standard text is about the gateway. */
const TEXTS: ReadonlyMap<number, string> = new Map([
  [400, 'the backend could not read the body'],
  [401, 'the backend requires a user'],
  [404, 'the backend has no such route'],
  [409, 'the backend reported a conflict'],
  [413, 'too large for the backend'],
]);

/** What a backend has sent, apart from its body. */
export type Refusal = {
  /** 0: none. */
  readonly code?: number;
  /** The code if neither this nor the body has one; absent: 500. */
  readonly otherwise?: number;
  /** UPPER_SNAKE; '' for none. It takes precedence over the body's. */
  readonly reason?: string;
  /** '' for none. The body's takes precedence over it. */
  readonly message?: string;
  /** 0: none. */
  readonly retryAfterMs?: number;
  readonly fields?: Readonly<Record<string, string>> | null;
};

/** What the client gets. @param body As it came; empty or null for none. */
export function refusal(given: Refusal, body: Uint8Array | null): Failure {
  const own = body === null || body.length === 0 ? NOTHING : read(body);
  const { error } = own;
  const code = codeIn(given.code) || error.code || given.otherwise || CODE_OTHERWISE;
  const reason = given.reason || error.reason || '';
  // A reason that the backend gives explains itself.
  const quiet = reason === '' ? (TEXTS.get(code) ?? '') : '';
  return {
    code,
    reason: cut(reason, REASON_CHARACTERS_MAX) || reasonOfCode(code),
    message: cut(error.message ?? (given.message || quiet), TEXT_CHARACTERS_MAX),
    retryAfterMs: Math.min(error.retryAfterMs ?? given.retryAfterMs ?? 0, RETRY_AFTER_MS_MAX),
    fields: fieldTexts(error.fields ?? given.fields ?? null),
    body: own.hasCode ? body : null,
    bytes: body === null || body.length === 0 ? null : body,
    detail: '',
  };
}

/** The message for a code without one. */
export function textOf(code: number): string {
  return TEXTS.get(code) ?? REASONS[reasonOfCode(code)].message;
}

/** What the JSON of a refusal holds; what it does not hold is absent. */
export type ErrorFields = {
  code?: number;
  reason?: string;
  message?: string;
  retryAfterMs?: number;
  fields?: Record<string, string>;
};

/** Reads `{"code":…,"reason":…,"msg":…,"retry_after_ms":…,"fields":{…}}`; `message` is read too. */
export function errorFields(json: Readonly<Record<string, unknown>>): ErrorFields {
  const { reason, msg, message, retry_after_ms: retryAfter } = json;
  const error: ErrorFields = {};
  const code = codeIn(json['code']);
  if (code !== 0) error.code = code;
  if (typeof reason === 'string' && reason !== '') error.reason = reason;
  if (typeof msg === 'string') error.message = msg;
  else if (typeof message === 'string') error.message = message;
  if (typeof retryAfter === 'number' && retryAfter > 0) error.retryAfterMs = Math.round(retryAfter);
  const fields = isObject(json['fields']) ? fieldTexts(json['fields']) : null;
  if (fields !== null) error.fields = fields;
  return error;
}

/** True if a body explains the failure, and it is not the status alone that does. */
export function speaks(body: Uint8Array): boolean {
  const { error, hasCode } = body.length === 0 ? NOTHING : read(body);
  return hasCode || error.code !== undefined || (error.reason ?? error.message) !== undefined;
}

/** What a body holds. */
type OwnError = { readonly error: ErrorFields; readonly hasCode: boolean };

const NOTHING: OwnError = { error: {}, hasCode: false };

/** `{"code":…,"reason":…,"msg":…}`, at the top or under `error`. */
function read(body: Uint8Array): OwnError {
  const bytes = asBuffer(body);
  if (bytes.length > PARSED_BYTES_MAX)
    return { error: {}, hasCode: beginsWithCode(bytes.subarray(0, PARSED_BYTES_MAX)) };
  const top = jsonObject(bytes);
  if (top === null) return NOTHING;
  // Clients look for a code. Such a body may hold more than we know of, and passes unchanged.
  if (isCode(top['code'])) return { error: errorFields(top), hasCode: true };
  const under = top['error'];
  return { error: errorFields(isObject(under) ? under : top), hasCode: false };
}

/** A code that every form can carry, an int32; 0: there is none. */
function codeIn(code: unknown): number {
  return isCode(code) && code === (code | 0) ? code : 0;
}

/** Programs that write every field of a struct write 0 for none. */
function isCode(code: unknown): code is number {
  return typeof code === 'number' && code !== 0 && code !== SUCCESS;
}

/** True if the JSON object that begins like this has a code among its first members. */
function beginsWithCode(head: Buffer): boolean {
  let depth = 0;
  for (let at = 0; at < head.length; at++) {
    const byte = head[at]!;
    if (byte === QUOTE) {
      const end = afterString(head, at);
      const isCodeKey = depth === 1 && head.toString('latin1', at, end) === '"code"';
      if (isCodeKey && CODE_BEHIND.test(head.toString('latin1', end, end + 64))) return true;
      at = end - 1;
    } else if (byte === 0x7b || byte === 0x5b) {
      depth++;
    } else if (byte === 0x7d || byte === 0x5d) {
      depth--;
    }
    if (depth === 0 && byte > SPACE) return false;
  }
  return false;
}

/** Where the string that begins at `start` ends. */
function afterString(text: Buffer, start: number): number {
  for (let at = start + 1; at < text.length; at++) {
    if (text[at] === QUOTE) return at + 1;
    if (text[at] === BACKSLASH) at++;
  }
  return text.length;
}

const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const SPACE = 0x20;
/** A number that is neither 0 nor 200. */
const CODE_BEHIND = /^\s*:\s*(?!200\s*[,}])-?(?:[1-9]|0\.)/;

function fieldTexts(
  fields: Readonly<Record<string, unknown>> | null,
): Record<string, string> | null {
  if (fields === null) return null;
  const texts = Object.entries(fields)
    .filter((entry): entry is [string, string] => typeof entry[1] === 'string')
    .slice(0, FIELDS_MAX)
    .map(([path, text]) => [cut(path, TEXT_CHARACTERS_MAX), cut(text, TEXT_CHARACTERS_MAX)]);
  return texts.length === 0 ? null : (Object.fromEntries(texts) as Record<string, string>);
}

/** Without half a character at its end; halves elsewhere, which C clients take for broken JSON, are U+FFFD. */
export function cut(text: string, max: number): string {
  const isHalf = text.length > max && (text.charCodeAt(max - 1) & 0xfc00) === 0xd800;
  return text.slice(0, isHalf ? max - 1 : max).toWellFormed();
}

function jsonObject(bytes: Buffer): Record<string, unknown> | null {
  try {
    const value = parseJsonText(bytes.toString());
    return isObject(value) ? value : null;
  } catch {
    return null;
  }
}
