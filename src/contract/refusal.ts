/**
 * A refusal as a backend says it. Each way to a backend reads what it has of code, reason, text and body, and what
 * a client is told follows here, by one rule for all of them. Pure.
 *
 * The rule [proto/README.md, Refusals]: a body of JSON with a `code` goes to the client as it is. One without it
 * fills the standard error with its words. Bytes that the gateway does not read go where bytes pass: by routes with
 * `codec: raw` or `protobuf`, and to clients that read protobuf.
 */
import { asBuffer } from '../bytes.ts';
import { type Failure, reasonOfCode, REASONS } from '../errors.ts';
import { isObject } from '../protocol/exact-json.ts';

/** The longest wait that a client is told. */
export const RETRY_AFTER_MS_MAX = 86_400_000;
/** Characters of a backend's text that are passed on. */
export const TEXT_CHARACTERS_MAX = 1_024;
/** Likewise of a reason. */
export const REASON_CHARACTERS_MAX = 128;
/** How many fields of an error are passed on. */
export const FIELDS_MAX = 64;
/** A longer body is not parsed, but looked at so far for its code. */
const PARSED_BYTES_MAX = 64 * 1024;

/** Clients take an answer with this code for a success, so in a refusal it is no code. */
const SUCCESS = 200;
/** Where nothing says a code. */
const CODE_OTHERWISE = 500;

/** What a client reads where the standard text speaks of the gateway. */
const TEXTS: ReadonlyMap<number, string> = new Map([
  [400, 'the backend could not read the body'],
  [401, 'the backend needs to know who asks'],
  [404, 'the backend has no such route'],
  [409, 'the backend refused: a conflict'],
  [413, 'the backend refused: too large'],
]);

/** What a backend has said, beside its body. */
export type Said = {
  /** 0: none. */
  readonly code?: number;
  /** The code where neither this nor the body says one; 500. */
  readonly otherwise?: number;
  /** UPPER_SNAKE; '' for none. It goes before that of the body. */
  readonly reason?: string;
  /** '' for none. That of the body goes before it. */
  readonly message?: string;
  /** 0: none. */
  readonly retryAfterMs?: number;
  readonly fields?: Readonly<Record<string, string>> | null;
};

/** What the client is told. `body`: as it came; empty or null for none. */
export function refusal(said: Said, body: Uint8Array | null): Failure {
  const own = body === null || body.length === 0 ? NOTHING : read(body);
  const { words } = own;
  const code = codeIn(said.code) || words.code || said.otherwise || CODE_OTHERWISE;
  const reason = said.reason || words.reason || '';
  // A reason of the backend's own explains itself.
  const quiet = reason === '' ? (TEXTS.get(code) ?? '') : '';
  return {
    code,
    reason: cut(reason, REASON_CHARACTERS_MAX) || reasonOfCode(code),
    message: cut(words.message ?? (said.message || quiet), TEXT_CHARACTERS_MAX),
    retryAfterMs: Math.min(words.retryAfterMs ?? said.retryAfterMs ?? 0, RETRY_AFTER_MS_MAX),
    fields: fieldTexts(words.fields ?? said.fields ?? null),
    body: own.hasCode ? body : null,
    bytes: body === null || body.length === 0 ? null : body,
    detail: '',
  };
}

/** What a client reads of a code of which the backend says nothing. */
export function textOf(code: number): string {
  return TEXTS.get(code) ?? REASONS[reasonOfCode(code)].message;
}

/** What a refusal's JSON says; what it does not say is not there. */
export type ErrorWords = {
  code?: number;
  reason?: string;
  message?: string;
  retryAfterMs?: number;
  fields?: Record<string, string>;
};

/** Reads `{"code":…,"reason":…,"msg":…,"retry_after_ms":…,"fields":{…}}`; `message` is read too. */
export function errorWords(error: Readonly<Record<string, unknown>>): ErrorWords {
  const { code, reason, msg, message, retry_after_ms: retryAfter, fields } = error;
  const words: ErrorWords = {};
  const given = codeIn(code);
  if (given !== 0) words.code = given;
  if (typeof reason === 'string' && reason !== '') words.reason = reason;
  if (typeof msg === 'string') words.message = msg;
  else if (typeof message === 'string') words.message = message;
  if (typeof retryAfter === 'number' && retryAfter > 0) words.retryAfterMs = Math.round(retryAfter);
  const texts = isObject(fields) ? fieldTexts(fields) : null;
  if (texts !== null) words.fields = texts;
  return words;
}

/** True when a failure has words of its backend's, and not only a code. */
export function speaks(body: Uint8Array): boolean {
  const { words, hasCode } = body.length === 0 ? NOTHING : read(body);
  return hasCode || words.code !== undefined || (words.reason ?? words.message) !== undefined;
}

/** What a body says of itself. */
type OwnError = { readonly words: ErrorWords; readonly hasCode: boolean };

const NOTHING: OwnError = { words: {}, hasCode: false };

/** `{"code":…,"reason":…,"msg":…}`, at the top or under `error`. */
function read(body: Uint8Array): OwnError {
  const bytes = asBuffer(body);
  if (bytes.length > PARSED_BYTES_MAX)
    return { words: {}, hasCode: beginsWithCode(bytes.subarray(0, PARSED_BYTES_MAX)) };
  const top = jsonObject(bytes);
  if (top === null) return NOTHING;
  // What has a code is what clients look for: it may say more than we know, and passes as it is.
  if (isCode(top['code'])) return { words: errorWords(top), hasCode: true };
  const under = top['error'];
  return { words: errorWords(isObject(under) ? under : top), hasCode: false };
}

/** A code as every form can say it, an int32; 0: it is none. */
function codeIn(code: unknown): number {
  return isCode(code) && code === (code | 0) ? code : 0;
}

/** Programs that write every field of a structure write 0 for none. */
function isCode(code: unknown): code is number {
  return typeof code === 'number' && code !== 0 && code !== SUCCESS;
}

/** True when the JSON object that begins so has a code among its first members. */
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

/** Where the string that begins at `start` has ended. */
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
    const value: unknown = JSON.parse(bytes.toString());
    return isObject(value) ? value : null;
  } catch {
    return null;
  }
}
