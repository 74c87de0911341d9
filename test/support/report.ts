/** A backend's report with what it has logged and counted. */
import { BackendReport } from '../../src/upstream/backend-report.ts';
import { makeLog } from '../../src/telemetry/log.ts';
import { Metrics } from '../../src/telemetry/metrics.ts';
import { ManualClock } from './clock.ts';

export type LogLine = Readonly<Record<string, unknown>>;

/** A log that keeps its lines, without their time. */
export function keptLog() {
  const lines: LogLine[] = [];
  const write = (line: string): void => {
    const { time: _, ...fields } = JSON.parse(line) as Record<string, unknown>;
    lines.push(fields);
  };
  return {
    lines,
    log: makeLog({ clock: new ManualClock(), level: 'debug', format: 'json', write }),
  };
}

/** The report of backend `name`; `kind` is how it is reached. */
export function keptReport(name: string, kind: string, clock = new ManualClock()) {
  const { lines, log } = keptLog();
  const metrics = new Metrics();
  return { clock, lines, metrics, report: new BackendReport(name, kind, { clock, log, metrics }) };
}
