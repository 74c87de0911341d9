/** How soon the gateway tries again when NATS is away, and how it subscribes again when NATS is back. */
import { expect, test } from 'vitest';

import type { Clock } from '../../../../src/clock.ts';
import type {
  DialNats,
  NatsConnection,
  NatsConnectionHandler,
} from '../../../../src/upstream/nats/nats-connection.ts';
import { NatsConnector } from '../../../../src/upstream/nats/nats-connector.ts';
import { NatsReport } from '../../../../src/upstream/nats/nats-report.ts';
import { Metrics } from '../../../../src/telemetry/metrics.ts';
import { ManualClock } from '../../../support/clock.ts';
import { TurnClock } from '../../../support/turn-clock.ts';
import { seededRandom } from '../../../support/random.ts';
import { keptLog } from '../../../support/report.ts';
import { turn } from '../../session/support.ts';

const SERVER = '127.0.0.1:4222';

function makeConnector(clock: Clock, dial: DialNats, seed = 1, servers = [SERVER]): NatsConnector {
  const none = { inboxPrefix: '_INBOX.g', creds: '', user: '', password: '', token: '', nkey: '' };
  const report = new NatsReport({
    ...{ clock, log: keptLog().log, metrics: new Metrics() },
    ...{ servers, isNeeded: false },
  });
  const random = seededRandom(seed);
  return new NatsConnector({ gatewayId: 'g', ...none, servers, dial, clock, random }, report);
}

test.each([1, 2, 3, 4])(
  'a network that is back is noticed within half a second, however long it was away; seed %i',
  async (seed) => {
    const clock = new ManualClock();
    const attempts: number[] = [];
    const dial = (): Promise<never> => {
      attempts.push(clock.now());
      return Promise.reject(new Error('connection refused'));
    };
    const connector = makeConnector(clock, dial, seed);
    connector.start();
    for (let ms = 0; ms < 60_000; ms += 10) {
      await turn();
      clock.advance(10);
    }
    const waits = attempts.slice(1).map((at, i) => at - attempts[i]!);
    // With the second between two signs of life and 6 s of a cut, less than the 7.5 s after which it would be lost.
    expect(Math.max(...waits)).toBeLessThan(500);
    // Nor does it try all the time.
    expect(attempts.length).toBeLessThan(300);
    await connector.drain();
  },
);

/** A connection that takes all subscriptions, and lasts until the test ends it. */
class Subscribed implements NatsConnection {
  readonly server = SERVER;
  readonly serverVersion = '2.12.7';
  readonly payloadBytesMax = 1_048_576;
  readonly unsentBytes = 0;
  readonly receivedBytes = 0;
  readonly publishedBytes = 0;
  readonly otherServers = [];
  isClosed = false;
  readonly subjects: string[] = [];
  readonly #ended = Promise.withResolvers<Error | null>();

  handler: NatsConnectionHandler | undefined;

  listen(handler: NatsConnectionHandler): void {
    this.handler = handler;
  }
  publish(): void {}
  discard(): void {}

  subscribe(subject: string): { unsubscribe(): void } {
    this.subjects.push(subject);
    return {
      unsubscribe: () => {
        this.subjects.splice(this.subjects.indexOf(subject), 1);
      },
    };
  }

  flush(): Promise<void> {
    return Promise.resolve();
  }

  closed(): Promise<Error | null> {
    return this.#ended.promise;
  }

  end(): void {
    this.isClosed = true;
    this.#ended.resolve(null);
  }

  async drain(): Promise<void> {
    this.end();
  }

  close = this.drain.bind(this);
}

/** With 1,200 subscriptions, of which a connection has made the first 500. */
async function subscribing() {
  const clock = new TurnClock(1_000);
  const connections: Subscribed[] = [];
  const connector = makeConnector(clock, () => {
    connections.push(new Subscribed());
    return Promise.resolve(connections.at(-1)!);
  });
  const subscribe = (n: number) => connector.subscribe(`pith.user.u${n}.*`, () => {});
  const subscriptions = Array.from({ length: 1_200 }, (_, n) => subscribe(n));
  connector.start();
  await turn();
  const step = async (): Promise<void> => {
    clock.turn();
    await turn();
  };
  return { connector, connections, subscribe, subscriptions, step, clock };
}

test('a new connection subscribes to 500 names in a turn, and is up when it has all', async () => {
  const { connector, connections, step } = await subscribing();
  const { subjects } = connections[0]!;
  const turns: [number, boolean][] = [];
  for (let i = 0; i < 3; i++, await step()) turns.push([subjects.length, connector.up]);
  expect(turns).toEqual([
    [500, false],
    [1_000, false],
    [1_200, true],
  ]);
  expect(new Set(subjects).size).toBe(1_200);
  await connector.drain();
});

test('who comes meanwhile is subscribed at once and once, and who goes is not', async () => {
  const { connector, connections, subscribe, subscriptions, step } = await subscribing();
  const { subjects } = connections[0]!;
  subscribe(2_000);
  subscriptions[3]!.unsubscribe();
  subscriptions[1_100]!.unsubscribe();
  expect(subjects).toHaveLength(500);
  await step();
  await step();
  expect(connector.up).toBe(true);
  expect([...new Set(subjects)]).toHaveLength(1_199);
  expect(subjects).toHaveLength(1_199);
  expect(subjects).toContain('pith.user.u2000.*');
  expect(subjects).not.toContain('pith.user.u1100.*');
  await connector.drain();
});

test('a connection that ends meanwhile is let go of, and the next one begins anew', async () => {
  const { connector, connections, step, clock } = await subscribing();
  connections[0]!.end();
  await step();
  expect(connections[0]!.subjects).toHaveLength(500);
  await turn();
  clock.advance(500);
  await turn();
  expect(connections).toHaveLength(2);
  await step();
  await step();
  expect(connections[1]!.subjects).toHaveLength(1_200);
  expect(connector.up).toBe(true);
  await connector.drain();
});

test('a connection that ends without a word is followed after a pause', async () => {
  const clock = new ManualClock();
  const first = new Subscribed();
  let attempts = 0;
  const connector = makeConnector(clock, () => {
    attempts++;
    return attempts === 1 ? Promise.resolve(first) : Promise.reject(new Error('refused'));
  });
  connector.start();
  await settle();
  first.end();
  await settle();
  expect(attempts).toBe(1);
  clock.advance(500);
  await settle();
  expect(attempts).toBe(2);
  await connector.drain();
});

test('requests wait for two seconds after a connection was lost', async () => {
  const clock = new ManualClock();
  const first = new Subscribed();
  const dials = [first];
  const connector = makeConnector(clock, () => {
    const next = dials.shift();
    return next ? Promise.resolve(next) : Promise.reject(new Error('refused'));
  });
  const told: string[] = [];
  connector.listen({
    onDown: () => void told.push(`down, ${connector.mayBeBack ? 'wait' : 'refuse'}`),
    onAway: () => void told.push(`away, ${connector.mayBeBack ? 'wait' : 'refuse'}`),
  });
  connector.start();
  await settle();
  expect([connector.mayBeBack, connector.hasRoom]).toEqual([false, true]);
  first.end();
  await settle();
  expect([told, connector.hasRoom]).toEqual([['down, wait'], false]);
  clock.advance(1_999);
  expect(told).toEqual(['down, wait']);
  clock.advance(1);
  expect(told).toEqual(['down, wait', 'away, refuse']);
  await connector.drain();
  expect(told).toHaveLength(2);
});

test('who stops the gateway meanwhile does not wait', async () => {
  const first = new Subscribed();
  const connector = makeConnector(new ManualClock(), () => Promise.resolve(first));
  const told: string[] = [];
  connector.listen({ onAway: () => void told.push('away') });
  connector.start();
  await settle();
  first.end();
  await settle();
  await connector.drain();
  expect([told, connector.mayBeBack]).toEqual([['away'], false]);
});

test.each([
  // Another server is there most likely, and is tried within 20 ms; but not again and again.
  { servers: ['a:4222', 'b:4222'], steadyMs: 5_001, attempts: 2 },
  { servers: ['a:4222', 'b:4222'], steadyMs: 4_999, attempts: 1 },
  { servers: ['a:4222'], steadyMs: 5_001, attempts: 1 },
])(
  '20 ms after a connection of $steadyMs ms to one of $servers ended, $attempts attempts were made',
  async ({ servers, steadyMs, attempts }) => {
    const clock = new ManualClock();
    let made = 0;
    const first = new Subscribed();
    const dial = (): Promise<Subscribed> =>
      ++made === 1 ? Promise.resolve(first) : Promise.reject(new Error('refused'));
    const connector = makeConnector(clock, dial, 1, servers);
    connector.start();
    await settle();
    clock.advance(steadyMs);
    first.end();
    await settle();
    clock.advance(20);
    await settle();
    expect(made).toBe(attempts);
    clock.advance(20);
    await settle();
    expect(made).toBe(attempts);
    await connector.drain();
  },
);

async function settle(): Promise<void> {
  for (let i = 0; i < 10; i++) await turn();
}

/** A connection whose round trips end when the test says so, and what is done with it, in order. */
class Slow extends Subscribed {
  readonly done: string[] = [];
  readonly #trips: (() => void)[] = [];

  override subscribe(subject: string): { unsubscribe(): void } {
    this.done.push(`sub ${subject}`);
    const subscription = super.subscribe(subject);
    return {
      unsubscribe: () => {
        this.done.push(`unsub ${subject}`);
        subscription.unsubscribe();
      },
    };
  }

  override publish(subject?: string): void {
    this.done.push(`pub ${subject}`);
  }

  override flush(): Promise<void> {
    this.done.push('ping');
    return new Promise((resolve) => {
      this.#trips.push(resolve);
    });
  }

  async answer(): Promise<void> {
    this.#trips.shift()!();
    await settle();
  }

  /** What was done since the last look. */
  look(): string[] {
    return this.done.splice(0);
  }

  override discard(): void {
    this.done.push('discard');
  }
}

/** Connected, with an inbox, a queue and a user; the server then says that it is about to stop. */
async function sentAway(dials: (Slow | null)[]) {
  const clock = new ManualClock();
  const [old] = dials as [Slow];
  const told: string[] = [];
  const connector = makeConnector(clock, () => {
    const next = dials.shift();
    return next ? Promise.resolve(next) : Promise.reject(new Error('connection refused'));
  });
  connector.listen({
    onUp: () => void told.push('up'),
    onDown: () => void told.push('down'),
    onMoved: () => void told.push('moved'),
    onRoom: () => void told.push('room'),
  });
  connector.always('inbox', () => {}, { mayRepeat: true });
  connector.always('queue', () => {}, { queue: 'q' });
  connector.subscribe('user.a.*', () => {});
  connector.start();
  await settle();
  await old.answer();
  expect(told.splice(0)).toEqual(['up']);
  old.look();
  old.handler!.onLameDuck();
  await settle();
  return { clock, connector, old, told };
}

test('a server that is about to stop is left before it does, and nothing is twice on two connections', async () => {
  const [first, next] = [new Slow(), new Slow()];
  const { clock, connector, told } = await sentAway([first, next]);
  // Answers may come by both, and the queue gives each message to one.
  expect(next.look()).toEqual(['sub inbox', 'sub queue', 'ping']);
  expect(first.look()).toEqual([]);
  connector.publish('before', Buffer.alloc(0));
  await next.answer();
  // Requests wait until the old server has all that came before.
  expect(first.look()).toEqual(['pub before', 'ping']);
  expect(connector.hasRoom).toBe(false);
  await first.answer();
  expect(connector.hasRoom).toBe(true);
  connector.publish('after', Buffer.alloc(0));
  // A user has left the old one, and all that came there is handled, before it is on the new one.
  expect(first.look()).toEqual(['unsub queue', 'unsub user.a.*', 'ping']);
  expect(next.look()).toEqual(['pub after']);
  connector.subscribe('user.b.*', () => {});
  expect(next.look()).toEqual(['sub user.b.*']);
  await first.answer();
  expect(next.look()).toEqual(['sub user.a.*']);
  expect(told).toEqual(['room', 'moved']);
  expect(connector.up).toBe(true);
  // Late answers have a second.
  expect(first.look()).toEqual([]);
  clock.advance(1_000);
  await settle();
  expect(first.look()).toEqual(['discard']);
  first.end();
  await settle();
  expect(told).toEqual(['room', 'moved']);
  next.end();
  await settle();
  expect(told).toEqual(['room', 'moved', 'down']);
  await connector.drain();
});

test('while no other server is there, the old one is used as long as it lasts', async () => {
  const [first, last] = [new Slow(), new Slow()];
  const { clock, connector, told } = await sentAway([first, null, null, last]);
  expect(connector.up).toBe(true);
  clock.advance(500);
  await settle();
  expect(connector.up).toBe(true);
  first.end();
  await settle();
  expect(told).toEqual(['down']);
  // The next server is tried at once.
  expect(last.look()).toEqual(['sub inbox', 'sub queue', 'sub user.a.*', 'ping']);
  await connector.drain();
});

/** Sent away, with an attempt to move under way; and what there is a while after one of the two connections has ended. */
async function movingUntil(ends: 'old' | 'next', isLate: boolean) {
  const [old, next, last] = [new Slow(), new Slow(), new Slow()];
  const { clock, connector, told } = await sentAway([old, next, last]);
  if (isLate) {
    await next.answer();
    await old.answer();
  }
  (ends === 'old' ? old : next).end();
  await settle();
  clock.advance(500);
  await settle();
  const seen = { told: [...told], done: last.look(), next: next.look() };
  const subjects = [old, next, last].map((one) => [...one.subjects].sort());
  await connector.drain();
  return { ...seen, subjects };
}

test('when the next connection ends on the way, the old one is used until there is another', async () => {
  const { done, told, subjects } = await movingUntil('next', false);
  expect(told).toEqual([]);
  expect(subjects[0]).toEqual(['inbox', 'queue', 'user.a.*']);
  expect(done).toEqual(['sub inbox', 'sub queue', 'ping']);
});

test('when the old connection ends on the way, a new one begins with everything', async () => {
  const { done, next, told } = await movingUntil('old', false);
  expect(told).toEqual(['down']);
  expect(next).toContain('discard');
  expect(done).toEqual(['sub inbox', 'sub queue', 'sub user.a.*', 'ping']);
});

test('when the old connection ends after requests go to the next, that has everything', async () => {
  const { told, subjects } = await movingUntil('old', true);
  expect(told).toEqual(['room', 'moved']);
  expect(subjects[1]).toEqual(['inbox', 'queue', 'user.a.*']);
});

test('when the next connection ends after requests go to it, a third one begins with everything', async () => {
  const { told, subjects } = await movingUntil('next', true);
  expect(told).toEqual(['room', 'moved', 'down']);
  expect(subjects[2]).toEqual(['inbox', 'queue', 'user.a.*']);
});

test('when the next connection ends while requests wait, they go by the old one', async () => {
  const [old, next, last] = [new Slow(), new Slow(), new Slow()];
  const { connector, told } = await sentAway([old, next, last]);
  await next.answer();
  expect(connector.hasRoom).toBe(false);
  next.end();
  await settle();
  expect([connector.hasRoom, connector.up, told]).toEqual([true, true, ['room']]);
  await connector.drain();
});
