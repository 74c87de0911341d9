/** Pictures of panels and of a trace, as SVG. */
import type { Panel } from '../../deploy/observability/dashboard.ts';

export type Series = { readonly name: string; readonly values: readonly (number | null)[] };

const COLOURS = [
  '#73bf69',
  '#5794f2',
  '#f2cc0c',
  '#ff9830',
  '#f2495c',
  '#b877d9',
  '#8ab8ff',
  '#96d98d',
];
export const TEXT = '#ccccdc';
export const DIM = '#8e8e9b';
const CARD = '#181b1f';
export const GRID = '#2b2e34';
const FONT = 'font-family="Inter, Helvetica, Arial, sans-serif"';
/** Names below a graph; of more the first are shown. */
const LEGEND_MAX = 6;

export function colourOf(index: number): string {
  return COLOURS[index % COLOURS.length]!;
}

export function escapeXml(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');
}

export function label(
  text: string,
  {
    x,
    y,
    size = 11,
    colour = TEXT,
    anchor = 'start',
    bold = false,
  }: {
    x: number;
    y: number;
    size?: number;
    colour?: string;
    anchor?: 'start' | 'middle' | 'end';
    bold?: boolean;
  },
): string {
  const weight = bold ? ' font-weight="600"' : '';
  return `<text x="${x}" y="${y}" font-size="${size}" fill="${colour}" text-anchor="${anchor}"${weight}>${escapeXml(text)}</text>`;
}

/** As Grafana writes it. */
export function inUnit(value: number, unit: Panel['unit']): string {
  const round = (number: number): string => String(Number(number.toPrecision(3)));
  switch (unit) {
    case 's':
      return value >= 1 ? `${round(value)} s` : `${round(value * 1e3)} ms`;
    case 'percentunit':
      return `${round(value * 100)} %`;
    case 'bytes': {
      const power = Math.min(3, Math.max(0, Math.floor(Math.log2(Math.max(1, value)) / 10)));
      return `${round(value / 1_024 ** power)} ${['B', 'KiB', 'MiB', 'GiB'][power]}`;
    }
    case 'reqps':
      return `${round(value)}/s`;
    default:
      return round(value);
  }
}

type Box = { readonly x: number; readonly y: number; readonly w: number; readonly h: number };

export function card({ x, y, w, h }: Box, title: string): string {
  const rect = `<rect x="${x}" y="${y}" width="${w}" height="${h}" rx="3" fill="${CARD}" stroke="${GRID}"/>`;
  return rect + label(title, { x: x + 9, y: y + 18, size: 12, bold: true });
}

/** The last value, large, with its course behind it. */
export function stat(box: Box, panel: Panel, series: readonly Series[]): string {
  const { x, y, w, h } = box;
  const values = series[0]?.values ?? [];
  const last = values.findLast((value) => value !== null);
  const text = last === undefined || last === null ? 'no data' : inUnit(last, panel.unit);
  const area = { x: x + 4, y: y + h - 22, w: w - 8, h: 18 };
  return [
    card(box, panel.title),
    line(area, values, { top: maxOf(series) || 1, colour: colourOf(0) }),
    label(text, {
      x: x + w / 2,
      y: y + h / 2 + 12,
      size: 24,
      colour: colourOf(0),
      anchor: 'middle',
      bold: true,
    }),
  ].join('');
}

export function graph(box: Box, panel: Panel, series: readonly Series[]): string {
  const { x, y, w, h } = box;
  const shown = series.filter(({ values }) => values.some((value) => value !== null));
  const top = niceTop(maxOf(shown), panel.unit);
  const rows = Math.ceil(Math.min(shown.length, LEGEND_MAX) / 2);
  const plot = { x: x + 52, y: y + 30, w: w - 62, h: h - 44 - rows * 14 };
  const lines = [0, 0.5, 1].map((share) => {
    const at = plot.y + plot.h * (1 - share);
    const tick = label(inUnit(top * share, panel.unit), {
      x: plot.x - 6,
      y: at + 3,
      size: 9,
      colour: DIM,
      anchor: 'end',
    });
    return `<path d="M${plot.x} ${at}h${plot.w}" stroke="${GRID}"/>${tick}`;
  });
  if (shown.length === 0)
    return (
      card(box, panel.title) +
      lines.join('') +
      label('no data', { x: x + w / 2, y: y + h / 2, colour: DIM, anchor: 'middle' })
    );
  const courses = shown.map(({ values }, i) => line(plot, values, { top, colour: colourOf(i) }));
  const legend = shown.slice(0, LEGEND_MAX).map(({ name }, i) => {
    const at = {
      x: x + 12 + (i % 2) * (w / 2 - 8),
      y: y + h - rows * 14 + Math.floor(i / 2) * 14 + 2,
    };
    // At 9 px a character is about 4.6 px wide.
    const most = Math.floor((w / 2 - 26) / 4.6);
    const cut = name.length > most ? `${name.slice(0, most - 1)}…` : name;
    return `<rect x="${at.x}" y="${at.y - 5}" width="10" height="3" fill="${colourOf(i)}"/>${label(cut, { x: at.x + 15, y: at.y, size: 9, colour: DIM })}`;
  });
  return [card(box, panel.title), ...lines, ...courses, ...legend].join('');
}

function line(
  { x, y, w, h }: Box,
  values: readonly (number | null)[],
  { top, colour }: { top: number; colour: string },
): string {
  let path = '';
  let isDown = false;
  for (const [i, value] of values.entries()) {
    if (value === null) {
      isDown = false;
      continue;
    }
    const at = [
      x + (w * i) / Math.max(1, values.length - 1),
      y + h * (1 - Math.min(1, value / top)),
    ];
    path += `${isDown ? 'L' : 'M'}${at.map((one) => one.toFixed(1)).join(' ')}`;
    isDown = true;
  }
  return `<path d="${path}" fill="none" stroke="${colour}" stroke-width="1.3" stroke-linejoin="round"/>`;
}

function maxOf(series: readonly Series[]): number {
  return Math.max(0, ...series.flatMap(({ values }) => values.filter((value) => value !== null)));
}

function niceTop(value: number, of: Panel['unit']): number {
  if (value === 0) return 1;
  if (of === 'bytes') return 2 ** Math.ceil(Math.log2(value));
  const unit = 10 ** Math.floor(Math.log10(value));
  return [1, 2, 5, 10].map((step) => step * unit).find((step) => step >= value)!;
}

export function picture(width: number, height: number, parts: readonly string[]): string {
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" width="${width}" height="${height}" ${FONT}>
<rect width="100%" height="100%" fill="#111217"/>
${parts.join('\n')}
</svg>
`;
}
