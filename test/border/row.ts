/** One attack on the stage, and what it did: to those who stood by, to the loop, to memory, to the counters. */
import type { Tally } from './arena.ts';
import { type Attack, nameOf } from './attacks.ts';
import { errorText } from '../../src/errors.ts';
import { eventually } from '../support/wait.ts';
import { added, type Metrics, total } from './metrics.ts';
import type { Stage } from './stage.ts';
import { MIB } from './values.ts';

/** A turn of the loop that is longer is a stall; from half of it on it is named. */
export const STALL_MS = 100;
export const NAMED_MS = 50;
/** What may remain of heap and external memory after an attack: compiled code, caches of the libraries. */
export const REMAINS_BYTES = 12 * MIB;
/** The ceiling of resident memory, whatever is sent. */
export const RESIDENT_BYTES = 768 * MIB;
/** Connections to backends that are kept, or not made yet. */
const DESCRIPTORS_SPARE = 40;
const LOOK_EVERY_MS = 250;
const DEATH_MS = 5_000;
/** How long what an attack leaves behind may take to go away. */
const QUIET_WAIT_MS = 4_000;

/** Reasons that the gateway gives when a backend or a client is at fault; what a client was told was counted. */
const COUNTED = ['BAD_REPLY', 'BAD_ROUTE', 'OVERLOADED', 'TOO_MANY', 'TIMEOUT', 'BACKEND_AWAY'];

export type Row = {
  readonly name: string;
  readonly tally: Tally;
  readonly bystanders: { answered: number; excused: number; worstMs: number };
  /** By the CPU that the turn took. */
  readonly turnMs: number;
  /** By the clock: of the gateway's own metric, and of /livez. */
  readonly lagMs: number;
  readonly probeMs: number;
  /** Heap and external memory, more than before. */
  readonly remainsBytes: number;
  readonly residentBytes: number;
  readonly seconds: number;
  /** Of life, answers and counts: a fault wherever it is seen. */
  readonly faults: string[];
  /** Of time and memory, which a busy machine may spoil. */
  readonly wall: string[];
};

export type Size = {
  readonly cases: number;
  readonly ms: number;
  readonly largest: number;
  /** There is time for what is dear, and for a look at memory. */
  readonly isLong: boolean;
  /** It was attacked so before: what remains is more than what is only made once. */
  readonly isWarm: boolean;
};

export async function runRow(stage: Stage, attack: Attack, seed: string, size: Size): Promise<Row> {
  const { bystanders, attacker } = stage;
  const name = nameOf(attack);
  const faults: string[] = [];
  const began = performance.now();
  if (attack.door !== undefined || attack.fleet === true) await stage.openDoor(attack.door ?? null);
  await bystanders.heal();
  const before = await rest(stage, size.isLong);
  bystanders.excuse = attack.ends ?? '';
  bystanders.resume();
  const seen = new Watch(stage);
  const { answered, excused } = bystanders;
  let tally: Tally;
  try {
    tally = await Promise.race([
      attacker.attack({ name, seed, ...size }),
      seen.death.then((how) => Promise.reject(new Error(how))),
    ]);
  } catch (error) {
    // The attacker may notice the end of the gateway before this process does.
    const gone = await eventually(
      () => stage.gateway.exit ?? stage.door?.exit,
      'its end',
      DEATH_MS,
    ).catch(() => null);
    if (gone === null) throw error;
    throw new Error(`${name}: the gateway has ended: ${gone}
${lastWords(stage)}`);
  } finally {
    await seen.stop();
  }
  const mayBeOpen = before.descriptors + DESCRIPTORS_SPARE;
  const after = await rest(stage, size.isLong, mayBeOpen);
  bystanders.excuse = '';
  faults.push(...tally.faults, ...bystanders.takeFaults());
  faults.push(...gaugeFaults(after.metrics, bystanders.count));
  if (after.descriptors > mayBeOpen)
    faults.push(`${after.descriptors} descriptors are open, ${before.descriptors} were before`);
  if (stage.door?.exit) faults.push(`the other gateway: ${stage.door.exit}`);
  const more = added(before.metrics, after.metrics);
  faults.push(...countFaults(more, tally));
  if (total(more, 'pith_internal_errors_total') > 0) faults.push(lastError(stage));
  const remainsBytes = after.bytes - before.bytes;
  const row: Row = {
    name,
    tally,
    bystanders: {
      answered: bystanders.answered - answered,
      excused: bystanders.excused - excused,
      worstMs: bystanders.takeWorst(),
    },
    turnMs: seen.turnMs,
    lagMs: seen.lagMs,
    probeMs: seen.probeMs,
    remainsBytes,
    residentBytes: seen.residentBytes,
    seconds: (performance.now() - began) / 1_000,
    faults: [],
    wall: [],
  };
  if (row.bystanders.answered === 0) faults.push('no bystander was answered');
  row.faults.push(...summed(faults));
  row.wall.push(...wallFaults(row, size.isWarm));
  return row;
}

/** Each once, with how often there were more of it; what differs in its numbers only is the same. */
function summed(faults: readonly string[]): string[] {
  const alike = new Map<string, { first: string; count: number }>();
  for (const fault of faults) {
    const key = fault.replaceAll(/\d+/g, '#');
    const known = alike.get(key);
    if (known === undefined) alike.set(key, { first: fault, count: 1 });
    else known.count++;
  }
  return [...alike.values()].map(({ first, count }) =>
    count === 1 ? first : `${first} (and ${count - 1} like it)`,
  );
}

/** Nobody asks, and nothing is under way: what there is then. */
type Rest = { readonly metrics: Metrics; readonly descriptors: number; readonly bytes: number };

/** @param descriptors How many there may be: as many as before, and a few. */
async function rest(
  { bystanders, gateway }: Stage,
  isLong: boolean,
  descriptors = Infinity,
): Promise<Rest> {
  await bystanders.pause();
  const look = async () => ({
    metrics: await gateway.metrics(),
    descriptors: gateway.descriptors(),
  });
  let seen = await look();
  // Backends are notified of the ends of sessions, and confirm them, after the clients have gone.
  const isQuiet = async (): Promise<boolean> => {
    seen = await look();
    const faults = gaugeFaults(seen.metrics, bystanders.count);
    return faults.length === 0 && seen.descriptors <= descriptors;
  };
  // What is not quiet by then is the row's finding, and not an error of the wait.
  await eventually(isQuiet, 'a quiet gateway', QUIET_WAIT_MS).catch(() => {});
  const { heapBytes, externalBytes } = await gateway.inside(isLong ? 'collect' : 'look');
  return { ...seen, bytes: heapBytes + externalBytes };
}

/** What is not as it is when nobody but the bystanders is there, and they are silent. */
function gaugeFaults(metrics: Metrics, sessions: number): string[] {
  const faults: string[] = [];
  const expect = (name: string, value: number): void => {
    const is = total(metrics, name);
    if (is !== value) faults.push(`${name} is ${is} at rest, not ${value}`);
  };
  expect('pith_sessions', sessions);
  expect('pith_requests_in_flight', 0);
  expect('pith_in_flight_bytes', 0);
  expect('pith_unfinished_bytes', 0);
  expect('pith_outbox_bytes', 0);
  expect('pith_bus_unsent_bytes', 0);
  expect('pith_bus_up', 1);
  return faults;
}

/** What clients were told, and the gateway has not counted; what it was to count, and did not. */
function countFaults(more: Metrics, tally: Tally): string[] {
  const faults: string[] = [];
  const internal = total(more, 'pith_internal_errors_total');
  if (internal > 0) faults.push(`${internal} internal errors`);
  for (const reason of COUNTED) {
    const told = tally.refused[reason] ?? 0;
    const counted =
      total(more, 'pith_requests_total', { outcome: reason }) +
      total(more, 'pith_messages_refused_total', { reason });
    if (counted < told) faults.push(`${told} were told ${reason}, ${counted} counted`);
  }
  for (const [series, by] of Object.entries(tally.counted)) {
    const is = more.get(series) ?? 0;
    if (is !== by) faults.push(`${series}: ${is} counted, not ${by}`);
  }
  return faults;
}

function wallFaults(row: Row, isWarm: boolean): string[] {
  const faults: string[] = [];
  const mib = (bytes: number): string => `${(bytes / MIB).toFixed(1)} MiB`;
  if (row.turnMs > STALL_MS) faults.push(`a turn of ${Math.round(row.turnMs)} ms`);
  if (isWarm && row.remainsBytes > REMAINS_BYTES) faults.push(`${mib(row.remainsBytes)} remain`);
  if (row.residentBytes > RESIDENT_BYTES) faults.push(`${mib(row.residentBytes)} resident`);
  return faults;
}

/** What it printed at its end: from the error on, if it names one. */
function lastWords({ gateway, door }: Stage): string {
  const { output } = door?.exit ? door : gateway;
  const at = output.lastIndexOf('pith: internal error');
  return at < 0 ? output.slice(-1_500) : output.slice(at, at + 1_500);
}

/** The last fault of its own that it has logged. */
function lastError({ gateway }: Stage): string {
  return /[^\n]*"msg":"internal error"/.exec(gateway.output)?.[0].slice(0, 1_500) ?? '';
}

/** Looks at the process from outside while it is attacked. */
class Watch {
  turnMs = 0;
  lagMs = 0;
  probeMs = 0;
  residentBytes = 0;
  /** How it ended. */
  readonly death: Promise<string>;
  #stopped = false;
  readonly #stage: Stage;
  readonly #looking: Promise<void>;

  constructor(stage: Stage) {
    this.#stage = stage;
    stage.gateway.takeWorstProbe();
    let die: (how: string) => void;
    this.death = new Promise((resolve) => {
      die = resolve;
    });
    this.#looking = this.#look((how) => {
      die(how);
    });
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    await this.#looking;
  }

  async #look(die: (how: string) => void): Promise<void> {
    const { gateway, door } = this.#stage;
    // What was before, as the start of the other gateway, is nobody's fault.
    await Promise.all([gateway.inside(), door?.inside()]);
    while (!this.#stopped) {
      await new Promise((resolve) => setTimeout(resolve, LOOK_EVERY_MS));
      const gone = gateway.exit ?? door?.exit ?? null;
      if (gone !== null) {
        die(gone);
        return;
      }
      try {
        const [inside, metrics] = await Promise.all([gateway.inside(), gateway.metrics()]);
        const other = await door?.inside();
        this.turnMs = Math.max(this.turnMs, inside.turnCpuMs, other?.turnCpuMs ?? 0);
        this.residentBytes = Math.max(this.residentBytes, inside.residentBytes);
        const lag = total(metrics, 'nodejs_eventloop_lag_p99_seconds') * 1_000;
        this.lagMs = Math.max(this.lagMs, lag);
      } catch (error) {
        // Its end is noticed by its sockets before it is told.
        await new Promise((resolve) => setTimeout(resolve, DEATH_MS));
        if (gateway.exit === null && !door?.exit) die(`it cannot be asked: ${errorText(error)}`);
      }
      this.probeMs = Math.max(this.probeMs, gateway.takeWorstProbe());
    }
  }
}
