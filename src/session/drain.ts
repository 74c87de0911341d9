/**
 * Closes all sessions at a pace: stock clients come back without jitter, so the spread must come from here.
 * Idle sessions first; one with requests in flight refuses new ones and is closed when it has answered. What is
 * in flight when the time is up is answered with an error.
 */
import { type Clock, nextTurn, sleep } from '../clock.ts';
import { failure } from '../errors.ts';
import type { CloseReason } from './close-reason.ts';
import type { Registry } from './registry.ts';
import type { Session } from './session.ts';

const STEP_MS = 50;
/** How often a gateway that still accepts clients looks whether it should hurry. */
const ACCEPT_STEP_MS = 100;
/** Sessions closed in one turn of the event loop: a few milliseconds. */
const CLOSED_PER_TURN = 64;

export type DrainOptions = {
  /** Milliseconds after which the rest is closed at once. */
  readonly budgetMs: number;
  /** Sessions closed per second, at least; more if the budget needs it. */
  readonly perSecond: number;
  /** Whether clients are sent a kick packet before the close. */
  readonly signal: 'close' | 'kick';
};

export type Drained = { readonly closed: number; readonly forced: number };

/** Goes on accepting for `ms`, unless cancelled: load balancers take some time to look elsewhere. */
export async function acceptOn(clock: Clock, ms: number, cancelled: () => boolean): Promise<void> {
  const until = clock.now() + ms;
  while (clock.now() < until && !cancelled())
    await sleep(clock, Math.min(ACCEPT_STEP_MS, until - clock.now()));
}

export async function drainSessions(
  registry: Registry,
  clock: Clock,
  options: DrainOptions,
  cancelled: () => boolean,
): Promise<Drained> {
  const reason: CloseReason = options.signal === 'kick' ? 'drain_kick' : 'draining';
  const startedAt = clock.now();
  const total = registry.size;
  const perMs = Math.max(options.perSecond, (total * 1_000) / options.budgetMs) / 1_000;
  let begun = 0;
  while (registry.size > 0 && clock.now() - startedAt < options.budgetMs && !cancelled()) {
    const due = Math.ceil((clock.now() - startedAt + STEP_MS) * perMs);
    for (const session of next(registry, due - begun)) {
      session.drain();
      begun++;
    }
    await closeFinished(registry, clock, reason);
    if (registry.size > 0) await sleep(clock, STEP_MS);
  }
  const forced = registry.size;
  for (const [i, session] of [...registry.all()].entries()) {
    if (i > 0 && i % CLOSED_PER_TURN === 0) await nextTurn(clock);
    // The backends are not waited for any longer, and the client hears it while it can.
    session.giveUp(failure('DRAINING'));
    session.resuming?.renew();
    session.close('drain_forced');
  }
  return { closed: total - forced, forced };
}

/** The next sessions whose turn it is: idle ones before those with requests in flight. */
function next(registry: Registry, count: number): Session[] {
  if (count <= 0) return [];
  const idle: Session[] = [];
  const busy: Session[] = [];
  for (const session of registry.all()) {
    if (session.state === 'draining') continue;
    if (isIdle(session)) idle.push(session);
    else if (busy.length < count) busy.push(session);
    if (idle.length >= count) break;
  }
  return [...idle, ...busy].slice(0, count);
}

async function closeFinished(registry: Registry, clock: Clock, reason: CloseReason): Promise<void> {
  let left = CLOSED_PER_TURN;
  for (const session of [...registry.all()]) {
    if (left === 0) {
      await nextTurn(clock);
      left = CLOSED_PER_TURN;
    }
    if (session.state !== 'draining' || !isIdle(session)) continue;
    left--;
    session.resuming?.renew();
    session.close(reason);
  }
}

/** Nothing is in flight and nothing is unsent. */
function isIdle({ inFlight, outbox }: Session): boolean {
  return inFlight === 0 && outbox.unsentBytes === 0;
}
