/** Which address of a backend in mode: method a session gets: as in every other mode of gRPC. */
import { afterEach, describe, expect, test } from 'vitest';

import { TestClient } from '../support/client.ts';
import { ConsulDouble, healthy } from '../support/consul-double.ts';
import { startGateway, type TestGateway } from '../support/gateway.ts';
import { type MethodAsked, MethodBackend } from '../support/method-backend.ts';
import { ECHO_PROTO, metadata } from '../support/method-pair.ts';
import { eventually } from '../support/wait.ts';

const open: AsyncDisposable[] = [];
function keep<T extends AsyncDisposable>(thing: T): T {
  open.push(thing);
  return thing;
}
afterEach(async () => {
  for (const thing of open.splice(0).reverse()) await thing[Symbol.asyncDispose]();
});

/** Says which instance it is, and binds the session to the uid that the request names. */
function say(instance: string): (asked: MethodAsked) => void {
  return (asked) => {
    const uid = asked.request['text'] as string;
    if (uid === 'hold') return;
    asked.answer({ text: instance }, uid === '' ? undefined : metadata({ 'x-pith-bind': uid }));
  };
}

async function startBackend(instance: string): Promise<MethodBackend> {
  const options = { proto: ECHO_PROTO, service: 't.Echo', reflection: 'v1' as const };
  return keep(await MethodBackend.start({ ...options, handler: say(instance) }));
}

/** @param count Addresses that it reaches. */
async function gatewayTo(grpc: string, count: number, keys = '', more = ''): Promise<TestGateway> {
  const gateway = keep(
    await startGateway(`${more}
backends:
  echo: { grpc: "${grpc}", mode: method, services: [t.Echo], reflection: true${keys} }
routes:
  - { match: t.say, backend: echo, method: /t.Echo/Say, timeout: 15s }
`),
  );
  const healthy = (): boolean => gateway.gateway.info().backends[0]!.healthy === count;
  await eventually(healthy, `${count} addresses`);
  return gateway;
}

async function reached(client: TestClient, text = ''): Promise<string> {
  return (await client.request('t.say', { text }))['text'] as string;
}

/** Where so many new sessions go, in their order. */
async function spread({ port }: TestGateway, count: number): Promise<string[]> {
  const got: string[] = [];
  for (let i = 0; i < count; i++) got.push(await reached(keep(await TestClient.connect(port))));
  return got;
}

const ipv4 = (backends: readonly MethodBackend[]): string =>
  `ipv4:${backends.map(({ address }) => address).join(',')}`;
const consulOf = ({ url }: ConsulDouble): string => `consul: { address: "${url}" }`;
const portOf = ({ address }: MethodBackend): number => Number(address.split(':')[1]);

describe('mode: method', () => {
  test('finds its addresses in Consul, with their weights, and follows a change', async () => {
    const [a, b, c] = [await startBackend('a'), await startBackend('b'), await startBackend('c')];
    const entries = [healthy('127.0.0.1', portOf(a), 2), healthy('127.0.0.1', portOf(b))];
    const consul = keep(
      await ConsulDouble.start(({ query }) =>
        query.has('index') ? null : { index: 3, body: entries },
      ),
    );
    const gateway = await gatewayTo('consul:///echo', 2, '', consulOf(consul));
    expect((await spread(gateway, 6)).toSorted()).toEqual(['a', 'a', 'a', 'a', 'b', 'b']);
    expect(gateway.gateway.info().backends[0]).toMatchObject({ addresses: 2, healthy: 2 });

    const client = keep(await TestClient.connect(gateway.port));
    await eventually(() => consul.held.length === 1, 'the query that waits');
    consul.release({ index: 4, body: [healthy('127.0.0.1', portOf(c))] });
    await eventually(async () => (await reached(client)) === 'c', 'the other instance');
    expect(gateway.gateway.info().backends[0]).toMatchObject({ addresses: 1 });
  });

  test('shares sessions by configured weights', async () => {
    const backends = [await startBackend('a'), await startBackend('b')];
    const gateway = await gatewayTo(
      ipv4(backends),
      2,
      `, weights: { "${backends[1]!.address}": 3 }`,
    );
    expect((await spread(gateway, 8)).toSorted()).toEqual([
      'a',
      'a',
      ...Array<string>(6).fill('b'),
    ]);
  });

  test('sends sessions where least is in flight', async () => {
    const backends = [await startBackend('a'), await startBackend('b')];
    const gateway = await gatewayTo(ipv4(backends), 2, ', balance: least_in_flight');
    const busy = keep(await TestClient.connect(gateway.port));
    const away = await reached(busy);
    busy.send('t.say', { text: 'hold' });
    await backends[away === 'a' ? 0 : 1]!.nth(1);
    const free = away === 'a' ? 'b' : 'a';
    expect(await spread(gateway, 3)).toEqual([free, free, free]);
  });

  test('sends sessions where their key leads, also when it is bound later', async () => {
    const backends = [await startBackend('a'), await startBackend('b'), await startBackend('c')];
    const gateway = await gatewayTo(ipv4(backends), 3, ', balance: hash');
    const homes = new Map<string, string>();
    // So many that each address has one of them, wherever their ports put them: but for one run in a million.
    for (let n = 0; n < 72; n++) {
      const [client, uid] = [keep(await TestClient.connect(gateway.port)), `player-${n % 36}`];
      await reached(client, uid);
      const home = await reached(client);
      expect(home).toBe(homes.get(uid) ?? home);
      homes.set(uid, home);
    }
    expect(new Set(homes.values()).size).toBe(3);
  });

  test('brings idle sessions to an address that comes', async () => {
    const [a, b] = [await startBackend('a'), await startBackend('b')];
    const first = { index: 3, body: [healthy('127.0.0.1', portOf(a))] };
    const consul = keep(
      await ConsulDouble.start(({ query }) => (query.has('index') ? null : first)),
    );
    const gateway = await gatewayTo('consul:///echo', 1, '', consulOf(consul));
    const clients: TestClient[] = [];
    for (let i = 0; i < 4; i++) clients.push(keep(await TestClient.connect(gateway.port)));
    for (const client of clients) expect(await reached(client)).toBe('a');
    await eventually(() => consul.held.length === 1, 'the query that waits');
    const both = [healthy('127.0.0.1', portOf(a)), healthy('127.0.0.1', portOf(b))];
    consul.release({ index: 4, body: both });
    const everywhere = ['a', 'a', 'b', 'b'];
    await eventually(async () => {
      const got: string[] = [];
      for (const client of clients) got.push(await reached(client));
      return got.toSorted().join() === everywhere.join();
    }, 'half of the sessions at each');
  });
});
