/** The last warnings and errors of the log, for operators who follow it without reaching the process's output. */

/** Lines that are kept. */
export const RECENT_LINES_MAX = 256;
/** Characters of a line's fields, as JSON. */
export const LINE_CHARS_MAX = 2_000;

export type RecentLine = {
  /** From 1, without holes. */
  readonly seq: number;
  /** RFC 3339. */
  readonly time: string;
  readonly level: 'warn' | 'error';
  readonly message: string;
  /** The other fields as a JSON object. A text that is cut ends with `…` and is no longer valid JSON. */
  readonly fields: string;
};

/** How pino begins a line of these levels. */
const KEPT = ['{"level":"warn"', '{"level":"error"'];

export class RecentLines {
  readonly #lines: RecentLine[] = [];
  #seq = 0;

  /** Every line of the log, as JSON. */
  take(line: string): void {
    if (!KEPT.some((start) => line.startsWith(start))) return;
    const { level, time, msg, ...rest } = JSON.parse(line) as Record<string, unknown>;
    this.add({
      time: String(time),
      level: level === 'error' ? 'error' : 'warn',
      message: cut(String(msg)),
      fields: cut(JSON.stringify(rest)),
    });
  }

  /** One of another process, too. */
  add(line: Omit<RecentLine, 'seq'>): void {
    if (this.#lines.length === RECENT_LINES_MAX) this.#lines.shift();
    this.#lines.push({ ...line, seq: ++this.#seq });
  }

  /** Those that are kept of what came after a number, oldest first. */
  after(seq: number): readonly RecentLine[] {
    const missed = Math.max(0, this.#seq - seq);
    return missed === 0 ? [] : this.#lines.slice(-missed);
  }
}

function cut(text: string): string {
  return text.length <= LINE_CHARS_MAX ? text : `${text.slice(0, LINE_CHARS_MAX - 1)}…`;
}
