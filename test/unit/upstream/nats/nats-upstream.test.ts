/** What is published in a turn of the event loop, when calls of it end before their turn comes. */
import { expect, test } from 'vitest';

import type { Call } from '../../../../src/upstream/call.ts';
import { NATS_AHEAD_BYTES_MAX } from '../../../../src/upstream/nats/nats-connector.ts';
import { NatsAnswers } from '../../../../src/upstream/nats/nats-answers.ts';
import { NatsUpstream } from '../../../../src/upstream/nats/nats-upstream.ts';
import { BareCall } from '../../../support/call.ts';
import { keptReport } from '../../../support/report.ts';
import { makeParts } from '../../bus/support.ts';
import { activate, turn } from '../../session/support.ts';

function setUp() {
  const made = makeParts('g-0123456789');
  const { connector, subjects, clock, parts } = made;
  const streams = { captures: () => false };
  const answers = new NatsAnswers({ clock, connector, subjects, streams, report: parts.report });
  const { report } = keptReport('game', 'nats', clock);
  const { wheel } = parts;
  const options = { connector, subjects, answers, wheel, convertBytesMax: 1_000 };
  const upstream = new NatsUpstream(options, report);
  const { session } = activate();
  /** A request of `bytes`, which has been sent. */
  const send = (route: string, bytes = 1): BareCall => {
    const call = new BareCall();
    const target = { ordinal: 0, forward: [], otherwise: 'error' } as unknown as Call['target'];
    Object.assign(call, { session, lane: session.lane(0), target, upstream, route });
    call.wantsAnswer = true;
    call.deadline = clock.now() + 5_000;
    call.body = Buffer.alloc(bytes);
    upstream.send(call);
    return call;
  };
  const subjectsSent = (): string[] => made.exchange.takeSent().map(({ subject }) => subject);
  return { ...made, answers, upstream, send, subjectsSent };
}

test('a call that is cancelled before its turn, by one that fails in it, is not published', async () => {
  const { connector, answers, send, subjectsSent } = setUp();
  connector.payloadBytesMax = 1_000;
  const large = send('game.large', 2_000);
  const [second, third] = [send('game.second'), send('game.third')];
  // It ends the session of the second, whose slot is another message's by then, which comes in the next turn.
  large.fail = (why) => {
    BareCall.prototype.fail.call(large, why);
    second.pending!.cancel(second);
    second.route = 'game.again';
    second.upstream.send(second);
  };
  await turn();
  expect(subjectsSent()).toEqual(['pith.rpc.game.third']);
  await turn();
  expect(subjectsSent()).toEqual(['pith.rpc.game.again']);
  expect([large.ends, second.ends, third.ends]).toEqual([['fail TOO_LARGE'], [], []]);
  expect(answers.calls.size).toBe(2);
  second.pending!.cancel(second);
  third.pending!.cancel(third);
  expect(answers.calls.size).toBe(0);
});

test('a call that waits until NATS takes it is not published once it is cancelled', async () => {
  const { connector, answers, send, subjectsSent } = setUp();
  connector.unsentBytes = NATS_AHEAD_BYTES_MAX;
  const [first, second] = [send('game.first'), send('game.second')];
  await turn();
  expect([subjectsSent(), answers.held.size]).toEqual([[], 2]);
  first.pending!.cancel(first);
  connector.unsentBytes = 0;
  for (const listener of connector.listeners) listener.onRoom?.();
  expect(subjectsSent()).toEqual(['pith.rpc.game.second']);
  expect([answers.held.size, answers.calls.size]).toEqual([0, 1]);
  for (const listener of connector.listeners) listener.onDown?.();
  expect([first.ends, second.ends]).toEqual([[], ['fail BUS_AWAY']]);
});

test('a call that waits behind what its own turn publishes is sent as soon as the system has taken that', async () => {
  const { connector, answers, send, subjectsSent } = setUp();
  connector.unsentBytes = NATS_AHEAD_BYTES_MAX;
  send('game.first');
  await turn();
  expect([subjectsSent(), answers.held.size]).toEqual([[], 1]);
  // It took all of it at once: nothing is announced.
  connector.unsentBytes = 0;
  await turn();
  expect([subjectsSent(), answers.held.size]).toEqual([['pith.rpc.game.first'], 0]);
});
