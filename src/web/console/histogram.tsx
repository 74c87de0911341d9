/** How long requests took: bars by time, and what half, nine of ten and 99 of 100 stay below. */
import type { Latency } from './answers.ts';
import { count, span } from './format.ts';

/** Empty: nothing was counted. */
export function countsOf(latency: Latency | undefined): number[] {
  return (latency?.counts ?? []).map(Number);
}

/** The bound below which so many of a hundred stay, in milliseconds; Infinity: beyond the last; null: nothing was counted. */
export function percentile(
  { bounds, counts }: { readonly bounds: readonly number[]; readonly counts: readonly number[] },
  percent: number,
): number | null {
  const all = counts.reduce((a, b) => a + b, 0);
  if (all === 0) return null;
  let below = 0;
  for (const [i, n] of counts.entries()) {
    below += n;
    if (below >= (all * percent) / 100) return i < bounds.length ? bounds[i]! * 1_000 : Infinity;
  }
  return Infinity;
}

/** ≤ 5 ms */
export function below(ms: number | null, last: number): string {
  if (ms === null) return '–';
  return ms === Infinity ? `> ${span(last * 1_000)}` : `≤ ${span(ms)}`;
}

export function Percentiles({
  latency,
  counts,
}: {
  readonly latency: Latency | undefined;
  readonly counts: readonly number[];
}) {
  const bounds = latency?.bounds ?? [];
  const last = bounds.at(-1) ?? 0;
  return (
    <dl class="facts row">
      {[50, 90, 99].map((percent) => (
        <div key={percent}>
          <dt>{percent} of 100</dt>
          <dd>{below(percentile({ bounds, counts }, percent), last)}</dd>
        </div>
      ))}
    </dl>
  );
}

export function Histogram({
  latency,
  counts,
}: {
  readonly latency: Latency;
  readonly counts: readonly number[];
}) {
  const { bounds } = latency;
  const most = Math.max(1, ...counts);
  return (
    <ol class="bars" aria-label="Requests by how long they took">
      {counts.map((n, i) => {
        const name = i < bounds.length ? span(bounds[i]! * 1_000) : 'more';
        return (
          <li key={name} title={`${i < bounds.length ? 'up to ' : ''}${name}: ${count(n)}`}>
            <span class="bar" style={{ height: `${(n / most) * 100}%` }} />
            <span class="label">{name}</span>
            <span class="hidden">: {count(n)}</span>
          </li>
        );
      })}
    </ol>
  );
}
