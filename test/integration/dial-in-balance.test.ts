/** Which attached process a session gets, and when it moves: `balance` of a backend with `dial_in`. */
import { afterEach, describe, expect, test } from 'vitest';

import { TestClient } from '../support/client.ts';
import { startGateway, type TestGateway } from '../support/gateway.ts';
import { eventually } from '../support/wait.ts';
import { DialIn, type Json } from '../unit/upstream/dial-in/dial-in-backend.ts';

const open: AsyncDisposable[] = [];
function keep<T extends AsyncDisposable>(thing: T): T {
  open.push(thing);
  return thing;
}
afterEach(async () => {
  for (const thing of open.splice(0).reverse()) await thing[Symbol.asyncDispose]();
});

async function gatewayWith(keys = '', timeout = '15s'): Promise<TestGateway> {
  return keep(
    await startGateway(`
backends: { game: { dial_in: { token: "secret" }${keys} } }
routes: [{ match: "game.>", backend: game, timeout: ${timeout} }]
`),
  );
}

/** A process that says its name, and binds the session to the uid that the request names; \`hold\` gets no answer. */
async function attach(gateway: TestGateway, instance: string): Promise<DialIn> {
  const backend = keep(await DialIn.attach('gRPC', gateway, { instance }));
  backend.handle = (_, body): Json | null => {
    const { uid, hold } = body as { uid?: string; hold?: boolean };
    if (hold === true) return null;
    return { ...backend.body({ at: instance }), ...(uid !== undefined && { patch: { uid } }) };
  };
  return backend;
}

const join = async ({ port }: TestGateway): Promise<TestClient> =>
  keep(await TestClient.connect(port));
const reached = async (client: TestClient, body: object = {}): Promise<string> =>
  (await client.request('game.where', body))['at'] as string;

/** Where so many new sessions go, in their order. */
async function spread(gateway: TestGateway, count: number): Promise<string[]> {
  const got: string[] = [];
  for (let i = 0; i < count; i++) got.push(await reached(await join(gateway)));
  return got;
}

describe('attached processes', () => {
  test('share sessions in turn, and idle ones move to a process that attaches later', async () => {
    const gateway = await gatewayWith();
    await attach(gateway, 'a');
    const clients: TestClient[] = [];
    for (let i = 0; i < 4; i++) clients.push(await join(gateway));
    for (const client of clients) expect(await reached(client)).toBe('a');
    await attach(gateway, 'b');
    await eventually(async () => {
      const got: string[] = [];
      for (const client of clients) got.push(await reached(client));
      return got.toSorted().join() === 'a,a,b,b';
    }, 'half of the sessions at each');
    expect((await spread(gateway, 4)).toSorted()).toEqual(['a', 'a', 'b', 'b']);
  });

  test('get sessions where least is in flight', async () => {
    const gateway = await gatewayWith(', balance: least_in_flight');
    const all = { a: await attach(gateway, 'a'), b: await attach(gateway, 'b') };
    const busy = await join(gateway);
    const away = (await reached(busy)) as 'a' | 'b';
    busy.send('game.where', { hold: true });
    await all[away].got('request', 2);
    const free = away === 'a' ? 'b' : 'a';
    expect(await spread(gateway, 3)).toEqual([free, free, free]);
  });

  test('get the sessions of a key by their instances, the same on every gateway', async () => {
    const gateways = [
      await gatewayWith(', balance: hash, hash_by: uid'),
      await gatewayWith(', balance: hash, hash_by: uid'),
    ];
    for (const instance of ['a', 'b', 'c']) await attach(gateways[0]!, instance);
    for (const instance of ['c', 'b', 'a']) await attach(gateways[1]!, instance);
    const homes: string[][] = [];
    for (let n = 0; n < 12; n++) {
      const of: string[] = [];
      for (const gateway of gateways) {
        const client = await join(gateway);
        await reached(client, { uid: `player-${n}` });
        of.push(await reached(client));
      }
      homes.push(of);
    }
    for (const [here, there] of homes) expect(there).toBe(here);
    expect(new Set(homes.flat()).size).toBe(3);
  });

  test('a session whose uid comes with the handshake goes to the home of its uid', async () => {
    const gateway = keep(
      await startGateway(`
backends: { game: { dial_in: { token: "secret" }, balance: hash } }
auth: { mode: connect, backend: game }
routes: [{ match: "game.>", backend: game }]
`),
    );
    const backends = [await attach(gateway, 'a'), await attach(gateway, 'b')];
    const answered = new Set<object>();
    const accept = async (client: TestClient, uid: string): Promise<void> => {
      const answer = client.handshake();
      const isAsked = (frame: object): boolean => 'connect' in frame && !answered.has(frame);
      const asked = await eventually(
        () => backends.find(({ frames }) => frames.some(isAsked)),
        'the question',
      );
      const frame = asked.frames.find(isAsked)!;
      answered.add(frame);
      asked.send({ id: frame.id!, connect: { accept: { patch: { uid } } } });
      expect(await answer).toMatchObject({ code: 200 });
      client.ack();
    };
    for (let n = 0; n < 6; n++) {
      const homes: string[] = [];
      for (let i = 0; i < 3; i++) {
        const client = keep(await TestClient.open(gateway.port));
        await accept(client, `player-${n}`);
        homes.push(await reached(client));
      }
      expect(new Set(homes).size).toBe(1);
    }
  });

  test('are used in the order in which they came, if the first is to be picked', async () => {
    const gateway = await gatewayWith(', balance: pick_first');
    const a = await attach(gateway, 'a');
    await attach(gateway, 'b');
    expect(await spread(gateway, 3)).toEqual(['a', 'a', 'a']);
    a.kill();
    await a.ended;
    await eventually(() => gateway.gateway.info().backends[0]!.addresses === 1, 'the loss of a');
    expect(await spread(gateway, 2)).toEqual(['b', 'b']);
  });

  test('that do not answer get no new sessions while another does', async () => {
    const gateway = await gatewayWith(', balance: pick_first', '200ms');
    await attach(gateway, 'deaf');
    const client = await join(gateway);
    expect(await reached(client)).toBe('deaf');
    await attach(gateway, 'b');
    for (let i = 0; i < 5; i++)
      expect(await client.request('game.where', { hold: true })).toMatchObject({ code: 504 });
    expect(gateway.log).toContainEqual(
      expect.objectContaining({ backend: 'game', state: 'ejected', level: 'warn' }),
    );
    expect(await reached(client)).toBe('b');
    expect(await reached(await join(gateway))).toBe('b');
  });
});
