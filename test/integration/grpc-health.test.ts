/** What the gateway does about an address that is not well: by its own word, and by how its calls end. */
import { describe, expect, test, vi } from 'vitest';

import { TestClient } from '../support/client.ts';
import { startGateway, type TestGateway } from '../support/gateway.ts';
import { type Asked, type BackendOptions, echo, GrpcBackend } from '../support/grpc-backend.ts';
import { Pair } from '../support/grpc-pair.ts';
import { eventually, SOON } from '../support/wait.ts';

/** Two instances, and a gateway before them. */
class Two implements AsyncDisposable {
  readonly a: GrpcBackend;
  readonly b: GrpcBackend;
  readonly gateway: TestGateway;

  private constructor(a: GrpcBackend, b: GrpcBackend, gateway: TestGateway) {
    this.a = a;
    this.b = b;
    this.gateway = gateway;
  }

  static async set(options: BackendOptions, more = '', timeout = '15s'): Promise<Two> {
    const a = await GrpcBackend.start({ ...options, instance: 'a' });
    const b = await GrpcBackend.start({ ...options, instance: 'b' });
    const gateway = await startGateway(`
backends: { game: { grpc: "ipv4:${a.address},${b.address}"${more} } }
routes: [{ match: "game.>", backend: game, timeout: ${timeout} }]
`);
    return new Two(a, b, gateway);
  }

  join(): Promise<TestClient> {
    return TestClient.connect(this.gateway.port);
  }

  /** Waits for a line about `a` that was not there before. */
  logged(state: string, why: RegExp): Promise<unknown> {
    const found = (): unknown =>
      this.gateway.log.find(
        (line) =>
          line['state'] === state &&
          line['address'] === this.a.url &&
          why.test(String(line['why'])),
      );
    return eventually(found, `${state}: ${why.source}`);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.gateway[Symbol.asyncDispose]();
    await this.a[Symbol.asyncDispose]();
    await this.b[Symbol.asyncDispose]();
  }
}

async function reached(client: TestClient): Promise<unknown> {
  return (await client.request('game.enter'))['instance'];
}

describe('a backend that has grpc.health.v1', () => {
  test('and says NOT_SERVING gets no new sessions, and those there move when they are idle', async () => {
    await using two = await Two.set({ health: 'SERVING' });
    await using busy = await two.join();
    await using idle = await two.join();
    expect([await reached(busy), await reached(idle)]).toEqual(['a', 'b']);
    two.b.handler = () => {};
    const held: Asked[] = [];
    two.a.handler = (asked) => void held.push(asked);
    const id = busy.send('game.enter', {});
    await two.a.wait(() => held[0], 'a request to hold');
    two.a.health!.setStatus('', 'NOT_SERVING');
    await two.logged('unhealthy', /health: NOT_SERVING/);
    expect(two.gateway.gateway.info().backends[0]).toMatchObject({ addresses: 2, healthy: 1 });
    two.b.handler = echo;
    const waits = busy.send('game.enter', { n: 2 });
    await using fresh = await two.join();
    expect([await reached(fresh), await reached(idle)]).toEqual(['b', 'b']);
    held[0]!.answer({ n: 1 });
    expect(await busy.answer(id)).toEqual({ n: 1 });
    expect(await busy.answer(waits)).toEqual({ n: 2, instance: 'b' });
    // And back again.
    two.a.handler = echo;
    two.a.health!.setStatus('', 'SERVING');
    await two.logged('link', /health: SERVING/);
    await vi.waitFor(async () => {
      const all = await Promise.all([busy, idle, fresh].map((client) => reached(client)));
      expect(new Set(all)).toEqual(new Set(['a', 'b']));
    }, SOON);
  });

  test('is used anyway when no address is SERVING', async () => {
    await using two = await Two.set({ health: 'NOT_SERVING' });
    await two.logged('unhealthy', /NOT_SERVING/);
    await using client = await two.join();
    expect(await reached(client)).toMatch(/^[ab]$/);
  });

  test('is not asked with health: false', async () => {
    await using two = await Two.set({ health: 'NOT_SERVING' }, ', health: false');
    await using clients = await two.join();
    await reached(clients);
    expect(two.gateway.gateway.info().backends[0]).toMatchObject({ addresses: 2, healthy: 2 });
  });

  test('must have it with health: true, which the log says; it is used if there is no other', async () => {
    await using pair = await Pair.start({ more: ', health: true' });
    expect(await pair.logged('unhealthy')).toContain('no grpc.health.v1');
    expect(pair.gateway.gateway.info().backends[0]).toMatchObject({ healthy: 0 });
    await using client = await pair.join();
    expect(await reached(client)).toBe('test-1');
  });
});

describe('an address whose calls keep failing', () => {
  test('is left alone, and its sessions move; it is used again when it answers', async () => {
    await using two = await Two.set({ handler: () => {} }, '', '300ms');
    two.b.handler = echo;
    await using first = await two.join();
    await using second = await two.join();
    const ids = [1, 2, 3, 4, 5].map(() => first.send('game.enter', {}));
    for (const id of ids) expect(await first.answer(id)).toMatchObject({ reason: 'TIMEOUT' });
    await two.logged('ejected', /5 failures in a row/);
    for (const client of [first, second]) expect(await reached(client)).toBe('b');
    await using third = await two.join();
    expect(await reached(third)).toBe('b');
    // A late answer is a sign of life.
    two.a.handler = echo;
    two.a.requests[0]!.answer({});
    await two.logged('link', /it answers again/);
    await vi.waitFor(async () => {
      const all = await Promise.all([first, second, third].map((client) => reached(client)));
      expect(new Set(all)).toEqual(new Set(['a', 'b']));
    }, SOON);
  });

  test('goes on being used when there is no other', async () => {
    await using pair = await Pair.start({ handler: () => {}, timeout: '200ms' });
    await using client = await pair.join();
    const ids = Array.from({ length: 8 }, () => client.send('game.enter', {}));
    for (const id of ids) expect(await client.answer(id)).toMatchObject({ reason: 'TIMEOUT' });
    pair.backend.handler = echo;
    expect(await reached(client)).toBe('test-1');
    expect(pair.gateway.log.filter((line) => line['state'] === 'ejected')).toEqual([]);
  });
});
