/** Addresses from Consul, when Consul fails: over real HTTP, on a clock set by hand. */
import { describe, expect, test } from 'vitest';

import { ANSWER_BYTES_MAX, ConsulAgent } from '../../src/discovery/agent.ts';
import { AGAIN_MS_MAX } from '../../src/discovery/agent.ts';
import {
  ConsulResolver,
  EMPTY_HOLD_MS,
  FIRST_ANSWER_MS,
  PAUSE_MS,
} from '../../src/discovery/resolver.ts';
import { ConsulDouble, type Say, healthy } from '../support/consul-double.ts';
import { seededRandom } from '../support/random.ts';
import { keptLog, type LogLine } from '../support/report.ts';
import { PacedClock } from '../support/paced-clock.ts';
import { eventually } from '../support/wait.ts';

const ONE = healthy('10.0.0.1', 9000);
const TWO = healthy('10.0.0.2', 9000, 5);

const isPause = (ms: number): boolean => ms <= 2 * PAUSE_MS;
const isBackoff = (ms: number): boolean => ms <= AGAIN_MS_MAX && ms !== FIRST_ANSWER_MS;

function brief({ level, backend, msg, addresses, why, heldMs }: LogLine): string {
  expect(backend).toBe('game');
  switch (`${String(level)} ${String(msg)}`) {
    case 'info addresses from Consul':
      return (addresses as string[]).join(' ');
    case 'warn Consul query failed; keeping the last known addresses':
      return String(why);
    case 'info Consul answers again':
      return 'back';
    case 'warn Consul no longer lists a healthy instance; keeping the last ones in case it is brief':
      return `held ${String(heldMs)}`;
    default:
      return String(msg);
  }
}

/** A resolver of the service `chat`, and what it said. */
class Stage implements AsyncDisposable {
  readonly clock = new PacedClock();
  readonly #kept = keptLog();
  readonly consul: ConsulDouble;
  readonly resolver: ConsulResolver;
  changes = 0;

  private constructor(consul: ConsulDouble, token: string) {
    this.consul = consul;
    const agent = new ConsulAgent({ url: consul.url, token, tls: {}, clock: this.clock });
    const { clock } = this;
    const url = 'consul:///chat?tag=blue&tag=a%20b&dc=dc2';
    const { log } = this.#kept;
    const random = seededRandom();
    this.resolver = new ConsulResolver({ agent, clock, random, log, backend: 'game', url });
    this.resolver.onChange = () => {
      this.changes++;
    };
  }

  /** @param first What the first query is answered. Later ones wait, unless `consul.say` is set. */
  static async start(first: unknown[], token = ''): Promise<Stage> {
    const consul = await ConsulDouble.start(({ query }) =>
      query.has('index') ? null : { index: 7, body: first },
    );
    return new Stage(consul, token);
  }

  /** What the log says, briefly: addresses, of trouble the reason. */
  get said(): string[] {
    return this.#kept.lines.map(brief);
  }

  /** Goes on to the next query, once the answer to the last one has been taken. */
  async next(): Promise<void> {
    const { length } = this.consul.asks;
    await this.clock.pass(isPause);
    await this.consul.asked(length + 1);
  }

  /** Resolves when it has said so. */
  async heard(what: string | RegExp): Promise<void> {
    const isIt = (one: string): boolean =>
      typeof what === 'string' ? one === what : what.test(one);
    await eventually(() => this.said.some(isIt), `${what} among ${this.said.join(' | ')}`);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.resolver.close();
    await this.consul[Symbol.asyncDispose]();
  }
}

describe('following a service', () => {
  test('asks for healthy instances, then waits from the index of the answer', async () => {
    await using stage = await Stage.start([TWO, ONE], 'secret');
    const { consul, resolver } = stage;
    expect(await resolver.resolve()).toEqual(['ipv4:10.0.0.1:9000', 'ipv4:10.0.0.2:9000']);
    expect(resolver.weights()).toEqual(
      new Map([
        ['ipv4:10.0.0.1:9000', 1],
        ['ipv4:10.0.0.2:9000', 5],
      ]),
    );
    const [first] = consul.asks;
    expect(first).toMatchObject({ method: 'GET', path: '/v1/health/service/chat' });
    expect(first!.headers['x-consul-token']).toBe('secret');
    expect([...first!.query]).toEqual([
      ['passing', '1'],
      ['tag', 'blue'],
      ['tag', 'a b'],
      ['dc', 'dc2'],
    ]);
    await stage.next();
    expect(consul.held[0]!.query.get('index')).toBe('7');
    expect(consul.held[0]!.query.get('wait')).toBe('300000ms');
    // Asking again asks nobody.
    await resolver.resolve();
    expect(consul.asks).toHaveLength(2);
  });

  test('says what has changed, and nothing where nothing has', async () => {
    await using stage = await Stage.start([ONE]);
    await stage.resolver.resolve();
    expect(stage.changes).toBe(1);
    await stage.next();
    stage.consul.release({ index: 8, body: [ONE] });
    await stage.next();
    expect(stage.changes).toBe(1);
    stage.consul.release({ index: 9, body: [ONE, TWO] });
    await stage.next();
    expect(stage.consul.held[0]!.query.get('index')).toBe('9');
    expect(stage.changes).toBe(2);
    // A weight alone is a change too.
    stage.consul.release({ index: 10, body: [ONE, healthy('10.0.0.2', 9000, 2)] });
    await stage.next();
    expect(stage.changes).toBe(3);
    expect(stage.resolver.weights().get('ipv4:10.0.0.2:9000')).toBe(2);
  });

  test.each([
    ['went back', 3],
    ['is missing', undefined],
    ['is 0', 0],
  ])('begins anew when the index %s', async (_what, index) => {
    await using stage = await Stage.start([ONE]);
    await stage.resolver.resolve();
    await stage.next();
    stage.consul.release({ ...(index !== undefined && { index }), body: [TWO] });
    await stage.heard('ipv4:10.0.0.2:9000');
    await stage.next();
    expect(stage.consul.asks.at(-1)!.query.has('index')).toBe(false);
  });

  test('an index that moves on and on is asked for at a pace', async () => {
    await using stage = await Stage.start([ONE]);
    let index = 10;
    stage.consul.say = () => ({ index: index++, body: [ONE] });
    await stage.resolver.resolve();
    for (let i = 2; i < 20; i++) {
      await stage.next();
      expect(stage.consul.asks).toHaveLength(i);
    }
  });
});

describe('when no instance is healthy', () => {
  test('the last ones are held for a while, and then there is none', async () => {
    await using stage = await Stage.start([ONE]);
    await stage.resolver.resolve();
    await stage.next();
    stage.consul.release({ index: 8, body: [] });
    await stage.heard(`held ${EMPTY_HOLD_MS}`);
    stage.clock.advance(EMPTY_HOLD_MS - 1);
    expect(await stage.resolver.resolve()).toEqual(['ipv4:10.0.0.1:9000']);
    stage.clock.advance(1);
    expect(await stage.resolver.resolve()).toEqual([]);
    expect(stage.changes).toBe(2);
  });

  test('one that comes back in time makes it as if nothing had been', async () => {
    await using stage = await Stage.start([ONE]);
    await stage.resolver.resolve();
    await stage.next();
    stage.consul.release({ index: 8, body: [] });
    await stage.heard(`held ${EMPTY_HOLD_MS}`);
    await stage.next();
    stage.consul.release({ index: 9, body: [ONE] });
    await stage.next();
    stage.clock.advance(2 * EMPTY_HOLD_MS);
    expect(await stage.resolver.resolve()).toEqual(['ipv4:10.0.0.1:9000']);
    expect(stage.changes).toBe(1);
  });

  test('a Consul that goes away in between takes nothing away', async () => {
    await using stage = await Stage.start([ONE]);
    await stage.resolver.resolve();
    await stage.next();
    stage.consul.release({ index: 8, body: [] });
    await stage.heard(`held ${EMPTY_HOLD_MS}`);
    await stage.next();
    await stage.consul.stop();
    await stage.heard(/^Consul at http/);
    stage.clock.advance(2 * EMPTY_HOLD_MS);
    expect(await stage.resolver.resolve()).toEqual(['ipv4:10.0.0.1:9000']);
  });

  test('at the start it is believed at once', async () => {
    await using stage = await Stage.start([]);
    expect(await stage.resolver.resolve()).toEqual([]);
  });
});

describe('when Consul fails', () => {
  test('the addresses stay, it is told once, and what changed meanwhile is found', async () => {
    await using stage = await Stage.start([ONE]);
    await stage.resolver.resolve();
    await stage.next();
    await stage.consul.stop();
    await stage.heard(/./);
    for (let i = 0; i < 5; i++) await stage.clock.pass(isBackoff);
    expect(await stage.resolver.resolve()).toEqual(['ipv4:10.0.0.1:9000']);
    stage.consul.say = () => ({ index: 2, body: [TWO] });
    await stage.consul.listen();
    await stage.clock.pass(isBackoff);
    await stage.heard('ipv4:10.0.0.2:9000');
    expect(stage.said).toContain('back');
    expect(stage.said.filter((one) => one.includes('ECONNREFUSED'))).toHaveLength(1);
  });

  const bad: [string, Say, RegExp][] = [
    ['no leader', () => ({ status: 500, body: 'No cluster leader' }), /500: No cluster leader/],
    ['no permission', () => ({ status: 403, body: 'ACL not found' }), /403.*set consul\.token/],
    ['another server', () => ({ body: '<html>' }), /is this a Consul agent\?/],
    [
      'an endless answer',
      () => ({ body: 'x'.repeat(ANSWER_BYTES_MAX + 1) }),
      /more than \d+ bytes/,
    ],
  ];
  test.each(bad)('%s', async (_what, say, why) => {
    await using stage = await Stage.start([ONE]);
    await stage.resolver.resolve();
    stage.consul.say = say;
    await stage.next();
    await stage.heard(why);
    expect(await stage.resolver.resolve()).toEqual(['ipv4:10.0.0.1:9000']);
  });

  test('the start waits a bounded time, and says why there is no address', async () => {
    await using stage = await Stage.start([]);
    stage.consul.say = () => null;
    const first = stage.resolver.resolve();
    await stage.consul.asked(1);
    stage.clock.advance(FIRST_ANSWER_MS);
    await expect(first).rejects.toThrow('Consul has not answered yet');
    stage.consul.release({ status: 500, body: 'No cluster leader' });
    await stage.heard(/500/);
    await expect(stage.resolver.resolve()).rejects.toThrow('No cluster leader');
  });
});
