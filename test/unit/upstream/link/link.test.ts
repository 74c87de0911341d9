/** What a Link writes, and when; and how it ends. */
import { EventEmitter } from 'node:events';
import { describe, expect, test } from 'vitest';

import type { Push } from '../../../../src/contract/commands.ts';
import { BareCall } from '../../../support/call.ts';
import type { LinkStream } from '../../../../src/upstream/link/link-transport.ts';
import { Lane } from '../../../../src/session/lane.ts';
import { Link } from '../../../../src/upstream/link/link.ts';
import { TimerWheel } from '../../../../src/timer-wheel.ts';
import { ManualClock } from '../../../support/clock.ts';
import { linkParts } from '../../../support/link-parts.ts';
import { keptReport } from '../../../support/report.ts';
import { decodeToBackend, encodeToGateway } from '../../contract/reference.ts';

const nothing = (): void => {};

type Kept = { readonly trips: (() => void)[]; readonly taken: (() => void)[] };

/** @param kept Where round trips, and what the system is to take, are kept for a test to say when they are done. */
function open(kept?: Kept): { link: Link; messages: Buffer[] } {
  const messages: Buffer[] = [];
  const stream: LinkStream = {
    write(bytes, done) {
      messages.push(bytes);
      if (kept === undefined) done();
      else kept.taken.push(done);
    },
    on: nothing,
    pause: nothing,
    resume: nothing,
    end: nothing,
    cancel: nothing,
  };
  const { clock, report } = keptReport('game', 'grpc');
  const link = new Link(stream, linkParts(new TimerWheel(clock), report), {
    endpoint: { answered: nothing, failed: nothing, goaway: nothing },
    liveness: null,
    roundTrip: (done) => kept?.trips.push(done),
    onHello: nothing,
    onEnd: nothing,
  });
  return { link, messages };
}

test('a link that the backend has ended is read to its end, however long that takes', async () => {
  const clock = new ManualClock();
  const wheel = new TimerWheel(clock);
  const { report } = keptReport('game', 'grpc', clock);
  const parts = linkParts(wheel, report);
  const stream = Object.assign(new EventEmitter(), { write: nothing, pause: nothing, resume: nothing, end: nothing, cancel: nothing }); // prettier-ignore
  const ends: string[] = [];
  const read: string[] = [];
  const push = ({ route }: Push): void => {
    read.push(route);
  };
  const link = new Link(
    stream,
    { ...parts, commands: { ...parts.commands, push } },
    {
      endpoint: { answered: nothing, failed: nothing, goaway: nothing },
      liveness: null,
      roundTrip: nothing,
      onHello: nothing,
      onEnd: (_, why) => ends.push(why),
    },
  );
  // More than are read in one turn.
  const frames = Array.from({ length: 5_000 }, (_, i) => ({ push: { route: `r${i}` } }));
  stream.emit('data', encodeToGateway(frames));
  link.close('moved');
  stream.emit('end');
  expect(read.length).toBeLessThan(5_000);
  clock.advance(60_000);
  expect(ends).toEqual([]);
  for (let n = 0; n < 100 && ends.length === 0; n++) await turn();
  expect([ends, read.length, wheel.size]).toEqual([['the backend ended the link'], 5_000, 0]);
});

function request(link: Link, seq: number, bytes: number): void {
  const call = new BareCall();
  call.wantsAnswer = true;
  call.route = 'a.b';
  call.body = Buffer.alloc(bytes);
  call.seq = seq;
  link.request(call, Buffer.alloc(0));
}

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

/** The sequence numbers of the requests in each message. */
function seqsOf(messages: readonly Buffer[]): number[][] {
  return messages.map((message) =>
    decodeToBackend(message).map((frame) => (frame['request'] as { seq: number }).seq),
  );
}

describe('a turn of the event loop', () => {
  test('goes out as one message', async () => {
    const { link, messages } = open();
    for (let seq = 1; seq <= 100; seq++) request(link, seq, 100);
    expect(messages).toEqual([]);
    await turn();
    expect(messages).toHaveLength(1);
    expect(seqsOf(messages)[0]).toHaveLength(100);
  });

  test('with more than servers take in one message goes out in several, in order', async () => {
    const { link, messages } = open();
    for (let seq = 1; seq <= 100; seq++) request(link, seq, 65_536);
    await turn();
    await turn();
    expect(messages.length).toBeGreaterThan(1);
    for (const { length } of messages) expect(length).toBeLessThan(4 * 1024 * 1024);
    expect(seqsOf(messages).flat()).toEqual(Array.from({ length: 100 }, (_, i) => i + 1));
  });
});

test.each([
  ['a notify', { wantsAnswer: false }, false, true],
  ['a notify that needs no order', { wantsAnswer: false, unordered: true }, false, false],
  ['a request', { wantsAnswer: true }, false, false],
  ['a request that is given up', { wantsAnswer: true }, true, true],
  [
    'a request without an order that is given up',
    { wantsAnswer: true, unordered: true },
    true,
    false,
  ],
])(
  '%s may be on its way when it is done with here: %j, cancelled %j: %j',
  async (_, more, gone, is) => {
    const { link } = open();
    const call = Object.assign(new BareCall(), { route: 'a.b', lane: new Lane(), ...more });
    link.request(call, Buffer.alloc(0));
    await turn();
    if (gone) link.cancel(call);
    expect(call.lane.isAwaitingReceipt).toBe(is);
    link.destroy('lost');
    expect(call.lane.isAwaitingReceipt).toBe(false);
  },
);

test('asks what has been received once all has left, one round trip at a time, and not after its end', async () => {
  const trips: (() => void)[] = [];
  const taken: (() => void)[] = [];
  const { link } = open({ trips, taken });
  const call = Object.assign(new BareCall(), {
    route: 'a.b',
    lane: new Lane(),
    wantsAnswer: false,
  });
  link.request(call, Buffer.alloc(0));
  const received: string[] = [];
  const ask = (name: string): void => {
    link.whenReceived(() => received.push(name));
  };
  ask('one');
  expect([trips.length, taken.length, link.inFlight]).toEqual([0, 1, 1]);
  taken[0]!();
  expect(trips.length).toBe(1);
  ask('two');
  ask('three');
  expect(trips.length).toBe(1);
  trips[0]!();
  expect([received, trips.length, link.inFlight]).toEqual([['one'], 2, 1]);
  trips[1]!();
  expect([received, trips.length, link.inFlight]).toEqual([['one', 'two', 'three'], 2, 0]);
  ask('four');
  link.destroy('lost');
  ask('five');
  expect(received).toEqual(['one', 'two', 'three', 'four', 'five']);
});
