/** Measures one system in one life of its processes. */
import { setTimeout as sleep } from 'node:timers/promises';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';

import { start } from '../../support/process.ts';
import { Generator, type Load } from './generator.ts';
import { percentile } from './histogram.ts';
import { BIN } from './install.ts';
import { type LoadSample, type Sample, sampleOf, GENERATOR_CORE_MAX } from './results.ts';
import { residentBytes, signal, Stage, type Tls } from './stage.ts';
import type { Measure, System } from './systems.ts';

export type Settings = {
  /** Seconds of each load; those of the first warm-up, and of the others. */
  readonly seconds: number;
  readonly warm: number;
  readonly rewarm: number;
  readonly idleConnections: number;
  readonly idleTls: number;
};

/** What of it, in this round. */
export type Task = {
  readonly round: number;
  readonly measures: ReadonlySet<Measure>;
  /** Requests a second; absent: it is to be found. */
  readonly peak: number | undefined;
  /** Name of the load and its rate. */
  readonly hops: readonly (readonly [string, number])[];
};

const SESSIONS = 1_000;
const FEW = 200;
const CAST_BODY = 100;
const SIP_BODY = 1_000;
const SIP_BYTES = 1_024;
/** One in so many reads slowly, or asks the backend that hangs. */
const EVERY = 10;
/** Requests a second with a slow, and with a hung backend: less, where half of the peak is less. */
export const SIDE_RATE = 2_000;
export const SHARES = [30, 50, 80] as const;
const REST_MS = 800;
const SETTLE_MS = 1_500;
const PROBE_SECONDS = 65;

/** A rate is sustained if so much of it is answered, and the slowest hundredth waits no longer than this. */
const SUSTAINED = 0.98;
const SUSTAINED_P99_US = 100_000;

export class Measuring {
  /** What has been measured. */
  readonly samples: Sample[] = [];
  /** Requests a second; what paced loads are a share of, once it is known. */
  peak: number | undefined;
  readonly #system: System;
  readonly #settings: Settings;
  readonly #task: Task;
  readonly #say: (line: string) => void;

  constructor(system: System, settings: Settings, task: Task, say: (line: string) => void) {
    this.#system = system;
    this.#settings = settings;
    this.#task = task;
    this.peak = task.peak;
    this.#say = say;
  }

  async run(): Promise<void> {
    const system = this.#system;
    await using stage = await Stage.open(null);
    await using generator = this.#generator(stage, {});
    try {
      await system.start(stage);
      await this.#measure(stage, generator);
    } catch (error) {
      throw new Error(`${(error as Error).message}; ${stage.logs().slice(-500)}`, {
        cause: error,
      });
    }
  }

  #generator(stage: Stage, options: Record<string, number>): Generator {
    const { mode, path } = this.#system;
    return new Generator(join(BIN, 'gen'), mode, stage.port, {
      ...(path === undefined ? {} : { path }),
      ...options,
    });
  }

  async #measure(stage: Stage, generator: Generator): Promise<void> {
    const { measures } = this.#task;
    const system = this.#system;
    if (measures.has('memory')) await this.#start(stage, generator);
    else if (system.measures.includes('closed') || system.measures.includes('hop'))
      await generator.say(`probe ${system.echo}`, PROBE_SECONDS);
    else await stage.listening(stage.port);
    await generator.say(`pids ${[stage.front, ...stage.others].join(',')}`, 5);
    if (system.mode === 'nats') {
      for (const [name, rate] of this.#task.hops)
        await this.#paced(generator, name, rate, { conns: 1 });
      return;
    }
    const open = await generator.open(SESSIONS);
    this.#say(`  ${SESSIONS} connections in ${open.toFixed(1)} s`);
    if (measures.has('closed')) await this.#closed(generator);
    const { peak } = this;
    if (measures.has('paced') && peak !== undefined)
      for (const share of SHARES)
        await this.#paced(generator, `paced${share}`, (peak * share) / 100);
    for (const [name, rate] of this.#task.hops) await this.#paced(generator, name, rate);
    const sideRate = Math.min(SIDE_RATE, (peak ?? SIDE_RATE * 2) / 2);
    if (measures.has('slow') && typeof system.slow === 'string')
      await this.#paced(generator, 'slow', sideRate, { route: system.slow });
    if (measures.has('cast') && typeof system.cast === 'string') await this.#cast(generator);
    if (measures.has('sip')) await this.#sip(stage, sideRate);
    if (measures.has('hung') && typeof system.hung === 'string')
      await this.#hung(stage, generator, sideRate, system.hung);
  }

  /** The time to the first answer, memory at rest and with idle connections. */
  async #start(stage: Stage, generator: Generator): Promise<void> {
    const { answered, at_ns } = await generator.say<{ answered: boolean; at_ns: number }>(
      `probe ${this.#system.echo}`,
      PROBE_SECONDS,
    );
    if (!answered) throw new Error('it gives no answer');
    const startMs = (at_ns - Number(stage.startedAt)) / 1e6;
    await sleep(REST_MS);
    const restBytes = residentBytes(stage.front);
    const { idleConnections } = this.#settings;
    await generator.open(idleConnections);
    await generator.say('beat', 30);
    await sleep(SETTLE_MS);
    const perConnection = (residentBytes(stage.front) - restBytes) / (idleConnections - 1);
    const { ready } = await generator.say<{ ready: number }>(`keep ${SESSIONS}`, 10);
    if (ready < Math.min(idleConnections, SESSIONS))
      throw new Error(`of ${idleConnections} idle connections ${ready} are left`);
    this.#keepMemory({ tls: false, restBytes, perConnection, startMs });
  }

  #keepMemory(of: {
    tls: boolean;
    restBytes: number;
    perConnection: number;
    startMs: number;
  }): void {
    const { round } = this.#task;
    const sample = { kind: 'memory' as const, round, system: this.#system.name, ...of };
    this.samples.push({
      ...sample,
      perConnection: Math.round(of.perConnection),
      startMs: Math.round(of.startMs),
    });
    this.#say(
      `  memory${of.tls ? ' with TLS' : ''}: ${(of.restBytes / 2 ** 20).toFixed(1)} MiB at rest, ` +
        `${(of.perConnection / 1_024).toFixed(1)} KiB per connection` +
        (of.tls ? '' : `, ready in ${of.startMs.toFixed(0)} ms`),
    );
  }

  /** The closed loads, and once the peak of the paced ones. */
  async #closed(generator: Generator): Promise<void> {
    const { seconds, warm, rewarm } = this.#settings;
    const { echo } = this.#system;
    const one = await this.#load('1000x1', 0, () =>
      generator.load('closed', { conns: SESSIONS, inflight: 1, warm, secs: seconds, route: echo }),
    );
    const words = { conns: FEW, inflight: 10, warm: rewarm, secs: seconds, route: echo };
    await this.#load('200x10', 0, () => generator.load('closed', words));
    // Without an answer there is nothing to start from; the next round tries again.
    if (this.peak === undefined && this.#task.measures.has('paced') && one.perSecond > 0)
      this.peak = await this.#findPeak(generator, one.perSecond);
  }

  /** The highest rate that is sustained, in steps of a tenth, from what the closed loop has reached. */
  async #findPeak(generator: Generator, from: number): Promise<number> {
    const sustains = async (rate: number): Promise<boolean> => {
      const { echo } = this.#system;
      const words = { conns: SESSIONS, rate: Math.round(rate), warm: 0.3, secs: 1, route: echo };
      const load = await generator.load('paced', words);
      const ok =
        load.answered / load.secs >= SUSTAINED * rate &&
        percentile(load.histogram, 99) / 1_000 <= SUSTAINED_P99_US &&
        load.core <= GENERATOR_CORE_MAX;
      this.#say(`  ${Math.round(rate)} a second: ${ok ? 'sustained' : 'not sustained'}`);
      return ok;
    };
    let peak = from;
    if (await sustains(peak)) {
      for (let tries = 0; tries < 4 && (await sustains(peak * 1.1)); tries++) peak *= 1.1;
      return Math.round(peak);
    }
    for (let tries = 0; tries < 8; tries++) {
      peak *= 0.9;
      if (await sustains(peak)) break;
    }
    return Math.round(peak);
  }

  async #paced(
    generator: Generator,
    name: string,
    rate: number,
    more: Record<string, string | number> = {},
  ): Promise<void> {
    const { seconds, warm, rewarm } = this.#settings;
    const whole = Math.round(rate);
    // A closed load before it has compiled what is often run.
    const isWarm = this.#system.measures.includes('closed');
    const words = { conns: SESSIONS, rate: whole, warm: isWarm ? rewarm : warm, secs: seconds };
    await this.#load(name, whole, () =>
      generator.load('paced', { ...words, route: this.#system.echo, ...more }),
    );
  }

  async #cast(generator: Generator): Promise<void> {
    const { seconds, warm, rewarm } = this.#settings;
    const { cast, join: joins, measures } = this.#system;
    if (joins !== undefined) {
      const joined = await generator.say<{ joined: number; wrong: number }>(
        `join ${joins} ${SESSIONS}`,
        65,
      );
      if (joined.joined < SESSIONS || joined.wrong > 0)
        throw new Error(`${joined.joined} of ${SESSIONS} have joined, ${joined.wrong} wrong`);
      await sleep(200);
    }
    await this.#load('cast', 0, () =>
      generator.load('cast', {
        conns: SESSIONS,
        warm: measures.includes('closed') ? rewarm : warm,
        secs: seconds,
        route: cast as string,
        body: CAST_BODY,
      }),
    );
  }

  /** Connections of their own, of which every tenth has small buffers and reads a kilobyte a second. */
  async #sip(stage: Stage, rate: number): Promise<void> {
    const { seconds, rewarm } = this.#settings;
    await using generator = this.#generator(stage, { slow: EVERY });
    await generator.say(`pids ${[stage.front, ...stage.others].join(',')}`, 5);
    await generator.open(FEW);
    const before = residentBytes(stage.front);
    const words = { conns: FEW, rate: Math.round(rate), warm: rewarm, secs: seconds + 1 };
    await this.#load(
      'sip',
      Math.round(rate),
      () =>
        generator.load('paced', {
          ...{ ...words, route: this.#system.echo },
          ...{ body: SIP_BODY, sip: SIP_BYTES },
        }),
      () => residentBytes(stage.front) - before,
    );
  }

  async #hung(stage: Stage, generator: Generator, rate: number, route: string): Promise<void> {
    for (const pid of stage.hung) signal(pid, 'SIGSTOP');
    // Until nobody takes what comes for what is left of the second's queue.
    await this.#paced(generator, 'hung', rate, { hung: route, every: EVERY });
    for (const pid of stage.hung) signal(pid, 'SIGCONT');
  }

  async #load(
    name: string,
    rate: number,
    run: () => Promise<Load>,
    grown: () => number = () => 0,
  ): Promise<LoadSample> {
    const before = ticks();
    const load = await run();
    const after = ticks();
    const steal = (after.steal - before.steal) / Math.max(1, after.all - before.all);
    const about = { round: this.#task.round, system: this.#system.name, load: name, rate };
    const sample = sampleOf(load, { ...about, steal, grownBytes: grown() });
    this.samples.push(sample);
    this.#say(
      `  ${name}${rate > 0 ? ` at ${rate}/s` : ''}: ${sample.frontUs.toFixed(2)} µs, ` +
        `all ${sample.allUs.toFixed(2)} µs, ${sample.perSecond.toFixed(0)}/s, ` +
        `p50 ${sample.p50} p99 ${sample.p99} p99.9 ${sample.p999} µs, ` +
        `front ${sample.frontCore.toFixed(2)}, generator ${sample.generatorCore.toFixed(2)}` +
        (sample.unanswered > 0 ? `, ${sample.unanswered} unanswered` : '') +
        (sample.void === '' ? '' : `, VOID: ${sample.void}`),
    );
    return sample;
  }

  /** Memory with TLS, in a life of its own. */
  async runTls(tls: Tls): Promise<void> {
    await using stage = await Stage.open(tls);
    await this.#system.start(stage);
    await stage.listening(stage.port);
    // As long after its start as it is plain.
    await sleep(REST_MS + SETTLE_MS);
    const restBytes = residentBytes(stage.front);
    const { mode, path } = this.#system;
    const { idleTls } = this.#settings;
    const args = [mode, String(stage.port), path ?? '/', String(idleTls)];
    const program = join(import.meta.dirname, 'tls-idle.ts');
    await using idle = await start(process.execPath, [program, ...args]);
    await idle.waitFor(/ready/, 90_000);
    await sleep(SETTLE_MS);
    const perConnection = (residentBytes(stage.front) - restBytes) / idleTls;
    this.#keepMemory({ tls: true, restBytes, perConnection, startMs: 0 });
  }
}

/** Ticks of the machine: those that its host gave to others, and all. */
function ticks(): { steal: number; all: number } {
  const numbers = readFileSync('/proc/stat', 'utf8').split('\n', 1)[0]!.split(/\s+/).slice(1, 9);
  return {
    steal: Number(numbers[7] ?? 0),
    all: numbers.reduce((sum, number) => sum + Number(number), 0),
  };
}
