/** Which messages are traced, and what their spans say: with OpenTelemetry's own SDK, on a clock that the test moves. */
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';

import { otelExport } from '../../../src/config/otel-variables.ts';
import { failure } from '../../../src/errors.ts';
import { MessageTraces, type MessageTracesOptions } from '../../../src/relay/message-traces.ts';
import { Metrics } from '../../../src/telemetry/metrics.ts';
import { Tracing } from '../../../src/telemetry/tracing.ts';
import type { Call } from '../../../src/upstream/call.ts';
import { ManualClock } from '../../support/clock.ts';
import { type Collector, type SeenSpan, startCollector } from '../../support/otlp.ts';
import { seededRandom } from '../../support/random.ts';
import { keptLog } from '../../support/report.ts';
import { request } from '../session/support.ts';
import { REPLY, setUp } from './support.ts';

const SERVER = 2;
const CLIENT = 3;
const ERROR = 2;
/** The clock's beginning: 2026-01-01, and what has passed of the first second in it. */
const START_MS = Date.UTC(2026, 0, 1);

let collector: Collector;
let tracing: Tracing | null = null;

beforeAll(async () => {
  collector = await startCollector();
});
afterAll(async () => {
  await collector[Symbol.asyncDispose]();
});
afterEach(async () => {
  await tracing?.stop();
  tracing = null;
});

type Choice = Partial<Omit<MessageTracesOptions, 'tracing' | 'clock'>>;

/** A relay whose backend is told of the trace, as it would be in a header. */
async function stage(choice: Choice = {}) {
  const live = new Tracing({
    otlp: collector.url,
    otel: otelExport({}),
    gatewayId: 'g',
    version: '1.2.3',
    clock: new ManualClock(),
    log: keptLog().log,
    metrics: new Metrics(),
  });
  tracing = live;
  await live.start();
  const kept = {
    sample: 0,
    keepErrors: false,
    keepSlowerThanMs: 0,
    keptPerSecondMax: 100,
    random: seededRandom(),
    ...choice,
  };
  const world = setUp({ traces: (clock) => new MessageTraces({ ...kept, tracing: live, clock }) });
  const told: string[] = [];
  world.backend.onSend = ({ trace }: Call) => {
    if (trace !== null) told.push(trace.traceparent);
  };
  const seen = collector.spans.length;
  /** All spans since then. */
  const spans = async (): Promise<SeenSpan[]> => {
    await live.stop();
    return collector.spans.slice(seen);
  };
  return { ...world, told, spans };
}

const byKind = (spans: readonly SeenSpan[], kind: number) =>
  spans.filter((span) => span.kind === kind);

describe('a message that is traced', () => {
  test('has a span from its arrival to its answer, and one in it from when it is sent', async () => {
    const { backend, client, clock, told, spans } = await stage({ sample: 1 });
    const { session } = client();
    session.onBytes(request(1, 'serial.a'));
    clock.advance(30);
    session.onBytes(request(2, 'serial.b'));
    clock.advance(70);
    backend.take().succeed(Buffer.from('{}'));
    clock.advance(100);
    backend.take().succeed(Buffer.from('{}'));
    const all = await spans();
    expect(all).toHaveLength(4);
    const [, server] = byKind(all, SERVER);
    const [, there] = byKind(all, CLIENT);
    expect([server!.startMs, server!.endMs]).toEqual([START_MS + 30, START_MS + 200]);
    expect([there!.startMs, there!.endMs]).toEqual([START_MS + 100, START_MS + 200]);
    expect([server!.parentId, there!.parentId]).toEqual(['', server!.spanId]);
    expect(server).toMatchObject({
      name: 'serial.*',
      status: 0,
      attributes: {
        'network.protocol.name': 'pomelo',
        'network.transport': 'tcp',
        'session.id': 'g-0123456789.1',
        'pith.connection': 'tcp',
        'pith.backend': 'one',
        'pith.route': 'serial.b',
        'pith.seq': 2,
        'pith.notify': false,
        'pith.outcome': 'ok',
      },
    });
    expect(there).toMatchObject({
      name: 'scripted',
      status: 0,
      attributes: { 'scripted.by': 'a test', 'pith.outcome': 'ok' },
    });
    expect(told[1]).toBe(`00-${server!.traceId}-${there!.spanId}-01`);
  });

  test('and fails has its reason on both spans', async () => {
    const { backend, client, spans } = await stage({ sample: 1 });
    client().session.onBytes(request(1, 'none.a'));
    backend.take().fail(failure('BAD_REPLY'));
    const all = await spans();
    expect(all.map(({ kind }) => kind)).toEqual([CLIENT, SERVER]);
    for (const span of all)
      expect(span).toMatchObject({
        status: ERROR,
        attributes: { 'error.type': 'BAD_REPLY', 'pith.outcome': 'BAD_REPLY' },
      });
  });

  test('and refused by its backend is an error of the backend', async () => {
    const { backend, client, spans } = await stage({ sample: 1 });
    client().session.onBytes(request(1, 'none.a'));
    const why = { ...failure('FORBIDDEN'), reason: 'SOLD_OUT' };
    backend.take().answer({ ...REPLY, failure: why });
    expect(await spans()).toMatchObject([
      { kind: CLIENT, status: ERROR, attributes: { 'error.type': 'BACKEND' } },
      { kind: SERVER, status: ERROR, attributes: { 'error.type': 'BACKEND' } },
    ]);
  });

  test('and whose client leaves has done nothing wrong', async () => {
    const { client, spans } = await stage({ sample: 1 });
    const { session } = client();
    session.onBytes(request(1, 'none.a'));
    session.onClosed(null);
    for (const span of await spans())
      expect(span).toMatchObject({ status: 0, attributes: { 'pith.outcome': 'client_gone' } });
  });

  test('and is sent again has a span for each time, in one trace', async () => {
    const { backend, client, clock, told, spans } = await stage({ sample: 1 });
    client().session.onBytes(request(1, 'again.a'));
    clock.advance(20);
    backend.take().fail(failure('BACKEND_AWAY'));
    clock.advance(500);
    backend.take().succeed(Buffer.from('{}'));
    const all = await spans();
    const [first, second] = byKind(all, CLIENT);
    const [server] = byKind(all, SERVER);
    expect(all).toHaveLength(3);
    expect(told).toEqual([first, second].map((span) => `00-${server!.traceId}-${span!.spanId}-01`));
    expect([first!.parentId, second!.parentId]).toEqual([server!.spanId, server!.spanId]);
    expect(first).toMatchObject({
      status: ERROR,
      endMs: START_MS + 20,
      attributes: { 'error.type': 'BACKEND_AWAY', 'pith.outcome': 'BACKEND_AWAY' },
    });
    expect(first!.attributes).not.toHaveProperty('pith.resent');
    expect(second).toMatchObject({ status: 0, attributes: { 'pith.resent': 1 } });
    expect(server).toMatchObject({ status: 0, attributes: { 'pith.outcome': 'ok' } });
  });

  test.each([
    ['OK', (call: Call) => call.succeed(Buffer.from('{}'))],
    ['UNAVAILABLE', (call: Call) => call.fail(failure('BACKEND_AWAY'))],
    ['DEADLINE_EXCEEDED', (call: Call) => call.fail(failure('TIMEOUT'))],
    ['OK', (call: Call) => call.answer({ ...REPLY, failure: failure('FORBIDDEN') })],
    [
      'NOT_FOUND',
      (call: Call) => {
        call.trace!.tell('rpc.status_code', 'NOT_FOUND');
        call.answer({ ...REPLY, failure: failure('NO_ROUTE') });
      },
    ],
  ])('over gRPC has a status: %s', async (status, end) => {
    const { backend, client, spans } = await stage({ sample: 1 });
    backend.clientSpan = () => ({
      name: 'rpc',
      attributes: { 'rpc.system.name': 'grpc' } as never,
    });
    client().session.onBytes(request(1, 'none.a'));
    end(backend.take());
    const [there] = byKind(await spans(), CLIENT);
    expect(there!.attributes['rpc.status_code']).toBe(status);
  });

  test('and reaches no backend has no span to one', async () => {
    const { backend, client, spans } = await stage({ sample: 1 });
    backend.onSend = () => backend.take().fail(failure('BACKEND_AWAY'));
    client().session.onBytes(request(1, 'none.a'));
    expect((await spans()).map(({ kind }) => kind)).toEqual([SERVER]);
  });

  test('was admitted: one that the relay refuses has no span', async () => {
    const { client, spans } = await stage({ sample: 1, keepErrors: true });
    const { session } = client();
    session.onBytes(Buffer.concat([request(1, 'other.a'), request(2, 'bound.a')]));
    expect(await spans()).toEqual([]);
  });
});

describe('of all messages', () => {
  test.each([
    [0, 0, 0],
    [0.5, 400, 600],
    [1, 1_000, 1_000],
  ])('a share of %d is traced', async (sample, least, most) => {
    const { backend, client, told } = await stage({ sample });
    for (let n = 0; n < 10; n++) {
      const { session } = client();
      for (let id = 1; id <= 100; id++) {
        session.onBytes(request(id, 'none.a'));
        backend.take().succeed(Buffer.from('{}'));
      }
    }
    expect(told.length).toBeGreaterThanOrEqual(least);
    expect(told.length).toBeLessThanOrEqual(most);
    expect(new Set(told).size).toBe(told.length);
  });
});

describe('a message that is not', () => {
  test('is kept for its error, when that is known', async () => {
    const { backend, client, clock, told, spans } = await stage({ keepErrors: true });
    const { session } = client();
    session.onBytes(Buffer.concat([request(1, 'none.a'), request(2, 'none.b')]));
    clock.advance(40);
    backend.take().fail(failure('BAD_REPLY'));
    backend.take().succeed(Buffer.from('{}'));
    expect(told).toEqual([]);
    const all = await spans();
    expect(all).toMatchObject([
      {
        kind: SERVER,
        parentId: '',
        status: ERROR,
        startMs: START_MS,
        endMs: START_MS + 40,
        attributes: {
          'pith.route': 'none.a',
          'pith.kept_for': 'error',
          'pith.outcome': 'BAD_REPLY',
          'error.type': 'BAD_REPLY',
        },
      },
    ]);
  });

  test('is not kept for its error where that is not wanted, nor when its client has left', async () => {
    for (const [keepErrors, leaves] of [
      [false, false],
      [true, true],
    ] as const) {
      const { backend, client, spans } = await stage({ keepErrors });
      const { session } = client();
      session.onBytes(request(1, 'none.a'));
      if (leaves) session.onClosed(null);
      else backend.take().fail(failure('BAD_REPLY'));
      expect(await spans()).toEqual([]);
    }
  });

  test.each([
    [200, 200, 0],
    [200, 201, 1],
    [0, 4_000, 0],
  ])('where slower than %d ms is kept: %d ms, %d spans', async (keepSlowerThanMs, ms, count) => {
    const { backend, client, clock, spans } = await stage({ keepSlowerThanMs });
    client().session.onBytes(request(1, 'none.a'));
    clock.advance(ms);
    backend.take().succeed(Buffer.from('{}'));
    const all = await spans();
    expect(all).toHaveLength(count);
    for (const span of all)
      expect(span).toMatchObject({
        kind: SERVER,
        status: 0,
        endMs: START_MS + ms,
        attributes: { 'pith.kept_for': 'slow', 'pith.outcome': 'ok' },
      });
  });

  test('is one of so many in a second at most', async () => {
    const { backend, client, clock, spans } = await stage({
      keepErrors: true,
      keptPerSecondMax: 70,
    });
    backend.onSend = () => backend.take().fail(failure('BACKEND_AWAY'));
    const fail = (count: number): void => {
      const { session } = client();
      for (let id = 1; id <= count; id++) session.onBytes(request(id, 'none.a'));
    };
    fail(150);
    clock.advance(999);
    fail(10);
    clock.advance(1);
    fail(150);
    const starts = (await spans()).map(({ startMs }) => startMs - START_MS);
    expect(starts.filter((ms) => ms === 0)).toHaveLength(70);
    expect(starts.filter((ms) => ms === 1_000)).toHaveLength(70);
    expect(starts).toHaveLength(140);
  });
});
