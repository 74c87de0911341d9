/** Pomelo's and Pinus's own servers behind a gateway, by the connector of deploy/examples/pomelo-connector-nats. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import { parse, stringify } from 'yaml';

import { ORIGINALS } from '../oracle/servers.ts';
import { TestClient } from '../support/client.ts';
import { installPython } from '../support/examples.ts';
import { startNats } from '../support/nats.ts';
import { tellJson } from '../support/nats-backend.ts';
import { type Running, start } from '../support/process.ts';
import { readBlocks } from '../support/readme.ts';
import { ROOT, serve } from '../support/serve.ts';
import { eventually } from '../support/wait.ts';

const BEHIND = fileURLToPath(new URL('../oracle/behind.ts', import.meta.url));
const EXAMPLE = join(ROOT, 'deploy/examples/pomelo-connector-nats/pith.yaml');
const GUIDE = readBlocks(readFileSync(join(ROOT, 'deploy/guides/from-pomelo.md'), 'utf8'));

type Yaml = { listen: object[]; routes: object[] };

/** The guide's configuration with a route that has moved; but for that route it is the example's. */
function configOf(bus: string): string {
  const text = GUIDE.findLast(({ lang }) => lang === 'yaml')!.text;
  const { listen, ...yaml } = parse(text) as Yaml;
  const [, ...old] = yaml.routes;
  expect(parse(readFileSync(EXAMPLE, 'utf8'))).toEqual({ listen, ...yaml, routes: old });
  return stringify({ ...yaml, bus });
}

/** The guide's program for the route that has moved. */
async function startMoved(python: string, url: string): Promise<Running> {
  const text = GUIDE.find(({ text: one }) => one.startsWith('# send.py'))!.text;
  return start(python, ['-c', text.replace('nats://127.0.0.1:4222', url)]);
}

describe.each(ORIGINALS)('%s', (original) => {
  test('its sessions, channels, ends and kicks are those of the gateways, and a route can move away', async (ctx) => {
    const python = await installPython();
    if (python === null) return ctx.skip('there is no Python 3.9 with venv and pip');
    await using nats = await startNats();
    await using _old = await start(
      process.execPath,
      ['--no-deprecation', BEHIND, original, nats.url],
      {
        ready: /ready/,
      },
    );
    await using _moved = await startMoved(python, nats.url);
    await using one = await serve(configOf(nats.url));
    await using two = await serve(configOf(nats.url));
    await using ann = await TestClient.connect(one.port, 'ws');
    await using bob = await TestClient.connect(two.port, 'tcp');
    const route = (method: string): string => `connector.chatHandler.${method}`;

    expect(await ann.request(route('who'), {})).toEqual({ uid: null, rid: null });
    const refused = await ann.request('chat.chatHandler.send', {});
    expect(refused).toMatchObject({ code: 401 });
    expect(await ann.request(route('enter'), { user: 'änn', rid: 'r.1' })).toEqual({
      users: ['änn'],
    });
    expect(await bob.request(route('enter'), { user: 'bob', rid: 'r.1' })).toEqual({
      users: ['änn', 'bob'],
    });
    expect(await ann.push('onAdd')).toEqual({ user: 'bob' });
    expect(await bob.request(route('send'), { content: 'hi' })).toEqual({});
    expect(await ann.push('onChat')).toEqual({ from: 'bob', msg: 'hi' });
    expect(await bob.push('onChat')).toEqual({ from: 'bob', msg: 'hi' });
    expect(await bob.request(route('who'), {})).toEqual({ uid: 'bob*r.1', rid: 'r.1' });
    expect(await bob.request(route('refuse'), {})).toEqual({ code: 403, msg: 'not here' });
    expect(await bob.request(route('missing'), {})).toMatchObject({ code: 500 });

    // What has moved knows the session, and reaches a channel's members, who are a group.
    const say = 'chat.chatHandler.send';
    await eventually(
      async () => (await ann.request(say, { content: 'yo', target: '*' }))['code'] === undefined,
      'the program of the moved route',
    );
    const all = { msg: 'yo', from: 'änn', target: '*' };
    expect(await ann.push('onChat', 1)).toEqual(all);
    expect(await bob.push('onChat', 1)).toEqual(all);
    await ann.request(say, { content: 'psst', target: 'bob' });
    expect(await bob.push('onChat', 2)).toEqual({ msg: 'psst', from: 'änn', target: 'bob' });

    // What changes in the one is known in the other; what both have set is Pomelo's.
    const nc = await nats.connect();
    const sessionOf = async (uid: string): Promise<object> =>
      ((await tellJson(nc, `pith.user.${uid}.get`))['sessions'] as object[])[0]!;
    await using dan = await TestClient.connect(two.port, 'ws');
    await dan.request(route('who'), {});
    const sid = (await tellJson(nc, 'pith.control.ListSessions', { target: { all: true } }))[
      'sessions'
    ] as { sid: string; uid: string }[];
    const patch = { uid: 'dan', set: { rid: 'r.2', level: 7 } };
    await tellJson(nc, `pith.session.${sid.find((one) => one.uid === '')!.sid}.patch`, patch);
    expect(await dan.request(route('who'), {})).toEqual({ uid: 'dan', rid: 'r.2' });
    await dan.request(route('change'), { rid: 'r.3' });
    expect(await sessionOf('dan')).toMatchObject({
      data: { rid: 'r.3', level: 7 },
      groups: ['room.r.3'],
    });
    await dan.request(route('change'), { rid: 'r.4' });
    expect(await sessionOf('dan')).toMatchObject({ data: { rid: 'r.4' }, groups: ['room.r.4'] });
    await dan.request(route('logout'), {});
    expect(await dan.request('chat.chatHandler.send', {})).toMatchObject({ code: 401 });

    // The end of a session, and of a whole gateway.
    bob.close();
    expect(await ann.push('onLeave')).toEqual({ user: 'bob', rid: 'r.1' });
    await using carl = await TestClient.connect(two.port, 'ws');
    await carl.request(route('enter'), { user: 'carl', rid: 'r.1' });
    expect(await ann.push('onAdd', 1)).toEqual({ user: 'carl' });
    two.running.kill('SIGKILL');
    expect(await ann.push('onLeave', 1)).toEqual({ user: 'carl', rid: 'r.1' });

    ann.notify(route('kick'), { user: 'änn', rid: 'r.1' });
    await ann.ended;
    expect(ann.received.at(-1)).toEqual({ kind: 'kick', body: { reason: 'bye' } });
  });
});
