/** Structured logs: JSON, one object a line, or short lines for people. Bodies are never logged. */
import { pino, type Logger } from 'pino';

export type Log = Pick<Logger, 'debug' | 'info' | 'warn' | 'error' | 'level' | 'flush'>;
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
