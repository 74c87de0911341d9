/** The gateway's metrics as it shows them to Prometheus. */
export type Metrics = ReadonlyMap<string, number>;

/** By name and labels, as they are written: `pith_requests_total{backend="x",outcome="ok"}`. */
export function parseMetrics(text: string): Metrics {
  const made = new Map<string, number>();
  for (const line of text.split('\n')) {
    const space = line.lastIndexOf(' ');
    if (space > 0 && !line.startsWith('#'))
      made.set(line.slice(0, space), Number(line.slice(space + 1)));
  }
  return made;
}

/** The sum over all series of a name whose labels include these. */
export function total(metrics: Metrics, name: string, labels: Record<string, string> = {}): number {
  let sum = 0;
  const wanted = Object.entries(labels).map(([label, value]) => `${label}="${value}"`);
  for (const [series, value] of metrics) {
    const brace = series.indexOf('{');
    const its = brace < 0 ? '' : series.slice(brace);
    if ((brace < 0 ? series : series.slice(0, brace)) !== name) continue;
    if (wanted.every((pair) => its.includes(pair))) sum += value;
  }
  return sum;
}

/** What has been added to each series since `before`; what did not change is left out. */
export function added(before: Metrics, after: Metrics): Metrics {
  const made = new Map<string, number>();
  for (const [series, value] of after) {
    const by = value - (before.get(series) ?? 0);
    if (by !== 0) made.set(series, by);
  }
  return made;
}
