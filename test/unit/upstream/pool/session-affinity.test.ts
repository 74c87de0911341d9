/** Which endpoint a session's messages go to, and when it moves: never with something in flight. */
import { describe, expect, test } from 'vitest';

import type { Policy } from '../../../../src/upstream/pool/balancer.ts';
import type { Endpoint } from '../../../../src/upstream/pool/endpoint.ts';
import { SessionAffinity } from '../../../../src/upstream/pool/session-affinity.ts';
import { BareCall } from '../../../support/call.ts';
import { type Pipe, PoolStage, Session } from './pool-stage.ts';

type More = { instance?: string; otherwise?: string; unordered?: boolean };
type Facts = { sid: string; uid: string; data: object; version: number; state: string };

/** One session with its messages. */
class Client {
  readonly kept = new Session();
  readonly facts: Facts;
  readonly #affinity: SessionAffinity<Pipe>;

  constructor(affinity: SessionAffinity<Pipe>, sid: string) {
    this.#affinity = affinity;
    this.facts = { sid, uid: '', data: {}, version: 0, state: 'active' };
  }

  /** Where a message goes; it is answered at once. */
  send(more: More = {}): string | null {
    const { to, answer } = this.ask(more);
    answer();
    return to?.name ?? null;
  }

  /** Where a message goes, which is in flight until it is answered. */
  ask({ instance = '', otherwise = 'any', unordered = false }: More = {}) {
    const answer = this.kept.send();
    const to = this.#endpointFor({ instance, target: { otherwise }, unordered });
    return { to, answer };
  }

  /** Where a handshake goes. */
  shakeHands(): string | null {
    return this.#endpointFor({ isInLane: false })?.name ?? null;
  }

  #endpointFor(more: object): Endpoint<Pipe> | null {
    const call = Object.assign(new BareCall(), more);
    Object.assign(call, { session: this.facts, lane: this.kept.lane });
    return this.#affinity.endpointFor(call, this.kept);
  }

  bind(uid: string): void {
    this.facts.uid = uid;
    this.facts.version++;
  }

  /** The endpoints that hear of its end. */
  close(): string[] {
    this.facts.state = 'closed';
    return this.#affinity.forget(this.kept).map(({ name }) => name);
  }
}

async function stageWith(balance: Policy, ...addresses: string[]) {
  const stage = await PoolStage.up(addresses, { balance });
  const affinity = new SessionAffinity({ balance, hashBy: 'uid' }, stage.pool);
  let clients = 0;
  return { stage, join: () => new Client(affinity, `g.${++clients}`) };
}

const upTo = (count: number): number[] => Array.from({ length: count }, (_, i) => i);

describe('a session', () => {
  test('is not brought to an endpoint that comes while it has something in flight', async () => {
    const { stage, join } = await stageWith('round_robin', 'a');
    const [busy, idle] = [join(), join()];
    const { answer } = busy.ask();
    expect(idle.send()).toBe('a');
    await stage.resolve('a', 'b');
    stage.pipe('b').endpoint.up('link', 'connected', { ages: true });
    stage.clock.advance(1_000);
    expect([busy.send(), idle.send()]).toEqual(['a', 'b']);
    answer();
  });

  test('is brought there once it has nothing in flight', async () => {
    const { stage, join } = await stageWith('round_robin', 'a');
    const [one, two] = [join(), join()];
    const inFlight = [one.ask(), two.ask()];
    await stage.resolve('a', 'b');
    stage.pipe('b').endpoint.up('link', 'connected', { ages: true });
    stage.clock.advance(1_000);
    expect([one.send(), two.send()]).toEqual(['a', 'a']);
    for (const { answer } of inFlight) answer();
    stage.clock.advance(1_000);
    expect(new Set([one.send(), two.send()])).toEqual(new Set(['a', 'b']));
  });

  test('is brought there once what it sent without an answer has been received', async () => {
    const { stage, join } = await stageWith('round_robin', 'a');
    const clients = [join(), join()];
    const received: (() => void)[] = [];
    const way = { ended: false, whenReceived: (done: () => void) => void received.push(done) };
    for (const client of clients) {
      client.send();
      client.kept.lane.unanswered(way);
    }
    await stage.resolve('a', 'b');
    stage.pipe('b').endpoint.up('link', 'connected', { ages: true });
    stage.clock.advance(1_000);
    const homes = (): unknown[] => clients.map(({ kept }) => kept.endpoint?.name ?? null);
    expect([homes(), received.length]).toEqual([['a', 'a'], 1]);
    for (const done of received) done();
    expect(new Set(homes())).toEqual(new Set(['a', null]));
    expect(new Set(clients.map((client) => client.send()))).toEqual(new Set(['a', 'b']));
  });

  test('keeps to its endpoint, and goes elsewhere when that is lost; nowhere is an answer too', async () => {
    const { stage, join } = await stageWith('round_robin', 'a', 'b');
    const [one, two] = [join(), join()];
    for (const _ of upTo(3)) expect([one.send(), two.send()]).toEqual(['a', 'b']);
    stage.pipe('a').endpoint.lost('gone');
    expect([one.send(), two.send()]).toEqual(['b', 'b']);
    stage.pipe('b').endpoint.lost('gone');
    expect([one.send(), join().send()]).toEqual([null, null]);
  });

  test('stays while something is in flight, though it is to move', async () => {
    const { stage, join } = await stageWith('round_robin', 'a', 'b');
    const one = join();
    expect(one.send()).toBe('a');
    const answer = one.kept.send();
    stage.pipe('a').endpoint.goaway('');
    expect(one.kept.endpoint?.name).toBe('a');
    // What needs no order need not wait for that.
    expect(one.send({ unordered: true })).toBe('b');
    answer();
    expect([one.kept.endpoint, one.send()]).toEqual([null, 'b']);
  });

  test('is forgotten by every endpoint that had messages of it, one of each instance', async () => {
    const { stage, join } = await stageWith('round_robin', 'a', 'b', 'c');
    for (const [name, instance] of [
      ['a', 'x'],
      ['b', 'y'],
      ['c', 'z'],
    ] as const)
      stage.pipe(name).endpoint.up('link', 'again', { instance });
    const one = join();
    expect([one.send(), one.send({ instance: 'z' }), one.send()]).toEqual(['a', 'c', 'a']);
    expect(one.close()).toEqual(['a', 'c']);
    expect(one.close()).toEqual([]);
    // A notify may come after the end: nobody keeps anything of it.
    expect(one.send()).not.toBeNull();
    expect([one.close(), one.kept.endpoint]).toEqual([[], null]);
  });

  test('is forgotten once by an instance that it reached over two links', async () => {
    const stage = await PoolStage.up(['a'], { links: 2 });
    const affinity = new SessionAffinity({ balance: 'pick_first', hashBy: 'uid' }, stage.pool);
    for (const pipe of stage.pipes) pipe.endpoint.up('link', 'again', { instance: 'x' });
    const one = new Client(affinity, 'g.1');
    for (const endpoint of stage.pool.list) endpoint.sessions.know(one.kept);
    expect(one.close()).toEqual(['a']);
  });

  test('is forgotten by each that has attached by one connection, unless they are one instance', () => {
    const stage = new PoolStage();
    const affinity = new SessionAffinity({ balance: 'pick_first', hashBy: 'uid' }, stage.pool);
    const one = new Client(affinity, 'g.1');
    for (const instance of ['', '', 'x', 'x']) {
      const { endpoint } = stage.attach('proxy');
      endpoint.up('attached', '', { instance });
    }
    for (const { sessions } of stage.pool.list) sessions.know(one.kept);
    expect(one.close()).toEqual(['proxy', 'proxy', 'proxy']);
  });

  test.each(['round_robin', 'hash'] as const)(
    'has notifies that outlive it go where those before them went, with %s',
    async (balance) => {
      const { stage, join } = await stageWith(balance, 'a', 'b', 'c');
      for (const client of upTo(9).map(join)) {
        const home = client.send();
        client.close();
        expect([client.send(), client.send()]).toEqual([home, home]);
      }
      // And nowhere when that is lost: no other backend would hear of the end.
      const last = join();
      const home = last.send()!;
      last.close();
      stage.pipe(home).endpoint.lost('gone');
      expect([last.send(), last.close()]).toEqual([null, []]);
    },
  );

  test('that is about to move when it ends has the rest where it was', async () => {
    const { stage, join } = await stageWith('round_robin', 'a', 'b');
    const one = join();
    const first = one.ask();
    stage.pipe('a').endpoint.goaway('');
    // As a session ends: what is in flight is given up, and what waited for it starts.
    one.facts.state = 'closed';
    first.answer();
    expect([one.kept.endpoint, one.send()]).toEqual([null, 'a']);
    expect([one.close(), one.send()]).toEqual([[], 'a']);
  });

  test('that has ended has notifies to an instance only at those that have had something of it', async () => {
    const { stage, join } = await stageWith('round_robin', 'a', 'b', 'c');
    for (const name of ['a', 'b', 'c'])
      stage.pipe(name).endpoint.up('link', 'again', { instance: name });
    const one = join();
    expect([one.send(), one.send({ instance: 'c' })]).toEqual(['a', 'c']);
    one.close();
    const to = (instance: string, otherwise: string) => one.send({ instance, otherwise });
    expect([to('c', 'error'), to('b', 'error'), to('b', 'any')]).toEqual(['c', null, 'a']);
  });

  test('whose endpoint has left it is still its own for the end', async () => {
    const { stage, join } = await stageWith('round_robin', 'a', 'b');
    const one = join();
    expect(one.send()).toBe('a');
    stage.pipe('a').health = { well: false, message: 'NOT_SERVING' };
    stage.pipe('a').endpoint.healthChanged();
    expect(one.send()).toBe('b');
    expect(one.close().toSorted()).toEqual(['a', 'b']);
  });
});

describe('a message to an instance', () => {
  test('goes there alone, and to no other unless it may', async () => {
    const { stage, join } = await stageWith('round_robin', 'a', 'b');
    stage.pipe('b').endpoint.up('link', 'again', { instance: 'y' });
    const one = join();
    expect(one.send()).toBe('a');
    expect(one.send({ instance: 'y', otherwise: 'error' })).toBe('b');
    expect(one.send({ instance: 'none', otherwise: 'error' })).toBeNull();
    expect(one.send({ instance: 'none' })).toBe('a');
    stage.pipe('b').endpoint.goaway('');
    expect(one.send({ instance: 'y', otherwise: 'error' })).toBeNull();
  });

  test('goes by the session’s own endpoint if that leads there, else always by the same one', async () => {
    const { stage, join } = await stageWith('round_robin', 'a', 'b', 'c', 'd');
    for (const name of ['b', 'c', 'd'])
      stage.pipe(name).endpoint.up('link', 'again', { instance: 'y' });
    const clients = upTo(40).map(join);
    const used = new Set<string | null>();
    for (const client of clients) {
      const own = client.send();
      const named = client.send({ instance: 'y' });
      expect(own === 'a' || own === named).toBe(true);
      for (const _ of upTo(3)) expect(client.send({ instance: 'y' })).toBe(named);
      if (own === 'a') used.add(named);
    }
    expect(used.size).toBeGreaterThan(1);
  });
});

describe('an instance to which several endpoints lead', () => {
  const TO_X = { instance: 'x' };

  /** Two links to the instance x, and one session, of each of many names: so that hashes choose either. */
  async function twoLinks(balance: Policy) {
    const stage = await PoolStage.up(['a'], { links: 2 });
    for (const { endpoint } of stage.pipes) endpoint.up('link', 'again', TO_X);
    const affinity = new SessionAffinity({ balance, hashBy: 'uid' }, stage.pool);
    return { stage, clients: upTo(20).map((n) => new Client(affinity, `g.${n + 1}`)) };
  }

  test.each(['round_robin', 'hash'] as const)(
    'sees messages that name it and others by one of them, while any is in flight, with %s',
    async (balance) => {
      const { clients } = await twoLinks(balance);
      for (const client of clients) {
        const asked = [TO_X, {}, TO_X, {}].map((more) => client.ask(more));
        expect(new Set(asked.map(({ to }) => to?.label)).size).toBe(1);
        for (const { answer } of asked) answer();
        // Its own one is found as ever, then.
        expect(client.ask().to).toBe(client.kept.endpoint);
      }
    },
  );

  test('keeps a session whose messages have named it, before it had an endpoint of its own', async () => {
    const stage = await PoolStage.up(['a', 'b']);
    for (const { endpoint } of stage.pipes)
      endpoint.up('link', 'again', { instance: endpoint.name === 'a' ? 'x' : 'y' });
    const affinity = new SessionAffinity({ balance: 'round_robin', hashBy: 'uid' }, stage.pool);
    for (const n of upTo(20)) {
      const client = new Client(affinity, `g.${n + 1}`);
      client.ask(TO_X);
      const [first, ...rest] = [{}, {}, {}].map((more) => client.ask(more).to?.name);
      expect(rest).toEqual([first, first]);
    }
  });

  test('sees what follows by the one that is being left, until nothing is in flight', async () => {
    const { clients } = await twoLinks('round_robin');
    const [client] = clients;
    const first = client!.ask(TO_X);
    first.to!.goaway('');
    const second = client!.ask(TO_X);
    expect(second.to).toBe(first.to);
    // And nothing more starts before these are answered.
    let isStarted = false;
    const third = { exclusive: false, unordered: false, start: () => (isStarted = true) };
    client!.kept.lane.enter(third);
    first.answer();
    expect(isStarted).toBe(false);
    second.answer();
    expect(isStarted).toBe(true);
    client!.kept.lane.leave(third);
    expect(client!.ask(TO_X).to).not.toBe(first.to);
  });

  test('sees what names it by the session’s own one, though that is being left, while something is in flight', async () => {
    const { stage, clients } = await twoLinks('round_robin');
    const [client] = clients;
    const own = stage.pool.list[0]!;
    own.goaway('');
    // It came when those that were there had been let go already.
    own.take(client!.kept);
    const first = client!.ask();
    expect(first.to).toBe(own);
    expect(client!.ask(TO_X).to).toBe(own);
    expect(client!.ask({ ...TO_X, unordered: true }).to).not.toBe(own);
  });

  test('sees what names it by the endpoint to which a session has just moved', async () => {
    const { clients } = await twoLinks('hash');
    const moved = clients.filter((client, i) => {
      const before = client.ask();
      before.answer();
      client.bind(`player-${i}`);
      const after = client.ask();
      expect(client.ask(TO_X).to).toBe(after.to);
      return after.to !== before.to;
    });
    expect(moved.length).toBeGreaterThan(1);
  });

  test('sees what needs no order by any, and the rest by what is left when one is lost', async () => {
    const { clients } = await twoLinks('round_robin');
    const [client] = clients;
    const first = client!.ask(TO_X);
    first.to!.goaway('');
    const other = client!.ask({ ...TO_X, unordered: true }).to;
    expect(other).not.toBe(first.to);
    first.to!.lost('gone');
    expect(client!.ask(TO_X).to).toBe(other);
  });
});

describe('a session with a key', () => {
  const ADDRESSES = ['a', 'b', 'c'];

  test('goes where the key leads, also when it is bound later, however many there are', async () => {
    const { join } = await stageWith('hash', ...ADDRESSES);
    const homes = upTo(30).map((n) => {
      const early = join();
      early.bind(`player-${n % 10}`);
      const late = join();
      late.send();
      late.bind(`player-${n % 10}`);
      const home = early.send();
      expect(late.send()).toBe(home);
      return home;
    });
    expect(homes.slice(10, 20)).toEqual(homes.slice(0, 10));
    expect(new Set(homes).size).toBe(3);
  });

  test('whose home comes moves there with its next message, but not with one in flight', async () => {
    const { stage, join } = await stageWith('hash', 'a', 'b');
    const clients = upTo(30).map((n) => {
      const client = join();
      client.bind(`player-${n}`);
      return client;
    });
    const before = clients.map((client) => client.send());
    await stage.resolve('a', 'b', 'c');
    stage.pipe('c').endpoint.up('link', 'connected');
    const answers = clients.map(({ kept }) => kept.send());
    expect(clients.map((client) => client.send())).toEqual(before);
    for (const answer of answers) answer();
    const after = clients.map((client) => client.send());
    const moved = after.filter((home, i) => home !== before[i]);
    expect(moved.length).toBeGreaterThan(0);
    expect(new Set(moved)).toEqual(new Set(['c']));
  });

  test('whose home comes does not move there by a handshake while a message is in flight', async () => {
    const { stage, join } = await stageWith('hash', 'a', 'b');
    const clients = upTo(30).map(join);
    const before = clients.map((client) => client.send());
    await stage.resolve('a', 'b', 'c');
    stage.pipe('c').endpoint.up('link', 'connected');
    const answers = clients.map(({ kept }) => kept.send());
    expect(clients.map((client) => client.shakeHands())).toEqual(before);
    expect(clients.map(({ kept }) => kept.endpoint?.name)).toEqual(before);
    for (const answer of answers) answer();
    const after = clients.map((client) => client.shakeHands());
    expect(after.filter((home, i) => home !== before[i])).toContain('c');
  });

  test('whose home is away goes to another, always the same, and back when it is there again', async () => {
    const { stage, join } = await stageWith('hash', ...ADDRESSES);
    const one = join();
    one.bind('ann');
    const home = one.send()!;
    stage.pipe(home).endpoint.lost('gone');
    const other = one.send();
    expect(other).not.toBe(home);
    for (const _ of upTo(3)) expect(one.send()).toBe(other);
    stage.pipe(home).endpoint.up('link', 'connected');
    expect(one.send()).toBe(home);
  });
});
