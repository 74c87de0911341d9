/** Structured logs: JSON, one object a line, or short lines for people. Bodies are never logged. */
import { pino, type Logger } from 'pino';

import { type Clock, within } from '../clock.ts';

export type Log = Pick<Logger, 'debug' | 'info' | 'warn' | 'error' | 'level' | 'flush'>;
/** Bytes of lines that were written and not read; beyond it lines are dropped. */
export const LOG_UNREAD_BYTES_MAX = 1024 * 1024;

/** Where lines are written: stdout. */
export type LogOutput = {
  /** Bytes that nobody has taken yet. */
  readonly writableLength: number;
  write(line: string, done: (error?: Error | null) => void): unknown;
};

/**
 * Writes lines for as long as somebody reads them. A reader that stops, or has gone, costs lines and nothing else:
 * they are counted, and it is told how many when it reads again.
 */
export class LogSink {
  /** Lines that were not written, since the start. */
  dropped = 0;
  #untold = 0;
  /** The last line that was written has been taken. */
  #isTaken = true;
  readonly #out: LogOutput;
  readonly #onAgain: (dropped: number) => void;

  /** @param onAgain Lines are taken again; so many were dropped before. It may log. */
  constructor(out: LogOutput, onAgain: (dropped: number) => void) {
    this.#out = out;
    this.#onAgain = onAgain;
  }

  write(line: string): void {
    if (this.#out.writableLength + line.length > LOG_UNREAD_BYTES_MAX) {
      this.#drop();
      return;
    }
    if (this.#untold > 0 && this.#isTaken) {
      const dropped = this.#untold;
      this.#untold = 0;
      this.#onAgain(dropped);
    }
    this.#out.write(line, this.#onWritten);
  }

  /** Resolves when what was written has been taken, or after `ms`. */
  async flush(clock: Clock, ms: number): Promise<void> {
    const taken = new Promise<void>((resolve) => {
      this.#out.write('', () => {
        resolve();
      });
    });
    await within(clock, ms, taken, undefined);
  }

  #drop(): void {
    this.dropped++;
    this.#untold++;
    this.#isTaken = false;
  }

  readonly #onWritten = (error?: Error | null): void => {
    if (error) this.#drop();
    else this.#isTaken = true;
  };
}

export type LogLevel = 'debug' | 'info' | 'warn' | 'error';

export type LogOptions = {
  readonly level: LogLevel;
  /** pretty: for people. */
  readonly format: 'json' | 'pretty';
  /** Where finished lines go. */
  readonly write: (line: string) => void;
};

export function makeLog(options: LogOptions): Log {
  const write =
    options.format === 'json'
      ? options.write
      : (line: string) => {
          options.write(prettyLine(line));
        };
  return pino(
    {
      level: options.level,
      base: null,
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
    },
    { write },
  );
}

/** `12:00:01.250 info  listening  url=…` */
function prettyLine(json: string): string {
  const { time, level, msg, ...rest } = JSON.parse(json) as Record<string, unknown>;
  const fields = Object.entries(rest).map(
    ([key, value]) => ` ${key}=${typeof value === 'string' ? value : JSON.stringify(value)}`,
  );
  return `${String(time).slice(11, 23)} ${String(level).padEnd(5)} ${String(msg)} ${fields.join('')}\n`;
}
