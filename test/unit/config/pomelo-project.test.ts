/** What is read of a Pomelo project's folder, and what is said of files that cannot be used. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, expect, test } from 'vitest';

import { PomeloProjectError, readPomeloProject } from '../../../src/config/pomelo-project.ts';

const folders: string[] = [];

afterEach(() => {
  for (const folder of folders.splice(0)) rmSync(folder, { recursive: true, force: true });
});

/** A folder with these files; what is no text is written as JSON. */
function project(files: Record<string, unknown>): string {
  const folder = mkdtempSync(join(tmpdir(), 'pith-pomelo-'));
  folders.push(folder);
  for (const [name, content] of Object.entries(files)) {
    const file = join(folder, name);
    mkdirSync(dirname(file), { recursive: true });
    writeFileSync(file, typeof content === 'string' ? content : JSON.stringify(content));
  }
  return folder;
}

/** What is wrong with the project, a line each. */
function problemsOf(folder: string, env = ''): string[] {
  try {
    readPomeloProject(folder, env);
  } catch (error) {
    if (!(error instanceof PomeloProjectError)) throw error;
    return error.message.split('\n').map((line) => line.replaceAll(folder, '$'));
  }
  return [];
}

test('a list of routes gets the codes 1, 2, 3', () => {
  const folder = project({ 'dictionary.json': ['onChat', 'chat.room.say', '__proto__'] });
  const { dictionary, protos, warnings } = readPomeloProject(folder, '');
  expect([1, 2, 3, 4].map((code) => dictionary!.routeOf(code))).toEqual([
    'onChat',
    'chat.room.say',
    '__proto__',
    undefined,
  ]);
  expect(protos).toBe(null);
  expect(warnings).toEqual([]);
});

test('a route that stands twice has its later code, as in Pomelo', () => {
  const { dictionary } = readPomeloProject(project({ 'dictionary.json': ['a', 'b', 'a'] }), '');
  expect(dictionary!.codeOf('a')).toBe(3);
  expect(dictionary!.routeOf(1)).toBe(undefined);
});

test('a map of routes keeps its codes', () => {
  const { dictionary } = readPomeloProject(project({ 'dictionary.json': { a: 7, b: 65_535 } }), '');
  expect(dictionary!.codeOf('a')).toBe(7);
  expect(dictionary!.codeOf('b')).toBe(65_535);
});

test('a file in the folder of the environment goes before the one beside it', () => {
  const folder = project({
    'dictionary.json': ['both'],
    'live/dictionary.json': ['live'],
    'clientProtos.json': { 'a.b.c': { 'required string text': 1 } },
  });
  const live = readPomeloProject(folder, 'live');
  expect(live.dictionary!.routeOf(1)).toBe('live');
  // One that is not there is taken from beside it.
  expect(live.protos!.client.parsed).toHaveProperty(['a.b.c']);
  expect(readPomeloProject(folder, 'test').dictionary!.routeOf(1)).toBe('both');
  expect(readPomeloProject(folder, '').dictionary!.routeOf(1)).toBe('both');
});

test('a mark of the byte order before the JSON is passed over', () => {
  const folder = project({ 'dictionary.json': '\ufeff["onChat"]' });
  expect(readPomeloProject(folder, '').dictionary!.codeOf('onChat')).toBe(1);
});

test('protos of one side alone leave the other empty, and have a version', () => {
  const folder = project({ 'serverProtos.json': { onChat: { 'required string text': 1 } } });
  const { protos } = readPomeloProject(folder, '');
  expect(protos!.client.parsed).toEqual({});
  expect(protos!.server.parsed).toHaveProperty(['onChat']);
  // base64(md5('{}' + JSON of the parsed protos)), as Pomelo computes it.
  expect(protos!.version).toMatch(/^[A-Za-z0-9+/]{22}==$/);
});

test('what may not be meant is a warning that names the file', () => {
  const folder = project({
    'clientProtos.json': { 'a.b.c': { 'required string text': 1, 'sometimes string more': 2 } },
  });
  const { warnings } = readPomeloProject(folder, '');
  expect(warnings).toHaveLength(1);
  expect(warnings[0]).toContain(`${folder}/clientProtos.json: a.b.c`);
});

test.each<[what: string, files: Record<string, unknown>, env: string, problems: string[]]>([
  [
    'no file at all',
    { 'readme.txt': '' },
    '',
    ['$: there is no dictionary.json, clientProtos.json or serverProtos.json here'],
  ],
  [
    'none for the environment either',
    { 'live/readme.txt': '' },
    'live',
    ['$: there is no dictionary.json, clientProtos.json or serverProtos.json here or in live/'],
  ],
  [
    'a list with something else',
    { 'dictionary.json': ['a', 5] },
    '',
    ['$/dictionary.json: entry 1 is not the name of a route'],
  ],
  [
    'a list with an empty name',
    { 'dictionary.json': [''] },
    '',
    ['$/dictionary.json: entry 0 is not the name of a route'],
  ],
  [
    'neither a list nor a map',
    { 'dictionary.json': 'null' },
    '',
    ['$/dictionary.json: expected a list of routes, as ["onChat","onLeave"]'],
  ],
  [
    'a code that is none',
    { 'dictionary.json': { a: 0 } },
    '',
    ['$/dictionary.json: route a has code 0; 1 to 65535 are valid'],
  ],
  [
    'a code that is an object without a text',
    { 'dictionary.json': { a: { toString: 0 } } },
    '',
    ['$/dictionary.json: route a has code {"toString":0}; 1 to 65535 are valid'],
  ],
  [
    'a code of two routes',
    { 'dictionary.json': { a: 1, b: 1 } },
    '',
    ['$/dictionary.json: routes a and b share code 1'],
  ],
  [
    'a file that is too long',
    { 'dictionary.json': ' '.repeat(4_194_305) },
    '',
    ['$/dictionary.json: 4194305 bytes; at most 4194304 are read'],
  ],
  [
    'a folder in the place of a file',
    { 'clientProtos.json/x': '' },
    '',
    ['$/clientProtos.json: cannot be read: EISDIR: illegal operation on a directory, read'],
  ],
])('%s', (_what, files, env, problems) => {
  expect(problemsOf(project(files), env)).toEqual(problems);
});

test('all that is wrong is said, of every file', () => {
  const folder = project({
    'dictionary.json': '["a"',
    'clientProtos.json': { 'a.b.c': { 'required string text': 'one' } },
    'serverProtos.json': 'x',
  });
  const problems = problemsOf(folder);
  expect(problems.map((line) => line.slice(0, line.indexOf(': ')))).toEqual([
    '$/dictionary.json',
    '$/clientProtos.json',
    '$/serverProtos.json',
  ]);
  expect(problems[0]).toMatch(/^\$\/dictionary.json: is not JSON: /);
});
