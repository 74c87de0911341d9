/** `pith watch` and `pith profile` against a real gateway, as a person and as a script use them. */
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';

import { runProfile } from '../../src/cli/profile.ts';
import { runWatch } from '../../src/cli/watch.ts';
import { systemClock } from '../../src/clock.ts';
import { TestClient } from '../support/client.ts';
import { startGateway, type TestGateway } from '../support/gateway.ts';
import { freePort } from '../support/process.ts';
import { pith } from '../support/serve.ts';
import { eventually } from '../support/wait.ts';

const TOKEN = 'write-0123456789abcdefgh';
const CONFIG = `
backends: { gate: { reply: { code: 200 } } }
routes: [{ match: "gate.>", backend: gate }]
admin: { listen: 127.0.0.1:0, token: ${TOKEN}, watch_bodies: true }
`;

let gateway: TestGateway;
let folder: string;

beforeAll(async () => {
  gateway = await startGateway(CONFIG);
  folder = mkdtempSync(join(tmpdir(), 'pith-watch-'));
});

afterAll(async () => {
  await gateway[Symbol.asyncDispose]();
  rmSync(folder, { recursive: true });
});

/** A command that is running. */
function watching(at: { readonly adminPort: number }, ...args: string[]) {
  const printed = { out: '', err: '' };
  const ended = runWatch({
    args: ['--admin', `127.0.0.1:${at.adminPort}`, ...args],
    env: { PITH_ADMIN__TOKEN: TOKEN },
    clock: systemClock,
    print(text) {
      printed.out += text;
      return Promise.resolve();
    },
    say(text) {
      printed.err += text;
    },
  });
  return { printed, ended };
}

test('what a player does is printed for people, with bodies where they are asked for, until the gateway stops', async () => {
  const own = await startGateway(CONFIG);
  const { printed, ended } = watching(own, '--route', 'gate.>', '--bodies');
  await eventually(() => printed.out.includes('watching 0 sessions on '), 'the beginning');
  const ann = await TestClient.connect(own.port);
  await ann.request('gate.handler.enter', { room: 'lobby' });
  await eventually(() => printed.out.includes('response'), 'the answer');
  expect(printed.out).toMatch(
    /\n[\d:.]{12} → request gate\.handler\.enter #1 16 B \(\S+\.1\)\n {13}\{"room":"lobby"\}\n/,
  );
  expect(printed.out).toMatch(
    /\n[\d:.]{12} ← response gate\.handler\.enter #1 200 12 B \[gate\.> → gate\] took \d+ ms \(\S+\.1\)\n {13}\{"code":200\}\n/,
  );
  await own[Symbol.asyncDispose]();
  expect(await ended).toBe(0);
  expect(printed.out).toContain('ended – the gateway is stopping');
  expect(printed.err).toBe('');
  ann.close();
});

test('the program itself prints JSON for a script, and says what is wrong', async () => {
  const port = await freePort();
  const nobody = await pith('watch', '--admin', `127.0.0.1:${port}`, '--json');
  expect([nobody.code, nobody.output]).toEqual([
    69,
    `pith: cannot ask http://127.0.0.1:${port}: nothing listens there\n`,
  ]);
  const { printed, ended } = watching(gateway, '--token', 'x'.repeat(24));
  expect([await ended, printed]).toEqual([
    1,
    { out: '', err: expect.stringContaining('wants a token') as unknown },
  ]);
  const wrong = watching(gateway, '--route', 'a..b');
  expect([await wrong.ended, wrong.printed.err]).toEqual([
    1,
    expect.stringContaining('route: a segment is empty'),
  ]);
});

test('a profile is written into a file that is not there yet', async () => {
  const admin = ['--admin', `127.0.0.1:${gateway.adminPort}`, '--seconds', '1'];
  const io = { env: { PITH_ADMIN__TOKEN: TOKEN }, clock: systemClock, folder };
  const written = await runProfile({ ...io, args: admin });
  expect(written).toMatchObject({ code: 0, err: '' });
  const [, name = ''] = /^wrote (.+\.cpuprofile)\n$/.exec(written.out) ?? [];
  expect(existsSync(join(folder, name))).toBe(true);
  const profile = JSON.parse(readFileSync(join(folder, name), 'utf8')) as object;
  expect(profile).toHaveProperty('nodes');
  writeFileSync(join(folder, 'mine'), '');
  expect(await runProfile({ ...io, args: [...admin, '--heap', 'mine'] })).toEqual({
    ...{ code: 73, out: '', err: 'pith: mine: is there already; name another FILE\n' },
  });
});
