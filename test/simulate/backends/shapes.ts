/** Answers and pushes of a plan as the messages of pith.v1. */
import type { Pushed, PushPlan } from '../records.ts';
import { type Answer, type LetIn, NOBODY } from './courier.ts';
import { type ConnectShape, type PushShape, reply, type TargetShape } from './write-frames.ts';

/** A Reply. */
export function replyOf(answer: Answer): Buffer {
  const { body, closes, patch, refusal } = answer;
  return reply({
    outcome:
      refusal === null ? { body } : { error: { code: 555, reason: 'PLANNED', message: refusal } },
    patch,
    pushes: [
      ...answer.pushes.map((one) => shapeOf(one, 'before')),
      ...answer.pushesAfter.map((one) => shapeOf(one, 'after')),
    ],
    close: closes ? { reason: 'planned', kick: false } : null,
  });
}

/** @param where In an answer, a push for the session that asks needs no target; nor does one that must reach nobody. */
export function shapeOf(
  { plan, body, sid, p }: Pushed,
  where: 'apart' | 'before' | 'after',
): PushShape {
  const { delivery, to } = plan;
  const isBare = where !== 'apart' && to.kind === 'session' && (p % 2 === 0 || sid === NOBODY);
  const target = isBare ? null : targetOf(to, sid);
  const latest = delivery === 'latest' ? { latestKey: 'score' } : {};
  return { target, route: 'onPush', body, delivery, afterReply: where === 'after', ...latest };
}

export function targetOf(to: PushPlan['to'], sid: string): TargetShape {
  if (to.kind === 'session') return { sids: [sid] };
  if (to.kind === 'all') return { all: true };
  return to.kind === 'user' ? { uids: [to.name] } : { groups: [to.name] };
}

export function acceptAll(): ConnectShape {
  return { accept: { patch: null, user: {}, expiresInMs: 0 } };
}

/** How long a decision holds that does not hold for ever. */
const EXPIRES_MS = 90_000;

/**
 * Most are let in, some of them for a while only, and some as a user, whom the handshake's answer names.
 *
 * @param isQuiet Nobody is refused now, and nobody will be asked for again.
 */
export function letInMost(users: number, isQuiet: () => boolean): LetIn {
  return (random, isRefresh) => {
    if (isQuiet()) return acceptAll();
    if (random.chance(0.02)) return { error: { code: 403, reason: 'FULL', message: 'come again' } };
    const expiresInMs = random.chance(0.2) ? EXPIRES_MS : 0;
    const set = { let: 'in' };
    if (isRefresh || random.chance(0.7))
      return { accept: { patch: { set }, user: { motd: 'hi' }, expiresInMs } };
    const uid = `u${random.int(0, users - 1)}`;
    return { accept: { patch: { uid, set }, user: { uid }, expiresInMs } };
  };
}
