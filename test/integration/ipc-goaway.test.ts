/** Backends on a Unix socket: one process takes the path over from another, and no client notices. */
import { afterEach, describe, expect, test } from 'vitest';

import { TestClient } from '../support/client.ts';
import { startGateway } from '../support/gateway.ts';
import {
  type IpcAsked,
  IpcBackend,
  type IpcStage,
  ipcStage,
  socketPath,
} from '../support/ipc-backend.ts';
import { eventually } from '../support/wait.ts';

const open: AsyncDisposable[] = [];
function keep<T extends AsyncDisposable>(thing: T): T {
  open.push(thing);
  return thing;
}
afterEach(async () => {
  for (const thing of open.splice(0).reverse()) await thing[Symbol.asyncDispose]();
});

const AWAY = { code: 503, reason: 'BACKEND_AWAY' };
const GOAWAY = { cmd: 'goaway' };

const say = (by: string) => (): object => ({ payload: { by } });
const bodies = ({ asked }: IpcBackend): unknown[] => asked.map(({ payload }) => payload);

/** The gateway has heard it. */
async function leave(stage: IpcStage): Promise<void> {
  stage.backend.say(GOAWAY);
  await eventually(() => stage.logged('goaway') > 0, 'the goaway');
}

describe('a process that takes over', () => {
  test('gets what comes from then on; what is due is taken from the one before, which gets nothing more', async () => {
    const stage = keep(await ipcStage(() => null));
    const { backend, client, path } = stage;
    const other = keep(await TestClient.connect(stage.gateway.port));
    const first = client.request('a.b.c', { n: 1 });
    await backend.nth(0);
    const next = keep(await IpcBackend.takeOver(path, say('next')));
    await leave(stage);
    expect(await other.request('a.b.c', { n: 2 })).toEqual({ by: 'next' });
    // The same client's next one would overtake the first.
    const second = client.request('a.b.c', { n: 3 });
    expect(await other.request('a.b.c', { n: 4 })).toEqual({ by: 'next' });
    expect(bodies(next)).toEqual([{ n: 2 }, { n: 4 }]);
    backend.say({ cmd: 'push', all: true, route: 'onLast', payload: {} });
    backend.say({ seq_id: 1, payload: { by: 'before' } });
    expect([await first, await second]).toEqual([{ by: 'before' }, { by: 'next' }]);
    expect(client.received.filter(({ kind }) => kind === 'push')).toHaveLength(1);
    await eventually(() => backend.sockets.size === 0, 'the connection to be left');
    expect([bodies(backend), bodies(next)]).toEqual([[{ n: 1 }], [{ n: 2 }, { n: 4 }, { n: 3 }]]);
    expect([backend.connections, next.connections]).toEqual([1, 1]);
  });

  test('may come later: requests, notifies and ends of sessions wait for it, in their order', async () => {
    const stage = keep(await ipcStage(say('before')));
    const { backend, client, path } = stage;
    const other = keep(await TestClient.connect(stage.gateway.port));
    await other.request('a.b.c', { n: 1 });
    await leave(stage);
    await backend.stop();
    const answers = [2, 3].map((n) => client.request('a.b.c', { n }));
    other.notify('a.b.c', { n: 4 });
    await eventually(() => stage.gateway.gateway.info().backends[0]!.inFlight === 3, 'what waits');
    other.close();
    await eventually(() => stage.gateway.gateway.registry.size === 1, 'the session to be over');
    const next = keep(await IpcBackend.takeOver(path, say('next')));
    expect(await Promise.all(answers)).toEqual([{ by: 'next' }, { by: 'next' }]);
    await next.nth(3);
    const seen = ({ cmd, payload }: IpcAsked): unknown => (cmd === 'pith.closed' ? cmd : payload);
    expect(next.asked.map(seen)).toEqual([{ n: 2 }, { n: 3 }, { n: 4 }, 'pith.closed']);
    const counts = ['pith_calls_waiting', 'pith_calls_waited_total'] as const;
    expect(counts.map((name) => stage.gateway.count(name, 'takeover'))).toEqual([0, 3]);
  });

  test('is asked who may connect', async () => {
    const folder = socketPath();
    keep({ [Symbol.asyncDispose]: async () => folder[Symbol.dispose]() });
    const accept = (): object => ({ payload: { accept: {} } });
    const backend = keep(await IpcBackend.start(folder.path, accept));
    const gateway = keep(
      await startGateway(`
auth: { mode: connect, backend: game }
backends: { game: { ipc: "unix://${folder.path}" } }
routes: [{ match: ">", backend: game }]`),
    );
    await eventually(() => backend.sockets.size === 1, 'the connection');
    backend.say(GOAWAY);
    await eventually(() => gateway.log.some(({ state }) => state === 'leaving'), 'the goaway');
    await backend.stop();
    const joined = TestClient.connect(gateway.port);
    const next = keep(await IpcBackend.takeOver(folder.path, accept));
    keep(await joined);
    expect(next.asked.map(({ cmd }) => cmd)).toEqual(['pith.connect']);
  });
});

test('where nobody takes over, what waits is answered 503 after a while, and what comes then at once', async () => {
  const stage = keep(await ipcStage(say('before')));
  await leave(stage);
  await stage.backend.stop();
  expect(await stage.client.request('a.b.c')).toMatchObject(AWAY);
  expect(stage.logged('no other process has taken over')).toBe(1);
  expect(await stage.client.request('a.b.c')).toMatchObject(AWAY);
  const next = keep(await IpcBackend.takeOver(stage.path, say('next')));
  await eventually(() => next.connections === 1, 'the gateway to connect');
  const answers = (): Promise<object> => stage.client.request('a.b.c');
  await eventually(async () => 'by' in (await answers()), 'an answer');
});

test('what waits for longer than its route allows is answered 503 as well: nobody has had it', async () => {
  const folder = socketPath();
  keep({ [Symbol.asyncDispose]: async () => folder[Symbol.dispose]() });
  const backend = await IpcBackend.start(folder.path, say('before'));
  const gateway = keep(
    await startGateway(`
backends: { game: { ipc: "unix://${folder.path}" } }
routes: [{ match: ">", backend: game, timeout: 300ms }]`),
  );
  const client = keep(await TestClient.connect(gateway.port));
  expect(await client.request('a.b.c')).toEqual({ by: 'before' });
  backend.say(GOAWAY);
  await eventually(() => gateway.log.some(({ state }) => state === 'leaving'), 'the goaway');
  await backend.stop();
  expect(await client.request('a.b.c')).toMatchObject(AWAY);
  expect(gateway.count('pith_requests_total', 'game', 'BACKEND_AWAY')).toBe(1);
  // It gave up before the gateway did.
  expect(gateway.log.filter(({ why }) => String(why).includes('no other process'))).toEqual([]);
  await eventually(
    () => gateway.log.some(({ why }) => String(why).includes('no other process')),
    'the end of the wait',
  );
});

test('a process that stays bound to its path is asked again, and answers, until another comes', async () => {
  const stage = keep(await ipcStage(say('before')));
  const { backend, client } = stage;
  await leave(stage);
  expect(await client.request('a.b.c')).toEqual({ by: 'before' });
  expect(backend.connections).toBe(2);
});

test('goaway twice, and lines of newer members, change nothing', async () => {
  const stage = keep(await ipcStage(say('before')));
  stage.backend.write('{"cmd":"goaway","reason":"shutdown","more":1}\n{"cmd":"goaway"}\n');
  await eventually(() => stage.logged('goaway: shutdown') === 1, 'the goaway');
  expect(await stage.client.request('a.b.c')).toEqual({ by: 'before' });
  expect(stage.logged('goaway')).toBe(1);
});
