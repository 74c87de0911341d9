/** More messages from NATS at once than one turn of the event loop should handle. */
import { afterEach, expect, test, vi } from 'vitest';

import { nextTurn, systemClock } from '../../src/clock.ts';
import { TurnShare } from '../../src/turn-share.ts';
import { dialNats } from '../../src/upstream/nats/dial.ts';
import { startNats } from '../support/nats.ts';
import { TurnClock } from '../support/turn-clock.ts';

const PER_TURN = 100;
const MESSAGES = 20_000;
/** Of 1 KiB, whose messages are handled together. [MSG many 1 1\r\n1\r\n] */
const PER_PIECE = 1_024 / 17;
/** A connection whose server answers no ping for so long is given up. */
const SILENT_MS = 10_000;

afterEach(() => {
  vi.useRealTimers();
});

test('is handled in its order, a share in each turn, and does not make the server look dead', async () => {
  await using nats = await startNats();
  const sender = await nats.connect();
  // Pings are sent by the client library's own timers.
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
  const clock = new TurnClock(1_000);
  const none = { creds: '', user: '', password: '', token: '', nkey: '' };
  const share = new TurnShare(clock, PER_TURN);
  const nc = await dialNats({ gatewayId: 'g', inboxPrefix: '_INBOX.g', ...none, share }, [
    `127.0.0.1:${nats.port}`,
  ]);
  const stale: string[] = [];
  nc.listen({
    onRoom() {},
    onStale: () => stale.push('stale'),
    onLameDuck() {},
    onError: (what) => stale.push(what),
  });
  let ended: Error | null | undefined;
  void nc.closed().then((error) => {
    ended = error;
  });
  const got: number[] = [];
  nc.subscribe('many', (_error, { data }) => got.push(Number(Buffer.from(data).toString())), '');
  const subscribed = nc.flush();
  await settle(subscribed, clock);
  for (let n = 0; n < MESSAGES; n++) sender.publish('many', String(n));
  await sender.flush();
  const perTurn: number[] = [];
  let silentMs = 0;
  let before = 0;
  while (got.length < MESSAGES && ended === undefined) {
    perTurn.push(got.length - before);
    before = got.length;
    clock.turn();
    await nextTurn(systemClock);
    await nextTurn(systemClock);
    // The loop is slow: what has come takes longer than a server may be silent.
    await vi.advanceTimersByTimeAsync(500);
    silentMs += 500;
  }
  expect(stale).toEqual([]);
  expect(ended).toBe(undefined);
  expect(silentMs).toBeGreaterThan(2 * SILENT_MS);
  expect(Math.max(...perTurn)).toBeLessThanOrEqual(PER_TURN + PER_PIECE);
  expect(got).toEqual(Array.from({ length: MESSAGES }, (_, n) => n));
  vi.useRealTimers();
  await nc.close();
});

async function settle(outcome: Promise<void>, clock: TurnClock): Promise<void> {
  let isDone = false;
  void outcome.then(() => {
    isDone = true;
  });
  while (!isDone) {
    await nextTurn(systemClock);
    clock.turn();
  }
}
