/**
 * Closes all sessions at a pace: stock clients come back without jitter, so the spread must come from here.
 * Idle sessions first; one with requests in flight refuses new ones and is closed when it has answered. What is
 * in flight when the time is up is answered with an error.
 */
import { type Clock, nextTurn, sleep } from '../clock.ts';
import { failure } from '../errors.ts';
import type { Random } from '../random.ts';
import type { Log } from '../telemetry/log.ts';
import { NO_DETAILS, WITH_KICK } from './close-reason.ts';
import { CLOSED_PER_TURN, Departures, type Hint } from './departures.ts';
import { Pace } from './pace.ts';
import type { Registry } from './registry.ts';

/** Between two looks at who has finished, at most and at least. */
const STEP_MS = 50;
const STEP_MS_MIN = 5;
/** How often a gateway that still accepts clients looks whether it should hurry. */
const ACCEPT_STEP_MS = 100;

export type DrainParts = {
  readonly registry: Registry;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
};

export type DrainOptions = {
  /** Milliseconds after which the rest is closed at once. */
  readonly budgetMs: number;
  /** Sessions closed per second, at least; more if the budget needs it. */
  readonly perSecond: number;
  /** Its lead is cut to half of the budget. */
  readonly hint: Hint;
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
  { registry, clock, random, log }: DrainParts,
  options: DrainOptions,
  cancelled: () => boolean,
): Promise<Drained> {
  const total = registry.size;
  const leadMs = options.hint.route === '' ? 0 : Math.min(options.hint.leadMs, options.budgetMs / 2); // prettier-ignore
  const departures = new Departures({
    ...{ clock, random, log, hint: { route: options.hint.route, leadMs } },
    reason: 'draining',
    details: options.signal === 'kick' ? WITH_KICK : NO_DETAILS,
    ...{ why: 'draining', refuses: true },
  });
  const until = clock.now() + options.budgetMs;
  const pace = new Pace(random, clock.now());
  while (registry.size > 0 && clock.now() < until && !cancelled()) {
    const leftMs = Math.max(STEP_MS_MIN, until - leadMs - clock.now());
    const left = registry.size - departures.size;
    const perSecond = Math.max(options.perSecond, (left * 1_000) / leftMs);
    while (registry.size > departures.size && pace.take(clock.now(), perSecond)) {
      if (departures.next(true)) continue;
      departures.choose(registry.all());
      if (!departures.next(true)) break;
    }
    while (departures.closeFinished(closedPerSecond(registry.size, until - clock.now(), options)))
      await nextTurn(clock);
    if (registry.size > 0) await sleep(clock, pauseMs(pace.dueAt - clock.now()));
  }
  const forced = registry.size;
  await closeByForce(registry, clock);
  return { closed: total - forced, forced };
}

/** As many as began a second, and more where some of them have to wait and time runs out. */
function closedPerSecond(left: number, leftMs: number, { perSecond }: DrainOptions): number {
  return Math.max(perSecond, (left * 1_000) / Math.max(STEP_MS_MIN, leftMs));
}

function pauseMs(dueInMs: number): number {
  return Math.min(STEP_MS, Math.max(STEP_MS_MIN, dueInMs));
}

/** The backends are not waited for any longer, and the client hears it while it can. */
async function closeByForce(registry: Registry, clock: Clock): Promise<void> {
  for (const [i, session] of [...registry.all()].entries()) {
    if (i > 0 && i % CLOSED_PER_TURN === 0) await nextTurn(clock);
    session.giveUp(failure('DRAINING'));
    session.resuming?.renew();
    session.close('drain_forced');
  }
}
