/**
 * Profiles of this process, taken by V8 itself [node:inspector, Profiler and HeapProfiler]: the debugger is off, and
 * nothing listens for one. A profile names functions and files, and holds no data of the program.
 */
import type { Session } from 'node:inspector/promises';

export type ProfileKind = 'cpu' | 'heap';

/** Microseconds between two samples of what runs. */
const CPU_INTERVAL_US = 1_000;
/** Bytes that are allocated between two samples, about. */
const HEAP_INTERVAL_BYTES = 32_768;

export class Profiler {
  #isBusy = false;

  /** One at a time. */
  get isBusy(): boolean {
    return this.#isBusy;
  }

  /**
   * Takes a profile for as long as `wait` says. Writing it down stops the process for some tens of milliseconds.
   *
   * @returns JSON, as Chrome's and VS Code's developer tools read it.
   */
  async take(kind: ProfileKind, wait: () => Promise<void>): Promise<string> {
    if (this.#isBusy) throw new Error('a profile is being taken already');
    this.#isBusy = true;
    const { Session } = await import('node:inspector/promises');
    const session = new Session();
    session.connect();
    try {
      return await (kind === 'cpu' ? takeCpu(session, wait) : takeHeap(session, wait));
    } finally {
      session.disconnect();
      this.#isBusy = false;
    }
  }
}

async function takeCpu(session: Session, wait: () => Promise<void>): Promise<string> {
  await session.post('Profiler.enable');
  await session.post('Profiler.setSamplingInterval', { interval: CPU_INTERVAL_US });
  await session.post('Profiler.start');
  await wait();
  const { profile } = await session.post('Profiler.stop');
  return JSON.stringify(profile);
}

async function takeHeap(session: Session, wait: () => Promise<void>): Promise<string> {
  await session.post('HeapProfiler.startSampling', { samplingInterval: HEAP_INTERVAL_BYTES });
  await wait();
  const { profile } = await session.post('HeapProfiler.stopSampling');
  return JSON.stringify(profile);
}
