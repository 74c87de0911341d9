// The configuration as YAML, and that nobody changes it.
import { expect, test } from 'vitest';
import { parse } from 'yaml';
import { maskSecrets } from '../../../src/config/mask.ts';
import { configSchema } from '../../../src/config/schema.ts';
import { load } from './support.ts';

test('what is printed can be read again', () => {
  const yaml = [
    'heartbeat: 90s',
    'bus: nats://a',
    'limits: { packet: 1000, outbox: 2MiB, handshake: 1500ms, connections: 7 }',
    'backends:',
    '  chat: { grpc: "chat:1", mode: handle, metadata: { game: eu } }',
    '  world: { nats: { prefix: a.b } }',
    '  gate: { reply: { token: shown, deep: [{ timeout: 5 }], text: "$${env:A}" } }',
    'routes: [{ match: "chat.>", backend: chat, timeout: 1m }]',
  ];
  const config = load(yaml.join('\n'));
  const printed = maskSecrets(config);
  expect(load(printed)).toEqual(config);
  expect(parse(printed)).toMatchObject({
    heartbeat: '90s',
    limits: { packet: '1000B', outbox: '2MiB', handshake: '1500ms', connections: 7 },
    routes: [{ timeout: '1m' }],
  });
});

test('no secret is printed', () => {
  const secret = 'hunter2';
  const tls = { cert: 'cert.pem', key: secret, ca: '' };
  // Parsed by the schema alone, as most of these are not available yet.
  const config = configSchema.parse({
    listen: [{ tls }],
    control: { token: secret, tls },
    admin: { token: secret, tls },
    nats: { creds: secret, password: secret, token: secret, nkey: secret, tls, user: 'me' },
    auth: { jwt: { keys: [secret, secret] } },
    sessions: { resume: { keys: [secret] } },
    backends: {
      chat: {
        grpc: 'chat:1',
        tls,
        metadata: { authorization: secret, 'x-api-key': secret, a: 'b' },
      },
      shop: { http: 'http://shop', headers: { Cookie: secret } },
      laptop: { dial_in: { token: secret } },
    },
    routes: [{ match: 'a', backend: [{ backend: 'chat' }, { backend: 'shop', weight: 2 }] }],
  });
  const printed = maskSecrets(config);
  expect(printed).not.toContain(secret);
  expect(parse(printed)).toMatchObject({
    listen: [{ tls: { cert: 'cert.pem', key: '***', ca: '' } }],
    nats: { user: 'me', creds: '***', password: '***', token: '***', nkey: '***' },
    auth: { jwt: { keys: ['***', '***'] } },
    sessions: { resume: { keys: ['***'] } },
    backends: {
      chat: { metadata: { authorization: '***', 'x-api-key': '***', a: 'b' } },
      shop: { headers: { Cookie: '***' } },
      laptop: { dial_in: { token: '***' } },
    },
    routes: [
      {
        backend: [
          { backend: 'chat', weight: 1 },
          { backend: 'shop', weight: 2 },
        ],
      },
    ],
  });
});

test('secrets that are not set are printed as empty', () => {
  expect(parse(maskSecrets(load('')))).toMatchObject({ nats: { token: '', password: '' } });
});

test('a configuration is frozen all the way down', () => {
  const config = load('backends: { g: { reply: { a: [1] } } }\nroutes: [{ match: a, backend: g }]');
  const thawed: unknown[] = [];
  const visit = (value: unknown): void => {
    if (typeof value !== 'object' || value === null) return;
    if (!Object.isFrozen(value)) thawed.push(value);
    for (const item of Object.values(value)) visit(item);
  };
  visit(config);
  expect(thawed).toEqual([]);
  expect(() => Object.assign(config.limits, { burst: 1 })).toThrow(TypeError);
});

test('what one caller gets is not shared with another', () => {
  expect(load('').listen).not.toBe(load('').listen);
});
