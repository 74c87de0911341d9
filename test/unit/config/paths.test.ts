// Paths of files: where a relative one is taken from, and what is said of those that are not there.
import { describe, expect, test } from 'vitest';

import { parse } from 'yaml';
import { loadConfig } from '../../../src/config/load.ts';
import { configSchema } from '../../../src/config/schema.ts';
import {
  inspect,
  listKeys,
  optionsOf,
  type Path,
  schemasAt,
} from '../../../src/config/schema-tree.ts';
import { getAt, withValueAt } from '../../../src/config/tree.ts';
import { load, problemsOf } from './support.ts';

const FOLDERS = { folder: '/etc/game', settingsFolder: '/home/ann' };

/** Every key that names a file or a folder, with what its value is made of here. */
const NAMES: readonly [yaml: string, path: Path][] = [
  ['listen: [{ url: wss://0.0.0.0:1, tls: { cert: $, key: /k } }]', ['listen', 0, 'tls', 'cert']],
  ['listen: [{ url: wss://0.0.0.0:1, tls: { cert: /c, key: $ } }]', ['listen', 0, 'tls', 'key']],
  [
    'listen: [{ url: wss://0.0.0.0:1, tls: { cert: /c, key: /k, ca: $ } }]',
    ['listen', 0, 'tls', 'ca'],
  ],
  ['listen: [{ pomelo: { config_dir: $ } }]', ['listen', 0, 'pomelo', 'config_dir']],
  ['pomelo: { config_dir: $ }', ['pomelo', 'config_dir']],
  ['nats: { creds: $ }', ['nats', 'creds']],
  ['auth: { mode: jwt, jwt: { algorithms: [ES256], keys: [$] } }', ['auth', 'jwt', 'keys', 0]],
  [
    'auth: { mode: jwt, jwt: { algorithms: [ES256], jwks_url: "https://a", audience: a, tls: { ca: $ } } }',
    ['auth', 'jwt', 'tls', 'ca'],
  ],
  [
    'auth: { mode: jwt, jwt: { algorithms: [ES256], jwks_url: "https://a", audience: a, tls: { cert: $, key: /k } } }',
    ['auth', 'jwt', 'tls', 'cert'],
  ],
  [
    'auth: { mode: jwt, jwt: { algorithms: [ES256], jwks_url: "https://a", audience: a, tls: { cert: /c, key: $ } } }',
    ['auth', 'jwt', 'tls', 'key'],
  ],
  ['blocks: { file: $ }', ['blocks', 'file']],
  ['consul: { tls: { ca: $ } }', ['consul', 'tls', 'ca']],
  ['consul: { tls: { cert: $, key: /k } }', ['consul', 'tls', 'cert']],
  ['consul: { tls: { cert: /c, key: $ } }', ['consul', 'tls', 'key']],
  ['backends: { a: { grpc: "a:1", tls: { ca: $ } } }', ['backends', 'a', 'tls', 'ca']],
  ['backends: { a: { http: "https://a:1", tls: { ca: $ } } }', ['backends', 'a', 'tls', 'ca']],
  [
    'backends: { a: { http: "https://a:1", tls: { cert: $, key: /k } } }',
    ['backends', 'a', 'tls', 'cert'],
  ],
  [
    'backends: { a: { http: "https://a:1", tls: { cert: /c, key: $ } } }',
    ['backends', 'a', 'tls', 'key'],
  ],
  [
    'backends: { a: { grpc: "a:1", mode: method, services: [a.B], descriptors: [/x, $] } }',
    ['backends', 'a', 'descriptors', 1],
  ],
  [
    'backends: { a: { grpc: "a:1", mode: method, services: [a.B], protos: [$] } }',
    ['backends', 'a', 'protos', 0],
  ],
];

/** Keys that this release refuses, so that no configuration can have them. */
const REFUSED = /^(control|admin|nats)\.tls\./;

test('the table has every key that names a path', () => {
  const named = listKeys(configSchema)
    .map(({ path }) => path)
    .filter((path) => !REFUSED.test(path) && namesPath(path));
  const tried = NAMES.map(([, path]) =>
    path
      .filter((segment, at) => typeof segment !== 'number' || at === 1)
      .map((segment, at) => (path[0] === 'backends' && at === 1 ? '<name>' : segment))
      .join('.')
      .replace(/\.0/, '[]'),
  );
  expect([...new Set(tried)].toSorted()).toEqual([...new Set(named)].toSorted());
});

function namesPath(path: string): boolean {
  const segments = path
    .replaceAll('[]', '.0')
    .split('.')
    .map((part) => (part === '0' ? 0 : part));
  const inLists = schemasAt(configSchema, [...segments, 0]);
  return [...schemasAt(configSchema, segments), ...inLists]
    .flatMap((schema) => [schema, ...optionsOf(schema)])
    .some((schema) => inspect(schema).names !== undefined);
}

describe.each(NAMES)('%s', (yaml, path) => {
  const valueIn = (value: string, extra = {}): unknown =>
    getAt(load(yaml.replace('$', value), { ...FOLDERS, ...extra }), path);

  test('is taken from the folder of the file', () => {
    expect(valueIn('tls/a.pem')).toBe('/etc/game/tls/a.pem');
    expect(valueIn('../a')).toBe('/etc/a');
    expect(valueIn('/run/a')).toBe('/run/a');
    expect(valueIn('"${env:WHERE}/a"', { env: { WHERE: 'b' } })).toBe('/etc/game/b/a');
  });

  test('is taken from the current folder where --set or a variable has it', () => {
    const flags = { [path.join('.')]: 'a' };
    expect(valueIn('/x', { flags })).toBe('/home/ann/a');
    const env = { [`PITH_${path.join('__').toUpperCase()}`]: 'a' };
    expect(valueIn('/x', { env })).toBe('/home/ann/a');
  });

  test('is said, with its line, where nothing can be read', () => {
    const checkPath = (location: string) =>
      location === '/etc/game/gone' ? `there is none: ${location}` : undefined;
    const where = path
      .map((segment) => (typeof segment === 'number' ? `[${segment}]` : `.${segment}`))
      .join('')
      .slice(1);
    expect(problemsOf(`id: a\n${yaml.replace('$', 'gone')}`, { ...FOLDERS, checkPath })).toEqual([
      `pith.yaml:2: ${where}: there is none: /etc/game/gone`,
    ]);
  });
});

test.each([
  '-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n',
  `MII${'B'.repeat(60)}`,
  'a\nb',
  'x'.repeat(5_000),
  'system',
])('what is no path stays as it is: %j', (ca) => {
  const tree = withValueAt(parse('backends: { a: { grpc: "a:1" } }'), ['backends', 'a', 'tls'], {
    ca,
  });
  const looked: string[] = [];
  const checkPath = (location: string): undefined => void looked.push(location);
  const config = load(JSON.stringify(tree), { ...FOLDERS, checkPath });
  expect(getAt(config, ['backends', 'a', 'tls', 'ca'])).toBe(ca);
  expect(looked).toEqual([]);
});

test('a list that --set replaces whole is taken from the current folder', () => {
  const yaml = 'backends: { a: { grpc: "a:1", mode: method, services: [a.B], protos: [p] } }';
  const flags = { 'backends.a.protos': '[q, /r]' };
  expect(getAt(load(yaml, { ...FOLDERS, flags }), ['backends', 'a', 'protos'])).toEqual([
    '/home/ann/q',
    '/r',
  ]);
});

test('${file:…} is taken from where the text stands', () => {
  const read: string[] = [];
  const readFile = (location: string) => {
    read.push(location);
    return 'secret';
  };
  const env = { PITH_NATS__USER: '${file:user}' };
  load('nats: { password: "${file:secret/pw}" }', { ...FOLDERS, env, readFile });
  expect(read.toSorted()).toEqual(['/etc/game/secret/pw', '/home/ann/user']);
});

test('all that are missing are said at once, beside what else is wrong', () => {
  const checkPath = (location: string, kind: string) => `no such ${kind}: ${location}`;
  const yaml = `listen:
  - url: wss://0.0.0.0:3010
    tls: { cert: a.crt, key: a.key }
heartbeat: 30
backends:
  lobby:
    grpc: "127.0.0.1:1"
    mode: method
    services: [a.B]
    descriptors: [a.binpb, b.binpb]
    protos: [proto]
`;
  expect(problemsOf(yaml, { ...FOLDERS, checkPath })).toEqual([
    'pith.yaml:3: listen[0].tls.cert: no such file: /etc/game/a.crt',
    'pith.yaml:3: listen[0].tls.key: no such file: /etc/game/a.key',
    'pith.yaml:4: heartbeat: write the unit: 30ms or 30s',
    'pith.yaml:10: backends.lobby.descriptors[0]: no such file: /etc/game/a.binpb',
    'pith.yaml:10: backends.lobby.descriptors[1]: no such file: /etc/game/b.binpb',
    'pith.yaml:11: backends.lobby.protos[0]: no such folder: /etc/game/proto',
  ]);
});

test('a tilde is said not to be a home', () => {
  const checkPath = (location: string) => `no such file: ${location}`;
  expect(problemsOf('nats: { creds: ~/a.creds }', { ...FOLDERS, checkPath })).toEqual([
    'pith.yaml:1: nats.creds: no such file: /etc/game/~/a.creds; "~" does not stand for a home here',
  ]);
});

test('what is found later gets its place from the file', () => {
  const result = loadConfig({ text: 'id: a\nnats:\n  creds: x', file: 'pith.yaml', env: {} });
  if ('problems' in result) throw new Error('the configuration is wrong');
  expect(result.place({ path: ['nats', 'creds'], message: 'bad' })).toMatchObject({
    file: 'pith.yaml',
    line: 3,
    path: 'nats.creds',
  });
});
