/** Charts as SVG, which read the same on a light and on a dark page. */

/** Ours, a peer, or the least that is possible. */
export type Tone = 'ours' | 'peer' | 'floor';

export type Bar = {
  readonly label: string;
  readonly tone: Tone;
  readonly value: number;
  readonly min: number;
  readonly max: number;
};

export type Dots = {
  readonly label: string;
  readonly tone: Tone;
  /** Rising. */
  readonly values: readonly number[];
};

const WIDTH = 910;
const LEFT = 190;
const RIGHT = 140;
const TOP = 64;
const ROW = 26;
const BAR = 15;
const PLOT = WIDTH - LEFT - RIGHT;
/** Greys that both pages bear; a browser that tells its theme gets better ones. */
const STYLE = `<style>
text{font-family:-apple-system,"Segoe UI",Helvetica,Arial,sans-serif;font-size:13px;fill:#6e7781}
.title{font-size:16px;font-weight:600}.ours{fill:#2f81f7}.peer{fill:#8c959f}.floor{fill:#bf8700}
.grid,.spread{stroke:#8c959f;fill:none}.grid{stroke-opacity:.25}.spread{stroke:#57606a;stroke-width:1.5}
@media (prefers-color-scheme:dark){text{fill:#b1bac4}.spread{stroke:#d0d7de}}
@media (prefers-color-scheme:light){text{fill:#424a53}}
</style>`;

const escape = (text: string): string =>
  text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');
const at = (value: number): string => String(Math.round(value * 10) / 10);

function text(x: number, y: number, content: string, more = ''): string {
  return `<text x="${at(x)}" y="${at(y)}"${more}>${escape(content)}</text>`;
}

function frame(title: string, subtitle: string, height: number, parts: readonly string[]): string {
  return `${[
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${height}" width="${WIDTH}" height="${height}" role="img">`,
    `<title>${escape(`${title}. ${subtitle}`)}</title>`,
    STYLE,
    text(8, 22, title, ' class="title"'),
    text(8, 44, subtitle),
    ...parts,
    '</svg>',
  ].join('\n')}\n`;
}

/** A round step that gives four to eight lines. */
function stepOf(max: number): number {
  const rough = max / 5;
  const power = 10 ** Math.floor(Math.log10(rough));
  return [1, 2, 5, 10].map((n) => n * power).find((step) => step >= rough)!;
}

/** Horizontal bars from 0, with the least and the most of the rounds as a line. */
export function barChart(
  { title, subtitle, digits }: { title: string; subtitle: string; digits: number },
  bars: readonly Bar[],
): string {
  const most = Math.max(...bars.map(({ max }) => max));
  const x = (value: number): number => LEFT + (value / most) * PLOT;
  const bottom = TOP + bars.length * ROW;
  const parts: string[] = [];
  const step = stepOf(most);
  for (let value = 0; value <= most; value += step) {
    parts.push(`<path class="grid" d="M${at(x(value))} ${TOP - 6}V${bottom}"/>`);
    parts.push(
      text(x(value), bottom + 18, String(Number(value.toPrecision(6))), ' text-anchor="middle"'),
    );
  }
  bars.forEach(({ label, tone, value, min, max }, i) => {
    const y = TOP + i * ROW;
    const middle = y + BAR / 2;
    parts.push(
      text(LEFT - 10, y + 12, label, ' text-anchor="end"'),
      `<rect class="${tone}" x="${LEFT}" y="${y}" width="${at(x(value) - LEFT)}" height="${BAR}" rx="2"/>`,
    );
    if (max > min) parts.push(`<path class="spread" d="M${at(x(min))} ${middle}H${at(x(max))}"/>`);
    parts.push(text(Math.max(x(value), x(max)) + 8, y + 12, value.toFixed(digits)));
  });
  return frame(title, subtitle, bottom + 30, parts);
}

/** Points on a logarithmic scale, joined by a line; the last is named. */
export function dotChart(
  { title, subtitle, digits }: { title: string; subtitle: string; digits: number },
  rows: readonly Dots[],
): string {
  const all = rows.flatMap(({ values }) => values);
  const low = Math.floor(Math.log10(Math.min(...all)));
  const high = Math.ceil(Math.log10(Math.max(...all)));
  const x = (value: number): number => LEFT + ((Math.log10(value) - low) / (high - low)) * PLOT;
  const bottom = TOP + rows.length * ROW;
  const parts: string[] = [];
  for (let power = low; power <= high; power++) {
    parts.push(`<path class="grid" d="M${at(x(10 ** power))} ${TOP - 6}V${bottom}"/>`);
    parts.push(text(x(10 ** power), bottom + 18, String(10 ** power), ' text-anchor="middle"'));
  }
  rows.forEach(({ label, tone, values }, i) => {
    const y = TOP + i * ROW;
    const middle = y + BAR / 2;
    parts.push(
      text(LEFT - 10, y + 12, label, ' text-anchor="end"'),
      `<path class="spread" d="M${at(x(values[0]!))} ${middle}H${at(x(values.at(-1)!))}"/>`,
      ...values.map(
        (value, k) => `<circle class="${tone}" cx="${at(x(value))}" cy="${middle}" r="${4 + k}"/>`,
      ),
      text(
        x(values.at(-1)!) + 12,
        y + 12,
        values.map((value) => value.toFixed(digits)).join(' · '),
      ),
    );
  });
  return frame(title, subtitle, bottom + 30, parts);
}
