/** How endpoints come, go and are replaced, and what becomes of their sessions. */
import { describe, expect, test } from 'vitest';

import { type Pipe, PoolStage, Session, settled } from './pool-stage.ts';

const names = ({ pool }: PoolStage): string[] => pool.list.map(({ label }) => label);

describe('addresses', () => {
  test('have as many endpoints as links says: the first of each, then the second', async () => {
    const stage = await PoolStage.up(['a', 'b'], { links: 2 });
    expect(names(stage)).toEqual(['a#0', 'b#0', 'a#1', 'b#1']);
    expect(stage.pool.count()).toMatchObject({ addresses: 2, healthy: 2 });
    stage.pipes[0]!.endpoint.lost('gone');
    expect(stage.pool.count()).toMatchObject({ addresses: 2, healthy: 2 });
    stage.pipes[2]!.endpoint.lost('gone');
    expect(stage.pool.count()).toMatchObject({ addresses: 2, healthy: 1 });
  });

  test('that come are connected to; those that stay keep their endpoint', async () => {
    const stage = await PoolStage.up(['a', 'b']);
    const b = stage.endpoint('b');
    const { epoch } = stage.pool;
    await stage.resolve('b', 'c');
    expect(names(stage)).toEqual(['b#0', 'c#0']);
    expect(stage.endpoint('b')).toBe(b);
    expect(stage.pipe('c').asked).toEqual(['connect']);
    expect(stage.pool.epoch).toBeGreaterThan(epoch);
  });

  test('that go are left: closed when all is answered, destroyed when they have ended', async () => {
    const stage = await PoolStage.up(['a', 'b']);
    const [a, gone] = [stage.endpoint('a'), stage.pipe('a')];
    const [idle, busy] = [new Session(), new Session()];
    for (const session of [idle, busy]) a.take(session);
    const answer = busy.send();
    await stage.resolve('b');
    expect([idle.endpoint, busy.endpoint, a.serves]).toEqual([null, a, true]);
    answer();
    stage.clock.advance(30);
    await settled();
    expect(gone.asked).toEqual(['connect', 'close: no longer listed']);
    gone.ended();
    await settled();
    expect(gone.asked.at(-1)).toBe('destroy');
    expect(stage.reported().at(-1)).toBe('a stopped: no longer listed');
  });

  test('that go and do not end are destroyed after 5 s, and those that are away at once', async () => {
    const stage = await PoolStage.up(['a', 'b', 'c']);
    stage.pipe('b').endpoint.lost('gone');
    await stage.resolve('c');
    await settled();
    expect(stage.pipe('b').asked.at(-1)).toBe('close: no longer listed');
    stage.clock.advance(4_900);
    await settled();
    expect(stage.pipe('a').asked.at(-1)).toBe('close: no longer listed');
    stage.clock.advance(200);
    await settled();
    for (const name of ['a', 'b']) expect(stage.pipe(name).asked.at(-1)).toBe('destroy');
    stage.clock.advance(60_000);
    expect(stage.pipe('b').asked.filter((what) => what === 'connect')).toHaveLength(1);
  });

  test('are looked up within a second when one is lost', async () => {
    const stage = await PoolStage.up(['a']);
    stage.clock.advance(5_000);
    const { lookups } = stage;
    stage.pipe('a').endpoint.lost('gone');
    stage.clock.advance(1_100);
    expect(stage.lookups).toBe(lookups + 1);
  });

  test('are weighed as configured, else as the resolver has it, else 1; also later', async () => {
    const stage = new PoolStage(['ipv4:10.0.0.1:1', 'ipv4:10.0.0.2:1', 'ipv4:10.0.0.3:1'], {
      weights: { '10.0.0.1:1': 7 },
    });
    stage.weights = new Map([
      ['ipv4:10.0.0.1:1', 2],
      ['ipv4:10.0.0.2:1', 3],
    ]);
    const started = stage.pool.start();
    await settled();
    stage.clock.advance(2_100);
    await started;
    const weights = (): number[] => stage.pool.list.map(({ weight }) => weight);
    expect(weights()).toEqual([7, 3, 1]);
    stage.weights = new Map([['ipv4:10.0.0.3:1', 9]]);
    await stage.resolve('ipv4:10.0.0.1:1', 'ipv4:10.0.0.2:1', 'ipv4:10.0.0.3:1');
    expect(weights()).toEqual([7, 1, 9]);
  });

  test('one of which cannot keep an order takes it from all', async () => {
    const stage = await PoolStage.up(['a', 'b']);
    expect(stage.pool.keepsOrder).toBe(true);
    const b = stage.pipe('b');
    b.keepsOrder = false;
    b.endpoint.up('handle', 'there is no Link');
    expect(stage.pool.keepsOrder).toBe(false);
  });
});

describe('an endpoint that is old', () => {
  const HOUR = 3_600_000;

  test('is replaced: its sessions go over with nothing in flight, and the backend is told of their end', async () => {
    const stage = await PoolStage.up(['a'], { ageMs: HOUR });
    const [old, first] = [stage.endpoint('a'), stage.pipe('a')];
    const [idle, busy, known] = [new Session(), new Session(), new Session()];
    for (const session of [idle, busy]) old.take(session);
    old.sessions.know(known);
    const answer = busy.send();
    stage.clock.advance(HOUR * 0.79);
    expect(stage.pipes).toHaveLength(1);
    stage.clock.advance(HOUR * 0.42);
    expect(stage.pipes).toHaveLength(2);
    expect([idle.endpoint, stage.endpoint('a')]).toEqual([old, old]);

    stage.pipe('a').endpoint.up('link', 'connected', { ages: true });
    await settled();
    const next = stage.endpoint('a');
    expect(next).not.toBe(old);
    expect([next.label, idle.endpoint, busy.endpoint]).toEqual([old.label, next, old]);
    answer();
    expect(busy.endpoint).toBe(next);
    stage.clock.advance(30);
    await settled();
    expect(first.asked).toEqual(['connect', 'close: replaced by a new link']);
    for (const session of [idle, busy, known]) expect(next.sessions.forget(session)).toBe(true);
  });

  test.each([
    ['is to be left by then', ({ endpoint }: Pipe) => endpoint.goaway('update')],
    ['is lost by then', ({ endpoint }: Pipe) => endpoint.lost('gone')],
  ])('gives its sessions to any endpoint if its successor %s', async (_what, leave) => {
    const stage = await PoolStage.up(['a'], { ageMs: HOUR });
    const [old, busy] = [stage.endpoint('a'), new Session()];
    old.take(busy);
    const answer = busy.send();
    stage.clock.advance(HOUR * 1.21);
    stage.pipe('a').endpoint.up('link', 'connected', { ages: true });
    await settled();
    expect(stage.endpoint('a')).not.toBe(old);
    leave(stage.pipe('a'));
    answer();
    expect([busy.endpoint, stage.endpoint('a').sessions.size]).toEqual([null, 0]);
  });

  test('goes on if its successor cannot be opened, and is replaced 5 s later', async () => {
    const stage = await PoolStage.up(['a'], { ageMs: HOUR });
    const old = stage.endpoint('a');
    stage.clock.advance(HOUR * 1.21);
    const failed = stage.pipe('a');
    failed.endpoint.lost('nothing listens there');
    await settled();
    expect([stage.endpoint('a'), old.welcomes, failed.asked.at(-1)]).toEqual([
      old,
      true,
      'destroy',
    ]);
    stage.clock.advance(4_900);
    expect(stage.pipes).toHaveLength(2);
    stage.clock.advance(200);
    expect(stage.pipes).toHaveLength(3);
  });

  test('is replaced at once if its server goes, but no sooner than a second after it was opened', async () => {
    const stage = await PoolStage.up(['a']);
    const { endpoint } = stage.pipe('a');
    endpoint.http2Goaway('max_age', true);
    endpoint.http2Goaway('max_age', true);
    stage.clock.advance(900);
    expect(stage.pipes).toHaveLength(1);
    stage.clock.advance(200);
    expect(stage.pipes).toHaveLength(2);
    expect(stage.reported().at(-1)).toBe('a link: the server asked for a new connection: max_age');
  });

  test('is replaced a second after it was opened if its server went meanwhile, and once', async () => {
    const stage = await PoolStage.start(['a'], { ageMs: HOUR });
    const { endpoint } = stage.pipe('a');
    endpoint.http2Goaway('', true);
    stage.clock.advance(5_000);
    endpoint.up('link', 'connected', { ages: true });
    stage.clock.advance(900);
    expect(stage.pipes).toHaveLength(1);
    stage.clock.advance(200);
    expect(stage.pipes).toHaveLength(2);
  });

  test('has one successor, however often it is time', async () => {
    const stage = await PoolStage.up(['a'], { ageMs: HOUR });
    const { endpoint } = stage.pipe('a');
    stage.clock.advance(HOUR * 1.21);
    endpoint.http2Goaway('', true);
    stage.clock.advance(2_000);
    expect(stage.pipes).toHaveLength(2);
  });

  test('whose server goes is left, even if there is no successor', async () => {
    const stage = await PoolStage.up(['a', 'b']);
    const [a, pipe] = [stage.endpoint('a'), stage.pipe('a')];
    pipe.endpoint.http2Goaway('', true);
    stage.clock.advance(1_100);
    stage.pipe('a').endpoint.lost('nothing listens there');
    await settled();
    expect([a.isOpen, pipe.asked.at(-1)]).toEqual([false, 'endIdle']);
  });

  test('that goes by itself is not replaced', async () => {
    const stage = await PoolStage.up(['a'], { ageMs: HOUR });
    stage.pipe('a').endpoint.lost('gone');
    stage.clock.advance(2 * HOUR);
    expect(stage.pipes).toHaveLength(1);
  });
});

describe('sessions', () => {
  test('are brought to an endpoint that comes, until each has its share', async () => {
    const stage = await PoolStage.up(['a']);
    const a = stage.endpoint('a');
    for (let i = 0; i < 300; i++) a.take(new Session());
    await stage.resolve('a', 'b');
    stage.clock.advance(1_000);
    expect(a.sessions.size).toBe(300);
    stage.pipe('b').endpoint.up('link', 'connected', { ages: true });
    stage.clock.advance(1_000);
    const { sessions } = stage.endpoint('b');
    expect([a.sessions.size, sessions.owed]).toEqual([150, 150]);
    const one = new Session();
    stage.endpoint('b').take(one);
    expect([sessions.size, sessions.owed]).toEqual([1, 149]);
    sessions.forget(one);

    // Its successor is owed them then.
    stage.pipe('b').endpoint.http2Goaway('', true);
    stage.clock.advance(1_100);
    stage.pipe('b').endpoint.up('link', 'connected');
    await settled();
    expect(stage.endpoint('b').sessions).not.toBe(sessions);
    expect(stage.endpoint('b').sessions.owed).toBe(149);
  });

  test.each(['hash', 'pick_first'] as const)('stay where they are with %s', async (balance) => {
    const stage = await PoolStage.up(['a'], { balance });
    const a = stage.endpoint('a');
    for (let i = 0; i < 10; i++) a.take(new Session());
    await stage.resolve('a', 'b');
    stage.pipe('b').endpoint.up('link', 'connected');
    stage.clock.advance(1_000);
    expect(a.sessions.size).toBe(10);
  });
});

describe('an endpoint that comes by itself', () => {
  test('is connected to by nobody, and gone when it is lost', () => {
    const stage = new PoolStage();
    const pipe = stage.attach('10.0.0.9');
    pipe.endpoint.up('attached', 'instance x', { instance: 'x' });
    expect(stage.pool.list.map(({ instance }) => instance)).toEqual(['x']);
    const session = new Session();
    stage.endpoint('10.0.0.9').take(session);
    pipe.endpoint.lost('the connection was lost');
    expect([stage.pool.list, session.endpoint]).toEqual([[], null]);
    stage.clock.advance(60_000);
    expect(pipe.asked).toEqual(['connect']);
    expect(stage.reported()).toEqual([
      '10.0.0.9 attached: instance x',
      '10.0.0.9 away: the connection was lost',
    ]);
  });
});

describe('the end', () => {
  test('closes all, also those that are left or come, and cuts off what does not end', async () => {
    const stage = await PoolStage.up(['a', 'b']);
    stage.endpoint('a').take(new Session());
    const busy = new Session();
    stage.endpoint('a').take(busy);
    busy.send();
    await stage.resolve('b', 'c');
    const closed = stage.pool.close(1_000, 'the gateway is stopping');
    for (const pipe of stage.pipes)
      expect(pipe.asked).toEqual(['connect', 'close: the gateway is stopping']);
    stage.pipe('b').ended();
    stage.clock.advance(1_100);
    await closed;
    for (const pipe of stage.pipes) expect(pipe.asked.at(-1)).toBe('destroy');
    await stage.resolve('d');
    expect(stage.pipes).toHaveLength(3);
    stage.clock.advance(120_000);
    expect(stage.wheel.size).toBe(0);
  });
});
