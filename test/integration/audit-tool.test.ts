/** `make audit`, with registries that answer, answer badly, and do not answer. */
import { once } from 'node:events';
import http from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { expect, test } from 'vitest';

import { run } from '../support/process.ts';
import { ROOT } from '../support/serve.ts';

/** Runs the tool against a registry whose answer to a question about advisories is this; null: none. */
async function audit(status: number, answer: object | null, seconds = 60) {
  const registry = http.createServer((request, response) => {
    request.resume();
    if (answer === null) return;
    // Which versions there are is asked for packages with an advisory.
    const name = request.method === 'GET' ? decodeURIComponent(request.url!.slice(1)) : '';
    const version = '1.0.0';
    const about = {
      name,
      'dist-tags': { latest: version },
      versions: { [version]: { name, version } },
    };
    request.once('end', () => {
      response.writeHead(status, { 'content-type': 'application/json' });
      response.end(JSON.stringify(name === '' ? answer : about));
    });
  });
  registry.listen(0, '127.0.0.1');
  await once(registry, 'listening');
  const { port } = registry.address() as AddressInfo;
  const ran = await run(process.execPath, [join(ROOT, 'test/tools/audit.ts')], {
    cwd: ROOT,
    env: { npm_config_registry: `http://127.0.0.1:${port}/`, AUDIT_SECONDS: String(seconds) },
  });
  registry.closeAllConnections();
  registry.close();
  return ran;
}

test('says that nothing is known against the packages', async () => {
  expect(await audit(200, {})).toMatchObject({
    code: 0,
    output: expect.stringMatching(
      /^audit: no known vulnerabilities in [1-9]\d* packages$/m,
    ) as unknown,
  });
});

const ADVISORY = {
  id: 1,
  url: 'https://example.com/1',
  title: 'Bad',
  severity: 'high',
  vulnerable_versions: '*',
  cwe: [],
  cvss: { score: 9, vectorString: null },
};

// The second is a development package, and a part of the program.
test.each(['pino', 'yaml'])('fails for a vulnerability of %s, and names it', async (name) => {
  const { code, output } = await audit(200, { [name]: [ADVISORY] });
  expect(output).toMatch(new RegExp(`^audit: high: ${name} `, 'm'));
  expect(code).toBe(1);
});

test('passes for one of a package that nothing ships', async () => {
  expect(await audit(200, { vitest: [ADVISORY] })).toMatchObject({ code: 0 });
});

test.each([
  ['refuses', 405, {}, 60],
  ['fails', 500, {}, 60],
  ['is silent', 200, null, 5],
])('says so when the registry %s, and ends', async (_, status, answer, seconds) => {
  const { code, output } = await audit(status, answer, seconds);
  expect(output).toMatch(
    /audit: the registry gave no answer \(.+\): nothing was checked\. Try again/,
  );
  expect(code).toBe(2);
});
