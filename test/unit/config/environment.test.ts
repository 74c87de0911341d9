// PITH_ variables, flags, and ${env:…} and ${file:…} inside strings.
import { expect, test } from 'vitest';
import { load, problemsOf } from './support.ts';

test('a variable beats the file, a flag beats the variable', () => {
  const env = { PITH_LOG__LEVEL: 'warn', PITH_LOG__FORMAT: 'json' };
  const flags = { 'log.level': 'debug' };
  expect(load('log: { level: error, format: pretty }', { env, flags }).log).toEqual({
    level: 'debug',
    format: 'json',
    client_ip: 'full',
  });
});

const settings: [
  env: Record<string, string>,
  yaml: string,
  path: (string | number)[],
  value: unknown,
][] = [
  [{ PITH_ID: '123' }, '', ['id'], '123'],
  [{ PITH_ID: 'true' }, '', ['id'], 'true'],
  [{ PITH_ID: '' }, 'id: a', ['id'], 'a'],
  [{ pith_id: 'lower' }, '', ['id'], 'lower'],
  [{ PITH_HEARTBEAT: '3s' }, '', ['heartbeat'], 3000],
  [{ PITH_LIMITS__IN_FLIGHT_PER_SESSION: '7' }, '', ['limits', 'in_flight_per_session'], 7],
  [{ PITH_LIMITS__PACKET: '4096' }, '', ['limits', 'packet'], 4096],
  [{ PITH_LIMITS__PACKET: '4KiB' }, '', ['limits', 'packet'], 4096],
  [{ PITH_LIMITS__CONNECTIONS: 'auto' }, '', ['limits', 'connections'], 'auto'],
  [{ PITH_LIMITS__CONNECTIONS: '1000' }, '', ['limits', 'connections'], 1000],
  [{ PITH_TELEMETRY__METRICS: 'false' }, '', ['telemetry', 'metrics'], false],
  [{ PITH_LIMITS__SLOW__DROP_AFTER: '1s' }, '', ['limits', 'slow', 'drop_after'], 1000],
  [{ PITH_LISTEN__0__URL: 'ws://0.0.0.0:1' }, '', ['listen', 0, 'url'], 'ws://0.0.0.0:1'],
  [
    { PITH_LISTEN__1__URL: 'ws://0.0.0.0:1' },
    'listen: [{}]',
    ['listen', 1, 'url'],
    'ws://0.0.0.0:1',
  ],
  [
    { PITH_LISTEN: '[{ url: "tcp://0.0.0.0:1" }]', PITH_LISTEN__0__URL: 'ws://0.0.0.0:2' },
    '',
    ['listen', 0, 'url'],
    'ws://0.0.0.0:2',
  ],
  [{ PITH_BUS: 'nats://a:1,nats://b' }, '', ['bus'], 'nats://a:1,nats://b'],
  [{ PITH_BACKENDS__CHAT: '{grpc: "chat:1"}' }, '', ['backends', 'chat', 'grpc'], 'chat:1'],
  [{ PITH_BACKENDS__CHAT__GRPC: 'chat:1' }, '', ['backends', 'chat', 'mode'], 'link'],
  [
    { PITH_BACKENDS__CHAT__GRPC: 'b:2' },
    'backends: { Chat: { grpc: "a:1" } }',
    ['backends', 'Chat', 'grpc'],
    'b:2',
  ],
  [
    { PITH_BACKENDS__CHAT_2__GRPC: 'b:2' },
    'backends: { chat-2: { grpc: "a:1" } }',
    ['backends', 'chat-2', 'grpc'],
    'b:2',
  ],
  [{ PITH_BACKENDS__GATE__REPLY__CODE: '200' }, '', ['backends', 'gate', 'reply'], { code: 200 }],
  [
    { PITH_BACKENDS__GATE: '{reply: {}}', PITH_ROUTES: '[{match: a, backend: gate}]' },
    '',
    ['routes', 0, 'backend'],
    'gate',
  ],
  [
    { PITH_ROUTES__0__FORWARD: '[a, b]' },
    'backends: { g: { reply: {} } }\nroutes: [{ match: a, backend: g }]',
    ['routes', 0, 'forward'],
    ['a', 'b'],
  ],
];

test.each(settings)('%j', (env, yaml, path, value) => {
  expect(load(yaml, { env })).toHaveProperty(path, value);
});

const refused: [env: Record<string, string>, yaml: string, expected: string][] = [
  [{ PITH_ID: 'a b' }, 'id: ok', 'PITH_ID: id: expected 1 to 48 of A-Z a-z 0-9 _ -'],
  [{ PITH_HEARTBEAT: '30' }, '', 'PITH_HEARTBEAT: heartbeat: write the unit: 30ms or 30s'],
  [
    { PITH_LIMITS__BURST: 'x' },
    '',
    'PITH_LIMITS__BURST: limits.burst: expected a whole number from 1 to 1000000',
  ],
  [{ PITH_LOG_LEVEL: 'info' }, '', 'PITH_LOG_LEVEL: no such key; did you mean "PITH_LOG__LEVEL"?'],
  [
    { PITH_LIMITS__PAKCET: '1KiB' },
    '',
    'PITH_LIMITS__PAKCET: no such key; did you mean "PITH_LIMITS__PACKET"?',
  ],
  [
    { PITH_BACKENDS__CHAT__GRCP: 'a:1' },
    '',
    'PITH_BACKENDS__CHAT__GRCP: no such key; did you mean "PITH_BACKENDS__CHAT__GRPC"?',
  ],
  [
    { PITH_BACKENDS__MY_GAME__DIAL_IN__BALANCE: 'hash' },
    'backends: { my-game: { dial_in: {} } }',
    'PITH_BACKENDS__MY_GAME__DIAL_IN__BALANCE: no such key; did you mean "PITH_BACKENDS__MY_GAME__BALANCE"?',
  ],
  [
    { PITH_BACKENDS__GAME__TOKEN: 'secret' },
    'backends: { game: { dial_in: {} } }',
    'PITH_BACKENDS__GAME__TOKEN: no such key; did you mean "PITH_BACKENDS__GAME__DIAL_IN__TOKEN"?',
  ],
  [
    { PITH_LISTEN__0__CERT: '/a.pem' },
    '',
    'PITH_LISTEN__0__CERT: no such key; did you mean "PITH_LISTEN__0__TLS__CERT"?',
  ],
  [
    { PITH_LOG__LIMITS: '/a.pem' },
    '',
    'PITH_LOG__LIMITS: no such key; did you mean "PITH_LIMITS"?',
  ],
  [{ PITH_QWERTYUIOPASDF: '1' }, '', 'PITH_QWERTYUIOPASDF: no such key'],
  [{ PITH_: '1' }, '', 'PITH_: no such key'],
  [
    { PITH_LISTEN__2__URL: 'ws://0.0.0.0:1' },
    'listen: [{}]',
    'PITH_LISTEN__2__URL: listen[2].url: the next index of this list is 1',
  ],
  [
    { PITH_LISTEN: '[{' },
    '',
    expect.stringMatching(/^PITH_LISTEN: listen: not valid YAML: /) as never,
  ],
  [
    { PITH_BACKENDS__CHAT: '{grpc: "chat:1", mod: link}' },
    '',
    'PITH_BACKENDS__CHAT: backends.chat.mod: unknown key; did you mean "mode"?',
  ],
  [
    { PITH_BACKENDS__CHAT__MODE: 'link' },
    '',
    'PITH_BACKENDS__CHAT__MODE: backends.chat: expected exactly one of grpc, nats, http, ipc, reply, gate, dial_in',
  ],
  [
    { PITH_WORKERS: '2' },
    '',
    'PITH_WORKERS: workers: more than 1 needs a NATS bus, by which the workers reach the players of each other; set bus: nats://host:4222, or leave workers at 1',
  ],
  [
    { PITH_CONTROL__LISTEN: '0.0.0.0:7070' },
    '',
    'PITH_CONTROL__LISTEN: control.listen: beyond loopback this needs control.token (openssl rand -hex 32), or client certificates (control.tls with ca and require_client_cert); else listen on 127.0.0.1 or unix:/path',
  ],
];

test.each(refused)('%j is refused', (env, yaml, expected) => {
  expect(problemsOf(yaml, { env })).toEqual([expected]);
});

test('a variable does not take the place of another value', () => {
  expect(problemsOf('limits: 5', { env: { PITH_LIMITS__BURST: '5' } })).toEqual([
    'pith.yaml:1: limits: expected a map, got a number',
    'PITH_LIMITS__BURST: limits.burst: limits is already another value',
  ]);
});

test('what Kubernetes injects for Services is ignored', () => {
  const env = {
    PITH_SERVICE_HOST: '10.0.0.1',
    PITH_SERVICE_PORT: '3010',
    PITH_SERVICE_PORT_CLIENTS: '3010',
    PITH_PORT: 'tcp://10.0.0.1:3010',
    PITH_PORT_3010_TCP: 'tcp://10.0.0.1:3010',
    PITH_PORT_3010_TCP_PROTO: 'tcp',
    PITH_ADMIN_EU_SERVICE_HOST: '10.0.0.2',
    PITH_ADMIN_EU_PORT_7071_TCP_ADDR: '10.0.0.2',
    PITHY: 'not ours',
    PATH: '/bin',
  };
  expect(load('', { env })).toEqual(load(''));
});

test.each(['PITH_SERVICE', 'PITH_PORTS', 'PITH_LIMITS__PORT'])(
  '%s is not from Kubernetes',
  (name) => {
    expect(problemsOf('', { env: { [name]: 'x' } })[0]).toMatch(`${name}: no such key`);
  },
);

test('flags are paths, and problems name them', () => {
  const flags = { 'listen.0.url': 'ws://127.0.0.1:0', 'listen[0].dialect': 'pomelo' };
  expect(load('', { flags }).listen[0]?.url).toBe('ws://127.0.0.1:0');
  expect(problemsOf('', { flags: { 'log.level': 'loud' } })).toEqual([
    '--set log.level: log.level: expected one of debug, info, warn, error',
  ]);
  expect(problemsOf('', { flags: { 'log.levle': 'info' } })).toEqual([
    '--set log.levle: no such key; did you mean "log.level"?',
  ]);
  const yaml = 'backends: { Game: { dial_in: {} } }';
  expect(problemsOf(yaml, { flags: { 'backends.game.dial_in.dead_after': '5s' } })).toEqual([
    '--set backends.game.dial_in.dead_after: no such key; did you mean "backends.Game.dead_after"?',
  ]);
  expect(problemsOf(yaml, { flags: { 'backends.game.dial_in.tokn': 'x' } })).toEqual([
    '--set backends.game.dial_in.tokn: no such key; did you mean "backends.game.dial_in.token"?',
  ]);
});

const files: Record<string, string> = {
  '/run/token': 's3cret\n',
  '/run/two': 'a\n\n',
  '/run/dollar': '${env:NAME}',
};
const readFile = (path: string) => {
  const text = files[path];
  if (text === undefined) throw new Error('no such file');
  return text;
};

const references: [yaml: string, path: (string | number)[], value: unknown][] = [
  ['nats: { token: "${file:/run/token}" }', ['nats', 'token'], 's3cret'],
  ['nats: { token: "${file:/run/two}" }', ['nats', 'token'], 'a\n'],
  ['nats: { token: "${file:/run/dollar}" }', ['nats', 'token'], '${env:NAME}'],
  ['bus: nats://${env:NAME}:${env:PORT}', ['bus'], 'nats://host:4222'],
  ['nats: { user: "$${env:NAME}" }', ['nats', 'user'], '${env:NAME}'],
  ['limits:\n  burst: ${env:PORT}', ['limits', 'burst'], 4222],
  ['limits:\n  packet: ${env:PORT}', ['limits', 'packet'], 4222],
  ['id: ${env:PORT}', ['id'], '4222'],
  [
    'backends: { g: { reply: { host: "${env:NAME}", deep: ["${env:NAME}"] } } }',
    ['backends', 'g', 'reply'],
    { host: 'host', deep: ['host'] },
  ],
];

test.each(references)('%s', (yaml, path, value) => {
  const env = { NAME: 'host', PORT: '4222' };
  expect(load(yaml, { env, readFile })).toHaveProperty(path, value);
});

test('references work in variables too', () => {
  const env = { PITH_NATS__TOKEN: '${file:/run/token}' };
  expect(load('', { env, readFile }).nats.token).toBe('s3cret');
});

const badReferences: [yaml: string, expected: string][] = [
  ['id: a\nbus: ${env:NONE}', '2: bus: the environment variable NONE is not set'],
  ['bus: ${env:EMPTY}', '1: bus: the environment variable EMPTY is not set'],
  ['bus: ${file:/run/none}', '1: bus: cannot read /run/none: no such file'],
  ['bus: ${file:none}', '1: bus: cannot read none: no such file'],
  ['bus: ${file:}', '1: bus: the path is missing: ${file:/path}'],
  ['bus: ${evn:A}', '1: bus: unknown ${evn:A}; write ${env:NAME}, ${file:/path}, or $${ for ${'],
  ['bus: "${env:A"', '1: bus: "${" without its "}"'],
];

test.each(badReferences)('%s is refused', (yaml, expected) => {
  expect(problemsOf(yaml, { env: { EMPTY: '' }, readFile })).toEqual([`pith.yaml:${expected}`]);
});

test('files are refused where no reader is given', () => {
  expect(problemsOf('bus: ${file:/etc/passwd}')).toEqual([
    'pith.yaml:1: bus: cannot read /etc/passwd: files cannot be read here',
  ]);
});
