/** The programs of proto/README.md in Python, as they stand, behind real gateways. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test, type TestContext } from 'vitest';

import { TestClient } from '../support/client.ts';
import { installPython } from '../support/examples.ts';
import { startNats, type TestNats } from '../support/nats.ts';
import { serve as answer } from '../support/nats-backend.ts';
import { type Running, start } from '../support/process.ts';
import { ROOT, serve } from '../support/serve.ts';
import { eventually } from '../support/wait.ts';

const PAGE = readFileSync(join(ROOT, 'proto/README.md'), 'utf8');

/** The block of the page that begins with this line. */
function block(line: string): string {
  const found = [...PAGE.matchAll(/^```python\n([^`]*)^```$/gm)].map(([, text]) => text!);
  return found.find((text) => text.startsWith(line))!;
}

/** What the page leaves to its reader: the connection, and a token for names with dots. */
const HEAD = `
import asyncio, base64, json, secrets, sys
import nats

def token(text):
    return "=" + base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")
`;

const EVENTS = `${HEAD}
async def main():
    nc = await nats.connect(sys.argv[1])
${indented(block('async def on_closed(msg):'))}
${indented(block('here, terms = {}, {}'))}
    async def tell(msg):
        await on_event(msg)
        print(json.dumps(sorted(uid for sids in here.values() for uid in sids.values())), flush=True)
    await nc.subscribe("pith.event.>", cb=tell)
    await nc.flush()
    print("ready", flush=True)
    await asyncio.Event().wait()

asyncio.run(main())
`;

/** A room whose state is the list of its moves. */
const ROOM = `${HEAD}
moves = []
def apply(data):
    moves.append(json.loads(data)["i"])
def snapshot():
    return json.dumps({"moves": moves}).encode()

${block('epoch, n = ')}
async def main():
    global nc
    nc = await nats.connect(sys.argv[1])
    await nc.subscribe("pith.rpc.room.move", cb=on_move)
    await nc.subscribe("pith.rpc.room.state", cb=on_state)
    await nc.flush()
    print("ready", flush=True)
    await asyncio.Event().wait()

asyncio.run(main())
`;

function indented(text: string): string {
  return text.replaceAll(/^(?=.)/gm, '    ');
}

/** Runs `text` beside NATS while `use` does. */
async function withProgram(
  ctx: TestContext,
  text: string,
  use: (nats: TestNats, program: Running) => Promise<void>,
): Promise<void> {
  const python = await installPython();
  if (python === null) return ctx.skip('there is no Python 3.9 with venv and pip');
  const dir = mkdtempSync(join(tmpdir(), 'pith-page-'));
  try {
    writeFileSync(join(dir, 'main.py'), text);
    await using nats = await startNats();
    await using program = await start(python, [join(dir, 'main.py'), nats.url], { ready: /ready/ });
    await use(nats, program);
    expect(program.output()).not.toContain('Traceback');
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
}

test('onLeave, and exactly who is there', (ctx) =>
  withProgram(ctx, EVENTS, async (nats, program) => {
    await answer(await nats.connect(), 'pith.rpc.login.>', (msg) => ({
      body: '{}',
      headers: {
        'Pith-Bind': msg.json<{ uid: string }>().uid,
        'Pith-Set': '{"room":"a.b"}',
        'Pith-Join': '["room.a.b"]',
      },
    }));
    const yaml = `
bus: ${nats.url}
backends: { login: { nats: {} } }
routes: [{ match: "login.>", backend: login, forward: [room] }]`;
    await using one = await serve(yaml);
    await using two = await serve(yaml);
    const bound: TestClient[] = [];
    for (const [uid, port] of [
      ['ann', one.port],
      ['bob', two.port],
      ['carl', one.port],
      ['dan', one.port],
    ] as const) {
      const client = await TestClient.connect(port, 'ws');
      bound.push(client);
      await client.request('login.user.enter', { uid });
    }
    const [ann, bob] = bound;
    await program.waitFor(/\["ann", "bob", "carl", "dan"\]\n/);
    ann!.close();
    await program.waitFor(/\["bob", "carl", "dan"\]\n/);
    expect(await bob!.push('onLeave')).toEqual({ name: 'ann' });
    one.running.kill('SIGKILL');
    await program.waitFor(/\["bob"\]\n/);
    bob!.close();
    await program.waitFor(/\[\]\n(?:\[\]\n)*$/);
  }));

test('a forged `lost` of a term far ahead is not believed, and a true one is', (ctx) =>
  withProgram(ctx, EVENTS, async (nats, program) => {
    const nc = await nats.connect();
    const say = (name: string, event: object): void =>
      nc.publish(`pith.event.${name}`, JSON.stringify(event));
    say('session.opened', { session: { gateway: 'gw-x', sid: 'gw-x.1', uid: 'ann' } });
    say('gateway.lost', { gateway: 'gw-x', term: 5_000 });
    say('gateway.lost', { gateway: 'gw-x', term: 1 });
    await program.waitFor(/\[\]\n/);
    expect(program.output()).toContain('ready\n["ann"]\n["ann"]\n[]\n');
  }));

test('a snapshot and what follows it: each move once, in order', (ctx) =>
  withProgram(ctx, ROOM, async (nats) => {
    await answer(await nats.connect(), 'pith.rpc.login.>', () => ({
      body: '{}',
      headers: { 'Pith-Set': '{"room":"1"}' },
    }));
    await using gateway = await serve(`
bus: ${nats.url}
backends: { login: { nats: {} }, room: { nats: {} } }
routes:
  - { match: "login.>", backend: login }
${/^ {2}- \{ match: room\.state.*$/m.exec(PAGE)![0]}
  - { match: room.move, backend: room }`);
    await using player = await TestClient.connect(gateway.port);
    await using watcher = await TestClient.connect(gateway.port, 'ws');
    await watcher.request('login.user.enter', {});
    for (let i = 0; i < 100; i++) player.notify('room.move', { i });
    const state = await watcher.request('room.state', {});
    const moves = state['moves'] as number[];
    for (let i = 100; i < 200; i++) player.notify('room.move', { i });
    await eventually(() => watcher.pushes('onMove').length >= 200 - moves.length, 'every move');
    const later = watcher.pushes('onMove').map(({ body }) => (body as { i: number }).i);
    expect([...moves, ...later]).toEqual(Array.from({ length: 200 }, (_, i) => i));
  }));
