/** Reads what another gateway answers to a call. Nothing in it is trusted: others use the bus too. */
import { readObject, type SessionJson } from '../contract/json-shapes.ts';
import { type Failure, failure } from '../errors.ts';
import { recordOf } from '../failures/failure-record.ts';
import type { GroupCount, PeerReply, PresenceHere } from './bus.ts';
import { isObject } from '../protocol/exact-json.ts';
import { readEnded } from './lineage-words.ts';

/** null: it names no gateway, or cannot be read. A field of the wrong type counts as absent. */
export function readPeerReply(payload: Uint8Array): PeerReply | null {
  let fields: Record<string, unknown>;
  try {
    fields = readObject(payload);
  } catch {
    return null;
  }
  const { gateway, sessions, more, error, did, presence, groups, ended, sums, orders, status } =
    fields;
  const { failures } = fields;
  if (typeof gateway !== 'string') return null;
  const answer: PeerReply = { gateway };
  for (const name of ['delivered', 'dropped', 'refused', 'closed', 'changed', 'next'] as const) {
    const count = fields[name];
    if (isCount(count)) answer[name] = count;
  }
  for (const name of ['uids', 'sids', 'knows'] as const) {
    const names = fields[name];
    if (Array.isArray(names)) answer[name] = names.filter((one) => typeof one === 'string');
  }
  if (Array.isArray(sessions)) answer.sessions = sessions.filter(isSession);
  if (typeof sums === 'string') answer.sums = sums;
  if (Array.isArray(orders)) answer.orders = orders;
  if (Array.isArray(status)) answer.status = status;
  if (typeof did === 'string') answer.did = did;
  if (Array.isArray(presence)) answer.presence = presence.flatMap(readPresence);
  if (Array.isArray(groups)) answer.groups = groups.filter(isGroupCount);
  if (Array.isArray(failures))
    answer.failures = failures.map(recordOf).filter((record) => record !== null);
  if (ended !== undefined) answer.ended = readEnded(ended);
  if (more === true) answer.more = true;
  const why = readFailure(error);
  if (why !== null) answer.failure = why;
  return answer;
}

/** Reads the error of a refusal, as `errorJson` writes it; null: there is none. */
export function readFailure(error: unknown): Failure | null {
  if (!isObject(error)) return null;
  const { code, reason, msg } = error;
  return {
    ...failure('INTERNAL', typeof msg === 'string' ? msg : ''),
    code: typeof code === 'number' ? code : 500,
    reason: typeof reason === 'string' ? reason : 'INTERNAL',
  };
}

/** `[index, sessions, [[n, bound at], …]]`; nothing: it is not of that form. */
function readPresence(value: unknown): PresenceHere[] {
  const [index, sessions, entries] = Array.isArray(value) ? (value as unknown[]) : [];
  if (!(index === 0 || isCount(index)) || !isCount(sessions) || !Array.isArray(entries)) return [];
  return [{ index, sessions, entries: entries.filter(isEntry) }];
}

/** A reply's form of it. */
export function presenceJson(here: readonly PresenceHere[]): unknown[] {
  return here.map(({ index, sessions, entries }) => [index, sessions, entries]);
}

/** A time beyond what a Date can hold would be no time. [ECMA-262, Time Values] */
const TIME_MAX = 8_640_000_000_000_000;

function isEntry(value: unknown): value is [number, number] {
  if (!Array.isArray(value)) return false;
  const [n, boundAtWall] = value as unknown[];
  return (
    isCount(n) && typeof boundAtWall === 'number' && boundAtWall >= 0 && boundAtWall <= TIME_MAX
  );
}

function isGroupCount(value: unknown): value is GroupCount {
  return Array.isArray(value) && typeof value[0] === 'string' && isCount(value[1]);
}

function isCount(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) > 0;
}

function isSession(value: unknown): value is SessionJson {
  return isObject(value) && typeof value['sid'] === 'string';
}
