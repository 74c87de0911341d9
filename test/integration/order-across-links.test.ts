/** A session that moves to another connection of the same backend overtakes nothing that it has sent by the old one. */
import { afterEach, describe, expect, test } from 'vitest';

import { type Cable, layCable } from '../support/cable.ts';
import { TestClient } from '../support/client.ts';
import { startGateway, type TestGateway } from '../support/gateway.ts';
import { GrpcBackend } from '../support/grpc-backend.ts';
import { eventually } from '../support/wait.ts';
import { DialIn } from '../unit/upstream/dial-in/dial-in-backend.ts';

const CLIENTS = 4;
/** Notifies of each. */
const NOTIFIES = 40;
const IN_ORDER = Array.from({ length: NOTIFIES }, (_, i) => i + 1);

const open: AsyncDisposable[] = [];
function keep<T extends AsyncDisposable>(thing: T): T {
  open.push(thing);
  return thing;
}
afterEach(async () => {
  for (const thing of open.splice(0).reverse()) await thing[Symbol.asyncDispose]();
});

/** One backend that is reached by two connections, the first of them by `cable`. */
type Backend = {
  readonly gateway: TestGateway;
  readonly cable: Cable;
  /** Leaves the first connection alone, if there are two at the start. */
  alone?(): Promise<void>;
  /** The second connection is made, which some of the sessions are brought to. */
  second(): Promise<void>;
  /** All notifies that have come, whichever way. */
  arrived(): readonly { who: string; n: number }[];
};

async function dialled(): Promise<Backend> {
  const backend = keep(await GrpcBackend.start({ instance: 'one' }));
  const [cable, other] = [keep(await layCable(backend.port)), keep(await layCable(backend.port))];
  const gateway = keep(
    await startGateway(`
backends: { game: { grpc: "ipv4:127.0.0.1:${cable.port},127.0.0.1:${other.port}", dead_after: 0s } }
routes: [{ match: "game.>", backend: game }]
`),
  );
  const lost = (): boolean => gateway.log.some(({ state }) => state === 'away');
  return {
    gateway,
    cable,
    async alone() {
      other.cut();
      await eventually(lost, 'the end of the second link');
    },
    async second() {
      other.mend();
      await eventually(() => backend.links.length === 3, 'the second link again');
    },
    arrived: () =>
      backend.requests
        .filter(({ request }) => request.route === 'game.move')
        .map(({ body }) => body as { who: string; n: number }),
  };
}

const dialIn = (transport: 'gRPC' | 'WebSocket') => async (): Promise<Backend> => {
  const gateway = keep(
    await startGateway(`
backends: { game: { dial_in: { token: "secret" } } }
routes: [{ match: "game.>", backend: game }]
`),
  );
  const arrived: { who: string; n: number }[] = [];
  const attach = async (to: TestGateway): Promise<void> => {
    const backend = keep(await DialIn.attach(transport, to, { instance: 'one' }));
    backend.onRequest = (route, body) => {
      if (route === 'game.move') arrived.push(body as { who: string; n: number });
    };
  };
  const { controlPort, adminPort } = gateway;
  const cable = keep(await layCable(transport === 'gRPC' ? controlPort : adminPort));
  const by = { controlPort: cable.port, adminPort: cable.port } as TestGateway;
  await attach(by);
  return { gateway, cable, second: () => attach(gateway), arrived: () => arrived };
};

describe('notifies of sessions that are brought to a second connection', () => {
  test.each<[string, () => Promise<Backend>]>([
    ['dialled', dialled],
    ['that attached by gRPC', dialIn('gRPC')],
    ['that attached by WebSocket', dialIn('WebSocket')],
  ])('arrive in their order although the first is slow: %s', async (_, make) => {
    const backend = await make();
    const { gateway, cable } = backend;
    const clients: TestClient[] = [];
    for (let i = 0; i < CLIENTS; i++) clients.push(keep(await TestClient.connect(gateway.port)));
    await backend.alone?.();
    for (const client of clients) await client.request('game.hello', {});
    cable.freeze();
    const notify = (n: number): void => {
      for (const [i, client] of clients.entries()) client.notify('game.move', { who: `c${i}`, n });
    };
    notify(1);
    await backend.second();
    // Over more than one step of the rebalancing.
    for (let n = 2; n <= NOTIFIES; n++) {
      notify(n);
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
    const early = backend.arrived().filter(({ n }) => n > 1);
    cable.thaw();
    await eventually(() => backend.arrived().length >= CLIENTS * NOTIFIES, 'all notifies');
    const of = (who: string): number[] =>
      backend
        .arrived()
        .filter((one) => one.who === who)
        .map(({ n }) => n);
    for (let i = 0; i < CLIENTS; i++) expect(of(`c${i}`)).toEqual(IN_ORDER);
    expect(early).toEqual([]);
  });
});
