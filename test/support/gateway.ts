/** A gateway in this process, on free ports, and what it logged. */
import { systemClock } from '../../src/clock.ts';
import { loadConfig } from '../../src/config/load.ts';
import { formatProblem } from '../../src/config/problem.ts';
import { Gateway } from '../../src/gateway.ts';
import { systemRandom } from '../../src/random.ts';
import { makeLog } from '../../src/telemetry/log.ts';
import { RecentLines } from '../../src/telemetry/recent-lines.ts';
import { makeSystem } from '../../src/wiring/network.ts';
import type { Resources } from '../../src/config/auto-limits.ts';

export type LogLine = { level: string; msg: string; [field: string]: unknown };

export type TestGateway = AsyncDisposable & {
  readonly gateway: Gateway;
  /** Of the first listener. */
  readonly port: number;
  readonly controlPort: number;
  readonly adminPort: number;
  readonly healthPort: number;
  readonly log: readonly LogLine[];
  /** A counter's value; the labels in the order of the table. */
  count(name: Parameters<Gateway['metrics']['count']>[0], ...labels: string[]): number;
};

const FREE_PORTS = `
health: { listen: 127.0.0.1:0 }
control: { listen: 127.0.0.1:0 }
admin: { listen: 127.0.0.1:0 }
log: { level: debug }
drain: { budget: 2s, per_second: 10000 }
`;

/** On a busy machine the event loop lags, and requests are refused for it; that is meant only where the test says so. */
export function unlessLagIsMeant(yaml: string): Record<string, string> {
  return yaml.includes('event_loop_lag') ? {} : { PITH_LIMITS__EVENT_LOOP_LAG: '0s' };
}

/** Starts a gateway with `yaml`, whose keys go before the test's defaults (free ports, a quick drain). */
export async function startGateway(
  yaml: string,
  options: { resources?: Partial<Resources> } = {},
): Promise<TestGateway> {
  const named = new Set([...yaml.matchAll(/^([a-z_]+):/gm)].map((match) => match[1]));
  const defaults = `${FREE_PORTS}\nlisten: [{ url: "auto://127.0.0.1:0" }]\n`;
  const rest = defaults
    .split('\n')
    .filter((line) => !named.has(/^([a-z_]+):/.exec(line)?.[1] ?? ''));
  const text = `${rest.join('\n')}\n${yaml}`;
  const result = loadConfig({ text, file: 'test.yaml', env: unlessLagIsMeant(yaml) });
  if ('problems' in result) throw new Error(result.problems.map(formatProblem).join('\n'));
  const log: LogLine[] = [];
  const recentLines = new RecentLines();
  const gateway = new Gateway({
    config: result.config,
    clock: systemClock,
    random: systemRandom,
    ...(await makeSystem(result.config)),
    log: makeLog({
      clock: systemClock,
      level: result.config.log.level,
      clientIp: result.config.log.client_ip,
      format: 'json',
      write: (line) => void log.push(JSON.parse(line) as LogLine),
      alsoTo: recentLines,
    }),
    recentLines,
    version: '0.0.0-test',
    nodeVersion: process.versions.node,
    resources: { memoryBytes: 2 ** 31, descriptors: 6_000, ...options.resources },
  });
  await gateway.start();
  const { clients, controlPort, adminPort, healthPort } = gateway.addresses;
  return {
    gateway,
    port: Number(new URL(clients[0]!.replace(/^auto|^tcp/, 'ws')).port),
    controlPort,
    adminPort,
    healthPort,
    log,
    count: (name, ...labels) => gateway.metrics.count(name, labels),
    async [Symbol.asyncDispose]() {
      await gateway.drain(() => true);
    },
  };
}
