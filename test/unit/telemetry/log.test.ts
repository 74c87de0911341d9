/** Where the log goes: a bound on what nobody reads, and a word about what was left out. */
import { describe, expect, test } from 'vitest';

import { LOG_UNREAD_BYTES_MAX, LogSink, makeLog } from '../../../src/telemetry/log.ts';
import { ManualClock } from '../../support/clock.ts';

/** A pipe whose reader reads when the test says so. */
class Pipe {
  readonly writes: string[] = [];
  writableLength = 0;
  error: Error | null = null;
  #waiting: (() => void)[] = [];

  write(line: string, done: (error?: Error | null) => void): void {
    if (this.error !== null) {
      done(this.error);
      return;
    }
    this.writes.push(line);
    this.writableLength += line.length;
    this.#waiting.push(() => {
      this.writableLength -= line.length;
      done(null);
    });
  }

  read(): void {
    for (const taken of this.#waiting.splice(0)) taken();
  }
}

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

const linesOf = ({ writes }: Pipe): { level: string; msg: string }[] =>
  writes
    .join('')
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as { level: string; msg: string });

function stage() {
  const clock = new ManualClock();
  const pipe = new Pipe();
  const sink = new LogSink(pipe, clock, (dropped) => {
    log.warn({ dropped }, 'dropped');
  });
  const log = makeLog({
    clock,
    level: 'info',
    format: 'json',
    write: (line) => {
      sink.write(line);
    },
  });
  return { clock, pipe, sink, log };
}

test("a line bears the wall time of the gateway's clock", () => {
  const { clock, pipe, log } = stage();
  clock.advance(3_600_250);
  log.info('listening');
  expect(pipe.writes).toEqual([
    '{"level":"info","time":"2026-01-01T01:00:00.250Z","msg":"listening"}\n',
  ]);
});

describe('lines of one turn', () => {
  test('are written at its end, all but the first: in their order, a page at a time, none split', async () => {
    const { pipe, sink } = stage();
    const lines = Array.from({ length: 10 }, (_, n) => `${n}${'é'.repeat(499)}\n`);
    for (const line of lines) sink.write(line);
    // 1,000 bytes each, of which four fit into the 4,096 that a pipe takes at once.
    expect(pipe.writes).toEqual([lines[0], lines.slice(1, 5).join(''), lines.slice(5, 9).join('')]);
    await turn();
    expect(pipe.writes.slice(3)).toEqual([lines[9]]);
    sink.write('next\n');
    expect(pipe.writes.at(-1)).toBe('next\n');
  });

  test('go out before the process ends, or is asked to wait for its reader', async () => {
    const { clock, pipe, sink } = stage();
    for (const line of ['a\n', 'b\n', 'c\n']) sink.write(line);
    expect(pipe.writes).toEqual(['a\n']);
    sink.writeBatch();
    expect(pipe.writes).toEqual(['a\n', 'b\nc\n']);
    sink.write('d\n');
    void sink.flush(clock, 500);
    expect(pipe.writes).toEqual(['a\n', 'b\nc\n', 'd\n', '']);
    await turn();
    expect(pipe.writes.length).toBe(4);
  });
});

describe('a reader that', () => {
  test('stops costs 1 MiB and lines, and is told how many when it reads again', async () => {
    const { pipe, sink, log } = stage();
    const text = 'x'.repeat(1_000);
    for (let n = 0; n < 3_000; n++) log.info(text);
    expect(LOG_UNREAD_BYTES_MAX).toBe(1_048_576);
    expect(pipe.writableLength).toBeLessThanOrEqual(1_048_576);
    expect(pipe.writableLength).toBeGreaterThan(1_000_000);
    await turn();
    expect(sink.dropped).toBe(3_000 - linesOf(pipe).length);
    const { dropped } = sink;
    pipe.read();
    pipe.writes.length = 0;
    log.info('again');
    log.info('and again');
    await turn();
    expect(linesOf(pipe)).toEqual([
      expect.objectContaining({ level: 'warn', dropped, msg: 'dropped' }),
      expect.objectContaining({ msg: 'again' }),
      expect.objectContaining({ msg: 'and again' }),
    ]);
    expect(sink.dropped).toBe(dropped);
  });

  test('has gone costs lines, each of which is counted', async () => {
    const { pipe, sink, log } = stage();
    pipe.error = new Error('EPIPE');
    for (let n = 0; n < 10; n++) log.info('nobody hears it');
    await turn();
    expect(sink.dropped).toBe(10);
    expect(pipe.writes).toEqual([]);
    pipe.error = null;
    log.info('somebody hears it');
    pipe.read();
    await turn();
    log.info('and this');
    await turn();
    expect(linesOf(pipe).map(({ msg }) => msg)).toEqual([
      'somebody hears it',
      'dropped',
      'and this',
    ]);
  });
});

test.each([
  ['full', { remoteIp: '203.0.113.77', remoteAddress: '2001:db8::7' }],
  ['masked', { remoteIp: '203.0.113.0/24', remoteAddress: '2001:db8::/48' }],
  ['off', {}],
] as const)("log.client_ip %s: a client's address in a line", (clientIp, shown) => {
  const lines: Record<string, unknown>[] = [];
  const write = (line: string): void =>
    void lines.push(JSON.parse(line) as Record<string, unknown>);
  const log = makeLog({ clock: new ManualClock(), level: 'info', format: 'json', write, clientIp });
  log.info({ sid: 'g.1', remoteIp: '203.0.113.77', remoteAddress: '2001:db8::7' }, 'text');
  const { time: _, ...fields } = lines[0]!;
  expect(fields).toEqual({ level: 'info', sid: 'g.1', ...shown, msg: 'text' });
});
