/** Answers before the answer, which a backend may send unasked, and how many it likes. */
import type http from 'node:http';
import { describe, expect, test } from 'vitest';

import { TestClient } from '../support/client.ts';
import { HttpBackend, startRawPort } from '../support/http-backend.ts';
import { startHttpGateway } from '../support/http-stage.ts';
import { Authority } from '../support/tls.ts';

const authority = new Authority();
const KINDS: readonly [string, (response: http.ServerResponse) => void][] = [
  [
    '100',
    (response) => {
      response.writeContinue();
    },
  ],
  [
    '102',
    (response) => {
      response.writeProcessing();
    },
  ],
  [
    '103',
    (response) => {
      response.writeEarlyHints({ link: '</a>; rel=preload' });
    },
  ],
  [
    'all of them, several times',
    (response) => {
      for (let i = 0; i < 20; i++) {
        response.writeContinue();
        response.writeProcessing();
        response.writeEarlyHints({ link: '</a>; rel=preload' });
        response.writeContinue();
      }
    },
  ],
];

describe.each([
  ['http', null],
  ['https', authority.issue('web')],
] as const)('over %s', (_, tls) => {
  test.each(KINDS)('%s is passed over, and the connection is kept', async (_name, before) => {
    await using backend = await HttpBackend.start(
      (_asked, response) => {
        before(response);
        return { body: '{"ok":1}' };
      },
      { tls },
    );
    const more = tls === null ? '' : `tls: { ca: ${JSON.stringify(authority.cert)} }`;
    await using gateway = await startHttpGateway(
      backend.url.replace('127.0.0.1', 'localhost'),
      more,
    );
    await using client = await TestClient.connect(gateway.port);
    for (let n = 0; n < 3; n++)
      expect(await client.request('world.map.look', { n })).toEqual({ ok: 1 });
    expect(backend.asked.map(({ connection }) => connection)).toEqual([1, 1, 1]);
  });
});

test('an answer that only looks like one, in its body, is left as it is', async () => {
  const text = 'HTTP/1.1 100 Continue\r\n\r\n';
  await using backend = await HttpBackend.start(() => ({ body: JSON.stringify({ text }) }));
  await using gateway = await startHttpGateway(backend.url);
  await using client = await TestClient.connect(gateway.port);
  for (let n = 0; n < 2; n++) expect(await client.request('world.map.look')).toEqual({ text });
});

test('a 100 after which nothing comes is an answer that broke off', async () => {
  await using backend = await startRawPort('HTTP/1.1 100 Continue\r\n\r\n');
  await using gateway = await startHttpGateway(backend.url);
  await using client = await TestClient.connect(gateway.port);
  expect(await client.request('world.map.look')).toMatchObject({ reason: 'BACKEND_AWAY' });
});

test.each([
  [1_000, { ok: 1 }],
  [1_001, { code: 502, reason: 'BAD_REPLY' }],
])('of %i before the answer', async (count, answer) => {
  const interims = 'HTTP/1.1 103 Early\r\n\r\n'.repeat(count);
  await using backend = await startRawPort(
    `${interims}HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\n{"ok":1}`,
  );
  await using gateway = await startHttpGateway(backend.url);
  await using client = await TestClient.connect(gateway.port);
  expect(await client.request('world.map.look')).toMatchObject(answer);
});
