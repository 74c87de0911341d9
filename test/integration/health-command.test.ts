/** `pith health` against the real binary: alive, ready, draining, away, and a configuration that is wrong. */
import { expect, test } from 'vitest';

import { TestClient } from '../support/client.ts';
import { startLinkBackend } from '../support/link-backend.ts';
import { configFile, pith, serve } from '../support/serve.ts';
import { eventually } from '../support/wait.ts';

test('it says what the gateway says', async () => {
  await using backend = await startLinkBackend(() => {});
  await using served = await serve(
    `backends: { b: { grpc: "${backend.address}" } }\nroutes: [{ match: ">", backend: b, timeout: 60s }]\n`,
  );
  const where = ['--set', `health.listen=0.0.0.0:${served.healthPort}`];
  expect(await pith('health', ...where)).toEqual({ code: 0, output: 'ok\n' });
  expect(await pith('health', '--ready', ...where)).toEqual({ code: 0, output: 'ok\n' });

  await using client = await TestClient.connect(served.port);
  client.send('a.slow', {});
  await eventually(() => backend.requests.length === 1, 'the request');
  served.running.kill('SIGTERM');
  await served.logged('draining');
  expect(await pith('health', ...where)).toEqual({ code: 0, output: 'ok\n' });
  expect(await pith('health', '--ready', ...where)).toEqual({ code: 1, output: 'draining\n' });
  backend.requests[0]!.answer({ code: 200 });
  await served.running.exited;
  expect(await pith('health', ...where)).toEqual({
    code: 69,
    output: `cannot ask http://127.0.0.1:${served.healthPort}/livez: nothing listens there\n`,
  });
});

test('it reads where to ask from the configuration', async () => {
  await using served = await serve('');
  using file = configFile(`health: { listen: "127.0.0.1:${served.healthPort}" }\n`);
  expect(await pith('health', file.path)).toEqual({ code: 0, output: 'ok\n' });
  using wrong = configFile('health: { lisen: 1 }\n');
  const { code, output } = await pith('health', wrong.path);
  expect(code).toBe(78);
  expect(output).toContain('health.lisen');
});
