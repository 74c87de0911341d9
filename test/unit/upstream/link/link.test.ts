/** What a Link writes, and when. */
import { describe, expect, test } from 'vitest';

import { BareCall } from '../../../support/call.ts';
import type { LinkStream } from '../../../../src/upstream/link/link-transport.ts';
import { Link } from '../../../../src/upstream/link/link.ts';
import { TimerWheel } from '../../../../src/timer-wheel.ts';
import { linkParts } from '../../../support/link-parts.ts';
import { keptReport } from '../../../support/report.ts';
import { decodeToBackend } from '../../contract/reference.ts';

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
