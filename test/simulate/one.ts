/**
 * One run in a process of its own: reads what it is to be from standard input, and writes what came of it to standard
 * output, both JSON. A run that goes round in circles can be ended from outside, and several go on at once.
 */
import { type Options, simulate } from './simulation.ts';
import { LastLines } from './trace.ts';

/** Of the trace, shown with a violation. */
const LINES = 40;

const started = performance.now();
const input: Buffer[] = [];
for await (const chunk of process.stdin) input.push(chunk as Buffer);
const options = JSON.parse(Buffer.concat(input).toString()) as Options;
const last = new LastLines(LINES);
const isTraced = process.env['TRACE'] === '1';
const onTrace = (line: string): void => {
  last.add(line);
  if (isTraced) process.stderr.write(`${line}\n`);
};
const result = await simulate({ ...options, onTrace });
const { user, system } = process.cpuUsage();
const run = {
  ...result,
  realMs: performance.now() - started,
  cpuMs: (user + system) / 1_000,
  heapBytes: process.memoryUsage().heapUsed,
  lastLines: result.violations.length === 0 ? [] : last.lines(),
};
process.stdout.write(JSON.stringify(run), () => process.exit(0));
