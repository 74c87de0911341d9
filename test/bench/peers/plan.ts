/** How long everything takes, and what fits into the time that there is. */
import type { Measure, System } from './systems.ts';

export type Plan = {
  readonly rounds: number;
  readonly sideRounds: number;
  readonly seconds: number;
  readonly warm: number;
  readonly rewarm: number;
  readonly idleConnections: number;
  readonly idleTls: number;
  readonly minutes: number;
  /** By which it has to end. */
  readonly budgetMinutes: number;
};

/** Measured in the first rounds only: three give a median, and they take a third of the time. */
export const SIDE: ReadonlySet<Measure> = new Set(['memory', 'slow', 'sip', 'hung']);
const SIDE_ROUNDS = 3;
const SECONDS_MIN = 1.5;
const SECONDS_MAX = 4;
const IDLE = 4_000;
/** With TLS, whose handshakes take the generator's side as long as the front's. */
const IDLE_TLS = 2_000;
const IDLE_QUICK = 500;

/** Seconds beside the loads themselves: connections, waits, what a load waits for at its end. */
const OPEN = 0.4;
const STOP = 0.6;
const DRAIN = 0.2;
/** Once for each system, in the first round. */
const PEAK_SEARCH = 7;
const REST = 2.4;
const PER_IDLE = 1 / 2_000;
const TLS_PER_IDLE = 1 / 600;
const JOIN = 1.5;

type Times = Pick<Plan, 'seconds' | 'warm' | 'rewarm' | 'idleConnections' | 'idleTls'>;

/** Seconds of one measure of a system. */
function secondsOf(measure: Measure, system: System, times: Times): number {
  const { seconds, warm, rewarm, idleConnections, idleTls } = times;
  const load = seconds + rewarm + DRAIN;
  switch (measure) {
    case 'memory': {
      const tls = system.startSeconds + REST * 1.5 + idleTls * TLS_PER_IDLE + STOP;
      return REST + idleConnections * PER_IDLE + (system.noTls === undefined ? tls : 0);
    }
    case 'closed':
      return warm + seconds + load + 2 * DRAIN;
    case 'paced':
      return 3 * load;
    case 'hop':
      return 2 * load;
    case 'slow':
      return typeof system.slow === 'string' ? load : 0;
    case 'cast':
      return typeof system.cast === 'string' ? load + JOIN : 0;
    case 'sip':
      return load + 1.3;
    case 'hung':
      return typeof system.hung === 'string' ? load : 0;
  }
}

/** Seconds of one system in one round. */
export function systemSeconds(
  system: System,
  measures: ReadonlySet<Measure>,
  times: Times,
): number {
  let sum = system.startSeconds + OPEN + STOP;
  for (const measure of measures) sum += secondsOf(measure, system, times);
  return sum;
}

/** What is measured of it in round `round`, from 0. */
export function measuresOf(system: System, round: number, sideRounds: number): Set<Measure> {
  if (system.isVariant && round >= sideRounds) return new Set();
  return new Set(system.measures.filter((one) => round < sideRounds || !SIDE.has(one)));
}

function minutesOf(
  systems: readonly System[],
  plan: Omit<Plan, 'minutes' | 'budgetMinutes'>,
): number {
  let sum = 0;
  for (let round = 0; round < plan.rounds; round++)
    for (const system of systems) {
      const measures = measuresOf(system, round, plan.sideRounds);
      if (measures.size === 0) continue;
      sum += systemSeconds(system, measures, plan);
      if (round === 0 && measures.has('paced')) sum += PEAK_SEARCH;
    }
  return sum / 60;
}

/**
 * A plan for these systems.
 *
 * @param asked.seconds Of each load; absent: as many as fit into the budget, from 1.5 to 4.
 */
export function makePlan(
  systems: readonly System[],
  asked: { rounds: number; seconds: number | undefined; quick: boolean; budgetMinutes: number },
): Plan {
  const { rounds, quick, budgetMinutes } = asked;
  const with_ = (seconds: number): Plan => {
    const plan = {
      rounds,
      sideRounds: Math.min(rounds, SIDE_ROUNDS),
      seconds,
      warm: quick ? 0.5 : 5,
      rewarm: quick ? 0.2 : 0.5,
      idleConnections: quick ? IDLE_QUICK : IDLE,
      idleTls: quick ? IDLE_QUICK : IDLE_TLS,
    };
    return { ...plan, minutes: minutesOf(systems, plan), budgetMinutes };
  };
  if (asked.seconds !== undefined) return with_(asked.seconds);
  let seconds = SECONDS_MAX;
  // A twentieth is left for what takes longer than it should.
  while (seconds > SECONDS_MIN && with_(seconds).minutes > budgetMinutes * 0.95) seconds -= 0.25;
  return with_(quick ? 0.5 : seconds);
}
