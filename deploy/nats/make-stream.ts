/** Makes a JetStream stream, or changes it. Environment: NATS_URL, NATS_USER, NATS_PASSWORD, PREFIX (pith), REPLICAS (1). */
import process from 'node:process';
import { connect, type NatsConnection } from 'nats';

/** A stream of this name is there already. [github.com/nats-io/nats-server, server/errors.json] */
const EXISTS = 10_058;
const UNITS: Readonly<Record<string, number>> = { s: 1, m: 60, h: 3_600, d: 86_400 };

export type StreamConfig = { readonly name: string } & Readonly<Record<string, unknown>>;

const { env } = process;

/** The prefix of all subjects, `nats.prefix` of the gateways. */
export function prefix(): string {
  return env['PREFIX'] || 'pith';
}

/** A variable such as MAX_AGE, as `24h`, in nanoseconds. @throws {Error} It is no time. */
export function nanoseconds(name: string, fallback: string): number {
  const text = env[name] || fallback;
  const [, number, unit] = /^([1-9][0-9]{0,6})([smhd])$/.exec(text) ?? [];
  if (unit === undefined) throw new Error(`${name} is ${text}: expected a time like 24h or 7d`);
  return Number(number) * UNITS[unit]! * 1e9;
}

/** A variable that is a whole number. @throws {Error} It is none, or not positive. */
export function wholeNumber(name: string, fallback: number): number {
  const text = env[name] || String(fallback);
  if (!/^[1-9][0-9]{0,8}$/.test(text))
    throw new Error(`${name} is ${text}: expected a whole number, 1 or more`);
  return Number(text);
}

/**
 * Makes the stream, says so on stdout, and sets the exit code.
 *
 * @param tool What is printed before an error.
 * @param config As JetStream's API has it, but for what all streams have.
 */
export async function makeStream(tool: string, config: () => StreamConfig): Promise<void> {
  try {
    await make({ retention: 'limits', storage: 'file', ...config() });
  } catch (error) {
    process.stderr.write(`${tool}: ${(error as Error).message || String(error)}\n`);
    process.exitCode = 1;
  }
}

async function make(config: StreamConfig): Promise<void> {
  const all = { ...config, num_replicas: wholeNumber('REPLICAS', 1) };
  const login = env['NATS_USER']
    ? { user: env['NATS_USER'], pass: env['NATS_PASSWORD'] ?? '' }
    : {};
  const nc = await connect({ servers: env['NATS_URL'] || 'nats://127.0.0.1:4222', ...login });
  try {
    const exists = (await ask(nc, 'CREATE', all)) === EXISTS;
    if (exists) await ask(nc, 'UPDATE', all);
    process.stdout.write(`stream ${config.name}: ${exists ? 'updated' : 'created'}\n`);
  } finally {
    await nc.close();
  }
}

async function ask(nc: NatsConnection, verb: string, config: StreamConfig): Promise<number> {
  const answer = await nc.request(`$JS.API.STREAM.${verb}.${config.name}`, JSON.stringify(config));
  const { error } = answer.json<{ error?: { err_code: number; description: string } }>();
  if (error !== undefined && error.err_code !== EXISTS) throw new Error(error.description);
  return error?.err_code ?? 0;
}
