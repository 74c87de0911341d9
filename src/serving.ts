/** What every process of `pith serve` needs of its process: log, gateway, exit codes. */
import { totalmem } from 'node:os';

import { inBackground } from './background.ts';
import { EXIT } from './cli/exit-codes.ts';
import { writeAll } from './cli/write-all.ts';
import { holdProcess, systemClock } from './clock.ts';
import { otelExport } from './config/otel-variables.ts';
import type { Config } from './config/schema.ts';
import { errorText } from './errors.ts';
import type { Gateway, GatewayParts } from './gateway.ts';
import { growWithLoad, shrinkWhenQuiet } from './heap.ts';
import { systemRandom } from './random.ts';
import { type Log, logOn, type LogSink } from './telemetry/log.ts';
import { processUseOf } from './telemetry/process-use.ts';
import type { RecentLines } from './telemetry/recent-lines.ts';

/** How long a stop waits for the last lines of the log to be read. */
export const FLUSH_MS = 500;

export type Logging = {
  readonly log: Log;
  readonly sink: LogSink;
  readonly recentLines: RecentLines;
};

/** Until the end, which is always an exit: a stop still waits for timers after everything is closed. */
export function begin(): void {
  holdProcess();
  process.on('uncaughtException', (error) =>
    // A bug in the gateway: report it, and let the container restart rather than carry on in an unknown state.
    fail(EXIT.SOFTWARE, `pith: internal error\n${error.stack ?? String(error)}\n`),
  );
}

/** @param worker Its number, if it is one of several. */
export function openLog(config: Config['log'], worker?: number): Logging {
  const opened = logOn(process.stdout, config, systemClock, worker);
  neverWaitFor(process.stdout);
  process.on('exit', () => {
    opened.sink.writeBatch();
  });
  return opened;
}

/** A gateway that is this process. */
export async function makeGateway(
  config: Config,
  { log, sink, recentLines, version }: Logging & { readonly version: string },
  more: Partial<GatewayParts>,
): Promise<Gateway> {
  const [{ Gateway: Made }, { makeSystem }] = await Promise.all([
    import('./gateway.ts'),
    import('./wiring/network.ts'),
  ]);
  const gateway = new Made({
    ...{ config, clock: systemClock, random: systemRandom },
    ...(await makeSystem(config)),
    ...{ log, recentLines, version },
    nodeVersion: process.versions.node,
    resources: resources(),
    processUse: processUseOf(process, resources().descriptors),
    otel: otelExport(process.env),
    logLinesDropped: () => sink.dropped,
    ...more,
  });
  process.on('unhandledRejection', (reason) => {
    gateway.onFault(reason);
  });
  return gateway;
}

/** The end of the gateway is that of the process. */
export function exitAfter(gateway: Gateway, { sink }: Logging): void {
  const stopped = gateway.stopped().then(() => sink.flush(systemClock, FLUSH_MS));
  inBackground(
    stopped.then(() => process.exit(EXIT.OK)),
    (error) => fail(EXIT.SOFTWARE, `pith: could not stop cleanly: ${errorText(error)}\n`),
  );
}

/** Ends the process if it cannot start. @param isSuccessor All clients of another process come while it starts. */
export async function startOrFail(
  gateway: Gateway,
  config: Config,
  log: Log,
  isSuccessor = false,
): Promise<void> {
  if (config.log.level === 'debug') {
    const { describeRoutes } = await import('./cli/routes.ts');
    for (const line of describeRoutes(config).trimEnd().split('\n')) log.debug(line);
  }
  if (isSuccessor) growWithLoad(systemClock);
  try {
    await gateway.start();
  } catch (error) {
    fail(EXIT.OS, `pith: ${errorText(error)}\n`);
  }
  if (!isSuccessor) growWithLoad(systemClock);
  shrinkWhenQuiet(systemClock, () => process.cpuUsage());
}

/** What this process may use. */
export function resources(): GatewayParts['resources'] {
  const report = process.report.getReport() as {
    userLimits?: { open_files?: { soft: number | 'unlimited' } };
  };
  const soft = report.userLimits?.open_files?.soft ?? 1_024;
  return {
    memoryBytes: Math.min(totalmem(), process.constrainedMemory() || Infinity),
    descriptors: soft === 'unlimited' ? 1_000_000 : soft,
  };
}

/** A terminal paused with Ctrl-S would block the whole process: Node writes to terminals synchronously. */
function neverWaitFor(stdout: NodeJS.WriteStream): void {
  const { _handle: handle } = stdout as { _handle?: { setBlocking?(on: boolean): void } };
  if (stdout.isTTY) handle?.setBlocking?.(false);
}

/** Writes all of it to stderr. If there is no reader, the exit code reports a failure too. */
export function complain(text: string): void {
  writeAll(2, text);
}

/** Ends the process. */
export function fail(code: number, text: string): never {
  complain(text);
  process.exit(code);
}
