/** What a wrong backend, or one of a later version, sends on a Link. */
import { WireWriter } from '../../../src/contract/protobuf-wire.ts';
import type { Mischief } from './wrong.ts';
import {
  connectResponse,
  credit,
  extend,
  frame,
  frameOf,
  hello,
  push,
  type PushShape,
  reply,
  verb,
} from './write-frames.ts';

/** Ids of pushes and verbs whose results nobody waits for. */
export const STRANGE_ID = 4_000_000_000;
const TWO_TO_32 = 0x1_0000_0000;
const NOTHING = Buffer.alloc(0);

/** A message in which a frame cannot be read; the Link ends. */
export function unreadable(mischief: Mischief, id: number): Buffer {
  const cut = Buffer.from([0x0a, 0x64, 0x08]);
  // The body of the reply claims more bytes than there are.
  const cutReply = frame(id, 'reply', Buffer.from([0x0a, 0x7f, 0x0a, 0x02, 0x7b]));
  const message = (one: Buffer): Buffer => {
    const writer = new WireWriter();
    writer.bytes(1, one);
    return writer.take();
  };
  return mischief.oneOf([
    cut,
    message(cutReply),
    // The number of the field is 0.
    message(Buffer.from([0x00, 0x01])),
    // A number that has no end.
    message(Buffer.alloc(12, 0xff)),
    // A wire type that was given up.
    message(Buffer.from([0x13, 0x14])),
    // The id is text.
    message(Buffer.from([0x0a, 0x01, 0x37, 0x1a, 0x00])),
  ]);
}

type Strange = {
  readonly frame: Buffer;
  /** What it takes of the gateway's credit. */
  readonly bytes: number;
};

/** Frames that can be read, and mean nothing. @param id Of a request that waits. @param nobodys A push that nobody may get. */
export function strangeFrames(
  mischief: Mischief,
  { id, nobodys }: { id: number; nobodys: PushShape },
): Strange[] {
  const stray = reply({
    outcome: { body: '{"by":"stray"}' },
    patch: { join: ['stray'] },
  });
  const free = (one: Buffer): Strange => ({ frame: one, bytes: 0 });
  const pushed = (number: number, shape: PushShape): Strange => {
    const message = push(shape);
    return { frame: frame(number, 'push', message), bytes: message.length };
  };
  const asked = (message: Buffer): Strange => ({
    frame: frame(STRANGE_ID, 'verb', message),
    bytes: message.length,
  });
  const patch = { set: { stray: 1 } };
  const again = { instance: 'again', version: '0', features: ['credit', 'extend'], maxInFlight: 1 };
  return mischief.oneOf<() => Strange[]>([
    () => [free(frame(STRANGE_ID, 'reply', stray))],
    // Cut to 32 bits it would be the answer.
    () => [free(frame(TWO_TO_32 + id, 'reply', stray))],
    () => [free(frame(0, 'reply', stray))],
    () => [free(frame(0, 'hello', hello(again)))],
    () => [
      free(
        frame(
          id,
          'connect',
          connectResponse({ accept: { patch: null, user: {}, expiresInMs: 0 } }),
        ),
      ),
    ],
    () => [pushed(0, nobodys), pushed(STRANGE_ID, nobodys)],
    () => [
      pushed(STRANGE_ID, { ...nobodys, target: null }),
      pushed(0, { ...nobodys, target: null }),
    ],
    () => [
      pushed(STRANGE_ID, { ...nobodys, route: '' }),
      pushed(STRANGE_ID, { ...nobodys, route: 'r'.repeat(200) }),
    ],
    () => [pushed(STRANGE_ID, { ...nobodys, latestKey: 'k'.repeat(300), delivery: 'latest' })],
    () => [
      asked(verb({}, { patch })),
      asked(verb({ sids: ['nobody-1.1', 'nobody', ''] }, { patch })),
    ],
    () => [
      asked(NOTHING),
      asked(verb({ sids: ['nobody-1.1'] }, { close: { reason: 'stray', kick: true } })),
    ],
    () => [free(frame(STRANGE_ID, 'extend', extend(1_000))), free(frame(0, 'extend', NOTHING))],
    () => [free(frame(0, 'credit', credit(0, 0))), free(NOTHING), free(frameOf(id, 15, NOTHING))],
  ])();
}

/** Frames of a later version. */
export function futureFrames(): Buffer[] {
  const writer = new WireWriter();
  writer.uint(1, 7);
  writer.bytes(40, Buffer.from('later'));
  writer.double(41, 1.5);
  return [frameOf(0, 99, Buffer.from('later')), writer.take()];
}

/** A message with fields of a later version. */
export function futureFields(message: Buffer): Buffer {
  const writer = new WireWriter(message.length + 32);
  writer.bytes(40, Buffer.from('later'));
  writer.raw(message);
  writer.uint(41, 17);
  writer.double(1_000, 0.5);
  return writer.take();
}
