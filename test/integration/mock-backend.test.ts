/** `pith mock-backend` as a client team runs it: the program, a gateway in front of it, a client. */
import { describe, expect, test } from 'vitest';

import { TestClient } from '../support/client.ts';
import { startGateway } from '../support/gateway.ts';
import { start } from '../support/process.ts';
import { configFile, pith, ROOT } from '../support/serve.ts';

const ANSWERS = `
- match: chat.room.join
  answer: { code: 200, you: "{body.name}", uid: "{uid}" }
  bind: "{body.name}"
  pushes: [{ route: onJoin, body: { name: "{body.name}" } }, { route: onLate, body: {}, after: 50ms }]
- match: "shop.>"
  error: { code: 409, reason: SOLD_OUT, msg: nothing left }
`;

async function mock(args: readonly string[]) {
  const program = await start(
    process.execPath,
    ['src/main.ts', 'mock-backend', '--listen', '127.0.0.1:0', ...args],
    { cwd: ROOT },
  );
  const [, port] = await program.waitFor(/listening on 127\.0\.0\.1:(\d+)/);
  return { program, port: Number(port) };
}

describe.each(['link', 'handle'])('over %s', (mode) => {
  test('answers, binds, pushes and refuses as its file says', async () => {
    using file = configFile(ANSWERS);
    const { program, port } = await mock(['--answers', file.path]);
    await using _program = program;
    await using gateway = await startGateway(`
backends: { mock: { grpc: "127.0.0.1:${port}", mode: ${mode} } }
routes: [{ match: ">", backend: mock }]`);
    await using client = await TestClient.connect(gateway.port);
    const join = () => client.request('chat.room.join', { name: 'ann' });
    expect(await join()).toEqual({ code: 200, you: 'ann', uid: '' });
    expect(await client.push('onJoin')).toEqual({ name: 'ann' });
    expect(await client.push('onLate')).toEqual({});
    expect(await join()).toEqual({ code: 200, you: 'ann', uid: 'ann' });
    expect(await client.request('shop.item.buy')).toMatchObject({ code: 409, reason: 'SOLD_OUT' });
    const echoed = { route: 'any.other.route', uid: 'ann', body: [1] };
    expect(await client.request('any.other.route', [1])).toEqual(echoed);
  });
});

test('a file that is wrong is said, with the entry, and ends it with 78', async () => {
  using file = configFile('- { match: "a..b" }');
  const { code, output } = await pith('mock-backend', '--answers', file.path);
  expect([code, output]).toEqual([78, expect.stringContaining(`${file.path}: entry 1: match:`)]);
});
