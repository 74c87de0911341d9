/** What a gateway keeps of one failure: enough to say later why it happened. Texts are cut; bodies are never kept. */
import { parseRef } from '../ref.ts';

export type FailureRecord = {
  /** `<sid>-<seq>`; of a session's end `<sid>-0`. */
  readonly ref: string;
  /** Milliseconds since the epoch. */
  readonly at: number;
  /** notify: nobody was answered · dropped: a request, too · session: it is the session's end. */
  readonly what: What;
  /** '' where the session was not bound. */
  readonly uid: string;
  /** As `log.client_ip` shows it. */
  readonly remoteIp: string;
  /** As the client sent it. */
  readonly route: string;
  /** `match` of the rule that it came under; '': none. */
  readonly rule: string;
  /** '': no backend was chosen. */
  readonly backend: string;
  /** By what the backend was called: an address, a subject, a method, a path; '': it was not. */
  readonly address: string;
  /** Milliseconds that it waited for its turn, behind others of its session. */
  readonly waitedMs: number;
  /** Milliseconds from its arrival to its end; of a session how long it lasted. */
  readonly tookMs: number;
  /** How often it was sent again. */
  readonly retries: number;
  /** Sent to the client; 0: none. */
  readonly code: number;
  /** Sent to the client, or a close reason: the word of the log and the metrics. */
  readonly reason: string;
  /** What the client was told. */
  readonly message: string;
  /** What the client was not told: the limit, the socket's error, the trouble of the backend. */
  readonly cause: string;
  /** Who decided that it ends so. */
  readonly by: By;
};

export const WHAT = ['request', 'notify', 'dropped', 'session'] as const;
export type What = (typeof WHAT)[number];

/** network: nobody; the connection broke. */
export const BY = ['gateway', 'backend', 'client', 'operator', 'network'] as const;
export type By = (typeof BY)[number];

/** Characters of the longer texts of a record, and of names in it. */
export const TEXT_CHARS_MAX = 500;
export const NAME_CHARS_MAX = 256;

/** Lengths by field; what another gateway says is cut alike. */
const TEXTS = {
  ref: NAME_CHARS_MAX + 32,
  uid: NAME_CHARS_MAX,
  remoteIp: NAME_CHARS_MAX,
  route: NAME_CHARS_MAX,
  rule: NAME_CHARS_MAX,
  backend: NAME_CHARS_MAX,
  address: NAME_CHARS_MAX,
  reason: NAME_CHARS_MAX,
  message: TEXT_CHARS_MAX,
  cause: TEXT_CHARS_MAX,
} as const;
const NUMBERS = ['at', 'waitedMs', 'tookMs', 'retries', 'code'] as const;
/** A time beyond what a Date can hold would be no time. [ECMA-262, Time Values] */
const NUMBER_MAX = 8_640_000_000_000_000;

/** The record with its texts cut and well-formed, and times as whole milliseconds. Each refused message has one. */
export function bounded(record: FailureRecord): FailureRecord {
  return {
    ref: cut(record.ref, TEXTS.ref),
    what: record.what,
    uid: cut(record.uid, TEXTS.uid),
    remoteIp: cut(record.remoteIp, TEXTS.remoteIp),
    route: cut(record.route, TEXTS.route),
    rule: cut(record.rule, TEXTS.rule),
    backend: cut(record.backend, TEXTS.backend),
    address: cut(record.address, TEXTS.address),
    at: Math.round(record.at),
    waitedMs: Math.round(record.waitedMs),
    tookMs: Math.round(record.tookMs),
    retries: Math.round(record.retries),
    code: Math.round(record.code),
    reason: cut(record.reason, TEXTS.reason),
    message: cut(record.message, TEXTS.message),
    cause: cut(record.cause, TEXTS.cause),
    by: record.by,
  };
}

function cut(text: string, charsMax: number): string {
  return text.length <= charsMax && text.isWellFormed()
    ? text
    : text.slice(0, charsMax).toWellFormed();
}

/** A record that another gateway has sent, or a line of its log. null: it is none. */
export function recordOf(value: unknown): FailureRecord | null {
  if (typeof value !== 'object' || value === null) return null;
  const fields = value as Readonly<Record<string, unknown>>;
  const made: Record<string, unknown> = {};
  for (const name of Object.keys(TEXTS)) made[name] = textIn(fields[name]);
  for (const name of NUMBERS) made[name] = numberIn(fields[name]);
  made['what'] = WHAT.find((one) => one === fields['what']) ?? 'request';
  made['by'] = BY.find((one) => one === fields['by']) ?? 'gateway';
  const record = bounded(made as FailureRecord);
  return parseRef(record.ref) === null || record.reason === '' ? null : record;
}

function textIn(value: unknown): string {
  return typeof value === 'string' ? value : '';
}

function numberIn(value: unknown): number {
  return typeof value === 'number' && Math.abs(value) <= NUMBER_MAX ? value : 0;
}
