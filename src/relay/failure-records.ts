/** What is kept, and logged, of messages that failed. Only for those that did: nothing here is on the hot path. */
import { type Failure, isOwnReason } from '../errors.ts';
import type { FailureRecord } from '../failures/failure-record.ts';
import { refOf } from '../ref.ts';
import type { Session } from '../session/session.ts';
import type { Call } from '../upstream/call.ts';

/** A message that was relayed. */
export type FailedCall = Call & {
  /** When its turn came, on the monotonic clock. */
  readonly turnAt: number;
  readonly retries: number;
  /** False: an operator has asked. */
  readonly answersClient: boolean;
};

/** A message that was refused, by its number in the session. */
export type NamedMessage = {
  readonly seq: number;
  readonly route: string;
  readonly wantsAnswer: boolean;
};

/** Characters of a route that a client has made up. */
const ROUTE_CHARS_MAX = 127;

/** All but when it was. */
export type Undated = Omit<FailureRecord, 'at'>;

export function recordOfCall(
  call: FailedCall,
  backend: string,
  { why, isTrouble, now }: { why: Failure; isTrouble: boolean; now: number },
): Undated {
  const { session, target, wantsAnswer, startedAt, turnAt, upstream } = call;
  const { reason, code, message, detail } = why;
  return {
    ref: refOf(session.sid, call.seq),
    what: wantsAnswer ? 'request' : 'notify',
    uid: session.uid,
    remoteIp: session.remoteIp,
    route: call.clientRoute,
    rule: target.match,
    backend,
    address: Object.values(upstream.whereTo?.(call) ?? {}).join(' '),
    waitedMs: turnAt - startedAt,
    tookMs: now - startedAt,
    retries: call.retries,
    code: wantsAnswer ? code : 0,
    reason,
    message,
    cause: call.why || detail,
    by: isTrouble || isOwnReason(reason) ? 'gateway' : 'backend',
  };
}

/** One that reached no backend. */
export function recordOfRefused(
  session: Session,
  { seq, route, wantsAnswer }: NamedMessage,
  { reason, code, message, detail }: Failure,
  { rule, backend }: { rule: string; backend: string },
): Undated {
  return {
    ref: refOf(session.sid, seq),
    what: wantsAnswer ? 'request' : 'notify',
    uid: session.uid,
    remoteIp: session.remoteIp,
    // The client's own word.
    route: route.slice(0, ROUTE_CHARS_MAX),
    ...{ rule, backend, address: '' },
    ...{ waitedMs: 0, tookMs: 0, retries: 0 },
    code: wantsAnswer ? code : 0,
    ...{ reason, message, cause: detail, by: 'gateway' },
  };
}

/** For a log line: what is not empty. The address comes by its name, and the cause as `why`. */
export function fieldsOf(record: Undated): Readonly<Record<string, string | number>> {
  const { ref, uid, route, rule, backend, reason, code, waitedMs, tookMs, retries } = record;
  const sid = ref.slice(0, ref.lastIndexOf('-'));
  return {
    ...{ ref, sid },
    ...(uid !== '' && { uid }),
    ...(backend !== '' && { backend }),
    ...{ reason, route },
    ...(rule !== '' && { rule }),
    ...(code !== 0 && { code }),
    ...(waitedMs > 0 && { waitedMs: Math.round(waitedMs) }),
    ...(tookMs > 0 && { tookMs: Math.round(tookMs) }),
    ...(retries > 0 && { retries }),
  };
}
