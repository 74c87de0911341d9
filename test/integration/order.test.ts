/** In which order backends see the messages of a session, and which instance sees them. */
import { describe, expect, test } from 'vitest';

import { TestClient } from '../support/client.ts';
import { startGateway, type TestGateway } from '../support/gateway.ts';
import { type Asked, type BackendOptions, GrpcBackend } from '../support/grpc-backend.ts';
import { jsonBytes, toStruct } from '../support/grpc-shapes.ts';

/** Instances `a`, `b`, … and a gateway before them. */
class Stage implements AsyncDisposable {
  readonly backends: readonly GrpcBackend[];
  readonly gateway: TestGateway;

  private constructor(backends: readonly GrpcBackend[], gateway: TestGateway) {
    this.backends = backends;
    this.gateway = gateway;
  }

  static async set(routes: string, options: BackendOptions, instances = 2): Promise<Stage> {
    const backends: GrpcBackend[] = [];
    for (const instance of ['a', 'b', 'c'].slice(0, instances))
      backends.push(await GrpcBackend.start({ ...options, instance }));
    const gateway = await startGateway(`
backends: { game: { grpc: "ipv4:${backends.map(({ address }) => address).join(',')}" } }
routes:
${routes}
`);
    return new Stage(backends, gateway);
  }

  get requests(): Asked[] {
    return this.backends.flatMap(({ requests }) => requests);
  }

  join(): Promise<TestClient> {
    return TestClient.connect(this.gateway.port);
  }

  /** Asks through `client`, and says which instance has got it. */
  async reached(client: TestClient, route: string): Promise<string> {
    return (await client.request(route))['instance'] as string;
  }

  named(instance: string): GrpcBackend {
    return this.backends.find((backend) => backend.instance === instance)!;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.gateway[Symbol.asyncDispose]();
    await Promise.all(this.backends.map((backend) => backend[Symbol.asyncDispose]()));
  }
}

const KEEP = `  - { match: "game.>", backend: game, timeout: 15s }`;
const hold = (): void => {};
const routesOf = (backend: GrpcBackend): string[] => backend.requests.map(({ route }) => route);
const bodiesOf = (asked: readonly Asked[]): unknown[] => asked.map(({ body }) => body['n']);
const upTo = (count: number): number[] => Array.from({ length: count }, (_, i) => i);

/** Holds what comes; `most` is how many of one session were held at once. */
class Holder {
  most = 0;
  readonly held: Asked[] = [];
  readonly handler = (asked: Asked): void => {
    this.held.push(asked);
    this.most = Math.max(this.most, this.held.length);
  };

  /** Answers the first of those that wait. */
  next(): void {
    const asked = this.held.shift()!;
    asked.answer(asked.body);
  }
}

describe('over a Link', () => {
  test('a session keeps to one address, which sees its messages in the order sent', async () => {
    await using stage = await Stage.set(KEEP, {});
    const clients = await Promise.all(upTo(6).map(() => stage.join()));
    for (const n of upTo(200)) for (const client of clients) client.send('game.move', { n });
    for (const client of clients) await client.answer(200);
    const bySid = Map.groupBy(stage.requests, ({ sid }) => sid);
    expect(bySid.size).toBe(6);
    for (const asked of bySid.values()) {
      expect(new Set(asked.map(({ instance }) => instance)).size).toBe(1);
      expect(bodiesOf(asked)).toEqual(upTo(200));
      expect(asked.map(({ request }) => request.seq)).toEqual(upTo(200).map((n) => n + 1));
    }
    for (const client of clients) client.close();
  });

  test('sessions are spread evenly over the addresses', async () => {
    await using stage = await Stage.set(KEEP, {}, 3);
    const reached: string[] = [];
    for (const _ of upTo(9)) {
      const client = await stage.join();
      reached.push(await stage.reached(client, 'game.enter'));
    }
    expect(reached.sort()).toEqual(['a', 'a', 'a', 'b', 'b', 'b', 'c', 'c', 'c']);
  });

  test('requests and notifies keep their order, and requests do not wait for answers', async () => {
    const holder = new Holder();
    await using stage = await Stage.set(KEEP, { handler: holder.handler });
    await using client = await stage.join();
    for (const n of upTo(20)) {
      if (n % 3 === 0) client.notify('game.move', { n });
      else client.send('game.move', { n });
    }
    const backend = await Promise.any(stage.backends.map((one) => one.request(19).then(() => one)));
    expect(bodiesOf(backend.requests)).toEqual(upTo(20));
  });

  test('order: serial has one in flight for a session, and sessions do not wait for each other', async () => {
    const holder = new Holder();
    const routes = `  - { match: "game.>", backend: game, order: serial, timeout: 15s }`;
    await using stage = await Stage.set(routes, { handler: holder.handler }, 1);
    const [backend] = stage.backends as [GrpcBackend];
    await using ann = await stage.join();
    await using bob = await stage.join();
    for (const n of upTo(30)) ann.send('game.move', { n });
    await backend.request(0);
    bob.send('game.move', { n: 100 });
    await backend.request(1);
    expect(bodiesOf(backend.requests)).toEqual([0, 100]);
    holder.held.pop()!.answer({});
    holder.most = 0;
    for (const n of upTo(30)) {
      holder.next();
      if (n < 29) await backend.request(n + 2);
    }
    await ann.answer(30);
    expect(holder.most).toBe(1);
    expect(
      bodiesOf(backend.requests.filter(({ sid }) => sid === backend.requests[0]!.sid)),
    ).toEqual(upTo(30));
  });

  test('order: none passes what waits for its turn', async () => {
    const routes = `
  - { match: game.slow, backend: game, order: serial, timeout: 15s }
  - { match: game.chat, backend: game, order: none, timeout: 15s }`;
    await using stage = await Stage.set(routes, { handler: hold }, 1);
    const [backend] = stage.backends as [GrpcBackend];
    await using client = await stage.join();
    client.send('game.slow', { n: 0 });
    client.send('game.slow', { n: 1 });
    client.send('game.chat', { n: 2 });
    client.send('game.chat', { n: 3 });
    await backend.request(2);
    expect(bodiesOf(backend.requests)).toEqual([0, 2, 3]);
    backend.requests[0]!.answer({});
    await backend.request(3);
    expect(bodiesOf(backend.requests)).toEqual([0, 2, 3, 1]);
  });

  test('serial and keep in one lane do not overtake each other', async () => {
    const routes = `
  - { match: game.buy, backend: game, order: serial, timeout: 15s }
  - { match: game.move, backend: game, timeout: 15s }`;
    await using stage = await Stage.set(routes, { handler: hold }, 1);
    const [backend] = stage.backends as [GrpcBackend];
    await using client = await stage.join();
    const sent = ['buy', 'move', 'buy', 'move', 'move', 'buy', 'move'];
    for (const [n, what] of sent.entries()) client.send(`game.${what}`, { n });
    // The second purchase waits for the first; the moves behind it wait too.
    await backend.request(1);
    expect(bodiesOf(backend.requests)).toEqual([0, 1]);
    backend.requests[0]!.answer({});
    await backend.request(4);
    expect(bodiesOf(backend.requests)).toEqual([0, 1, 2, 3, 4]);
    backend.requests[2]!.answer({});
    await backend.request(6);
    expect(bodiesOf(backend.requests)).toEqual(upTo(7));
  });

  test('what waits for its turn moves on at once when the link is lost', async () => {
    const routes = `  - { match: "game.>", backend: game, order: serial, timeout: 15s }`;
    await using stage = await Stage.set(routes, { handler: hold });
    await using client = await stage.join();
    for (const n of upTo(3)) client.send('game.move', { n });
    const lost = await Promise.any(stage.backends.map((one) => one.request(0).then(() => one)));
    const other = stage.backends.find((one) => one !== lost)!;
    other.handler = (asked) => {
      asked.answer(asked.body);
    };
    await lost.kill();
    expect(await client.answer(1)).toMatchObject({ code: 503, reason: 'BACKEND_AWAY' });
    expect(await client.answer(2)).toEqual({ n: 1 });
    expect(await client.answer(3)).toEqual({ n: 2 });
  });
});

describe('with Handle', () => {
  test('keep has one in flight for a session, and none lets them overlap', async () => {
    const routes = `
  - { match: game.chat, backend: game, order: none, timeout: 15s }
  - { match: "game.>", backend: game, timeout: 15s }`;
    await using stage = await Stage.set(routes, { handler: hold, link: 'unimplemented' }, 1);
    const [backend] = stage.backends as [GrpcBackend];
    await using client = await stage.join();
    for (const n of upTo(3)) client.send('game.move', { n });
    for (const n of [3, 4]) client.send('game.chat', { n });
    await backend.request(2);
    expect(new Set(bodiesOf(backend.requests))).toEqual(new Set([0, 3, 4]));
    for (const n of upTo(3)) {
      backend.requests.find(({ body }) => body['n'] === n)!.answer({});
      await client.answer(n + 1);
      if (n < 2) await backend.request(3 + n);
    }
    expect(bodiesOf(backend.requests.filter(({ route }) => route === 'game.move'))).toEqual(
      upTo(3),
    );
  });
});

describe('a goaway', () => {
  test('moves a session when it has nothing in flight; the new instance sees only later messages', async () => {
    await using stage = await Stage.set(KEEP, { handler: hold });
    await using client = await stage.join();
    for (const n of upTo(3)) client.send('game.move', { n });
    const old = await Promise.any(stage.backends.map((one) => one.request(2).then(() => one)));
    const next = stage.backends.find((one) => one !== old)!;
    old.current.goaway();
    // A push behind the goaway shows that the gateway has read it.
    old.current.send({ push: { target: { all: true }, route: 'onGoing', body: jsonBytes({}) } });
    await client.push('onGoing');
    for (const n of [3, 4]) client.send('game.move', { n });
    // Answered out of order, to the end: nothing moves before the last is done.
    old.requests[2]!.answer({});
    old.requests[0]!.answer({});
    await client.answer(1);
    await client.answer(3);
    expect(next.requests).toEqual([]);
    old.requests[1]!.answer({});
    await next.request(1);
    expect(bodiesOf(next.requests)).toEqual([3, 4]);
    expect(bodiesOf(old.requests)).toEqual([0, 1, 2]);
  });

  test('sends new sessions elsewhere, and those that are idle', async () => {
    await using stage = await Stage.set(KEEP, {});
    await using idle = await stage.join();
    const old = stage.named(await stage.reached(idle, 'game.enter'));
    old.current.goaway();
    old.current.send({ push: { target: { all: true }, route: 'onGoing', body: jsonBytes({}) } });
    await idle.push('onGoing');
    expect(await stage.reached(idle, 'game.move')).not.toBe(old.instance);
    for (const _ of upTo(3)) {
      await using fresh = await stage.join();
      expect(await stage.reached(fresh, 'game.enter')).not.toBe(old.instance);
    }
  });

  test('is heeded at once by what needs no order', async () => {
    const routes = `
  - { match: game.poll, backend: game, order: none, timeout: 15s }
  - { match: "game.>", backend: game, timeout: 15s }`;
    await using stage = await Stage.set(routes, { handler: hold });
    await using client = await stage.join();
    client.send('game.poll', { n: 0 });
    const old = await Promise.any(stage.backends.map((one) => one.request(0).then(() => one)));
    const next = stage.backends.find((one) => one !== old)!;
    old.current.goaway();
    old.current.send({ push: { target: { all: true }, route: 'onGoing', body: jsonBytes({}) } });
    await client.push('onGoing');
    client.send('game.move', { n: 1 });
    client.send('game.poll', { n: 2 });
    (await next.request(0)).answer({});
    await client.answer(3);
    old.requests[0]!.answer({});
    await next.request(1);
    expect(bodiesOf(next.requests)).toEqual([2, 1]);
    expect(bodiesOf(old.requests)).toEqual([0]);
  });
});

describe('what a backend sends over one Link', () => {
  test('reaches the client in that order: pushes, verbs, the reply, and after it what is said to be', async () => {
    const push = (n: number, more = {}): object => ({
      route: 'on',
      body: jsonBytes({ n }),
      ...more,
    });
    const handler = (asked: Asked): void => {
      const target = { sids: [asked.sid] };
      const link = asked.link!;
      link.send({ push: push(1, { target }) });
      link.send({ verb: { target, patch: { join: ['room'] } } });
      // To the group that the verb before it has joined.
      link.send({ push: push(2, { target: { groups: ['room'] } }) });
      asked.reply({
        body: jsonBytes({ n: 5 }),
        pushes: [push(6, { after_reply: true }), push(3), push(7, { after_reply: true }), push(4)],
        patch: { leave: ['room'] },
      });
      link.send({ push: push(-1, { target: { groups: ['room'] } }) });
      link.send({ push: push(8, { target }) });
    };
    await using stage = await Stage.set(KEEP, { handler }, 1);
    await using client = await stage.join();
    for (const _ of upTo(20)) client.send('game.enter', {});
    await client.push('on', 20 * 7 - 1);
    const order = client.received
      .filter((item) => item.kind === 'push' || item.kind === 'response')
      .map((item) => (JSON.parse(item.body.toString()) as { n: number }).n);
    expect(order).toEqual(upTo(20).flatMap(() => [1, 2, 3, 4, 5, 6, 7, 8]));
  });
});

describe('to: names the instance', () => {
  const handler = (asked: Asked): void => {
    const set = asked.body['room'] === undefined ? {} : { room: asked.body['room'] };
    const uid = asked.body['uid'];
    const patch = { set: toStruct(set), ...(uid !== undefined && { uid }) };
    asked.answer({ instance: asked.instance, to: asked.request.to }, { patch });
  };
  const ROUTES = `
  - { match: game.strict, backend: game, to: "{data.room}" }
  - { match: game.loose, backend: game, to: "{data.room}", else: any }
  - { match: game.own, backend: game, to: "{uid}" }
  - { match: game.part, backend: game, to: "{data.room}" }
  - { match: "game.>", backend: game }`;

  test('by session data that a reply has set, at once and whenever it changes', async () => {
    await using stage = await Stage.set(ROUTES, { handler }, 3);
    await using client = await stage.join();
    for (const room of ['b', 'c', 'a', 'b']) {
      await client.request('game.enter', { room });
      expect(await client.request('game.strict')).toEqual({ instance: room, to: room });
      expect(await client.request('game.loose')).toEqual({ instance: room, to: room });
    }
  });

  test('and while it is away answers 503, or with else: any goes anywhere', async () => {
    await using stage = await Stage.set(ROUTES, { handler });
    await using client = await stage.join();
    const home = await stage.reached(client, 'game.enter');
    await client.request('game.enter', { room: 'nowhere' });
    expect(await client.request('game.strict')).toMatchObject({
      code: 503,
      reason: 'BACKEND_AWAY',
    });
    expect(await client.request('game.loose')).toEqual({ instance: home, to: 'nowhere' });
  });

  test('by the uid, and goes anywhere while there is none', async () => {
    await using stage = await Stage.set(ROUTES, { handler });
    await using client = await stage.join();
    const home = await stage.reached(client, 'game.enter');
    expect(await client.request('game.own')).toEqual({ instance: home, to: '' });
    const uid = home === 'a' ? 'b' : 'a';
    await client.request('game.enter', { uid });
    expect(await client.request('game.own')).toEqual({ instance: uid, to: uid });
    // What names no instance stays where it was.
    expect(await stage.reached(client, 'game.enter')).toBe(home);
    expect(routesOf(stage.named(uid))).toEqual(['game.own']);
  });
});
