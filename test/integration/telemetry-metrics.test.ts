/** What a scrape gets: the text by the rules of its format, and numbers that agree with each other. */
import net from 'node:net';
import { expect, test } from 'vitest';

import { Metrics } from '../../src/telemetry/metrics.ts';
import { TestClient } from '../support/client.ts';
import { startGateway } from '../support/gateway.ts';
import { GrpcBackend } from '../support/grpc-backend.ts';
import { serve } from '../support/serve.ts';
import { eventually } from '../support/wait.ts';

type Sample = {
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
};
type Family = { readonly type: string; readonly help: string; readonly samples: Sample[] };

const NAME = /^[a-zA-Z_:][a-zA-Z0-9_:]*$/;
const LABEL = /([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\[\\n"])*)"(?:,|$)/y;
const SAMPLE = /^([^ {]+)(?:\{(.*)\})? (\S+)$/;

/** [prometheus.io/docs/instrumenting/exposition_formats, text format 0.0.4] Throws where a rule is broken. */
function parse(text: string): Map<string, Family> {
  const families = new Map<string, Family>();
  const seen = new Set<string>();
  let current = '';
  if (!text.endsWith('\n')) throw new Error('the last line has no end');
  for (const line of text.slice(0, -1).split('\n')) {
    const help = /^# HELP (\S+) (.+)$/.exec(line);
    const type = /^# TYPE (\S+) (counter|gauge|histogram|summary|untyped)$/.exec(line);
    if (help !== null) {
      current = help[1]!;
      if (!NAME.test(current) || families.has(current))
        throw new Error(`twice, or no name: ${line}`);
      families.set(current, { type: '', help: help[2]!, samples: [] });
    } else if (type !== null) {
      const family = families.get(current)!;
      if (type[1] !== current || family.type !== '') throw new Error(`out of place: ${line}`);
      families.set(current, { ...family, type: type[2]! });
    } else {
      const sample = parseSample(line);
      const family = families.get(current);
      if (family === undefined || family.type === '') throw new Error(`before its type: ${line}`);
      const suffix = family.type === 'histogram' ? /^_(bucket|sum|count)$/ : /^$/;
      if (!sample.name.startsWith(current) || !suffix.test(sample.name.slice(current.length)))
        throw new Error(`in the family ${current}: ${line}`);
      const key = `${sample.name} ${JSON.stringify(sample.labels, Object.keys(sample.labels).toSorted())}`;
      if (seen.has(key)) throw new Error(`twice: ${line}`);
      seen.add(key);
      family.samples.push(sample);
    }
  }
  return families;
}

function parseSample(line: string): Sample {
  const match = SAMPLE.exec(line);
  if (match === null || !NAME.test(match[1]!)) throw new Error(`no sample: ${line}`);
  const labels: Record<string, string> = {};
  const text = match[2] ?? '';
  LABEL.lastIndex = 0;
  while (LABEL.lastIndex < text.length) {
    const label = LABEL.exec(text);
    if (label === null || Object.hasOwn(labels, label[1]!)) throw new Error(`labels: ${line}`);
    labels[label[1]!] = label[2]!.replace(/\\(.)/g, (_, c: string) => (c === 'n' ? '\n' : c));
  }
  const value = /^[+-]Inf$/.test(match[3]!)
    ? Number(match[3]!.replace('Inf', 'Infinity'))
    : Number(match[3]);
  if (Number.isNaN(value) && match[3] !== 'NaN') throw new Error(`no number: ${line}`);
  return { name: match[1]!, labels, value };
}

/** Buckets rise in bound and count, `+Inf` is there and is the count, and the sum is possible. */
function expectHistogram(name: string, { samples }: Family): void {
  const series = Map.groupBy(samples, ({ labels }) => JSON.stringify({ ...labels, le: undefined }));
  for (const [labels, all] of series) {
    const where = `${name}${labels}`;
    const buckets = all.filter((sample) => sample.name === `${name}_bucket`);
    const bounds = buckets.map(({ labels: { le } }) => Number(le!.replace('Inf', 'Infinity')));
    const counts = buckets.map(({ value }) => value);
    expect(bounds, where).toEqual([...new Set(bounds)].sort((a, b) => a - b));
    expect(counts, where).toEqual([...counts].sort((a, b) => a - b));
    expect(bounds.at(-1), where).toBe(Infinity);
    const [sum, count] = ['_sum', '_count'].map(
      (end) => all.find((sample) => sample.name === name + end)!.value,
    );
    expect(counts.at(-1), where).toBe(count);
    // Between everything at the lower ends of its buckets and everything at the upper ones.
    const own = counts.map((value, i) => value - (counts[i - 1] ?? 0));
    const least = own.reduce((total, n, i) => total + n * (bounds[i - 1] ?? 0), 0);
    const most = own.reduce((total, n, i) => total + (n === 0 ? 0 : n * bounds[i]!), 0);
    expect(sum, where).toBeGreaterThanOrEqual(least);
    expect(sum, where).toBeLessThanOrEqual(most);
  }
}

function expectSound(families: Map<string, Family>): void {
  for (const [name, family] of families) {
    expect(family.type, name).not.toBe('');
    expect(name.endsWith('_total'), name).toBe(family.type === 'counter');
    if (family.type === 'histogram') expectHistogram(name, family);
    const least = family.type === 'counter' ? 0 : -Infinity;
    for (const sample of family.samples) expect(sample.value, name).toBeGreaterThanOrEqual(least);
  }
}

async function scrape(port: number): Promise<Map<string, Family>> {
  const response = await fetch(`http://127.0.0.1:${port}/metrics`);
  expect(response.headers.get('content-type')).toMatch(/^text\/plain; version=0\.0\.4/);
  const families = parse(await response.text());
  expectSound(families);
  return families;
}

function value(
  families: Map<string, Family>,
  name: string,
  labels: Record<string, string> = {},
): number | undefined {
  const family = families.get(name.replace(/_(bucket|sum|count)$/, '')) ?? families.get(name)!;
  return family.samples.find(
    (sample) =>
      sample.name === name &&
      Object.entries(labels).every(([label, text]) => sample.labels[label] === text),
  )?.value;
}

const ROUTES = 'routes: [{ match: "work.>", backend: work }]';

test('requests and pushes are counted and measured', async () => {
  await using backend = await GrpcBackend.start({
    handler: (asked) => {
      if (asked.route.endsWith('.never')) return;
      setTimeout(
        () => {
          const push = {
            target: { all: true },
            route: 'onAll',
            body: { bytes: Buffer.from('{}') },
          };
          asked.answer({}, { pushes: [push] });
        },
        asked.route.endsWith('.slow') ? 120 : 0,
      );
    },
  });
  await using gateway = await startGateway(`backends:
  work: { grpc: "${backend.url}" }
  idle: { reply: {} }
routes: [{ match: "work.never", backend: work, timeout: 50ms }, { match: "work.>", backend: work }]`);
  const fresh = await scrape(gateway.healthPort);
  // All is there from the beginning: rates need a zero to rise from.
  for (const name of ['work', 'idle'])
    expect(value(fresh, 'pith_request_duration_seconds_count', { backend: name })).toBe(0);

  await using ann = await TestClient.connect(gateway.port);
  await using bob = await TestClient.connect(gateway.port, 'ws');
  for (let i = 0; i < 5; i++) await ann.request('work.quick');
  await bob.request('work.slow');
  await bob.request('work.never');
  await ann.push('onAll', 5);
  const after = await scrape(gateway.healthPort);
  const ofWork = { backend: 'work' };
  expect(value(after, 'pith_requests_total', { ...ofWork, outcome: 'ok' })).toBe(6);
  expect(value(after, 'pith_requests_total', { ...ofWork, outcome: 'TIMEOUT' })).toBe(1);
  expect(value(after, 'pith_request_duration_seconds_count', ofWork)).toBe(7);
  expect(
    value(after, 'pith_request_duration_seconds_bucket', { ...ofWork, le: '0.05' }),
  ).toBeLessThanOrEqual(5);
  expect(value(after, 'pith_request_duration_seconds_sum', ofWork)).toBeGreaterThan(0.16);
  expect(value(after, 'pith_push_fanout_count')).toBe(6);
  expect(value(after, 'pith_push_fanout_sum')).toBe(12);
  expect(value(after, 'pith_push_fanout_bucket', { le: '1' })).toBe(0);
  expect(value(after, 'pith_push_fanout_bucket', { le: '2' })).toBe(6);
  expect(value(after, 'pith_sessions')).toBe(2);
  expect(value(after, 'pith_drain_state')).toBe(0);
});

test('what comes and goes is counted by kind, by route and by transport', async () => {
  await using backend = await GrpcBackend.start({
    handler: (asked) => {
      const push = { target: { all: true }, route: 'onAll', body: { bytes: Buffer.from('{}') } };
      asked.answer({}, asked.route === 'work.tell' ? { pushes: [push] } : {});
    },
  });
  await using gateway = await startGateway(`backends: { work: { grpc: "${backend.url}" } }
routes:
  - { match: "work.slowly", backend: work, rate: 1 }
  - { match: "work.>", backend: work }`);
  const fresh = await scrape(gateway.healthPort);
  for (const [name, label] of [
    ['pith_messages_received_total', { type: 'notify' }],
    ['pith_bytes_sent_total', { transport: 'wss' }],
    ['pith_rate_limited_total', { scope: 'route' }],
    ['pith_retries_total', { result: 'no_budget' }],
    ['pith_session_states', { transport: 'tcp', state: 'active' }],
    ['pith_backend_breaker_open', { backend: 'work' }],
  ] as const)
    expect(value(fresh, name, label), name).toBe(0);

  await using ann = await TestClient.connect(gateway.port);
  await using bob = await TestClient.connect(gateway.port, 'ws');
  ann.notify('work.say', {});
  await bob.request('work.ask');
  await ann.request('work.tell');
  await bob.push('onAll', 0);
  await bob.request('work.slowly');
  expect(await bob.request('work.slowly')).toMatchObject({ reason: 'TOO_MANY' });
  await eventually(() => gateway.count('pith_requests_total', 'work', 'ok') === 4, 'all to end');
  const after = await scrape(gateway.healthPort);
  const states = after.get('pith_backend_addresses')!.samples;
  expect(states.map(({ labels, value: count }) => [labels['backend'], count])).toEqual([
    ['work', 1],
  ]);
  // As the log has said it.
  const state0 = states[0]!.labels['state'];
  expect(gateway.log.some(({ msg, state }) => msg === 'backend' && state === state0)).toBe(true);
  const seen = (name: string, labels: Record<string, string> = {}) => value(after, name, labels);
  expect(seen('pith_messages_received_total', { type: 'request' })).toBe(4);
  expect(seen('pith_messages_received_total', { type: 'notify' })).toBe(1);
  expect(seen('pith_messages_sent_total', { type: 'response' })).toBe(4);
  expect(seen('pith_messages_sent_total', { type: 'push' })).toBe(2);
  expect(seen('pith_route_requests_total', { route: 'work.>', outcome: 'ok' })).toBe(3);
  expect(seen('pith_route_requests_total', { route: 'work.slowly', outcome: 'ok' })).toBe(1);
  expect(seen('pith_route_duration_seconds_count', { route: 'work.>' })).toBe(2);
  expect(seen('pith_rate_limited_total', { scope: 'route' })).toBe(1);
  expect(seen('pith_rate_limited_total', { scope: 'session' })).toBe(0);
  expect(seen('pith_push_delay_seconds_count')).toBe(1);
  expect(seen('pith_session_states', { transport: 'tcp', state: 'active' })).toBe(1);
  expect(seen('pith_session_states', { transport: 'ws', state: 'active' })).toBe(1);
  expect(seen('pith_handshakes_total', { dialect: 'pomelo' })).toBe(2);
  expect(seen('pith_handshake_duration_seconds_count')).toBe(2);
  for (const transport of ['tcp', 'ws'])
    expect(seen('pith_round_trip_seconds_count', { transport })).toBe(1);
});

test('the bytes of a socket are counted as the client counts them', async () => {
  await using gateway = await startGateway(`backends: { work: { reply: {} } }\n${ROUTES}`);
  const socket = net.connect(gateway.port, '127.0.0.1');
  const handshake = '{"sys":{"type":"t","version":"1"}}';
  const head = Buffer.from([1, 0, 0, handshake.length]);
  socket.on('data', () => {});
  // In pieces: the first is read before it is known which protocol it is.
  socket.write(head);
  socket.write(handshake);
  await eventually(() => socket.bytesRead > 0, 'an answer');
  socket.write(Buffer.from([2, 0, 0, 0]));
  await eventually(
    () => gateway.count('pith_bytes_received_total', 'tcp') === socket.bytesWritten,
    'all bytes to be received',
  );
  await eventually(
    () => gateway.count('pith_bytes_sent_total', 'tcp') === socket.bytesRead,
    'all bytes to arrive',
  );
  expect(socket.bytesWritten).toBe(4 + handshake.length + 4);
  socket.destroy();
});

test('clients that all call themselves something else do not make as many series', async () => {
  await using gateway = await startGateway(`backends: { work: { reply: {} } }\n${ROUTES}`);
  for (const type of ['a "b"', ...Array.from({ length: 60 }, (_, i) => `kind-${i}`)]) {
    await using client = await TestClient.open(gateway.port, 'tcp');
    await client.handshake({ type, version: '1' });
    client.ack();
    await client.request('work.a');
  }
  const { samples } = (await scrape(gateway.healthPort)).get('pith_handshakes_total')!;
  expect(samples).toHaveLength(51);
  const others = samples.find(({ labels }) => labels['client_type'] === '_OTHER');
  expect(others!.value).toBe(11);
});

test('what waits for a slow client is seen', async () => {
  await using backend = await GrpcBackend.start({
    handler: (asked) => {
      asked.answer('x'.repeat(3_000_000));
    },
  });
  await using gateway = await startGateway(
    `backends: { work: { grpc: "${backend.url}" } }\n${ROUTES}\nlimits: { outbox: 64MiB }`,
  );
  await using client = await TestClient.connect(gateway.port);
  client.pauseReading(true);
  const ids = Array.from({ length: 8 }, () => client.send('work.much', {}));
  const waiting = async () => value(await scrape(gateway.healthPort), 'pith_outbox_bytes')!;
  await eventually(async () => (await waiting()) > 3_000_000, 'bytes to wait');
  client.pauseReading(false);
  for (const id of ids) await client.answer(id);
  expect(await waiting()).toBe(0);
});

test('a whole process says what it has of memory and how late its event loop is', async () => {
  await using gateway = await serve('backends: { work: { reply: {} } }\n' + ROUTES);
  await using _client = await TestClient.connect(gateway.port);
  await scrape(gateway.healthPort);
  const families = await scrape(gateway.healthPort);
  expect(value(families, 'process_resident_memory_bytes')).toBeGreaterThan(3e7);
  expect(value(families, 'nodejs_heap_size_used_bytes')).toBeGreaterThan(1e6);
  expect(value(families, 'nodejs_heap_size_total_bytes')).toBeGreaterThan(1e6);
  expect(value(families, 'nodejs_external_memory_bytes')).toBeGreaterThan(0);
  const [p50, p99] = ['p50', 'p99'].map((p) =>
    value(families, `nodejs_eventloop_lag_${p}_seconds`),
  );
  expect(p50).toBeGreaterThanOrEqual(0);
  expect(p99).toBeGreaterThanOrEqual(p50!);
  expect(p99).toBeLessThan(10);
  expect(value(families, 'pith_build_info')).toBe(1);
  expect(value(families, 'process_cpu_seconds_total')).toBeGreaterThan(0.05);
  // Node itself has about twenty, and there are four listeners.
  expect(value(families, 'process_open_fds')).toBeGreaterThan(10);
  expect(value(families, 'process_max_fds')).toBeGreaterThan(value(families, 'process_open_fds')!);
  const age = Date.now() / 1_000 - value(families, 'process_start_time_seconds')!;
  expect(age).toBeGreaterThan(0);
  expect(age).toBeLessThan(120);
  const busy = value(families, 'nodejs_eventloop_utilization_ratio');
  expect(busy).toBeGreaterThan(0);
  expect(busy).toBeLessThanOrEqual(1);
  const collections = value(families, 'nodejs_gc_duration_seconds_count', { kind: 'minor' });
  expect(collections).toBeGreaterThanOrEqual(0);
});

test('label values are escaped, and a bound belongs to its bucket', () => {
  const metrics = new Metrics();
  metrics.add('pith_sessions_closed_total', ['a "b"\\\nc']);
  const durations = metrics.histogram('pith_request_duration_seconds', ['x']);
  for (const seconds of [0, 0.001, 0.0011, 10, 10.5, 3_600]) durations.observe(seconds);
  const families = parse(metrics.render());
  expectSound(families);
  expect(families.get('pith_sessions_closed_total')!.samples[0]!.labels).toEqual({
    reason: 'a "b"\\\nc',
  });
  const bucket = (le: string) => value(families, 'pith_request_duration_seconds_bucket', { le });
  expect(['0.001', '0.0025', '5', '10', '+Inf'].map(bucket)).toEqual([2, 3, 3, 4, 6]);
  expect(durations.count).toBe(6);
});
