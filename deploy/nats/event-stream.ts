/**
 * Makes, or changes, the JetStream stream that keeps the events of gateways, for those who must not miss one. Not the
 * signs of life, which come every second. Environment: NATS_URL, NATS_USER, NATS_PASSWORD, PREFIX (pith), MAX_AGE (24h).
 */
import process from 'node:process';
import { connect, type NatsConnection } from 'nats';

const STREAM = 'PITH_EVENTS';
/** A stream of this name is there already. [github.com/nats-io/nats-server, server/errors.json] */
const EXISTS = 10_058;
/** Within this time JetStream takes an event that is published again for the same. */
const REPEATS_NS = 120 * 1e9;
const UNITS: Readonly<Record<string, number>> = { s: 1, m: 60, h: 3_600, d: 86_400 };

const { env } = process;

function seconds(text: string): number {
  const [, number, unit] = /^([1-9][0-9]{0,6})([smhd])$/.exec(text) ?? [];
  if (unit === undefined) throw new Error(`MAX_AGE is ${text}: expected a time like 24h or 7d`);
  return Number(number) * UNITS[unit]!;
}

function streamConfig(): object {
  const prefix = env['PREFIX'] || 'pith';
  const gateway = ['ready', 'draining', 'stopped', 'lost', 'returned', 'gap'];
  return {
    name: STREAM,
    subjects: [
      `${prefix}.event.session.*`,
      ...gateway.map((name) => `${prefix}.event.gateway.${name}`),
    ],
    retention: 'limits',
    storage: 'file',
    max_age: seconds(env['MAX_AGE'] || '24h') * 1e9,
    duplicate_window: REPEATS_NS,
  };
}

async function ask(nc: NatsConnection, verb: string, config: object): Promise<number> {
  const answer = await nc.request(`$JS.API.STREAM.${verb}.${STREAM}`, JSON.stringify(config));
  const { error } = answer.json<{ error?: { err_code: number; description: string } }>();
  if (error !== undefined && error.err_code !== EXISTS) throw new Error(error.description);
  return error?.err_code ?? 0;
}

async function main(): Promise<void> {
  const config = streamConfig();
  const login = env['NATS_USER']
    ? { user: env['NATS_USER'], pass: env['NATS_PASSWORD'] ?? '' }
    : {};
  const nc = await connect({ servers: env['NATS_URL'] || 'nats://127.0.0.1:4222', ...login });
  try {
    const exists = (await ask(nc, 'CREATE', config)) === EXISTS;
    if (exists) await ask(nc, 'UPDATE', config);
    process.stdout.write(`stream ${STREAM}: ${exists ? 'updated' : 'created'}\n`);
  } finally {
    await nc.close();
  }
}

try {
  await main();
} catch (error) {
  process.stderr.write(`event-stream: ${(error as Error).message || String(error)}\n`);
  process.exitCode = 1;
}
