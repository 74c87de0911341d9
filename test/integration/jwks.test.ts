/** `auth.jwt.jwks_url`: keys behind an https URL of this machine, and the real process. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';

import { gates, startGated } from '../support/gated.ts';
import { shake } from '../support/handshake.ts';
import { JwksServer, jwkOf, keyPairFor, token } from '../support/jwt.ts';
import { serve, type Served } from '../support/serve.ts';
import { Authority } from '../support/tls.ts';
import { eventually } from '../support/wait.ts';

const folder = mkdtempSync(join(tmpdir(), 'pith-jwks-'));
afterAll(() => {
  rmSync(folder, { recursive: true });
});

const a = keyPairFor('RS256');
const b = keyPairFor('RS256');
const inSeconds = (seconds: number): number => Math.floor(Date.now() / 1_000) + seconds;
const tokenOf = (kid: string, { privateKey } = a, header: object = {}): string =>
  token({ sub: 'ann', aud: 'game', exp: inSeconds(600) }, privateKey, 'RS256', { kid, ...header });
const KEY_A = jwkOf(a.publicKey, { kid: 'a', use: 'sig' });
const KEY_B = jwkOf(b.publicKey, { kid: 'b', use: 'sig' });

/** @param ca The file of the authority that is trusted. */
function start(jwks: JwksServer, ca = jwks.authority): Promise<Served> {
  const file = join(folder, 'ca.pem');
  writeFileSync(file, ca.cert);
  return serve(`
auth: { mode: jwt, jwt: { algorithms: [RS256], jwks_url: "${jwks.url}", audience: game, tls: { ca: "${file}" } } }
backends: { game: { reply: { code: 200 } } }
routes: [{ match: ">", backend: game, bound: true }]
`);
}

async function codeOf(served: Served, text: string): Promise<unknown> {
  const { client, answer } = await shake(served.port, { token: text });
  client.close();
  return answer['code'];
}

async function metrics(served: Served): Promise<string> {
  return (await fetch(`http://127.0.0.1:${served.healthPort}/metrics`)).text();
}

async function readiness(served: Served): Promise<{ status: number; text: string }> {
  const answer = await fetch(`http://127.0.0.1:${served.healthPort}/readyz`);
  return { status: answer.status, text: await answer.text() };
}

test('the keys are fetched before anyone can come in, from this URL, and for nothing else', async () => {
  await using jwks = await JwksServer.start([KEY_A]);
  await using served = await start(jwks);
  expect(await readiness(served)).toMatchObject({ status: 200 });
  expect(await codeOf(served, tokenOf('a'))).toBe(200);
  expect(await codeOf(served, tokenOf('a', b))).toBe(500);
  const elsewhere = { jku: `${jwks.url}/other`, x5u: `${jwks.url}/cert`, iss: jwks.url };
  expect(await codeOf(served, tokenOf('a', a, elsewhere))).toBe(200);
  // One at the start; the keys that came a moment ago are not fetched again for a name that nobody knows.
  for (const kid of ['b', '../a', `${jwks.url}?a`])
    expect(await codeOf(served, tokenOf(kid))).toBe(500);
  expect(jwks.asked.map(({ url }) => url)).toEqual(['/keys/jwks.json']);
  expect(await metrics(served)).toMatch(
    /pith_jwks_fetches_total\{outcome="ok"\} 1\n[^]*pith_jwks_fetched_timestamp_seconds [0-9]{10}\n/,
  );
});

describe('a gateway that has never seen any', () => {
  test('is not ready, and says why; clients are answered 503, until they are there', async () => {
    await using jwks = await JwksServer.start([KEY_A]);
    const { body } = jwks.answer!;
    jwks.answer = { status: 500, body };
    await using served = await start(jwks);
    expect(await readiness(served)).toMatchObject({
      ...{ status: 503 },
      text: expect.stringContaining('auth.jwt.jwks_url: no keys have been fetched yet') as string,
    });
    expect(await codeOf(served, tokenOf('a'))).toBe(503);
    // That can be seen to be bad without any key is bad.
    expect(await codeOf(served, 'a.b.c')).toBe(500);
    expect(await served.logged('JWKS not fetched')).toMatchObject({
      ...{ url: jwks.url, why: 'the answer is 500; expected 200' },
    });
    jwks.answer = { body };
    await served.logged('ready');
    expect(await readiness(served)).toMatchObject({ status: 200 });
    expect(await codeOf(served, tokenOf('a'))).toBe(200);
  });

  test('sends nobody to itself, until the keys are there', async () => {
    await using jwks = await JwksServer.start([KEY_A]);
    const { body } = jwks.answer!;
    jwks.answer = { status: 500, body };
    const jwt = {
      ...{ algorithms: ['RS256'], jwks_url: jwks.url, audience: 'game' },
      tls: { ca: jwks.authority.cert },
    };
    const auth = `auth: ${JSON.stringify({ mode: 'jwt', jwt })}\n`;
    await using gateway = await startGated('keyless', 'embedded', auth);
    expect(gates(gateway)).toBe('0 of 1');
    jwks.answer = { body };
    await eventually(() => gates(gateway) === '1 of 1', 'the keys');
    expect(gateway.gateway.notReady()).toEqual([]);
  });

  const redirect = { status: 302, headers: { location: 'https://localhost:1/' }, body: '' };
  test.each<[what: string, answer: JwksServer['answer'], why: RegExp]>([
    [
      'another status',
      { status: 404, body: JSON.stringify({ keys: [KEY_A] }) },
      /is 404; expected/,
    ],
    ['a redirect', redirect, /^the answer is 302; expected 200$/],
    ['too much', { body: `{"keys":[],"pad":"${'x'.repeat(600_000)}"}` }, /more than 524288 bytes$/],
  ])('because the answer is %s', async (_, answer, why) => {
    await using jwks = await JwksServer.start([]);
    jwks.answer = answer;
    await using served = await start(jwks);
    expect(await served.logged('JWKS not fetched')).toMatchObject({
      why: expect.stringMatching(why) as string,
    });
    expect(await readiness(served)).toMatchObject({ status: 503 });
  });

  test('because whoever answers is not who it should be', async () => {
    await using jwks = await JwksServer.start([KEY_A]);
    await using served = await start(jwks, new Authority('another'));
    expect(await served.logged('JWKS not fetched')).toMatchObject({
      why: expect.stringMatching(/certificate|signature/) as string,
    });
    expect(jwks.asked).toEqual([]);
    expect(await codeOf(served, tokenOf('a'))).toBe(503);
  });
});

test('a key that is new is fetched for the first token that has it, at most every ten seconds; the others wait for no one', async () => {
  await using jwks = await JwksServer.start([KEY_A]);
  await using served = await start(jwks);
  jwks.serve([KEY_A, KEY_B]);
  expect(await codeOf(served, tokenOf('b', b))).toBe(500);
  const both = async (): Promise<boolean> => (await codeOf(served, tokenOf('b', b))) === 200;
  await eventually(both, 'the new key', 20_000);
  expect(jwks.asked).toHaveLength(2);
  expect(await served.logged('JWKS fetched')).toMatchObject({ keys: 1, kids: 'a' });
  expect(served.log()).toContainEqual(
    expect.objectContaining({ msg: 'JWKS fetched', kids: 'a b' }),
  );
  // It is away, and does not even refuse: those with a known key do not notice.
  jwks.answer = null;
  const unknown = codeOf(served, tokenOf('c'));
  for (let n = 0; n < 5; n++) expect(await codeOf(served, tokenOf('b', b))).toBe(200);
  expect(await unknown).toBe(500);
  await jwks[Symbol.asyncDispose]();
  expect(await codeOf(served, tokenOf('a'))).toBe(200);
  expect(await readiness(served)).toMatchObject({ status: 200 });
});
