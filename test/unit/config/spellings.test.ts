/** What a configuration may say: defaults written out, and what every key takes. */
import { expect, test } from 'vitest';
import { load, problemObjectsOf } from './support.ts';

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
