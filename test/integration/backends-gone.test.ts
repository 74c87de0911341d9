/** A backend of several addresses, one of which goes away in an orderly manner: nobody notices. */
import { afterEach, expect, test } from 'vitest';

import { TestClient } from '../support/client.ts';
import { startGateway, type TestGateway } from '../support/gateway.ts';
import { GrpcBackend } from '../support/grpc-backend.ts';
import { eventually } from '../support/wait.ts';

const open: AsyncDisposable[] = [];
function keep<T extends AsyncDisposable>(thing: T): T {
  open.push(thing);
  return thing;
}
afterEach(async () => {
  for (const thing of open.splice(0).reverse()) await thing[Symbol.asyncDispose]();
});

const CLIENTS = 8;

type Answer = { readonly instance?: string; readonly code?: number };

async function healthy({ gateway }: TestGateway, count: number): Promise<void> {
  await eventually(() => gateway.info().backends[0]!.healthy === count, `${count} addresses`);
}

test.each(['handle', 'link'] as const)(
  'mode %s: what is in flight is answered there, and what comes then elsewhere',
  async (mode) => {
    const [a, b] = [
      keep(await GrpcBackend.start({ instance: 'a', link: 'unimplemented' })),
      keep(await GrpcBackend.start({ instance: 'b', link: 'unimplemented' })),
    ];
    const gateway = keep(
      await startGateway(`
backends: { game: { grpc: "ipv4:${a.address},${b.address}", mode: ${mode} } }
routes: [{ match: "game.>", backend: game }]`),
    );
    await healthy(gateway, 2);
    const clients = await Promise.all(
      Array.from({ length: CLIENTS }, () => TestClient.connect(gateway.port)),
    );
    for (const client of clients) keep({ [Symbol.asyncDispose]: async () => client.close() });
    const ask = (client: TestClient): Promise<Answer> => client.request('game.a.b', {});
    const homes = await Promise.all(clients.map(ask));
    const ofA = clients.filter((_, i) => homes[i]!.instance === 'a');
    expect(ofA).toHaveLength(CLIENTS / 2);

    const { handler } = a;
    const held: (() => void)[] = [];
    a.handler = (asked) => held.push(() => handler(asked));
    const inFlight = ask(ofA[0]!);
    await eventually(() => held.length === 1, 'a request in flight');
    a.handler = handler;
    const finished = a.finish();
    const after = await Promise.all(ofA.slice(1).map(ask));
    expect(after.map(({ code }) => code)).toEqual([undefined, undefined, undefined]);
    await healthy(gateway, 1);
    // It has been found out that nothing listens there any more.
    expect((await Promise.all(ofA.slice(1).map(ask))).map(({ instance }) => instance)).toEqual(
      Array.from({ length: 3 }, () => 'b'),
    );
    held[0]!();
    expect((await inFlight).instance).toBe('a');
    await finished;
  },
);
