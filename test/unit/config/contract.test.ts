// The shipped pith.yaml, the schema and the defaults say the same.
import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { parse } from 'yaml';
import { z } from 'zod';
import { type Config, configSchema } from '../../../src/config/schema.ts';
import { listKeys } from '../../../src/config/schema-tree.ts';
import { loadConfig } from '../../../src/config/load.ts';
import { backendSchema } from '../../../src/config/schema-backends.ts';
import { routeSchema } from '../../../src/config/schema-routes.ts';
import { getAt } from '../../../src/config/tree.ts';
import { load } from './support.ts';

const text = readFileSync(new URL('../../../deploy/pith.yaml', import.meta.url), 'utf8');
const contract = parse(text) as Record<string, unknown>;

test('an empty file gives the defaults that pith.yaml shows', () => {
  const withoutExamples = { ...contract, backends: {}, routes: [] };
  expect(load('')).toEqual(load(JSON.stringify(withoutExamples)));
});

test('the defaults are in milliseconds and bytes', () => {
  const config = load('');
  expect(config.listen).toHaveLength(1);
  expect(config.listen[0]).toMatchObject({ url: 'auto://0.0.0.0:3010', dialect: 'pomelo' });
  expect(config).toMatchObject({ id: 'pith', heartbeat: 30_000, backends: {}, routes: [] });
  expect(config.limits).toEqual({
    packet: 65_536,
    unfinished: 'auto',
    outbox: 1_048_576,
    outboxes: 'auto',
    slow: { drop_after: 2000, close_after: 10_000 },
    fanout: { per_turn: 256, waiting: 67_108_864 },
    handshake: 5000,
    ack: 5000,
    assemble: 10_000,
    idle: 0,
    connections: 'auto',
    connections_per_address: 0,
    accepts_per_second: 500,
    messages_per_second: 100,
    burst: 500,
    in_flight_per_session: 64,
    in_flight_per_backend: 10_000,
    in_flight_bytes: 'auto',
    route: 127,
    json_depth: 32,
    inflate: 1_048_576,
    convert: 1_048_576,
    event_loop_lag: 200,
  } satisfies Config['limits']);
});

test('every key of pith.yaml is known, and its examples are right', () => {
  const result = loadConfig({ text, file: 'pith.yaml', env: {} });
  expect('problems' in result ? result.problems : []).toEqual([]);
  // An example that needs a NATS bus can stand in a comment only.
  const [, world] = /^ {2}# (world: \{.*?\} \})/m.exec(text)!;
  const withBus = `bus: nats://127.0.0.1\nbackends: { ${world} }`;
  expect(load(withBus).backends).toMatchObject({ world: { nats: { prefix: 'pith' } } });
});

test('the example route and the example backend show the defaults of their keys', () => {
  const route = getAt(contract, ['routes', 0]);
  expect(routeSchema.parse(route)).toEqual(routeSchema.parse({ match: 'chat.>', backend: 'chat' }));
  const chat = getAt(contract, ['backends', 'chat']);
  expect(backendSchema.parse(chat)).toEqual(backendSchema.parse({ grpc: 'dns:///chat:9000' }));
});

test('pith.yaml shows every key of the schema', () => {
  // Named in comments, or shown as an empty map.
  const shownOtherwise =
    /\.tls\.|^listen\[\]\.pomelo\.|^(control|admin)\.(tokens|spiffe)\[\]\.|^nats\.(user|password|token|nkey)$|\.(protos|reflection)$|^routes\[\]\.backend\[\]|^backends\.<name>\.nats\./;
  const missing = listKeys(configSchema)
    .map(({ path }) => path)
    .filter((path) => !shownOtherwise.test(path) && !isShown(path));
  expect(missing).toEqual([]);
  expect(listKeys(configSchema).length).toBeGreaterThan(100);
});

test('every key says what it is for', () => {
  const silent = listKeys(configSchema).filter(({ about }) => about.length < 10);
  expect(silent).toEqual([]);
});

test('the schema can be written as JSON Schema for editors, and takes what the gateway takes', () => {
  const schema = z.toJSONSchema(configSchema, { io: 'input' });
  expect(Object.keys(schema.properties ?? {})).toEqual(Object.keys(configSchema.shape));
  expect(schema.additionalProperties).toBe(false);
  expect(JSON.stringify(schema)).not.toContain('"kind"');
});

function isShown(path: string): boolean {
  const names = Object.keys(contract['backends'] as object);
  return names.some((name) => {
    const parts = path.replaceAll('[]', '.0').replace('<name>', name).split('.');
    const segments = parts.map((part) => (/^\d+$/.test(part) ? Number(part) : part));
    return getAt(contract, segments) !== undefined;
  });
}
