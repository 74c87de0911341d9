/** The Link of a backend that has attached: how it serves, and the ways in which it ends. */
import { describe, expect, test } from 'vitest';

import { TimerWheel } from '../../../../src/timer-wheel.ts';
import { AttachedLink } from '../../../../src/upstream/dial-in/attached-link.ts';
import { AttachStream } from '../../../../src/upstream/dial-in/attach-stream.ts';
import { EndpointPool } from '../../../../src/upstream/pool/endpoint-pool.ts';
import { BareCall } from '../../../support/call.ts';
import { ManualClock } from '../../../support/clock.ts';
import { linkParts } from '../../../support/link-parts.ts';
import { seededRandom } from '../../../support/random.ts';
import { keptReport } from '../../../support/report.ts';
import { encodeToGateway } from '../../contract/reference.ts';
import { KeptSocket } from './kept-socket.ts';

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

/** One that has said hello. */
function attached() {
  const clock = new ManualClock(1_000);
  const wheel = new TimerWheel(clock);
  const { report, lines } = keptReport('game', 'dial_in', clock);
  const pool = new EndpointPool<AttachedLink>(
    {
      ...{ url: 'game', weights: {}, links: 1, ageMs: 0, balance: 'round_robin', clock, wheel },
      random: seededRandom(),
    },
    report,
    null,
  );
  const socket = new KeptSocket();
  const stream = new AttachStream('laptop', socket);
  const endpoint = pool.attach(
    'laptop',
    (owner) => new AttachedLink(owner, stream, linkParts(wheel, report)),
  );
  const say = (...frames: object[]): void => {
    stream.take(encodeToGateway(frames));
  };
  say({ hello: { instance: 'one' } });
  const request = (): BareCall => {
    const call = new BareCall();
    call.wantsAnswer = true;
    call.route = 'a.b';
    call.body = Buffer.from('{}');
    call.deadline = 3_600_000;
    endpoint.transport.carrier.request(call, Buffer.alloc(0));
    return call;
  };
  const reported = () => lines.map(({ state, why }) => `${String(state)}: ${String(why)}`);
  const advance = async (ms: number): Promise<void> => {
    clock.advance(ms);
    await turn();
  };
  return { advance, endpoint, pool, reported, request, say, socket, stream, wheel };
}

test('serves by its name from its hello on, and is answered with one', async () => {
  const { endpoint, reported, socket } = attached();
  expect([reported(), endpoint.label, endpoint.instance, endpoint.welcomes]).toEqual([
    ['attached: instance one'],
    'one',
    'one',
    true,
  ]);
  await turn();
  expect(socket.frames).toMatchObject([{ hello: { gateway: 'g' } }]);
});

test('is sent requests and ends of sessions, and its answers find their calls', async () => {
  const { endpoint, request, say, socket } = attached();
  const call = request();
  endpoint.transport.tell('closed', Buffer.from([0x12, 0x01, 0x78]));
  await turn();
  const [, asked, closed] = socket.frames;
  expect([asked, closed]).toMatchObject([
    { request: { route: 'a.b' } },
    { closed: { reason: 'x' } },
  ]);
  expect(endpoint.inFlight).toBe(1);
  say({ id: asked!.id, reply: { body: { json: { stringValue: 'x' } } } });
  expect([call.ends.length, endpoint.inFlight]).toEqual([1, 0]);
});

describe('a backend that says goaway', () => {
  test('keeps its link until what is in flight is answered, and then ends in order', async () => {
    const { advance, endpoint, pool, reported, request, say, socket, stream } = attached();
    const call = request();
    await turn();
    say({ goaway: { reason: 'an update' } });
    await advance(60_000);
    expect([endpoint.condition, socket.ending]).toEqual(['leaving', null]);
    say({ id: socket.frames[1]!.id, reply: {} });
    await advance(50);
    expect(call.ends).toHaveLength(1);
    expect([socket.frames.at(-1), socket.ending]).toMatchObject([
      { goaway: { reason: 'moved' } },
      { how: 'done' },
    ]);
    stream.onPeerEnd();
    expect([pool.list, socket.destroyed]).toEqual([[], false]);
    expect(reported().slice(1)).toEqual([
      'leaving: goaway: an update',
      'away: the backend ended the link',
    ]);
  });

  test('is cut off 2 s after that if it does not end its side', async () => {
    const { advance, pool, reported, say, socket, wheel } = attached();
    say({ goaway: { reason: '' } });
    await advance(1_900);
    expect([socket.ending?.how, socket.destroyed]).toEqual(['done', false]);
    await advance(200);
    expect([socket.destroyed, pool.list, wheel.size]).toEqual([true, [], 0]);
    expect(reported().at(-1)).toBe(
      'away: the backend did not end the link within 2000 ms of our goaway',
    );
  });
});

test('a link that is lost fails its calls, and is gone from the pool', () => {
  const { pool, reported, request, socket, stream, wheel } = attached();
  const call = request();
  stream.fail('the connection was lost');
  expect([call.ends, pool.list, wheel.size]).toEqual([['fail BACKEND_AWAY'], [], 0]);
  expect(reported().at(-1)).toBe('away: the connection was lost');
  expect(socket.ending).toEqual({ how: 'broken', text: 'the connection was lost' });
});

test('a frame that cannot be read ends the link, and says why', () => {
  const { pool, socket, stream } = attached();
  stream.take(Buffer.from([0x0a, 0x7f]));
  expect([socket.ending?.how, pool.list]).toEqual(['broken', []]);
  expect(socket.ending!.text).toMatch(/^a frame could not be read: /);
});

describe('a stop of the gateway', () => {
  test('waits for the backend to end its side, which it is asked to', async () => {
    const { pool, socket, stream, wheel } = attached();
    let isClosed = false;
    const closed = pool.close(60_000, 'the gateway is stopping').then(() => {
      isClosed = true;
    });
    await turn();
    expect([socket.frames.at(-1), socket.ending, isClosed]).toMatchObject([
      { goaway: { reason: 'the gateway is stopping' } },
      { how: 'stopping', text: 'the gateway is stopping' },
      false,
    ]);
    stream.onPeerEnd();
    await closed;
    expect(wheel.size).toBe(0);
  });

  test('does so for 2 s', async () => {
    const { advance, pool, request, socket, wheel } = attached();
    const call = request();
    const closed = pool.close(60_000, 'the gateway is stopping');
    await advance(2_100);
    await closed;
    expect([call.ends, socket.destroyed, wheel.size]).toEqual([['fail BACKEND_AWAY'], true, 0]);
  });
});
