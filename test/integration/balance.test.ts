/** Which link of which address of a gRPC backend a session gets, and when it moves. */
import { describe, expect, test, vi } from 'vitest';

import { TestClient } from '../support/client.ts';
import { startGateway, type TestGateway } from '../support/gateway.ts';
import { type Asked, type BackendOptions, echo, GrpcBackend } from '../support/grpc-backend.ts';
import { toStruct } from '../support/grpc-shapes.ts';
import { eventually, SOON } from '../support/wait.ts';

const upTo = (count: number): number[] => Array.from({ length: count }, (_, i) => i);

/** Instances `a`, `b`, `c` and a gateway before them. */
class Stage implements AsyncDisposable {
  readonly backends: readonly GrpcBackend[];
  readonly gateway: TestGateway;
  readonly clients: TestClient[] = [];

  private constructor(backends: readonly GrpcBackend[], gateway: TestGateway) {
    this.backends = backends;
    this.gateway = gateway;
  }

  /** @param more Of the backend's entry, as `, links: 2`; NAME:PORT of the first backend stands for `A`. */
  static async set(
    instances: number,
    more = '',
    options: BackendOptions & { timeout?: string } = {},
  ): Promise<Stage> {
    const { timeout = '15s' } = options;
    const backends: GrpcBackend[] = [];
    for (const instance of ['a', 'b', 'c'].slice(0, instances))
      backends.push(await GrpcBackend.start({ ...options, instance }));
    const list = backends.map(({ address }) => address);
    const gateway = await startGateway(`
backends: { game: { grpc: "ipv4:${list.join(',')}"${more.replace('A:PORT', list[0]!)} } }
routes:
  - { match: game.poll, backend: game, order: none, timeout: ${timeout} }
  - { match: "game.>", backend: game, timeout: ${timeout} }
`);
    return new Stage(backends, gateway);
  }

  async join(): Promise<TestClient> {
    const client = await TestClient.connect(this.gateway.port);
    this.clients.push(client);
    return client;
  }

  /** New clients, each with the instance that it has got. */
  async spread(count: number): Promise<string[]> {
    const got: string[] = [];
    for (const _ of upTo(count)) got.push(await reached(await this.join()));
    return got;
  }

  named(instance: string): GrpcBackend {
    return this.backends.find((backend) => backend.instance === instance)!;
  }

  logged(state: string, why: RegExp): Promise<unknown> {
    const found = (): unknown =>
      this.gateway.log.find((line) => line['state'] === state && why.test(String(line['why'])));
    return eventually(found, `${state}: ${why.source}`);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.gateway[Symbol.asyncDispose]();
    await Promise.all(this.backends.map((backend) => backend[Symbol.asyncDispose]()));
  }
}

async function reached(client: TestClient, body: object = {}): Promise<string> {
  return (await client.request('game.enter', body))['instance'] as string;
}

function count(names: readonly string[]): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const name of names) counts[name] = (counts[name] ?? 0) + 1;
  return counts;
}

/** Binds the session to the uid that the body names. */
const bindOrEcho = (asked: Asked): void => {
  const { uid, data } = asked.body as { uid?: string; data?: Record<string, string> };
  const patch = { ...(uid !== undefined && { uid }), ...(data && { set: toStruct(data) }) };
  asked.answer({ instance: asked.instance }, { patch });
};

describe('several links to an address', () => {
  test('share the sessions; each keeps to one, and its end is told once', async () => {
    await using stage = await Stage.set(1, ', links: 3');
    const [backend] = stage.backends as [GrpcBackend];
    await backend.wait(() => (backend.links.length === 3 ? true : undefined), '3 links');
    for (const client of await Promise.all(upTo(6).map(() => stage.join())))
      for (const _ of upTo(3)) await client.request('game.enter');
    const links = Map.groupBy(backend.requests, ({ sid }) => sid);
    const used = [...links.values()].map((asked) => new Set(asked.map(({ link }) => link)));
    expect(used.map(({ size }) => size)).toEqual([1, 1, 1, 1, 1, 1]);
    expect(new Set(used.flatMap((set) => [...set])).size).toBe(3);
    expect(stage.gateway.gateway.info().backends[0]).toMatchObject({ addresses: 1, healthy: 1 });
    for (const client of stage.clients) client.close();
    await backend.wait(() => (backend.closed.length === 6 ? true : undefined), '6 ends');
  });

  test('are replaced when they are old: what is in flight is answered, and the session goes on', async () => {
    const hold: Asked[] = [];
    const handler = (asked: Asked): void => {
      if (asked.body['hold'] === true) hold.push(asked);
      else echo(asked);
    };
    await using stage = await Stage.set(1, ', link_age: 1s', { handler });
    const [backend] = stage.backends as [GrpcBackend];
    const [busy, idle] = [await stage.join(), await stage.join()];
    const held = busy.send('game.enter', { hold: true });
    await idle.request('game.enter');
    const old = backend.links[0]!;
    await backend.wait(() => backend.links[1], 'a new link', 5_000);
    await vi.waitFor(async () => {
      await idle.request('game.enter');
      expect(backend.requests.at(-1)!.link).not.toBe(old);
    }, SOON);
    expect(old.got('goaway')).toEqual([]);
    hold[0]!.answer({ n: 1 });
    expect(await busy.answer(held)).toEqual({ n: 1 });
    await backend.wait(() => old.got('goaway')[0], 'a goaway on the old link');
    expect(old.got('goaway')[0]!.what).toEqual({ reason: 'replaced by a new link' });
    await busy.request('game.enter');
    expect(backend.requests.at(-1)!.link).not.toBe(old);
  });
});

describe('a session gets its address', () => {
  test('in turn, by weight', async () => {
    await using stage = await Stage.set(3, ', weights: { "A:PORT": 2 }');
    expect(count(await stage.spread(8))).toEqual({ a: 4, b: 2, c: 2 });
  });

  test('where least is in flight', async () => {
    const handler = (asked: Asked): void => {
      if (asked.body['hold'] !== true) echo(asked);
    };
    await using stage = await Stage.set(3, ', balance: least_in_flight', { handler });
    const [busy, other] = [await stage.join(), await stage.join()];
    const away = [await reached(busy), await reached(other)];
    for (const client of [busy, other]) client.send('game.enter', { hold: true });
    for (const instance of away) await stage.named(instance).request(1);
    const [free] = ['a', 'b', 'c'].filter((name) => !away.includes(name));
    expect(await stage.spread(3)).toEqual([free, free, free]);
  });

  test('as the first that is there', async () => {
    await using stage = await Stage.set(2, ', balance: pick_first');
    expect(await stage.spread(3)).toEqual(['a', 'a', 'a']);
    await stage.named('a').kill();
    await stage.logged('away', /./);
    expect(await stage.spread(2)).toEqual(['b', 'b']);
  });

  test('by its uid, also when it is bound later, and the others stay when one goes', async () => {
    await using stage = await Stage.set(3, ', balance: hash', { handler: bindOrEcho });
    // So many that each address has one of them, wherever their ports put them: but for one run in a million.
    const uids = upTo(36).map((n) => `player-${n}`);
    const home = async (uid: string): Promise<string> => {
      const client = await stage.join();
      await reached(client, { uid });
      return reached(client);
    };
    const homes: string[] = [];
    for (const uid of uids) homes.push(await home(uid));
    for (const [i, uid] of uids.entries()) expect(await home(uid)).toBe(homes[i]);
    expect(new Set(homes).size).toBe(3);
    await stage.named('a').kill();
    await stage.logged('away', /./);
    const stay = uids.map((_, i) => i).filter((i) => homes[i] !== 'a');
    for (const i of stay) expect(await home(uids[i]!)).toBe(homes[i]);
  });

  test('by a key of its data', async () => {
    await using stage = await Stage.set(3, ', balance: hash, hash_by: data.room', {
      handler: bindOrEcho,
    });
    const room = async (name: string): Promise<string> => {
      const client = await stage.join();
      await reached(client, { data: { room: name } });
      return reached(client);
    };
    for (const name of ['lobby', 'arena', 'shop']) {
      const first = await room(name);
      expect([await room(name), await room(name)]).toEqual([first, first]);
    }
  });
});

describe('addresses that come later', () => {
  test('get their share of the sessions that have nothing in flight, which are told of by both', async () => {
    const held: Asked[] = [];
    const handler = (asked: Asked): void => {
      if (asked.body['hold'] === true) held.push(asked);
      else echo(asked);
    };
    await using stage = await Stage.set(2, '', { handler });
    const [a, b] = stage.backends as [GrpcBackend, GrpcBackend];
    await b.kill();
    await stage.logged('away', /./);
    expect(count(await stage.spread(10))).toEqual({ a: 10 });
    const busy = stage.clients[0]!;
    const id = busy.send('game.enter', { hold: true });
    await a.wait(() => held[0], 'a request to hold');
    await b.listen();
    const others = stage.clients.slice(1);
    await vi.waitFor(async () => {
      const now = await Promise.all(others.map((client) => reached(client)));
      expect(count(now)).toEqual({ a: 4, b: 5 });
    }, SOON);
    held[0]!.answer({ done: true });
    expect(await busy.answer(id)).toEqual({ done: true });
    expect(await reached(busy)).toBe('a');
    for (const client of stage.clients) client.close();
    await a.wait(() => (a.closed.length === 10 ? true : undefined), '10 ends at a');
    await b.wait(() => (b.closed.length === 5 ? true : undefined), '5 ends at b');
  });
});
