/** Reads what another gateway answers to a call. Nothing in it is trusted: others use the bus too. */
import { readObject, type SessionJson } from '../contract/json-shapes.ts';
import { type Failure, failure } from '../errors.ts';
import type { PeerReply } from './bus.ts';
import { isObject } from '../protocol/exact-json.ts';

/** null: it names no gateway, or cannot be read. A field of the wrong type counts as absent. */
export function readPeerReply(payload: Uint8Array): PeerReply | null {
  let fields: Record<string, unknown>;
  try {
    fields = readObject(payload);
  } catch {
    return null;
  }
  const { gateway, sessions, more, error } = fields;
  if (typeof gateway !== 'string') return null;
  const answer: PeerReply = { gateway };
  for (const name of ['delivered', 'dropped', 'refused', 'closed'] as const) {
    const count = fields[name];
    if (Number.isSafeInteger(count) && (count as number) > 0) answer[name] = count as number;
  }
  for (const name of ['uids', 'sids'] as const) {
    const names = fields[name];
    if (Array.isArray(names)) answer[name] = names.filter((one) => typeof one === 'string');
  }
  if (Array.isArray(sessions)) answer.sessions = sessions.filter(isSession);
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

function isSession(value: unknown): value is SessionJson {
  return isObject(value) && typeof value['sid'] === 'string';
}
