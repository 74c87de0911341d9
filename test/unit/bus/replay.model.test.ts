/**
 * Kept pushes in any order of events: a player goes from gateway to gateway while connections are lost, and JetStream
 * is silent or behind. Whatever happens, each push comes once, and they come in order.
 */
import fc from 'fast-check';
import { expect, test } from 'vitest';

import type { ReplayStart } from '../../../src/bus/replay.ts';
import { ManualClock } from '../../support/clock.ts';
import { type activate, turn } from '../session/support.ts';
import { lines, makeStream } from './kept.ts';
import { Exchange, makeGateway } from './support.ts';

type Action =
  | { readonly do: 'keep' | 'turn' | 'silent' | 'speaks' }
  | { readonly do: 'deliver' | 'advance' | 'behind'; readonly by: number }
  | { readonly do: 'cut' | 'mend' | 'move'; readonly gateway: 0 | 1 };

const gateway = fc.constantFrom(0 as const, 1 as const);
const action: fc.Arbitrary<Action> = fc.oneof(
  { weight: 6, arbitrary: fc.record({ do: fc.constant('keep' as const) }) },
  {
    weight: 9,
    arbitrary: fc.record({
      do: fc.constant('deliver' as const),
      by: fc.integer({ min: 1, max: 9 }),
    }),
  },
  { weight: 6, arbitrary: fc.record({ do: fc.constant('turn' as const) }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('advance' as const), by: fc.nat(2_500) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('behind' as const), by: fc.nat(3) }) },
  {
    weight: 1,
    arbitrary: fc.record({ do: fc.constantFrom('silent' as const, 'speaks' as const) }),
  },
  {
    weight: 5,
    arbitrary: fc.record({ do: fc.constantFrom('cut' as const, 'mend' as const), gateway }),
  },
  { weight: 3, arbitrary: fc.record({ do: fc.constant('move' as const), gateway }) },
);

class Play {
  readonly #exchange = new Exchange();
  readonly #clock = new ManualClock(1_000);
  readonly #js = makeStream(this.#exchange, this.#clock);
  readonly #gateways = ['g-0', 'g-1'].map((id) =>
    makeGateway(id, this.#exchange, this.#clock, 0, () => null, {
      replay: { windowMs: 60_000, outboxBytesMax: 65_536 },
    }),
  );
  #n = 0;
  #player!: ReturnType<typeof activate>;
  /** What the player has got in sessions that are over. */
  readonly #before: string[] = [];
  /** What the token of the session says: it is as old as the session. */
  #token: ReplayStart['kept'] = null;
  kept = 0;

  async start(): Promise<void> {
    for (const { connector } of this.#gateways)
      for (const listener of connector.listeners) listener.onUp?.(true);
    await this.settle();
    this.#come(0, { cursor: '', kept: null, issuedAtWall: 0 });
    await this.settle();
    this.#token = { seq: this.#player.session.kept!.seq, since: this.#clock.wallNow() };
  }

  #come(to: 0 | 1, start: ReplayStart): void {
    const { client, bus } = this.#gateways[to]!;
    this.#player = client(++this.#n, 'ann');
    bus.replay!.begin(this.#player.session, start, null);
  }

  async run(done: Action): Promise<void> {
    if (done.do === 'keep') {
      const body = String(++this.kept);
      this.#exchange.publish('pith.keep.user.ann', body, '', lines('Pith-Route: onMail'));
    } else if (done.do === 'deliver') this.#exchange.deliverFirst(done.by);
    else if (done.do === 'advance') {
      // No server is behind for long.
      if (done.by > 0) this.#js.stream.readsUpTo = Infinity;
      this.#clock.advance(done.by);
    } else if (done.do === 'behind') this.#js.stream.readsUpTo = this.#js.stream.last - done.by;
    else if (done.do === 'turn') await turn();
    else if (done.do === 'move') this.#move(done.gateway);
    else if ('gateway' in done) this.#setUp(done.gateway, done.do === 'mend');
    else this.#js.isSilent = done.do === 'silent';
  }

  #move(to: 0 | 1): void {
    this.#before.push(...this.#player.connection.messages);
    this.#player.session.close('connection_lost');
    const cursor = this.#before.filter((text) => text.startsWith('pith.cursor')).at(-1);
    const { seq = 0 } = JSON.parse(cursor?.slice(12) ?? '{}') as { seq?: number };
    this.#come(to, { cursor: seq, kept: this.#token, issuedAtWall: 1 });
  }

  #setUp(which: 0 | 1, isUp: boolean): void {
    const { connector } = this.#gateways[which]!;
    if (connector.up === isUp) return;
    connector.up = isUp;
    for (const listener of connector.listeners)
      if (isUp) listener.onUp?.(false);
      else listener.onDown?.();
  }

  async settle(): Promise<void> {
    for (let i = 0; i < 12; i++) {
      this.#exchange.deliver();
      for (const { connector } of this.#gateways)
        for (const { resolve } of connector.flushes.splice(0)) resolve();
      await turn();
    }
  }

  /** All is well again, for so long that everything has its time. */
  async calm(): Promise<void> {
    await this.run({ do: 'speaks' });
    this.#js.stream.readsUpTo = Infinity;
    for (const which of [0, 1] as const) this.#setUp(which, true);
    for (let i = 0; i < 60; i++) {
      await this.settle();
      this.#clock.advance(250);
    }
    await this.settle();
  }

  get got(): number[] {
    return [...this.#before, ...this.#player.connection.messages]
      .filter((text) => text.startsWith('onMail '))
      .map((text) => Number(text.slice(7)));
  }

  get waiting(): number {
    return this.#gateways.reduce((all, { bus }) => all + bus.replay!.waiting, 0);
  }
}

test('each comes once, and in order', async () => {
  const property = fc.asyncProperty(
    fc.array(action, { minLength: 20, maxLength: 80, size: 'max' }),
    async (actions) => {
      const play = new Play();
      await play.start();
      for (const one of actions) await play.run(one);
      await play.calm();
      expect(play.got).toEqual(Array.from({ length: play.kept }, (_, i) => i + 1));
      expect(play.waiting).toBe(0);
    },
  );
  await fc.assert(property, { numRuns: Number(process.env['TEST_RUNS'] ?? 100) });
}, 180_000);
