/** Registering in Consul, also when Consul fails: over real HTTP, on a clock set by hand. */
import { describe, expect, test } from 'vitest';

import { ConsulAgent } from '../../src/discovery/agent.ts';
import { ANSWER_MS, CHECK_EVERY_MS, Registration } from '../../src/discovery/registration.ts';
import type { ServiceFacts } from '../../src/discovery/service-entry.ts';
import { ConsulDouble, type Say } from '../support/consul-double.ts';
import { seededRandom } from '../support/random.ts';
import { keptLog } from '../support/report.ts';
import { PacedClock } from '../support/paced-clock.ts';
import { eventually } from '../support/wait.ts';

const isLook = (ms: number): boolean => ms <= CHECK_EVERY_MS && ms !== ANSWER_MS;

const FACTS: ServiceFacts = {
  id: 'pith-abc',
  name: 'pith',
  tags: [],
  meta: {},
  clients: { host: '', port: 3010 },
  check: 'ttl',
  health: { host: '', port: 7072 },
  control: null,
  controlTls: false,
  deregisterAfterMs: 60_000,
};

/** Lines of the log, by what they are called here. */
const SAID: ReadonlyMap<string, string> = new Map([
  ['info pith: registered in Consul', 'registered'],
  ['warn pith: Consul had lost our registration; registered again', 'registered again'],
  ['info pith: Consul accepts our registration again', 'back'],
  ['info pith: deregistered from Consul', 'left'],
]);
const TROUBLE = 'Consul rejected our registration; retrying';

/** A registration, and what it said. */
class Registering implements AsyncDisposable {
  readonly clock = new PacedClock();
  readonly #kept = keptLog();
  readonly consul: ConsulDouble;
  readonly registration: Registration;
  notReady: string[] = [];
  sendsElsewhere = false;
  /** What the agent knows. */
  known = false;

  private constructor(consul: ConsulDouble) {
    this.consul = consul;
    consul.say = (ask) => this.answer(ask);
    const { clock } = this;
    const agent = new ConsulAgent({ url: consul.url, token: '', tls: {}, clock });
    const { log } = this.#kept;
    const readiness = {
      notReady: () => this.notReady,
      sendsElsewhere: () => this.sendsElsewhere,
    };
    const random = seededRandom();
    this.registration = new Registration({ agent, clock, random, log, facts: FACTS, readiness });
  }

  static async start(): Promise<Registering> {
    return new Registering(await ConsulDouble.start(() => ({})));
  }

  answer: Say = ({ path }) => {
    if (path === '/v1/agent/service/register') this.known = true;
    if (path.startsWith('/v1/agent/service/deregister/')) this.known = false;
    return this.known || path.includes('/deregister/') ? {} : { status: 404, body: 'unknown' };
  };

  /** What the log says, briefly; of trouble the reason. */
  get said(): string[] {
    return this.#kept.lines.map(({ level, service, msg, why }) => {
      if (msg === TROUBLE && level === 'warn') return String(why);
      const line = `${String(level)} ${String(service)}: ${String(msg)}`;
      return SAID.get(line) ?? line;
    });
  }

  get verbs(): string[] {
    return this.consul.asks.map(
      ({ method, path }) => `${method} ${path.slice('/v1/agent/'.length)}`,
    );
  }

  /** Lets the pause go by, and waits for `count` more questions. */
  async look(count: number): Promise<void> {
    const { length } = this.consul.asks;
    await this.clock.pass(isLook);
    await this.consul.asked(length + count);
  }

  async heard(what: string | RegExp): Promise<void> {
    const isIt = (one: string): boolean =>
      typeof what === 'string' ? one === what : what.test(one);
    await eventually(() => this.said.some(isIt), `${what} among ${this.said.join(' | ')}`);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.consul[Symbol.asyncDispose]();
  }
}

describe('registering', () => {
  test('registers, passes its check, and leaves by maintenance', async () => {
    await using stage = await Registering.start();
    stage.registration.start();
    await stage.consul.asked(3);
    await stage.heard('registered');
    stage.notReady = ['not connected to the bus yet'];
    await stage.look(2);
    await stage.registration.maintain();
    await stage.registration.leave();
    expect(stage.verbs).toEqual([
      'GET service/pith-abc',
      'PUT service/register',
      'PUT check/update/service:pith-abc',
      'GET service/pith-abc',
      'PUT check/update/service:pith-abc',
      'PUT service/maintenance/pith-abc',
      'PUT service/deregister/pith-abc',
    ]);
    expect(stage.consul.asks[2]!.body).toEqual({ Status: 'passing', Output: '' });
    expect(stage.consul.asks[4]!.body).toEqual({
      Status: 'critical',
      Output: 'not connected to the bus yet',
    });
    expect([...stage.consul.asks[5]!.query]).toEqual([
      ['enable', 'true'],
      ['reason', 'draining'],
    ]);
    expect(stage.said).toEqual(['registered', 'left']);
    // It looks no more.
    stage.clock.advance(10 * CHECK_EVERY_MS);
    expect(stage.clock.timerCount).toBe(0);
  });

  test('an agent that has forgotten is told again', async () => {
    await using stage = await Registering.start();
    stage.registration.start();
    await stage.consul.asked(3);
    stage.known = false;
    await stage.look(3);
    await stage.heard('registered again');
    expect(stage.verbs.slice(3)).toEqual(stage.verbs.slice(0, 3));
  });

  test('an agent that is away at the start is asked until it is there', async () => {
    await using stage = await Registering.start();
    await stage.consul.stop();
    stage.registration.start();
    await stage.heard(/ECONNREFUSED/);
    await stage.consul.listen();
    await stage.clock.pass(isLook);
    await stage.heard('back');
    expect(stage.said.filter((one) => one.includes('ECONNREFUSED'))).toHaveLength(1);
    expect(stage.said).toContain('registered');
  });

  test('a refusal is told with what to do', async () => {
    await using stage = await Registering.start();
    stage.consul.say = ({ method }) =>
      method === 'GET' ? { status: 404 } : { status: 403, body: 'Permission denied' };
    stage.registration.start();
    await stage.heard(/403: Permission denied; set consul\.token/);
    expect(stage.said).toHaveLength(1);
  });

  test('an agent that hangs holds up nothing', async () => {
    await using stage = await Registering.start();
    stage.registration.start();
    await stage.consul.asked(3);
    await eventually(() => stage.consul.held.length === 0 && stage.said.length > 0, 'registered');
    stage.consul.say = () => null;
    const maintained = stage.registration.maintain();
    await stage.consul.asked(4);
    stage.clock.advance(1_000);
    await maintained;
    const left = stage.registration.leave();
    await stage.consul.asked(5);
    stage.clock.advance(2_000);
    await left;
    expect(stage.said.slice(-2)).toEqual([
      'warn pith: could not enter maintenance in Consul',
      'warn pith: could not deregister from Consul',
    ]);
  });

  test('a gateway that was never registered leaves without a word', async () => {
    await using stage = await Registering.start();
    await stage.registration.maintain();
    await stage.registration.leave();
    expect(stage.consul.asks).toEqual([]);
  });
});
