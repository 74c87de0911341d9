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

function makeConnector(clock: Clock, dial: DialNats, seed = 1): NatsConnector {
  const none = { inboxPrefix: '_INBOX.g', creds: '', user: '', password: '', token: '', nkey: '' };
  const report = new NatsReport({
    ...{ clock, log: keptLog().log, metrics: new Metrics() },
    ...{ servers: [SERVER], isNeeded: false },
  });
  const random = seededRandom(seed);
  return new NatsConnector(
    { gatewayId: 'g', ...none, servers: [SERVER], dial, clock, random },
    report,
  );
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

test.each([
  // The next server is tried at once; when that refuses, too, there is a pause as always.
  ['announces that it stops', true, { atOnce: 2, later: 3 }],
  ['ends without a word', false, { atOnce: 1, later: 2 }],
])('attempts to connect after a server %s', async (_, announces, expected) => {
  const clock = new ManualClock();
  const first = new Subscribed();
  let attempts = 0;
  const connector = makeConnector(clock, () => {
    attempts++;
    return attempts === 1 ? Promise.resolve(first) : Promise.reject(new Error('refused'));
  });
  const settle = async (): Promise<number> => {
    for (let i = 0; i < 5; i++) await turn();
    return attempts;
  };
  connector.start();
  await settle();
  if (announces) first.handler!.onLameDuck();
  first.end();
  const atOnce = await settle();
  clock.advance(500);
  expect({ atOnce, later: await settle() }).toEqual(expected);
  await connector.drain();
});
