/** What a Link writes, and when; and how it ends. */
import { EventEmitter } from 'node:events';
import { describe, expect, test } from 'vitest';

import type { Push } from '../../../../src/contract/commands.ts';
import { BareCall } from '../../../support/call.ts';
import type { LinkStream } from '../../../../src/upstream/link/link-transport.ts';
import { Link } from '../../../../src/upstream/link/link.ts';
import { TimerWheel } from '../../../../src/timer-wheel.ts';
import { ManualClock } from '../../../support/clock.ts';
import { linkParts } from '../../../support/link-parts.ts';
import { keptReport } from '../../../support/report.ts';
import { decodeToBackend, encodeToGateway } from '../../contract/reference.ts';

const nothing = (): void => {};

function open(): { link: Link; messages: Buffer[] } {
  const messages: Buffer[] = [];
  const stream: LinkStream = {
    write(bytes, done) {
      messages.push(bytes);
      done();
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
