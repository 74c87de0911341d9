/** Requests over NATS that several may answer, on a clock that the test moves. */
import { describe, expect, test } from 'vitest';

import {
  type ManyRequest,
  type PendingRequest,
  RequestMany,
} from '../../../src/bus/request-many.ts';
import { isFailure } from '../../../src/errors.ts';
import { makeParts } from './support.ts';

function stage() {
  const made = makeParts('g-0123456789');
  const requests = new RequestMany(made.parts);
  const taken: string[] = [];
  /** Sends a request to `pith.x`; `enough`: after so many replies it has ended. */
  const send = (enough = Infinity, more: Partial<ManyRequest> = {}): PendingRequest => {
    const pending = requests.send({
      subject: 'pith.x',
      payload: Buffer.from('{}'),
      waitMs: 250,
      take: ({ data }) => taken.push(Buffer.from(data).toString()) >= enough,
      ...more,
    });
    if (isFailure(pending)) throw new Error(pending.message);
    return pending;
  };
  /** Where the last request wants its replies. */
  const inbox = (): string => made.exchange.sent.at(-1)!.reply;
  const reply = (text: string, to = inbox()): void => {
    made.exchange.publish(to, text);
    made.exchange.deliver();
  };
  const late = () => made.metrics.count('pith_late_replies_total', ['bus']);
  return { ...made, requests, taken, send, inbox, reply, late };
}

/** How it has ended; `open`: it has not. */
async function outcome({ ended }: PendingRequest): Promise<string> {
  return Promise.race([ended, Promise.resolve().then(() => 'open')]);
}

describe('a request', () => {
  test('has an inbox of its own below the gateway, with 96 bits that nobody can guess', () => {
    const { send, exchange } = stage();
    exchange.hear('pith.x');
    for (let i = 0; i < 100; i++) send();
    const inboxes = exchange.sent.map(({ reply }) => reply);
    for (const inbox of inboxes) expect(inbox).toMatch(/^_INBOX\.g-0123456789\.ask\.[\w-]{16}$/);
    expect(new Set(inboxes).size).toBe(100);
    const starts = inboxes.map((inbox) => inbox.slice(0, -8));
    expect(new Set(starts).size).toBe(100);
  });

  test('ends with the reply that is enough, and no timer is left', async () => {
    const { send, reply, inbox, taken, exchange, clock } = stage();
    exchange.hear('pith.x');
    const pending = send(2);
    const to = inbox();
    reply('one', to);
    expect(await outcome(pending)).toBe('open');
    reply('two', to);
    expect(await outcome(pending)).toBe('over');
    expect(taken).toEqual(['one', 'two']);
    expect(clock.timerCount).toBe(0);
  });

  test.each([0, 1])('ends when its time is up, after %i replies of two', async (replies) => {
    const { send, reply, clock, exchange } = stage();
    exchange.hear('pith.x');
    const pending = send(2);
    for (let i = 0; i < replies; i++) reply('one');
    clock.advance(249);
    expect(await outcome(pending)).toBe('open');
    clock.advance(1);
    expect(await outcome(pending)).toBe('over');
  });

  test('ends when its sender says so', async () => {
    const { send, clock } = stage();
    const pending = send();
    pending.end();
    expect(await outcome(pending)).toBe('over');
    expect(clock.timerCount).toBe(0);
  });

  test('ends at once where nobody subscribes', async () => {
    const { send, exchange, taken } = stage();
    const pending = send();
    exchange.deliver();
    expect(await outcome(pending)).toBe('nobody');
    expect(taken).toEqual([]);
  });
});

describe('a reply', () => {
  test('that is late is counted and not taken', () => {
    const { send, reply, inbox, taken, clock, exchange, late } = stage();
    exchange.hear('pith.x');
    send(1);
    const to = inbox();
    clock.advance(250);
    reply('late', to);
    expect([taken, late()]).toEqual([[], 1]);
  });

  test('beyond the last that was needed is counted and not taken', () => {
    const { send, reply, inbox, taken, exchange, late } = stage();
    exchange.hear('pith.x');
    send(1);
    const to = inbox();
    reply('one', to);
    reply('two', to);
    expect([taken, late()]).toEqual([['one'], 1]);
  });

  test('to a number that was never given is counted, and harms no request', async () => {
    const { send, reply, exchange, late } = stage();
    exchange.hear('pith.x');
    const pending = send(1);
    reply('guessed', '_INBOX.g-0123456789.ask.AAAAAAAAAAAAAAAA');
    expect(late()).toBe(1);
    expect(await outcome(pending)).toBe('open');
  });

  test('goes to its own request', () => {
    const { send, reply, inbox, exchange } = stage();
    exchange.hear('pith.x');
    const got: string[] = [];
    send(1, { take: () => got.push('first') > 0 });
    const first = inbox();
    send(1, { take: () => got.push('second') > 0 });
    reply('', inbox());
    reply('', first);
    expect(got).toEqual(['second', 'first']);
  });
});

describe('is refused, and nothing is sent', () => {
  test('while 4,096 are under way, and not once one of them has ended', () => {
    const { requests, send, exchange } = stage();
    exchange.hear('pith.x');
    const pending = Array.from({ length: 4_096 }, () => send());
    exchange.takeSent();
    const more = { subject: 'pith.x', payload: Buffer.from(''), waitMs: 1, take: () => true };
    expect(requests.send(more)).toMatchObject({ code: 503, reason: 'OVERLOADED' });
    expect(exchange.sent).toEqual([]);
    pending[17]!.end();
    expect(isFailure(requests.send(more))).toBe(false);
    expect(exchange.sent).toHaveLength(1);
  });

  test.each<readonly [string, (made: ReturnType<typeof stage>) => void, object]>([
    ['without a connection', ({ connector }) => (connector.up = false), { reason: 'BUS_AWAY' }],
    [
      'larger than NATS takes',
      ({ connector }) => (connector.payloadBytesMax = 1),
      { code: 413, reason: 'TOO_LARGE' },
    ],
  ])('%s', (_, arrange, why) => {
    const made = stage();
    arrange(made);
    const { requests, exchange, clock } = made;
    const payload = Buffer.from('{}');
    expect(requests.send({ subject: 'x', payload, waitMs: 1, take: () => true })).toMatchObject(
      why,
    );
    expect(exchange.sent).toEqual([]);
    expect(clock.timerCount).toBe(0);
  });
});
