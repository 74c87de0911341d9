// Keys whose part is not built yet are refused, row by row of the table.
import { expect, test } from 'vitest';
import { NOT_YET_AVAILABLE } from '../../../src/config/unavailable-keys.ts';
import { schemasAt } from '../../../src/config/schema-tree.ts';
import { configSchema } from '../../../src/config/schema.ts';
import { withValueAt } from '../../../src/config/tree.ts';
import { load, problemObjectsOf, problemsOf } from './support.ts';

function pathOf(pattern: string): (string | number)[] {
  const parts = pattern.replaceAll('[]', '.0').replace('*', 'chat').split('.');
  return parts.map((part) => (part === '0' ? 0 : part));
}

// A configuration that is right in all but the key in question.
function around(path: (string | number)[], value: unknown): string {
  const kind = ['http', 'ipc', 'dial_in'].includes(String(path[2]));
  const base = {
    listen: [{}],
    backends: { chat: path[0] === 'backends' && kind ? {} : { grpc: 'chat:9000' } },
    routes: [{ match: 'chat.>', backend: 'chat' }],
  };
  return JSON.stringify(withValueAt(base, path, value));
}

test.each(NOT_YET_AVAILABLE)('$path', (row) => {
  const path = pathOf(row.path);
  expect(schemasAt(configSchema, path)).not.toEqual([]);
  const problems = problemObjectsOf(around(path, row.example));
  const text = path.map((part) => (typeof part === 'number' ? `[${part}]` : `.${part}`)).join('');
  expect(problems).toContainEqual({
    file: 'pith.yaml',
    line: 1,
    column: expect.any(Number) as number,
    path: text.slice(1),
    message: `not yet available; ${row.instead ?? 'leave it out'}`,
  });
});

test.each([['workers: 2', ['pith.yaml:1: workers: not yet available; leave it out']]])(
  '%s is refused once',
  (yaml, expected) => {
    expect(problemsOf(yaml)).toEqual(expected);
  },
);

// Whoever follows one line must not be stopped by the next.
test('no advice leads to a key that is not there either', () => {
  const away = NOT_YET_AVAILABLE.filter(({ allows }) => allows === undefined);
  const lines = [
    ...NOT_YET_AVAILABLE.flatMap((row) => problemsOf(around(pathOf(row.path), row.example))),
    ...problemsOf('control: { listen: "0.0.0.0:1" }'),
    ...problemsOf('admin: { listen: "0.0.0.0:1" }'),
    ...problemsOf('auth: { mode: connect }'),
    ...problemsOf('nats: { password: a }'),
  ];
  for (const line of lines) {
    // Behind the file and the key.
    const advice = line.split(': ').slice(2).join(': ');
    for (const { path } of away)
      expect(advice).not.toMatch(new RegExp(`(?<![\\w.])${RegExp.escape(path)}(?![\\w.])`));
  }
});

test('the table names each key once', () => {
  const paths = NOT_YET_AVAILABLE.map(({ path }) => path);
  expect(new Set(paths).size).toBe(paths.length);
});

test('a default may be written out, in any spelling', () => {
  const yaml = [
    'workers: 1',
    'limits: { idle: 0ms, inflate: 1024KiB, event_loop_lag: 200ms }',
    'listen: [{ dialect: pomelo, tls: { cert: "" } }]',
    'telemetry: { always: { slower_than: 1000ms } }',
  ];
  expect(load(yaml.join('\n'))).toEqual(load(''));
});

const available = [
  'bus: nats://a,nats://b:4223',
  'nats: { prefix: game.eu, creds: /run/a.creds }',
  'nats: { user: a, password: b }',
  'nats: { token: a }',
  'nats: { nkey: a }',
  'sessions: { data: 8KiB, groups: 3 }',
  'limits: { packet: 1KiB, outbox: 2MiB, slow: { drop_after: 1s, close_after: 2s } }',
  'limits: { handshake: 1s, ack: 1s, assemble: 1s, connections: 10, messages_per_second: 1 }',
  'limits: { burst: 1, in_flight_per_session: 1, in_flight_per_backend: 1, route: 64 }',
  'drain: { budget: 1s, accept_for: 1s, per_second: 1, signal: kick }',
  'telemetry: { metrics: false }',
  'telemetry: { otlp: "http://collector:4318", sample: 1, always: { errors: false, slower_than: 0s } }',
  'log: { level: debug, format: json }',
  'heartbeat: 0s',
  'listen: [{ url: "ws://[::]:0" }, { url: "tcp://0.0.0.0:3011" }]',
  'backends: { chat: { grpc: "unix:///run/chat.sock", mode: handle, metadata: { a: b } } }',
  'backends: { g: { reply: {} } }\nroutes: [{ match: a, backend: g, codec: raw, timeout: 1s, order: serial, forward: ["*"], bound: true, else: any }]',
];

test.each(available)('available: %s', (yaml) => {
  expect(problemObjectsOf(yaml)).toEqual([]);
});
