// Backends on HTTP and on a Unix socket: what is taken, and what is refused with which words.
import { expect, test } from 'vitest';
import { load, problemObjectsOf } from './support.ts';

function problems(backend: string): string[] {
  return problemObjectsOf(`backends: { web: ${backend} }`).map(
    ({ path, message }) => `${path}: ${message}`,
  );
}

test.each([
  '{ http: "http://127.0.0.1:8080" }',
  '{ http: "https://shop.example.com/game/", tls: { ca: /tls/ca.pem } }',
  '{ http: "http://[::1]:80", headers: { Authorization: "Bearer x" } }',
  '{ ipc: "unix:///tmp/game.sock" }',
  '{ ipc: "unix:/tmp/game.sock" }',
])('%s', (backend) => {
  expect(problems(backend)).toEqual([]);
});

test.each([
  [
    '{ http: "127.0.0.1:8080" }',
    'backends.web.http: expected http://host:port or https://host:port',
  ],
  ['{ http: "http://a:b@c" }', 'backends.web.http: a password goes to "headers", not here'],
  ['{ http: "http://a/?b=c" }', 'backends.web.http: expected no ? and no #; a path is fine'],
  [
    '{ http: "http://a", headers: { Pith-Sid: x } }',
    'backends.web.headers.Pith-Sid: this header is set by the gateway',
  ],
  [
    '{ http: "http://a", headers: { Expect: x } }',
    'backends.web.headers.Expect: this header is set by the gateway',
  ],
  [
    '{ http: "http://a", headers: { Accept-Encoding: gzip } }',
    'backends.web.headers.Accept-Encoding: this header is set by the gateway',
  ],
  [
    '{ ipc: "/tmp/a.sock" }',
    'backends.web.ipc: expected unix:///path, the absolute path of a socket',
  ],
  [
    '{ ipc: "unix://tmp/a.sock" }',
    'backends.web.ipc: expected unix:///path, the absolute path of a socket',
  ],
  [
    `{ ipc: "unix:///${'a'.repeat(107)}" }`,
    "backends.web.ipc: a socket's path has at most 107 bytes; this one has 108",
  ],
])('%s is refused', (backend, problem) => {
  expect(problems(backend)).toContain(problem);
});

test('a path belongs to an http backend', () => {
  const yaml = (backend: string): string =>
    `backends: { web: ${backend} }\nroutes: [{ match: "a.>", backend: web, path: "/{server}" }]`;
  expect(load(yaml('{ http: "http://a" }')).routes[0]!.path).toBe('/{server}');
  expect(problemObjectsOf(yaml('{ ipc: "unix:///a" }')).map(({ message }) => message)).toEqual([
    'backend "web" is not an http backend',
  ]);
});
