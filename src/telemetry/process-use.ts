/** What the process uses of the machine, and how long the garbage collector has stopped it. */
import { readdirSync, statSync } from 'node:fs';
import { performance, PerformanceObserver } from 'node:perf_hooks';

import { EventLoopLag } from './event-loop.ts';
import { Histogram } from './histogram.ts';
import { GC_SECONDS } from './instruments.ts';

/** Bytes. */
export type Memory = {
  readonly rss: number;
  readonly heapUsed: number;
  readonly heapTotal: number;
  readonly external: number;
};

/** What the process uses of the machine. */
export type ProcessUse = {
  readonly memory: () => Memory;
  /** Of processors since its start, in microseconds. */
  readonly cpu: () => { readonly user: number; readonly system: number };
  /** Open file descriptors; -1: the system does not say. */
  readonly descriptors: () => number;
  /** The most that it may open. */
  readonly descriptorsMax: number;
  /** When it began, in milliseconds since the epoch. */
  readonly startedAtWall: number;
  /** The share of the time since the last call in which the event loop had something to do, 0 to 1. */
  readonly loopUtilization: () => number;
  readonly lag: EventLoopLag;
  readonly gc: GcPauses;
};

/** Node's `process`. */
type Process = {
  memoryUsage(): Memory;
  cpuUsage(): { readonly user: number; readonly system: number };
};

export function processUseOf(node: Process, descriptorsMax: number): ProcessUse {
  return {
    memory: () => node.memoryUsage(),
    cpu: () => node.cpuUsage(),
    descriptors: openDescriptors,
    descriptorsMax,
    startedAtWall: performance.timeOrigin,
    loopUtilization: loopUtilization(),
    lag: new EventLoopLag(),
    gc: new GcPauses(),
  };
}

/** [proc(5): since Linux 6.2 the size of the folder is the number of its entries, and none of them need be read] */
function openDescriptors(): number {
  const folder = '/proc/self/fd';
  try {
    return statSync(folder).size || readdirSync(folder).length;
  } catch {
    return -1;
  }
}

function loopUtilization(): () => number {
  let last = performance.eventLoopUtilization();
  return () => {
    const now = performance.eventLoopUtilization();
    const { utilization } = performance.eventLoopUtilization(now, last);
    last = now;
    return utilization;
  };
}

/** By Node's constants: scavenges, mark-sweep-compact, incremental marking, weak callbacks. */
const KINDS: Readonly<Record<number, GcKind>> = {
  1: 'minor',
  4: 'major',
  8: 'incremental',
  16: 'weakcb',
};
export const GC_KINDS = ['minor', 'major', 'incremental', 'weakcb'] as const;
type GcKind = (typeof GC_KINDS)[number];

/** How long the garbage collector took, each time. Node reports it after the fact: nothing is timed in JavaScript. */
export class GcPauses {
  /** Seconds. */
  readonly byKind: Readonly<Record<GcKind, Histogram>> = {
    minor: new Histogram(GC_SECONDS),
    major: new Histogram(GC_SECONDS),
    incremental: new Histogram(GC_SECONDS),
    weakcb: new Histogram(GC_SECONDS),
  };
  readonly #observer = new PerformanceObserver((list) => {
    for (const entry of list.getEntries()) {
      const { kind = 0 } = (entry as { detail?: { kind?: number } }).detail ?? {};
      const name = KINDS[kind];
      if (name !== undefined) this.byKind[name].observe(entry.duration / 1_000);
    }
  });

  start(): void {
    this.#observer.observe({ entryTypes: ['gc'] });
  }

  stop(): void {
    this.#observer.disconnect();
  }
}
