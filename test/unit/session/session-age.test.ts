/** Sessions that end because their clients say nothing, or because they have been open long enough. */
import { describe, expect, test } from 'vitest';

import { encodeResponse } from '../../../src/protocol/message.ts';
import type { InFlight } from '../../../src/session/in-flight.ts';
import { ACK, activate, HANDSHAKE, HEARTBEAT, makeWorld, request, turn } from './support.ts';

const MINUTE_MS = 60_000;
const HOUR_MS = 3_600_000;

type Client = ReturnType<typeof activate>;

/** Lets time go by in steps of ten seconds, in each of which the client beats, or says what it is told to. */
function live({ session, clock }: Client, ms: number, bytes: Buffer = HEARTBEAT): void {
  for (let left = ms; left > 0; left -= 10_000) {
    clock.advance(Math.min(left, 10_000));
    session.onBytes(bytes);
  }
}

function ends({ host }: Client): unknown[] {
  return host.ended.map(({ reason, cause }) => [reason, cause]);
}

/** Its messages stay in flight until `finish`, which answers the first of them. */
function withCalls(client: Client) {
  const { session, host } = client;
  const calls: InFlight[] = [];
  const given: string[] = [];
  host.onMessageDo = (_session, { rawId, wantsAnswer }) => {
    const call = {
      rawId,
      wantsAnswer,
      giveUp(why: { code: number; reason: string }) {
        given.push(`${rawId} ${why.code} ${why.reason}`);
        session.untrack(call);
      },
      abandon() {},
    };
    calls.push(call);
    session.track(call);
  };
  const finish = (): void => {
    const call = calls.shift()!;
    session.send(encodeResponse(call.rawId, Buffer.from('{}'))!);
    session.untrack(call);
  };
  return { ...client, given, finish };
}

describe('an idle session', () => {
  const limits = { idleMs: 5 * MINUTE_MS };

  test('ends, however regularly its client beats', () => {
    const client = activate({ limits });
    live(client, 5 * MINUTE_MS - 1_000);
    expect(ends(client)).toEqual([]);
    live(client, 2_000);
    expect(ends(client)).toEqual([['idle_timeout', 'limits.idle is 300000 ms']]);
  });

  test.each([
    ['another handshake', HANDSHAKE],
    ['another ack', ACK],
  ])('ends, though its client repeats %s', (_, bytes) => {
    const client = activate({ limits });
    live(client, 6 * MINUTE_MS, bytes);
    expect(ends(client)).toEqual([['idle_timeout', 'limits.idle is 300000 ms']]);
  });

  test('lives on with every message of its client, and ends that long after the last', () => {
    const client = activate({ limits });
    for (let id = 1; id <= 4; id++) {
      live(client, 4 * MINUTE_MS);
      client.session.onBytes(request(id));
    }
    live(client, 5 * MINUTE_MS - 1_000);
    expect(ends(client)).toEqual([]);
    live(client, 2_000);
    expect(ends(client)).toEqual([['idle_timeout', 'limits.idle is 300000 ms']]);
  });

  test('is none while an answer is awaited', () => {
    const client = withCalls(activate({ limits }));
    client.session.onBytes(request(1));
    live(client, 20 * MINUTE_MS);
    expect(ends(client)).toEqual([]);
    client.finish();
    live(client, 6 * MINUTE_MS);
    expect(ends(client)).toEqual([['idle_timeout', 'limits.idle is 300000 ms']]);
  });
});

/** Without heartbeats, so that nothing is unsent but what a test sends. */
describe('a session that is old enough', () => {
  const limits = { maxAgeMs: HOUR_MS, heartbeatMs: 0 };
  /** What the first session of a gateway is ended early: a tenth of its age, by the golden ratio. */
  const DUE_MS = HOUR_MS * (1 - 0.1 * 0.618_033_988_749_895);

  test('ends in the last tenth of its time, and many spread over all of it', async () => {
    const world = makeWorld();
    const clients = Array.from({ length: 100 }, (_, i) => activate({ world, limits, n: i + 1 }));
    // Some of those that are due end in the next turn, so the clock goes on in small steps.
    for (let ms = 0; ms <= HOUR_MS; ms += 1_000) {
      world.clock.advance(1_000);
      await new Promise((resolve) => setImmediate(resolve));
    }
    const lasted = clients.map(({ host }) => host.ended[0]!.lastedMs);
    expect(new Set(clients.flatMap((client) => ends(client).map(String)))).toEqual(
      new Set(['max_age,sessions.max_age is 3600000 ms']),
    );
    for (let from = 0.9 * HOUR_MS; from < HOUR_MS; from += 0.01 * HOUR_MS) {
      const here = lasted.filter((ms) => ms > from && ms <= from + 0.01 * HOUR_MS);
      expect(here.length).toBeGreaterThanOrEqual(8);
      expect(here.length).toBeLessThanOrEqual(12);
    }
  });

  test('waits for what is in flight, reads nothing more, and ends right after the answer', async () => {
    const client = withCalls(activate({ limits }));
    const { session, host, connection, clock } = client;
    clock.advance(DUE_MS - 1_000);
    session.onBytes(request(1));
    clock.advance(2_000);
    session.onBytes(request(2));
    expect(host.messages).toEqual(['1 a.b.c']);
    expect(ends(client)).toEqual([]);
    client.finish();
    expect(ends(client)).toEqual([]);
    await turn();
    clock.advance(200);
    expect(ends(client)).toEqual([['max_age', 'sessions.max_age is 3600000 ms']]);
    expect(connection.messages).toEqual(['#1 {}']);
    expect(connection.closed).toEqual({ code: 1001, reason: 'max_age' });
    expect(host.messages).toEqual(['1 a.b.c']);
    expect(client.given).toEqual([]);
  });

  test('waits ten seconds at most, and then answers what is in flight itself', () => {
    const client = withCalls(activate({ limits }));
    const { session, clock } = client;
    clock.advance(DUE_MS - 1_000);
    session.onBytes(request(1));
    clock.advance(10_900);
    expect(ends(client)).toEqual([]);
    clock.advance(300);
    expect(ends(client)).toMatchObject([['max_age', 'sessions.max_age is 3600000 ms']]);
    expect(client.given).toEqual(['1 503 DRAINING']);
  });

  test('waits as long for a client that does not take its answer', async () => {
    const { session, host, connection, clock } = activate({ limits });
    clock.advance(DUE_MS - 1_000);
    connection.stuck = true;
    session.send(encodeResponse(1, Buffer.from('{}'))!);
    await turn();
    clock.advance(10_900);
    expect(host.ended).toEqual([]);
    clock.advance(300);
    expect(host.ended).toMatchObject([{ reason: 'max_age' }]);
  });

  test('is not read from again when half of what is in flight is answered', () => {
    const client = withCalls(activate({ limits: { ...limits, inFlightMax: 4 } }));
    const { session, host, clock } = client;
    clock.advance(DUE_MS - 1_000);
    session.onBytes(Buffer.concat([1, 2, 3, 4, 5].map((id) => request(id))));
    clock.advance(2_000);
    for (let i = 0; i < 3; i++) client.finish();
    expect(host.messages).toHaveLength(4);
    expect(client.session.inFlight).toBe(1);
  });

  test('of no age never ends', () => {
    const client = activate({ limits: { maxAgeMs: 0, heartbeatMs: 0 } });
    client.clock.advance(48 * HOUR_MS);
    expect(ends(client)).toEqual([]);
  });
});
