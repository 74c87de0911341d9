/** Our own client against the servers that it is made for: Pomelo's and Pinus's own, and Pith, with the same game. */
import { describe, expect, test } from 'vitest';

import { type ClientOptions, type Dial, PithClient, webSocket } from '../../src/client/client.ts';
import { tcp } from '../../src/client/tcp.ts';
import { startOriginal, startPith } from '../oracle/servers.ts';
import { CLIENT_TYPE, USER } from '../oracle/worlds.ts';

const SERVERS = ['pomelo', 'pinus', 'pith'] as const;
const TRANSPORTS = ['ws', 'tcp'] as const;
const CASES = SERVERS.flatMap((name) => TRANSPORTS.map((scheme) => [name, scheme] as const));

type World = Parameters<typeof startPith>[0];

const start = (name: (typeof SERVERS)[number], world: World) =>
  name === 'pith' ? startPith(world) : startOriginal(name, world);

type Opened = AsyncDisposable & {
  readonly client: PithClient;
  push(route: string): Promise<unknown>;
};

async function open(url: string, options: ClientOptions = {}): Promise<Opened> {
  const dial = url.startsWith('tcp:') ? tcp() : webSocket();
  const client = new PithClient(url, { dial, reconnect: false, ...options });
  const pushes: [string, unknown][] = [];
  let look = (): void => {};
  client.onPush('*', (body, { route }) => {
    pushes.push([route, body]);
    look();
  });
  await client.connect();
  return {
    client,
    push: (route) =>
      new Promise((resolve) => {
        look = () => {
          const at = pushes.findIndex(([name]) => name === route);
          if (at >= 0) resolve(pushes.splice(at, 1)[0]![1]);
        };
        look();
      }),
    [Symbol.asyncDispose]: () => client.close(),
  };
}

const ask = (method: string): string => `connector.entryHandler.${method}`;

describe.each(CASES)('%s over %s', (name, scheme) => {
  test('asks, notifies, is pushed to and kicked', async () => {
    await using server = await start(name, 'plain');
    await using one = await open(`${scheme}://127.0.0.1:${server.port}`);
    const { client } = one;
    expect(client.handshake).toEqual({ code: 200, sys: { heartbeat: 30 } });
    const body = { text: '你好 😂', n: [1.5, null, true] };
    expect(await client.request(ask('echo'), body)).toEqual(body);
    expect(await client.request(ask('bind'), { uid: 'u1' })).toEqual({ code: 200 });
    client.notify(ask('echo'), body);
    const push = { route: 'onChat', body };
    expect(await client.request(ask('pushFirst'), push)).toEqual({ code: 200 });
    expect(await one.push('onChat')).toEqual(body);
    const answers = Array.from({ length: 150 }, (_, n) => client.request(ask('echo'), { n }));
    expect(await Promise.all(answers)).toEqual(answers.map((_, n) => ({ n })));
    expect(await client.request(ask('fail'))).toMatchObject({ code: 500 });

    const kicked = new Promise((resolve) => {
      client.onKick(({ reason }) => {
        resolve(reason);
      });
    });
    client.notify(ask('kick'), { reason: 'elsewhere' });
    expect(await kicked).toBe('elsewhere');
    await expect.poll(() => client.state).toBe('closed');
  });

  test('uses dictionary and protobuf, also those that it had before', async () => {
    await using server = await start(name, 'both');
    const cache = new Map<string, string>();
    const move = {
      entityId: 1001,
      path: [
        { x: 1, y: -1 },
        { x: -300, y: 70_000 },
      ],
      speed: 1.5,
      name: '勇者 😂',
      marks: [0, 1, 2 ** 31],
      tags: ['a', ''],
      exact: 0.1,
      delta: -150,
      at: { x: 0, y: 5 },
    };
    const moved = { entityId: 7, stop: { name: 'b', scores: [1.5, -2] }, text: '😂' };
    for (const isCached of [false, true]) {
      await using one = await open(`${scheme}://127.0.0.1:${server.port}`, { cache });
      const { client } = one;
      expect(client.handshake?.sys).toMatchObject({ useDict: true, useProto: true });
      expect(client.handshake?.sys !== undefined && 'protos' in client.handshake.sys).toBe(
        !isCached,
      );
      expect(client.encodesProtobuf(ask('move'))).toBe(true);
      const answer = await client.ask(ask('move'), move);
      expect(answer.isProtobuf).toBe(true);
      expect(answer.body).toEqual(move);
      expect(await client.request(ask('bind'), { uid: 'u1' })).toEqual({ code: 200 });
      await client.request(ask('pushFirst'), { route: 'onMove', body: moved });
      expect(await one.push('onMove')).toEqual(moved);
      await client.request(ask('pushFirst'), { route: 'onChat', body: { text: '😂' } });
      expect(await one.push('onChat')).toEqual({ text: '😂' });
    }
  });

  test('is let in with its type and user block, or refused', async () => {
    await using server = await start(name, 'hooks');
    const url = `${scheme}://127.0.0.1:${server.port}`;
    await using one = await open(url, { sys: { type: CLIENT_TYPE }, user: { token: 'good' } });
    expect(one.client.handshake?.user).toEqual(USER);
    const refused = { reason: 'REFUSED' };
    await expect(open(url)).rejects.toMatchObject({ ...refused, code: 501 });
    const bad = open(url, { sys: { type: CLIENT_TYPE }, user: { token: 'bad' } });
    await expect(bad).rejects.toMatchObject({ ...refused, code: 500 });
  });
});

/** Dials, and calls `onBeat` for each heartbeat of the server; none of them comes with anything else. */
function counting(dial: Dial, onBeat: () => void): Dial {
  return (url, events) =>
    dial(url, {
      ...events,
      onData: (data) => {
        events.onData(data);
        if (data.length === 4 && data[0] === 3) onBeat();
      },
    });
}

test('heartbeats are kept, with each of them', async () => {
  const keep = async (scheme: (typeof TRANSPORTS)[number], port: number): Promise<unknown> => {
    let beats = 0;
    let onFourth = (): void => {};
    const fourth = new Promise<void>((resolve) => {
      onFourth = resolve;
    });
    const dial = counting(scheme === 'tcp' ? tcp() : webSocket(), () => {
      // These servers answer a client's heartbeats: one that sends none gets the first alone.
      if (++beats === 4) onFourth();
    });
    await using one = await open(`${scheme}://127.0.0.1:${port}`, { dial });
    await fourth;
    return await one.client.request(ask('echo'), { scheme });
  };
  await using stack = new AsyncDisposableStack();
  const all: (() => Promise<unknown>)[] = [];
  for (const name of SERVERS) {
    const { port } = stack.use(await start(name, 'protobuf'));
    for (const scheme of TRANSPORTS) all.push(() => keep(scheme, port));
  }
  const kept = await Promise.all(all.map((one) => one()));
  expect(kept).toEqual(CASES.map(([, scheme]) => ({ scheme })));
});
