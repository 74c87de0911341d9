/** A chart over time, drawn by uPlot, in the colours of the theme; what it shows is said in its legend, too. */
import { useEffect, useRef, useState } from 'preact/hooks';
import uPlot from 'uplot';

import { clockTime, short } from './format.ts';

/** null: not known yet. */
export type ChartSeries = { readonly name: string; readonly values: readonly (number | null)[] };

export type ChartProps = {
  readonly title: string;
  /** Milliseconds since the epoch, one for each value. */
  readonly times: readonly number[];
  readonly series: readonly ChartSeries[];
  /** bars: added on top of each other; line: one beside the other. */
  readonly kind: 'line' | 'bars';
  /** Of a value, in the legend. */
  readonly unit?: string;
  /** Instead of the chart where nothing happened. */
  readonly empty?: string;
};

const HEIGHT = 150;
/** What begins a moment ago is not drawn as if it filled the chart. In seconds. */
const SPAN_S_MIN = 60;
/** Between two lines: whole numbers. */
const STEPS = Array.from({ length: 12 }, (_, i) => [1, 2, 5].map((n) => n * 10 ** i)).flat();
/** As tokens.css has them. */
const COLOURS = 5;

export function Chart({ title, times, series, kind, unit = '', empty }: ChartProps) {
  const place = useRef<HTMLDivElement>(null);
  const plot = useRef<uPlot | null>(null);
  const [at, setAt] = useState<number | null>(null);
  const theme = useTheme();
  const isEmpty =
    empty !== undefined && series.every(({ values }) => values.every((v) => v === 0 || v === null));
  const names = series.map(({ name }) => name).join('\n');
  const data = dataOf(times, series, kind);

  useEffect(() => {
    if (isEmpty) return;
    const element = place.current!;
    const options = optionsOf({ element, count: series.length, kind, onCursor: setAt });
    const made = new uPlot(options, data, element);
    plot.current = made;
    const watch = new ResizeObserver(() => {
      made.setSize({ width: element.clientWidth, height: HEIGHT });
    });
    watch.observe(element);
    return () => {
      watch.disconnect();
      made.destroy();
      plot.current = null;
    };
    // Made anew only where it is another chart; new data is put into it.
  }, [names, kind, theme, isEmpty]);
  useEffect(() => {
    plot.current?.setData(data);
  });

  return (
    <figure class="chart card" aria-label={`${title}: ${said(series, unit)}`}>
      <figcaption>
        <h3>{title}</h3>
        <span class="when">
          {at === null || times[at] === undefined ? '' : clockTime(times[at])}
        </span>
      </figcaption>
      {isEmpty ? (
        <div class="empty">{empty}</div>
      ) : (
        <>
          <div ref={place} class="plot" aria-hidden="true" />
          <ul class="legend">
            {series.map(({ name, values }, i) => (
              <li key={name}>
                <span class={`swatch c${(i % COLOURS) + 1}`} aria-hidden="true" />
                <span class="name">{name}</span>
                <span class="value">{shown(values, at, kind, unit)}</span>
              </li>
            ))}
          </ul>
        </>
      )}
    </figure>
  );
}

/** Under the cursor; else the last of a line, and the sum of bars. */
function shown(
  values: readonly (number | null)[],
  at: number | null,
  kind: 'line' | 'bars',
  unit: string,
): string {
  const sum = (): number => values.reduce<number>((a, b) => a + (b ?? 0), 0);
  const value = at === null ? (kind === 'bars' ? sum() : lastOf(values)) : (values[at] ?? 0);
  return `${short(value)}${unit}`;
}

function lastOf(values: readonly (number | null)[]): number {
  return values.findLast((value) => value !== null) ?? 0;
}

function said(series: readonly ChartSeries[], unit: string): string {
  return series.map(({ name, values }) => `${name} ${short(lastOf(values))}${unit}`).join(', ');
}

/** Bars that are added up: the tallest first, so that the others are drawn over it. */
function dataOf(
  times: readonly number[],
  series: readonly ChartSeries[],
  kind: 'line' | 'bars',
): uPlot.AlignedData {
  const x = times.map((ms) => ms / 1_000);
  if (kind === 'line') return [x, ...series.map(({ values }) => [...values])];
  const sums: number[][] = [];
  let below = times.map(() => 0);
  for (const { values } of series) {
    below = below.map((value, i) => value + (values[i] ?? 0));
    sums.push(below);
  }
  return [x, ...sums.reverse()];
}

function optionsOf({
  element,
  count,
  kind,
  onCursor,
}: {
  readonly element: HTMLElement;
  readonly count: number;
  readonly kind: 'line' | 'bars';
  readonly onCursor: (at: number | null) => void;
}): uPlot.Options {
  const soft = colourOf(element, '--soft');
  const line = colourOf(element, '--line');
  const axis = { stroke: soft, grid: { stroke: line, width: 1 }, ticks: { show: false } };
  const colours = Array.from({ length: count }, (_, i) =>
    colourOf(element, `--chart-${(i % COLOURS) + 1}`),
  );
  const drawn = kind === 'bars' ? colours.toReversed() : colours;
  return {
    width: element.clientWidth,
    height: HEIGHT,
    padding: [8, 26, 0, 0],
    legend: { show: false },
    cursor: { y: false, points: { show: kind === 'line' }, drag: { x: false, y: false } },
    scales: {
      x: { range: (_plot, min, max) => [Math.min(min, max - SPAN_S_MIN), max] },
      y: { range: (_plot, _min, max) => [0, Math.max(1, max * 1.1)] },
    },
    axes: [
      {
        ...axis,
        size: 28,
        space: 60,
        values: [
          [3_600, '{HH}:{mm}'],
          [60, '{HH}:{mm}'],
          [1, '{HH}:{mm}:{ss}'],
        ],
      },
      {
        ...axis,
        size: 46,
        space: 28,
        incrs: STEPS,
        values: (_plot, ticks) =>
          ticks.map((tick) => (Number.isInteger(tick) || tick < 10 ? short(tick) : '')),
      },
    ],
    series: [{}, ...drawn.map((stroke) => seriesOf(stroke, kind))],
    hooks: {
      setCursor: [
        ({ cursor }) => {
          onCursor(cursor.idx ?? null);
        },
      ],
    },
  };
}

function seriesOf(stroke: string, kind: 'line' | 'bars'): uPlot.Series {
  if (kind === 'line') return { stroke, width: 1.5, fill: faint(stroke), points: { show: false } };
  return {
    ...{ stroke, fill: stroke, width: 0, points: { show: false } },
    paths: uPlot.paths.bars!({ size: [0.8, 14] }),
  };
}

/** rgb(1, 2, 3) → rgba(1, 2, 3, 0.1) */
function faint(colour: string): string {
  return colour.replace(/^rgb\((.*)\)$/, 'rgba($1, 0.1)');
}

/** A canvas knows no custom properties: what one comes to is read of an element. */
function colourOf(element: HTMLElement, name: string): string {
  const probe = document.createElement('span');
  probe.style.color = `var(${name})`;
  element.append(probe);
  const { color } = getComputedStyle(probe);
  probe.remove();
  return color;
}

/** Changes with the theme. */
function useTheme(): number {
  const [n, setN] = useState(0);
  useEffect(() => {
    const changed = (): void => {
      setN((before) => before + 1);
    };
    const dark = matchMedia('(prefers-color-scheme: dark)');
    dark.addEventListener('change', changed);
    const watch = new MutationObserver(changed);
    watch.observe(document.documentElement, { attributeFilter: ['data-theme'] });
    return () => {
      dark.removeEventListener('change', changed);
      watch.disconnect();
    };
  }, []);
  return n;
}
