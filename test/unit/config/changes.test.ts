/** Which keys have changed, and which of them a reload applies. */
import { describe, expect, test } from 'vitest';

import { changesBetween } from '../../../src/config/changes.ts';
import { loadConfig } from '../../../src/config/load.ts';
import type { Config } from '../../../src/config/schema.ts';

function config(text: string): Config {
  const loaded = loadConfig({ text, file: 'pith.yaml', env: {} });
  if ('problems' in loaded) throw new Error(JSON.stringify(loaded.problems));
  return loaded.config;
}

const BASE = `
backends:
  a: { reply: { code: 200 } }
  b: { nats: {} }
  door: { gate: { advertise: { tcp: "game.example:3010" } } }
bus: nats://127.0.0.1:4222
listen: [{ url: "tcp://0.0.0.0:3010" }]
routes:
  - { match: "a.>", backend: a }
  - { match: "b.>", backend: b, timeout: 3s }
  - { match: "gate.gateHandler.queryEntry", backend: door }
`;

describe('what a reload applies', () => {
  test.each<[string, (text: string) => string, string[]]>([
    ['nothing', (text) => text, []],
    ['a route', (text) => text.replace('3s', '4s'), ['routes[1]']],
    [
      'one more route',
      (text) =>
        text.replace('  - { match: "b.>"', '  - { match: "c", backend: b }\n  - { match: "b.>"'),
      ['routes[1]', 'routes[2]', 'routes[3]'],
    ],
    ['a backend', (text) => text.replace('code: 200', 'code: 201'), ['backends.a']],
    ['one more backend', (text) => text.replace('  b:', '  c: { nats: {} }\n  b:'), ['backends.c']],
    ['drain', (text) => `${text}drain: { budget: 9s }`, ['drain.budget']],
    ['the level of the log', (text) => `${text}log: { level: warn }`, ['log.level']],
    [
      'what is slow',
      (text) => `${text}limits: { slow: { close_after: 20s } }`,
      ['limits.slow.close_after'],
    ],
    [
      'traces',
      (text) => `${text}telemetry: { sample: 1, always: { errors: false } }`,
      ['telemetry.always.errors', 'telemetry.sample'],
    ],
    ['events', (text) => `${text}events: { data: [room] }`, ['events.data[0]']],
    [
      'how long a session may last, and say nothing',
      (text) => `${text}sessions: { max_age: 1h }\nlimits: { idle: 5m }`,
      ['limits.idle', 'sessions.max_age'],
    ],
    [
      'who is let in, and how fast',
      (text) => `${text}limits: { connections_per_address: 9, accepts_per_second: 9 }`,
      ['limits.accepts_per_second', 'limits.connections_per_address'],
    ],
    [
      'how far the event loop may lag',
      (text) => `${text}limits: { event_loop_lag: 1s }`,
      ['limits.event_loop_lag'],
    ],
  ])('%s', (_, change, changed) => {
    expect(changesBetween(config(BASE), config(change(BASE)))).toEqual({
      changed,
      needsRestart: [],
    });
  });
});

describe('what needs a restart', () => {
  test.each<[string, (text: string) => string, string[]]>([
    ['the bus', (text) => text.replace(':4222', ':4223'), ['bus']],
    ['a gate', (text) => text.replace('game.example:3010', 'game.example:3011'), ['backends.door']],
    ['a listener', (text) => text.replace('0.0.0.0:3010', '0.0.0.0:3012'), ['listen[0].url']],
    [
      'one more listener',
      (text) => text.replace(':3010" }]', ':3010" }, { url: "tcp://0.0.0.0:3011" }]'),
      ['listen[1]'],
    ],
    ['other limits', (text) => `${text}limits: { packet: 1MiB }`, ['limits.packet']],
    ['events with groups', (text) => `${text}events: { groups: true }`, ['events.groups']],
    [
      'who may connect',
      (text) => `${text}auth: { sessions_per_uid: kick_old }`,
      ['auth.sessions_per_uid'],
    ],
    ['the format of the log', (text) => `${text}log: { format: json }`, ['log.format']],
  ])('%s', (_, change, needsRestart) => {
    const found = changesBetween(config(BASE), config(change(BASE)));
    expect(found.needsRestart).toEqual(needsRestart);
    expect(found.changed).toEqual(needsRestart);
  });
});
