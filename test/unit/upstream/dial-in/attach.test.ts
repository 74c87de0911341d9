/** Who may attach, and who is sent away, whatever carries the bytes. */
import { describe, expect, test } from 'vitest';

import { WireWriter } from '../../../../src/contract/protobuf-wire.ts';
import { Attach } from '../../../../src/control/attach.ts';
import { TimerWheel } from '../../../../src/timer-wheel.ts';
import { AttachStream } from '../../../../src/upstream/dial-in/attach-stream.ts';
import { DialInUpstream } from '../../../../src/upstream/dial-in/dial-in-upstream.ts';
import { ManualClock } from '../../../support/clock.ts';
import { seededRandom } from '../../../support/random.ts';
import { keptLog, keptReport } from '../../../support/report.ts';
import { linkParts } from '../../../support/link-parts.ts';
import { encodeToGateway } from '../../contract/reference.ts';
import { KeptSocket } from './kept-socket.ts';

function stage(token = '') {
  const clock = new ManualClock();
  const wheel = new TimerWheel(clock);
  const { report, lines } = keptReport('game', 'dial_in', clock);
  const door = keptLog();
  const refusals = () =>
    door.lines.map(({ backend, why }) => [String(backend), String(why)] as const);
  const game = new DialInUpstream(
    {
      name: 'game',
      token,
      deadAfterMs: 0,
      balance: 'round_robin',
      hashBy: '',
      clock,
      random: seededRandom(),
    },
    linkParts(wheel, report),
  );
  const attach = new Attach(() => [game], {
    convertBytesMax: 1_048_576,
    clock,
    wheel,
    log: door.log,
  });
  const come = (name: string): { socket: KeptSocket; stream: AttachStream } => {
    const socket = new KeptSocket();
    const stream = new AttachStream(name, socket);
    attach.open(stream);
    return { socket, stream };
  };
  const states = () => lines.map(({ address, state }) => `${String(address)} ${String(state)}`);
  return { clock, wheel, game, attach, come, states, refusals };
}

function hello(backend: string, token = ''): Buffer {
  const fields = new WireWriter();
  // Of a later version: it is passed over.
  fields.uint(99, 1);
  fields.string(7, token);
  fields.string(6, backend);
  const frame = new WireWriter();
  frame.bytes(2, fields.take());
  frame.uint(1, 5);
  const message = new WireWriter();
  message.uint(98, 1);
  message.bytes(1, frame.take());
  return message.take();
}

describe('who says hello', () => {
  test('is attached, and nothing of the door is left', () => {
    const { come, game, states, wheel, clock } = stage('secret');
    const { stream, socket } = come('a');
    stream.take(hello('game', 'secret'));
    expect(states()).toEqual(['a attached']);
    expect(game.info()).toMatchObject({ kind: 'dial_in', addresses: 1, healthy: 1 });
    expect(wheel.size).toBe(0);
    clock.advance(10_000);
    expect(socket.ending).toBeNull();
    stream.onPeerEnd();
    expect(states()).toEqual(['a attached', 'a away']);
    expect(socket.ending).toMatchObject({ how: 'done' });
    expect(game.info()).toMatchObject({ addresses: 0 });
  });

  test('without a configured token shows any, or none', () => {
    const { come, states } = stage();
    come('a').stream.take(hello('game'));
    come('b').stream.take(hello('game', 'whatever'));
    expect(states()).toEqual(['a attached', 'b attached']);
  });

  test.each([
    ['', 'no token'],
    ['secre', 'a wrong token'],
    ['secret1', 'a wrong token'],
    ['sécret', 'a wrong token'],
  ])('with the token %j is sent away', (token, words) => {
    const { come, refusals, game } = stage('secret');
    const { stream, socket } = come('a');
    stream.take(hello('game', token));
    expect(socket.ending).toMatchObject({ how: 'unauthenticated' });
    expect(socket.ending!.text).toContain(words);
    expect(refusals()).toEqual([['game', socket.ending!.text]]);
    stream.take(hello('game', 'secret'));
    expect(game.info().addresses).toBe(0);
  });

  test('cannot fill the log with its name', () => {
    const { come, refusals } = stage();
    come('a').stream.take(hello('x'.repeat(100_000)));
    expect(refusals()[0]![0]).toHaveLength(64);
    expect(refusals()[0]![1].length).toBeLessThan(200);
  });
});

describe('who does not', () => {
  test.each([
    ['bytes that are no message', Buffer.from([0x0a, 0x7f]), 'could not be read'],
    ['an empty message', Buffer.alloc(0), 'the first frame must be hello'],
    ['a frame of another kind', Buffer.from([0x0a, 0x02, 0x1a, 0x00]), 'must be hello'],
  ])('but %s, is sent away', (_, bytes, words) => {
    const { come, refusals } = stage();
    const { stream, socket } = come('a');
    stream.take(bytes);
    expect(socket.ending!.how).toBe('invalid');
    expect(refusals()[0]![1]).toContain(words);
  });

  test('in time, is sent away; who leaves before is forgotten', () => {
    const { come, clock, refusals, wheel } = stage();
    const { socket } = come('a');
    const gone = come('b');
    const lost = come('c');
    gone.stream.onPeerEnd();
    lost.stream.fail('the connection was lost');
    expect(wheel.size).toBe(1);
    clock.advance(5_100);
    expect(socket.ending!.text).toContain('no hello within 5000 ms');
    expect(gone.socket.ending).toMatchObject({ how: 'done' });
    expect(refusals().map(([, why]) => why)).toEqual([
      'the connection was lost',
      socket.ending!.text,
    ]);
  });
});

describe('bounds', () => {
  test('newcomers', () => {
    const { come, attach } = stage();
    const all = Array.from({ length: 64 }, (_, i) => come(String(i)));
    const { socket } = come('one more');
    expect(socket.ending).toMatchObject({ how: 'full' });
    all[0]!.stream.take(hello('game'));
    expect(come('again').socket.ending).toBeNull();
    attach.close();
    expect(all[1]!.socket.ending).toMatchObject({ how: 'stopping' });
    expect(all[0]!.socket.ending).toBeNull();
  });

  test('links of one backend', () => {
    const { come } = stage();
    const all = Array.from({ length: 65 }, (_, i) => {
      const one = come(String(i));
      one.stream.take(hello('game'));
      return one;
    });
    expect(all.at(-1)!.socket.ending).toMatchObject({ how: 'full' });
    all[0]!.stream.fail('lost');
    const next = come('next');
    next.stream.take(hello('game'));
    expect(next.socket.ending).toBeNull();
  });
});

test('a process that says goaway counts as healthy no more, and is cut off if it never ends its side', () => {
  const { come, game, clock, states, wheel } = stage();
  const [polite, deaf] = [come('a'), come('b')];
  for (const { stream } of [polite, deaf]) {
    stream.take(hello('game'));
    stream.take(encodeToGateway([{ goaway: { reason: 'an update' } }]));
  }
  expect(game.info()).toMatchObject({ kind: 'dial_in', addresses: 2, healthy: 0 });
  clock.advance(50);
  expect([polite, deaf].map(({ socket }) => socket.ending?.how)).toEqual(['done', 'done']);
  polite.stream.onPeerEnd();
  clock.advance(1_900);
  expect([polite.socket.destroyed, deaf.socket.destroyed]).toEqual([false, false]);
  clock.advance(200);
  expect([polite.socket.destroyed, deaf.socket.destroyed]).toEqual([false, true]);
  expect(game.info()).toMatchObject({ kind: 'dial_in', addresses: 0, healthy: 0 });
  expect(states().filter((state) => state.endsWith('away'))).toEqual(['a away', 'b away']);
  expect(wheel.size).toBe(0);
});

test('a gateway that stops ends every link, cuts off who stays, and lets nobody in', async () => {
  const { come, game, clock } = stage();
  const [polite, deaf] = [come('a'), come('b')];
  for (const { stream } of [polite, deaf]) stream.take(hello('game'));
  const closed = game.close(1_000);
  expect(polite.socket.ending).toEqual({ how: 'stopping', text: 'the gateway is stopping' });
  polite.stream.onPeerEnd();
  clock.advance(1_100);
  await closed;
  expect([polite.socket.destroyed, deaf.socket.destroyed]).toEqual([true, true]);
  expect(game.info().addresses).toBe(0);
  const late = come('c');
  late.stream.take(hello('game'));
  expect(late.socket.ending).toMatchObject({ how: 'stopping' });
});
