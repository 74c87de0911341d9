// Which pages the admin port serves, and the names that it may be reached by.
import { expect, test } from 'vitest';
import { pagesOf, pageUrls } from '../../../src/config/web-pages.ts';
import { load, problemsOf } from './support.ts';

const BEYOND = 'listen: "0.0.0.0:7071", token: e5ca7f7e0d8b4c1b9a36f2d47c81b05a';

test.each([
  ['', ['playground', 'console']],
  ['admin: { listen: "[::1]:7071" }', ['playground', 'console']],
  ['admin: { console: false }', ['playground']],
  ['admin: { playground: false, console: false }', []],
  [`admin: { ${BEYOND} }`, []],
  [`admin: { ${BEYOND}, console: true }`, ['console']],
  [`admin: { ${BEYOND}, playground: true, console: true }`, ['playground', 'console']],
])('%s', (yaml, pages) => {
  expect(pagesOf(load(yaml).admin)).toEqual(pages);
});

test.each([
  'Ops.example.com',
  'ops.example.com:7071',
  'https://ops.example.com',
  '*.example.com',
  '',
])('%s is no name for admin.hosts', (host) => {
  expect(problemsOf(`admin: { hosts: [${JSON.stringify(host)}] }`)).toEqual([
    'pith.yaml:1: admin.hosts[0]: expected a host name in small letters, without a port, as ops.example.com',
  ]);
});

test.each([
  ['', ['http://127.0.0.1:45/playground', 'http://127.0.0.1:45/console']],
  ['admin: { listen: "[::1]:0", console: false }', ['http://[::1]:45/playground']],
  [`admin: { ${BEYOND}, console: true }`, ['http://127.0.0.1:45/console']],
  [
    'admin: { console: true, playground: false, tls: { cert: a, key: b } }',
    ['https://127.0.0.1:45/console'],
  ],
])('a browser is told the addresses of %s', (yaml, urls) => {
  expect(pageUrls(load(yaml).admin, 45)).toEqual(urls);
});
