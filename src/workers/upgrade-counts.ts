/** What has become of upgrades, for the metrics: the parent's own, as workers come and go meanwhile. */
import { INSTRUMENTS } from '../telemetry/instruments.ts';
import type { Sample } from '../telemetry/samples.ts';

/** Of one worker. refused: nothing has changed · failed: its clients have lost their connections. */
export type UpgradeOutcome = 'upgraded' | 'refused' | 'failed';

const PAUSE = 'pith_worker_upgrade_pause_seconds';
const { buckets } = INSTRUMENTS[PAUSE];

export class UpgradeCounts {
  readonly #outcomes: Record<UpgradeOutcome, number> = { upgraded: 0, refused: 0, failed: 0 };
  /** Of each bucket alone, and of what is beyond the last. */
  readonly #pauses = [...buckets.map(() => 0), 0];
  #pausedSeconds = 0;
  #moved = 0;
  #closed = 0;

  ended(outcome: UpgradeOutcome): void {
    this.#outcomes[outcome]++;
  }

  upgraded({ moved, closed, pausedMs }: { moved: number; closed: number; pausedMs: number }): void {
    this.ended('upgraded');
    this.#moved += moved;
    this.#closed += closed;
    const seconds = pausedMs / 1_000;
    this.#pausedSeconds += seconds;
    const at = buckets.findIndex((bound) => seconds <= bound);
    this.#pauses[at < 0 ? buckets.length : at]!++;
  }

  samples(): Sample[] {
    const outcomes = Object.entries(this.#outcomes).map(([outcome, value]): Sample => {
      return { name: 'pith_worker_upgrades_total', labels: [outcome], value };
    });
    const sessions = 'pith_worker_upgrade_sessions_total';
    return [
      ...outcomes,
      { name: PAUSE, labels: [], counts: [...this.#pauses], sum: this.#pausedSeconds },
      { name: sessions, labels: ['moved'], value: this.#moved },
      { name: sessions, labels: ['closed'], value: this.#closed },
    ];
  }
}
