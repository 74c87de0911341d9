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

/** With one call on its way, and one that was not sent yet, when the connection is lost. */
async function lost() {
  const made = setUp();
  const { connector, answers, send } = made;
  const sent = send('game.sent');
  await turn();
  connector.unsentBytes = NATS_AHEAD_BYTES_MAX;
  const unsent = send('game.unsent');
  await turn();
  connector.unsentBytes = 0;
  connector.up = false;
  connector.mayBeBack = true;
  for (const listener of connector.listeners) listener.onDown?.();
  const later = send('game.later');
  await turn();
  // What was sent may have been carried out.
  expect([sent.ends, unsent.ends, later.ends]).toEqual([['fail BUS_AWAY'], [], []]);
  expect(answers.held.size).toBe(2);
  return { ...made, unsent, later };
}

test('what was not sent before a connection was lost, or comes right after it, is sent by the next', async () => {
  const { connector, answers, subjectsSent } = await lost();
  connector.up = true;
  connector.mayBeBack = false;
  for (const listener of connector.listeners) listener.onUp?.(false);
  expect(subjectsSent()).toEqual(['pith.rpc.game.sent', 'pith.rpc.game.unsent', 'pith.rpc.game.later']); // prettier-ignore
  expect(answers.held.size).toBe(0);
});

test('it is refused when there is none for long, and so is what comes then', async () => {
  const { connector, answers, send, subjectsSent, unsent, later } = await lost();
  connector.mayBeBack = false;
  for (const listener of connector.listeners) listener.onAway?.();
  const last = send('game.last');
  await turn();
  expect([unsent.ends, later.ends, last.ends]).toEqual(Array(3).fill(['fail BUS_AWAY']));
  expect(subjectsSent()).toEqual(['pith.rpc.game.sent']);
  expect(answers.held.size).toBe(0);
});
