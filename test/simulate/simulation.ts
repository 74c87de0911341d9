/** One run: a world of its own, from a seed. */
import { Confirmations } from './confirmations.ts';
import { type Fault, planFaults } from './faults.ts';
import { makeStage } from './game.ts';
import type { Ledger } from './ledger.ts';
import { watchMachine } from './machine.ts';
import { Rounds } from './rounds.ts';
import type { Stage } from './stage.ts';
import { UidLimits } from './uid-limits.ts';
import { type Violation, World } from './world.ts';

export type Options = {
  readonly seed: string;
  readonly hours: number;
  readonly gateways: number;
  readonly clients: number;
  /** Absent: made from the seed. */
  readonly faults?: readonly Fault[];
  readonly onTrace?: (line: string) => void;
};

export type Result = {
  readonly violations: readonly Violation[];
  /** Of the whole trace: the same for the same seed. */
  readonly digest: string;
  readonly steps: number;
  readonly virtualMs: number;
  readonly faults: readonly Fault[];
  readonly injected: Readonly<Record<string, number>>;
  readonly counts: Ledger['counts'];
  /** How often each rule was looked at, but for those that each message is held against. */
  readonly checks: Readonly<Record<string, number>>;
};

/** Of all readers together. */
function sagaChecks({ sagaReaders }: Stage): Record<string, number> {
  const checks: Record<string, number> = {};
  for (const reader of sagaReaders)
    for (const [rule, count] of Object.entries(reader.checks))
      checks[rule] = (checks[rule] ?? 0) + count;
  return checks;
}

export async function simulate(options: Options): Promise<Result> {
  const { seed, hours, gateways, clients } = options;
  const world = new World(seed);
  world.onTrace = options.onTrace ?? null;
  using _ = watchMachine((what) => {
    world.violate('time, chance and I/O are the world’s', what);
  });
  const { stage, bus, seasons, resuming } = makeStage(world, { gateways, clients });
  const faults = options.faults ?? planFaults(seed, hours, stage.places);
  for (const fault of faults)
    world.after(fault.atMs, () => {
      stage.faults.inflict(fault);
    });
  const uids = new UidLimits(stage, seasons);
  stage.onKicked = (client, why) => {
    uids.kicked(client, why);
  };
  const rounds = new Rounds(stage, bus, { uids, resuming, seasons });
  const confirmations = bus && new Confirmations(stage, bus);
  stage.ledger.onChanged = (ask) => {
    confirmations?.answered(ask);
    uids.answered(ask);
  };
  await world.run(hours * 3_600_000);
  return {
    violations: world.violations,
    digest: world.digest(),
    steps: world.steps,
    virtualMs: world.nowMs,
    faults,
    injected: stage.faults.injected,
    counts: stage.ledger.counts,
    checks: {
      ...rounds.checks,
      ...rounds.questions.checks,
      ...rounds.blockLists.checks,
      ...stage.ledger.fairWeather.checks,
      ...confirmations?.checks,
      ...uids.checks,
      ...resuming.checks,
      ...stage.lostCalls.checks,
      ...bus?.events.checks,
      ...sagaChecks(stage),
    },
  };
}
