/** The states of an endpoint, and what its sessions do at each: whatever carries its calls. */
import { describe, expect, test } from 'vitest';

import { PoolStage, Session } from './pool-stage.ts';

/** `a`, which serves, and its pipe; \`b\` serves too, if there is one. */
async function serving(...more: string[]) {
  const stage = await PoolStage.up(['a', ...more]);
  return { clock: stage.clock, stage, pipe: stage.pipe('a'), a: stage.endpoint('a') };
}

/** A session that keeps to an endpoint. */
function keeping({ a }: Awaited<ReturnType<typeof serving>>): Session {
  const session = new Session();
  a.take(session);
  return session;
}

describe('an endpoint', () => {
  test('is connecting until its transport says that it serves', async () => {
    const stage = await PoolStage.start(['a']);
    const a = stage.endpoint('a');
    expect([a.condition, a.serves, a.isOpen, a.welcomes]).toEqual([
      'connecting',
      false,
      false,
      false,
    ]);
    stage.pipe('a').endpoint.up('link', 'connected to instance x', { instance: 'x' });
    expect([a.condition, a.instance, a.welcomes, a.isWell]).toEqual(['link', 'x', true, true]);
    expect(stage.reported()).toEqual(['a link: connected to instance x']);
  });

  test('that is lost lets its sessions go, and tries again, less and less often', async () => {
    const on = await serving();
    const session = keeping(on);
    on.pipe.endpoint.lost('it is gone');
    expect([on.a.condition, on.a.instance, session.endpoint, on.a.sessions.size]).toEqual([
      'away',
      '',
      null,
      0,
    ]);
    const attempts = (): number => on.pipe.asked.filter((what) => what === 'connect').length;
    const waits: number[] = [];
    for (let n = 2; n <= 9; n++) {
      const before = on.clock.now();
      while (attempts() < n) on.clock.advance(10);
      waits.push(on.clock.now() - before);
      on.pipe.endpoint.lost('it is gone');
    }
    // A wait is at least half of 100, 200, 400, … 5,000 ms, and the wheel adds a tick at most.
    for (const [n, most] of [100, 200, 400, 800, 1_600, 3_200, 5_000, 5_000].entries()) {
      expect(waits[n]).toBeGreaterThanOrEqual(most / 2);
      expect(waits[n]).toBeLessThanOrEqual(most + 40);
    }
    expect(on.stage.reported()).toEqual(['a link: connected', 'a away: it is gone']);
  });

  test('serves on in one way while a better one is tried', async () => {
    const { a, pipe, clock } = await serving();
    pipe.endpoint.up('handle', 'there is no Link');
    pipe.endpoint.retrySoon();
    clock.advance(150);
    expect(pipe.asked).toEqual(['connect', 'connect']);
    expect([a.condition, a.welcomes]).toEqual(['handle', true]);
    pipe.endpoint.up('link', 'connected');
    expect(a.condition).toBe('link');
  });
});

describe('an endpoint that serves on without its link', () => {
  test('is not replaced for the age of that link, nor for a goaway of its connection', async () => {
    const stage = await PoolStage.up(['a'], { ageMs: 60_000 });
    const { endpoint } = stage.pipe('a');
    endpoint.http2Goaway('max_age', true);
    endpoint.up('handle', 'the backend has no Link');
    expect(stage.endpoint('a').isConnectionClosing).toBe(false);
    stage.clock.advance(120_000);
    expect(stage.pipes).toHaveLength(1);
  });
});

describe('an endpoint that a backend wants to be left', () => {
  test('gets no new sessions, lets go of those that are idle, and ends when none is left', async () => {
    const on = await serving('b');
    const [idle, busy] = [keeping(on), keeping(on)];
    const answer = busy.send();
    on.pipe.endpoint.goaway('');
    on.pipe.endpoint.goaway('again');
    expect([on.a.condition, on.a.serves, on.a.isOpen, on.a.welcomes]).toEqual([
      'leaving',
      true,
      false,
      false,
    ]);
    expect([idle.endpoint, busy.endpoint]).toEqual([null, on.a]);
    on.clock.advance(1_000);
    expect(on.pipe.asked).toEqual(['connect']);
    answer();
    expect(busy.endpoint).toBeNull();
    on.clock.advance(30);
    expect(on.pipe.asked).toEqual(['connect', 'endIdle']);
    expect(on.stage.reported().at(-1)).toBe('a leaving: goaway: no reason given');
    on.pipe.endpoint.lost('the backend ended the link');
    on.clock.advance(150);
    on.pipe.endpoint.up('link', 'connected');
    expect(on.a.welcomes).toBe(true);
  });

  test('is not told of the ends of sessions that it has let go', async () => {
    const on = await serving('b');
    const [stays, busy, idle] = [keeping(on), keeping(on), keeping(on)];
    on.a.release(stays);
    busy.send();
    on.pipe.endpoint.goaway('');
    on.a.release(busy);
    expect([stays, busy, idle].map((session) => on.a.sessions.forget(session))).toEqual([
      true,
      false,
      false,
    ]);
  });

  test('and calls for none of its sessions are waited for, too', async () => {
    const { clock, pipe } = await serving();
    pipe.inFlight = 1;
    pipe.endpoint.goaway('update');
    clock.advance(1_000);
    expect(pipe.asked).toEqual(['connect']);
    pipe.inFlight = 0;
    clock.advance(30);
    expect(pipe.asked).toEqual(['connect', 'endIdle']);
  });

  test('does not end before it has served, though it was told so before', async () => {
    const stage = await PoolStage.start(['a']);
    const pipe = stage.pipe('a');
    pipe.endpoint.goaway('too early');
    stage.clock.advance(100);
    expect(pipe.asked).toEqual(['connect']);
    pipe.endpoint.up('link', 'connected');
    expect(pipe.asked).toEqual(['connect', 'endIdle']);
  });
});

describe('an endpoint whose calls fail', () => {
  test('five in a row is left alone for 5 s, then tried by one session, until an answer', async () => {
    const on = await serving('b');
    const session = keeping(on);
    for (let i = 0; i < 4; i++) on.pipe.endpoint.failed();
    on.pipe.endpoint.answered();
    for (let i = 0; i < 4; i++) on.pipe.endpoint.failed();
    expect(on.a.welcomes).toBe(true);
    on.pipe.endpoint.failed();
    expect([on.a.condition, on.a.welcomes, on.a.isOpen, on.a.isWell]).toEqual([
      'ejected',
      false,
      true,
      false,
    ]);
    expect(session.endpoint).toBeNull();
    expect(on.stage.reported().at(-1)).toBe(
      'a ejected: 5 failures in a row; no sessions for 5000 ms',
    );
    on.clock.advance(4_990);
    expect(on.a.welcomes).toBe(false);
    on.clock.advance(10);
    expect([on.a.welcomes, on.a.isWell]).toEqual([true, false]);
    keeping(on);
    expect(on.a.welcomes).toBe(false);
    on.pipe.endpoint.answered();
    expect([on.a.welcomes, on.a.isWell, on.a.condition]).toEqual([true, true, 'link']);
    expect(on.stage.reported().at(-1)).toBe('a link: it answers again');
  });

  test('is used anyway while there is no other', async () => {
    const { a, pipe, stage } = await serving('b');
    stage.pipe('b').endpoint.lost('gone');
    for (let i = 0; i < 50; i++) pipe.endpoint.failed();
    expect([a.condition, a.welcomes]).toEqual(['link', true]);
  });
});

describe('an endpoint that reports its health', () => {
  test('gets no new sessions while it is not well, and lets go of those that it has', async () => {
    const on = await serving('b');
    const session = keeping(on);
    on.pipe.health = { well: false, message: 'NOT_SERVING' };
    on.pipe.endpoint.healthChanged();
    expect([on.a.condition, on.a.welcomes, on.a.isOpen, session.endpoint]).toEqual([
      'unhealthy',
      false,
      true,
      null,
    ]);
    on.pipe.health = { well: true, message: 'SERVING' };
    on.pipe.endpoint.healthChanged();
    expect([on.a.condition, on.a.welcomes]).toEqual(['link', true]);
    expect(on.stage.reported().slice(2)).toEqual([
      'a unhealthy: health: NOT_SERVING',
      'a link: health: SERVING',
    ]);
  });

  test('is not unhealthy for the log before it has said anything', async () => {
    const { a, pipe } = await serving();
    pipe.health = { well: false, message: '' };
    expect([a.condition, a.welcomes]).toEqual(['link', false]);
  });
});
