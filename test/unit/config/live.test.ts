/** Two files as one: the second one's keys win, and are keys that a reload applies. */
import { expect, test } from 'vitest';

import { loadConfig } from '../../../src/config/load.ts';
import { formatProblem } from '../../../src/config/problem.ts';

const MAIN = `
backends: { a: { http: "http://a:1", headers: { x: "1" } }, b: { reply: { code: 1 } } }
routes: [{ match: "a.>", backend: a }, { match: "b.>", backend: b }]
limits: { burst: 10, packet: 1MiB }
`;

function load(live: string, env: Record<string, string> = {}) {
  return loadConfig({
    text: MAIN,
    file: 'pith.yaml',
    live: { text: live, file: 'live.yaml' },
    env,
  });
}

function config(live: string, env: Record<string, string> = {}) {
  const loaded = load(live, env);
  if ('problems' in loaded) throw new Error(loaded.problems.map(formatProblem).join('\n'));
  return loaded.config;
}

test('maps are merged, lists are replaced, and the environment still wins', () => {
  const { backends, routes, limits } = config(
    'backends: { a: { headers: { y: "2" } }, c: { reply: { code: 2 } } }\nroutes: [{ match: ">", backend: c }]\nlimits: { burst: 20 }',
    { PITH_LIMITS__BURST: '30' },
  );
  expect(backends['a']).toMatchObject({ http: 'http://a:1', headers: { x: '1', y: '2' } });
  expect(Object.keys(backends)).toEqual(['a', 'b', 'c']);
  expect(routes.map(({ match, backend }) => [match, backend])).toEqual([['>', 'c']]);
  expect([limits.burst, limits.packet]).toEqual([30, 1_048_576]);
});

test.each(['', '# nothing', 'null', '{}', 'limits: {}'])('%j is nothing', (live) => {
  expect(config(live).limits.burst).toBe(10);
});

test.each([
  ['- a', ['live.yaml:1: expected a map of keys, as "id: pith"']],
  ['log: {', ['live.yaml:1: not valid YAML']],
  ['id: x', ['live.yaml:1: id: a reload cannot apply it; set it in pith.yaml']],
  [
    'limits:\n  burst: 1\n  packet: 2MiB',
    ['live.yaml:3: limits.packet: a reload cannot apply it; set it in pith.yaml'],
  ],
  ['nonsense: 1', ['live.yaml:1: nonsense: a reload cannot apply it; set it in pith.yaml']],
  ['__proto__: { burst: 1 }', ['live.yaml:1: __proto__.burst: a reload cannot apply it']],
  ['constructor: 1', ['live.yaml:1: constructor: a reload cannot apply it']],
  ['limits: { burst: no }', ['live.yaml:1: limits.burst: expected a whole number']],
  [
    'routes:\n  - { match: "a.>", backend: zz }',
    ['live.yaml:2: routes[0].backend: no backend named "zz"'],
  ],
  ['backends:\n  a: { grpc: "ipv4:1.2.3.4:5" }', ['live.yaml:2: backends.a']],
  // The file's own mistakes keep their places.
  ['backends: { b: null }', ['live.yaml:1: backends.b']],
])('%j', (live, expected) => {
  const loaded = load(live);
  const problems = 'problems' in loaded ? loaded.problems.map(formatProblem) : [];
  expect(problems).toEqual(expected.map((start) => expect.stringContaining(start) as string));
});
