/** Structured logs: JSON, one object a line, or short lines for people. Bodies are never logged. */
import { pino, type Logger } from 'pino';

import { type Clock, within } from '../clock.ts';
import type { LogConfig } from '../config/schema.ts';
import { type ClientIp, shownAddress } from '../ip.ts';
import { RecentLines } from './recent-lines.ts';

export type Log = Pick<Logger, 'debug' | 'info' | 'warn' | 'error' | 'level' | 'flush' | 'child'>;
/** Bytes of lines written but not read; beyond this, lines are dropped. */
export const LOG_UNREAD_BYTES_MAX = 1024 * 1024;
/** Bytes of lines that are written as one; a pipe takes so many at once, so that the lines of several workers never mix. */
const BATCH_BYTES = 4_096;

/** The stream that lines are written to: stdout. */
export type LogOutput = {
  /** Bytes that have not been read yet. */
  readonly writableLength: number;
  write(line: string, done: (error?: Error | null) => void): unknown;
};

/**
 * Writes lines as long as they are read. A reader that stops or goes away only costs lines: they are counted, and a line
 * says how many once it reads again. The first line of a turn is written at once, those behind it together at its end:
 * a write costs more than a line, and thousands of sessions may end at the same time.
 */
export class LogSink {
  /** Lines dropped since the start. */
  dropped = 0;
  #unreported = 0;
  /** The last line written has been read. */
  #isTaken = true;
  #batch = '';
  #batchBytes = 0;
  #batchLines = 0;
  #isTurnOpen = false;
  readonly #out: LogOutput;
  readonly #clock: Clock;
  readonly #onAgain: (dropped: number) => void;

  /** @param onAgain Called when lines are read again, with the number of dropped ones. It may log. */
  constructor(out: LogOutput, clock: Clock, onAgain: (dropped: number) => void) {
    this.#out = out;
    this.#clock = clock;
    this.#onAgain = onAgain;
  }

  write(line: string): void {
    const bytes = Buffer.byteLength(line);
    if (this.#out.writableLength + this.#batchBytes + bytes > LOG_UNREAD_BYTES_MAX) {
      this.#drop(1);
      return;
    }
    if (this.#unreported > 0 && this.#isTaken) {
      const dropped = this.#unreported;
      this.#unreported = 0;
      this.#onAgain(dropped);
    }
    if (this.#batchBytes + bytes > BATCH_BYTES) this.writeBatch();
    this.#batch += line;
    this.#batchBytes += bytes;
    this.#batchLines++;
    if (this.#isTurnOpen) return;
    this.#isTurnOpen = true;
    this.#clock.soon(this.#endTurn);
    this.writeBatch();
  }

  /** Writes what waits for the end of the turn; for a process that ends before it. */
  writeBatch(): void {
    if (this.#batchLines === 0) return;
    const batch = this.#batch;
    const lines = this.#batchLines;
    this.#batch = '';
    this.#batchBytes = 0;
    this.#batchLines = 0;
    this.#out.write(batch, (error) => {
      if (error) this.#drop(lines);
      else this.#isTaken = true;
    });
  }

  /** Resolves when everything written has been read, or after `ms`. */
  async flush(clock: Clock, ms: number): Promise<void> {
    this.writeBatch();
    const taken = new Promise<void>((resolve) => {
      this.#out.write('', () => {
        resolve();
      });
    });
    await within(clock, ms, taken, undefined);
  }

  #drop(lines: number): void {
    this.dropped += lines;
    this.#unreported += lines;
    this.#isTaken = false;
  }

  readonly #endTurn = (): void => {
    this.#isTurnOpen = false;
    this.writeBatch();
  };
}

export type LogLevel = 'debug' | 'info' | 'warn' | 'error';

export type LogOptions = {
  /** For the time of each line. */
  readonly clock: Clock;
  readonly level: LogLevel;
  /** pretty: for people. */
  readonly format: 'json' | 'pretty';
  /** Where finished lines go. */
  readonly write: (line: string) => void;
  /** Gets each of them too, as JSON in either format. */
  readonly alsoTo?: Pick<RecentLines, 'take'>;
  /** `log.client_ip`; absent: full. */
  readonly clientIp?: ClientIp;
  /** The number of the worker, in every line; absent: there is one process. */
  readonly worker?: number | undefined;
};

export function makeLog(options: LogOptions): Log {
  const { clock } = options;
  const { alsoTo, clientIp = 'full', format, worker } = options;
  const write = (line: string): void => {
    options.write(format === 'json' ? line : prettyLine(line));
    alsoTo?.take(line);
  };
  return pino(
    {
      level: options.level,
      base: worker === undefined ? null : { worker },
      timestamp: () => `,"time":"${new Date(clock.wallNow()).toISOString()}"`,
      formatters: {
        level: (label) => ({ level: label }),
        ...(clientIp !== 'full' && { log: (fields) => withoutAddress(fields, clientIp) }),
      },
    },
    { write },
  );
}

/** Where lines have a client's address: of a session, and of a connection that is none yet. */
const ADDRESSES = ['remoteIp', 'remoteAddress'] as const;

/** The one place where addresses are kept from the log, so that no line is forgotten. */
function withoutAddress(fields: Record<string, unknown>, how: ClientIp): Record<string, unknown> {
  const shown = { ...fields };
  for (const name of ADDRESSES) {
    const address = fields[name];
    if (typeof address !== 'string') continue;
    if (how === 'off') delete shown[name];
    else shown[name] = shownAddress(address, how);
  }
  return shown;
}

/** `12:00:01.250 info  listening  url=…` */
function prettyLine(json: string): string {
  const { time, level, msg, ...rest } = JSON.parse(json) as Record<string, unknown>;
  const fields = Object.entries(rest).map(
    ([key, value]) => ` ${key}=${typeof value === 'string' ? value : JSON.stringify(value)}`,
  );
  return `${String(time).slice(11, 23)} ${String(level).padEnd(5)} ${String(msg)} ${fields.join('')}\n`;
}

/**
 * The log of a process, on its standard output. A reader that goes away does not take the gateway down.
 *
 * @param worker Its number, if it is one of several.
 */
export function logOn(
  stdout: LogOutput & { readonly isTTY?: boolean; on(event: 'error', fn: () => void): unknown },
  { level, format, client_ip: clientIp }: LogConfig,
  clock: Clock,
  worker?: number,
): { log: Log; sink: LogSink; recentLines: RecentLines } {
  const recentLines = new RecentLines();
  const sink = new LogSink(stdout, clock, (dropped) => {
    log.warn({ dropped }, 'log lines dropped; stdout was not read in time');
  });
  const log = makeLog({
    ...{ clock, level, clientIp, worker },
    format: format === 'auto' ? (stdout.isTTY ? 'pretty' : 'json') : format,
    write: (line) => {
      sink.write(line);
    },
    alsoTo: recentLines,
  });
  stdout.on('error', () => {});
  return { log, sink, recentLines };
}
