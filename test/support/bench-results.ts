/** Results of a benchmark that nobody has run. */
import type { LoadSample, MemorySample, Results, Sample } from '../bench/peers/results.ts';

export function load(system: string, name: string, of: Partial<LoadSample> = {}): LoadSample {
  return {
    ...{ kind: 'load', round: 0, system, load: name, rate: 0, perSecond: 1_000, frontUs: 10 },
    ...{ frontTicksUs: 10, allUs: 20, frontCore: 0.5, p50: 1_000, p99: 2_000, p999: 3_000 },
    ...{ max: 4_000, generatorCore: 0.3, steal: 0, wrong: 0, lost: 0, unanswered: 0 },
    ...{ skipped: 0, slowClosed: 0, grownBytes: 0, void: '' },
    ...of,
  };
}

export function memory(system: string, of: Partial<MemorySample> = {}): MemorySample {
  return {
    ...{ kind: 'memory', round: 0, system, tls: false, restBytes: 2 ** 20 },
    ...{ perConnection: 1_000, startMs: 100 },
    ...of,
  };
}

export function resultsWith(samples: readonly Sample[]): Results {
  const names = [...new Set(samples.map(({ system }) => system))];
  return {
    ...{ date: '2026-01-02T03:04:05.678Z', minutes: 30, rounds: 5, sideRounds: 3, seconds: 2 },
    ...{ idleConnections: 5_000, idleTls: 2_000, quick: false, revision: '0.1.0' },
    machine: {
      ...{ cpu: 'a processor', cores: 2, memoryMiB: 4_096, kernel: '6.1', node: 'v24.1.0' },
      ...{ go: 'go1.26', gcc: '12.2', loadBefore: 0.1, loadAfter: 1.5 },
    },
    systems: names.map((name) => ({ name, what: name, versions: '', none: {}, leftOut: '' })),
    peaks: Object.fromEntries(names.map((name) => [name, 20_000])),
    failures: [],
    samples,
  };
}
