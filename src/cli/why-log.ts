/** What a gateway's JSON log says of a failure, for gateways that are gone. */
import { open } from 'node:fs/promises';
import { createInterface } from 'node:readline';

import { isOwnReason, REASONS } from '../errors.ts';
import { type FailureRecord, recordOf } from '../failures/failure-record.ts';
import { FAILURES_SHOWN_MAX } from '../failures/failures.ts';
import { isObject } from '../protocol/exact-json.ts';
import { parseRef, refOf } from '../ref.ts';

/** Sessions of one uid whose lines are looked for. */
const SIDS_MAX = 10_000;

export type WhyInLog = {
  /** The oldest first; of many the newest. */
  readonly failures: readonly FailureRecord[];
  /** Lines of JSON that were read; 0: it is no such log. */
  readonly lines: number;
};

/**
 * Reads a log line by line. A uid's sessions are known from the line that has the uid on, so what failed before they were
 * bound is found by their sids.
 *
 * @param about A ref, a sid or a uid.
 * @throws {Error} The file cannot be read.
 */
export async function whyInLog(file: string, about: string): Promise<WhyInLog> {
  const sids = await sidsIn(file, about);
  const found: FailureRecord[] = [];
  const lines = await eachLine(file, (fields) => {
    const { ref } = fields;
    if (typeof ref !== 'string') return;
    const sid = parseRef(ref)?.sid ?? '';
    if (ref !== about && !sids.has(sid)) return;
    const record = recordOfLine(fields);
    if (record === null) return;
    found.push(record);
    if (found.length > FAILURES_SHOWN_MAX) found.shift();
  });
  return { failures: found, lines };
}

/** Sessions that are meant: the sid itself, and those of the uid. */
async function sidsIn(file: string, about: string): Promise<ReadonlySet<string>> {
  // Of a ref only what it names.
  if (parseRef(about) !== null) return new Set();
  const sids = new Set([about]);
  await eachLine(file, ({ uid, sid }) => {
    if (uid === about && typeof sid === 'string' && sids.size < SIDS_MAX) sids.add(sid);
  });
  return sids;
}

/** Gives how many lines were JSON objects. */
async function eachLine(
  file: string,
  take: (fields: Readonly<Record<string, unknown>>) => void,
): Promise<number> {
  await using handle = await open(file);
  let lines = 0;
  for await (const line of createInterface({
    input: handle.createReadStream(),
    crlfDelay: Infinity,
  })) {
    const fields = objectIn(line);
    if (fields === null) continue;
    lines++;
    take(fields);
  }
  return lines;
}

/** Collectors put a prefix before the line: what follows it counts. */
function objectIn(line: string): Readonly<Record<string, unknown>> | null {
  const start = line.indexOf('{');
  if (start < 0) return null;
  try {
    const value: unknown = JSON.parse(line.slice(start));
    return isObject(value) ? value : null;
  } catch {
    return null;
  }
}

/** Addresses by their names in the line. */
const ADDRESSES = ['method', 'subject', 'path', 'cmd', 'address'];

/** null: the line is about no failure. */
export function recordOfLine(fields: Readonly<Record<string, unknown>>): FailureRecord | null {
  const { msg, time, sid, notify, lastedMs, tookMs } = fields;
  const isEnd = msg === 'session closed';
  const said = fields['reason'];
  const reason = typeof said === 'string' ? said : msg === 'bad reply' ? 'BAD_REPLY' : '';
  const ref = fields['ref'] ?? (isEnd && typeof sid === 'string' ? refOf(sid, 0) : '');
  return recordOf({
    ...fields,
    ref,
    at: Date.parse(String(time)),
    what: isEnd ? 'session' : notify === true ? 'notify' : 'request',
    address: ADDRESSES.map((name) => fields[name])
      .filter((one) => typeof one === 'string')
      .join(' '),
    tookMs: isEnd ? lastedMs : tookMs,
    code: fields['code'] ?? (notify !== true && isOwnReason(reason) ? REASONS[reason].code : 0),
    reason,
    message: fields['words'] ?? '',
    cause: fields['why'] ?? fields['error'] ?? '',
    by: fields['by'] ?? (msg === 'call refused' ? 'backend' : 'gateway'),
  });
}
