/** The two programs of proto/README.md that listen to events, as they stand, and what they know of real gateways. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';

import { TestClient } from '../support/client.ts';
import { installPython } from '../support/examples.ts';
import { startNats } from '../support/nats.ts';
import { serve as answer } from '../support/nats-backend.ts';
import { start } from '../support/process.ts';
import { ROOT, serve } from '../support/serve.ts';

const PAGE = readFileSync(join(ROOT, 'proto/README.md'), 'utf8');

/** The block of the page that begins with this line. */
function block(line: string): string {
  const found = [...PAGE.matchAll(/^```python\n([^`]*)^```$/gm)].map(([, text]) => text!);
  return found.find((text) => text.startsWith(line))!;
}

/** What the page leaves to its reader: the connection, and a token for names with dots. */
const PROGRAM = `
import asyncio, base64, json, sys
import nats

def token(text):
    return "=" + base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")

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

function indented(text: string): string {
  return text.replaceAll(/^(?=.)/gm, '    ');
}

test('onLeave, and exactly who is there', async (ctx) => {
  const python = await installPython();
  if (python === null) return ctx.skip('there is no Python 3.9 with venv and pip');
  const dir = mkdtempSync(join(tmpdir(), 'pith-page-'));
  try {
    writeFileSync(join(dir, 'main.py'), PROGRAM);
    await using nats = await startNats();
    await using program = await start(python, [join(dir, 'main.py'), nats.url], { ready: /ready/ });
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
    expect(program.output()).not.toContain('Traceback');
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
});
