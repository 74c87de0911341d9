/** The metrics of all workers, those that have ended among them, as one process would have them. */
import { addedUp, kept, type Sample } from '../telemetry/samples.ts';
import type { Child } from './child.ts';
import type { DoorRefusals } from './door-refusals.ts';
import { UpgradeCounts } from './upgrade-counts.ts';

/** How long a worker may take to say what its own stand at, in milliseconds; later its last word counts. */
const ANSWER_MS = 2_000;

export class MetricsOfAll {
  /** Workers that have ended unexpectedly. */
  crashes = 0;
  readonly upgrades = new UpgradeCounts();
  /** Of each, what it said last. */
  readonly #last = new Map<Child, readonly Sample[]>();
  /** Counts of those that have ended. */
  #ended: readonly Sample[] = [];
  readonly #refusals: DoorRefusals;

  constructor(refusals: DoorRefusals) {
    this.#refusals = refusals;
  }

  /** @param asking Whose metrics are `own`. */
  async read(
    asking: Child,
    own: readonly Sample[],
    children: readonly Child[],
  ): Promise<readonly Sample[]> {
    this.#last.set(asking, own);
    const others = children.filter((child) => child !== asking);
    await Promise.all(others.map((child) => this.ask(child)));
    const parts = children.map((child) => {
      return { worker: child.n, samples: this.#last.get(child) ?? [] };
    });
    const ready = children.filter(({ load }) => load !== null).length;
    const samples: Sample[] = [
      { name: 'pith_workers_ready', labels: [], value: ready },
      { name: 'pith_worker_crashes_total', labels: [], value: this.crashes },
      ...this.upgrades.samples(),
      ...this.#refusals.samples(),
    ];
    return addedUp([...parts, { worker: 0, samples: [...this.#ended, ...samples] }]);
  }

  /** It has ended: what it has counted stays. */
  ended(child: Child): void {
    const samples = kept(this.#last.get(child) ?? []);
    this.#last.delete(child);
    this.#ended = addedUp([this.#ended, samples].map((all) => ({ worker: 0, samples: all })));
  }

  /** What it stands at is its last word from now on. Never rejects. */
  async ask(child: Child): Promise<void> {
    try {
      this.#last.set(child, await child.channel.ask('metrics', null, ANSWER_MS));
    } catch {
      // Its last word counts.
    }
  }
}
