/** Subscriptions to users and groups: what goes to a client waits until the server has confirmed them. */
import { describe, expect, test } from 'vitest';

import { TurnClock } from '../../support/turn-clock.ts';
import { turn } from '../session/support.ts';
import { makeGateway } from './support.ts';

const G = 'g-0123456789';

function stage() {
  const gateway = makeGateway(G);
  const a = gateway.client(1);
  const b = gateway.client(2);
  const { sessionCommands, connector } = gateway;
  const bind = (client = a, uid = 'ann') => sessionCommands.patchAll([client.session], { uid });
  /** The server has taken the subscriptions of the turns before. */
  const confirm = async (): Promise<void> => {
    for (const { resolve } of connector.flushes.splice(0)) resolve();
    await turn();
  };
  return { ...gateway, a, b, bind, confirm };
}

async function isSettled(work: Promise<unknown>): Promise<boolean> {
  return Promise.race([work.then(() => true), turn().then(() => false)]);
}

describe('a bind', () => {
  test('corks the outbox until the server has confirmed the subscription', async () => {
    const { a, bind, confirm, connector } = stage();
    const bound = bind();
    expect(connector.patterns).toEqual(['pith.user.ann.*']);
    expect([a.session.uid, a.session.outbox.isCorked]).toEqual(['ann', true]);
    await turn();
    expect(connector.flushes).toHaveLength(1);
    expect(await isSettled(bound)).toBe(false);
    await confirm();
    expect(await bound).toEqual({ changed: 1, version: 1 });
    expect(a.session.outbox.isCorked).toBe(false);
  });

  test('waits 2 s for that, and no longer', async () => {
    const { a, bind, clock } = stage();
    const bound = bind();
    await turn();
    clock.advance(1_999);
    expect(await isSettled(bound)).toBe(false);
    clock.advance(1);
    expect(await bound).toEqual({ changed: 1, version: 1 });
    expect(a.session.outbox.isCorked).toBe(false);
  });

  test('whose confirmation fails with the connection waits no longer', async () => {
    const { a, bind, connector } = stage();
    const bound = bind();
    await turn();
    connector.flushes[0]!.reject(new Error('disconnected'));
    expect(await bound).toEqual({ changed: 1, version: 1 });
    expect(a.session.outbox.isCorked).toBe(false);
  });

  test('without a connection is in force at once: the subscription is made with the next', async () => {
    const { a, bind, connector } = stage();
    connector.up = false;
    expect(await bind()).toEqual({ changed: 1, version: 1 });
    expect(a.session.outbox.isCorked).toBe(false);
    expect([connector.patterns, connector.flushes]).toEqual([['pith.user.ann.*'], []]);
  });

  test('while a connection is being made waits: its first round trip may have begun before', async () => {
    const { bind, confirm, connector } = stage();
    connector.up = false;
    connector.isConnecting = true;
    const bound = bind();
    await turn();
    expect(await isSettled(bound)).toBe(false);
    await confirm();
    expect(await bound).toEqual({ changed: 1, version: 1 });
  });

  test('of a second session of the same user waits for the same confirmation', async () => {
    const { a, b, bind, confirm, connector } = stage();
    const first = bind(a);
    await turn();
    const second = bind(b);
    expect(await isSettled(second)).toBe(false);
    expect(connector.flushes).toHaveLength(1);
    await confirm();
    expect(await Promise.all([first, second])).toHaveLength(2);
  });

  test('of a second session waits for 2 s, too, when the first has waited in vain', async () => {
    const { a, b, bind, clock, confirm } = stage();
    const first = bind(a);
    await turn();
    clock.advance(2_000);
    await first;
    const second = bind(b);
    expect(await isSettled(second)).toBe(false);
    expect(b.session.outbox.isCorked).toBe(true);
    clock.advance(1_999);
    expect(await isSettled(second)).toBe(false);
    await confirm();
    expect(await second).toEqual({ changed: 1, version: 1 });
  });

  test('of a second session waits for nothing once the connection is lost', async () => {
    const { a, b, bind, connector } = stage();
    void bind(a);
    await turn();
    connector.up = false;
    expect(await isSettled(bind(b))).toBe(true);
  });

  test('of one whose user is confirmed already is in force at once', async () => {
    const { a, b, bind, confirm, connector } = stage();
    const first = bind(a);
    await turn();
    await confirm();
    await first;
    expect(await isSettled(bind(b))).toBe(true);
    expect(connector.flushes).toEqual([]);
  });
});

test('all that is subscribed in one turn takes one round trip, what follows another', async () => {
  const { a, b, sessionCommands, connector, confirm } = stage();
  const patch = { uid: 'ann', join: ['r', 's'] };
  const both = [a, b].map(({ session }) => sessionCommands.patchAll([session], patch));
  await turn();
  expect(connector.flushes).toHaveLength(1);
  const later = sessionCommands.patchAll([a.session], { join: ['t'] });
  await turn();
  expect(connector.flushes).toHaveLength(2);
  await confirm();
  expect(await Promise.all([...both, later])).toMatchObject([{ changed: 1 }, { changed: 1 }, { changed: 1 }]); // prettier-ignore
});

test('a subscription ends with its last session', async () => {
  const { a, b, bind, confirm, connector, registry } = stage();
  const bound = [bind(a), bind(b)];
  await turn();
  await confirm();
  await Promise.all(bound);
  registry.remove(a.session);
  expect(connector.patterns).toEqual(['pith.user.ann.*']);
  registry.remove(b.session);
  expect(connector.patterns).toEqual([]);
});

test.each([
  ['ann', 'pith.user.ann.*', []],
  ['zoë', 'pith.user.=em_Dqw.*', ['pith.user.zoë.*']],
  ['room.lobby', 'pith.user.=cm9vbS5sb2JieQ.*', []],
])('the subject of the user %s', (uid, subject, bare) => {
  const { bus, connector } = stage();
  void bus.subscriptions.add('user', uid);
  expect(connector.patterns).toEqual([subject, ...bare]);
  expect(bus.subscriptions.nameOf(subject.replace('*', 'push'))).toBe(uid);
  expect(bus.subscriptions.nameOf('pith.user.bob.push')).toBe(undefined);
});

test('when many are confirmed together, those who wait go on a share in each turn', async () => {
  const clock = new TurnClock(1_000);
  const { client, connector, sessionCommands } = makeGateway(G, undefined, clock, 0, undefined, {
    perTurn: 4,
  });
  connector.up = false;
  const clients = Array.from({ length: 20 }, (_, i) => client(i + 1));
  clock.settle();
  connector.up = true;
  let inForce = 0;
  for (const [i, { session }] of clients.entries()) {
    void sessionCommands.patchAll([session], { join: [`r${i}`, `s${i}`] }).then(() => inForce++);
    // Each in a turn of its own.
    clock.turn();
    await turn();
  }
  expect(connector.flushes).toHaveLength(20);
  for (const { resolve } of connector.flushes) resolve();
  await turn();
  const turns: number[] = [];
  let before = 0;
  while (before < 20) {
    turns.push(inForce - before);
    before = inForce;
    clock.turn();
    await turn();
  }
  // A change that has waited for two groups costs half a message.
  expect(Math.max(...turns)).toBeLessThanOrEqual(9);
  expect(turns.length).toBeGreaterThanOrEqual(3);
});
