/**
 * WebSocket frames of every kind to a real listener that echoes messages: what RFC 6455 demands, cut in every way, and
 * beside it what bare `ws` answers to the same bytes. The groups are those of Autobahn's cases.
 */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';

import type { Connection } from '../../src/transport/transport.ts';
import { type FrameEcho, startBareEcho, startListener } from '../support/frame-echo.ts';
import { frame, masked, OPCODE, RawSocket, serverFrame } from '../support/raw.ts';
import { eventually } from '../support/wait.ts';

/** The largest message of the echoes. */
const BYTES_MAX = 20_000;
/** Longer input is not sent byte by byte, and cut at fewer places. */
const SHORT_BYTES = 80;

const { BINARY, CLOSE, CONTINUATION, PING, PONG, TEXT } = OPCODE;
const MASK = 0x37fa213d;

type Part = Buffer;
const of = (opcode: number, payload: string | Buffer = '', fin = true): Part =>
  masked(frame(opcode, Buffer.from(payload as string), { fin }), MASK);
/** The same with other bits set in its first byte. */
const withBits = (part: Part, bits: number): Part => {
  const copy = Buffer.from(part);
  copy[0]! |= bits;
  return copy;
};
const close = (code: number, reason = ''): Part => {
  const body = Buffer.alloc(2);
  body.writeUInt16BE(code);
  return of(CLOSE, Buffer.concat([body, Buffer.from(reason)]));
};
const raw = (hex: string): Part => Buffer.from(hex.replaceAll(' ', ''), 'hex');
/** The end of each case that is not a violation: our close is answered, so all that was to come has come. */
const BYE = close(1000);

const message = (payload: string | Buffer): string =>
  `message ${Buffer.from(payload as string).toString('latin1')}`;
const pong = (payload: string | Buffer = ''): string =>
  `pong ${Buffer.from(payload as string).toString('latin1')}`;

type Case = readonly [name: string, bytes: readonly Part[], expected: readonly string[]];

const filled = (bytes: number): string => 'abcdefg'.repeat(Math.ceil(bytes / 7)).slice(0, bytes);
const sizes = [0, 1, 2, 3, 4, 5, 124, 125, 126, 127, 128, 255, 256, 4_096, BYTES_MAX];

// oxfmt-ignore
const CASES: Readonly<Record<string, readonly Case[]>> = {
  '1 framing': [
    ...sizes.flatMap((bytes): Case[] => [
      [`a text message of ${bytes} bytes`, [of(TEXT, filled(bytes)), BYE], [message(filled(bytes)), 'close 1000']],
      [`a binary message of ${bytes} bytes`, [of(BINARY, filled(bytes)), BYE], [message(filled(bytes)), 'close 1000']],
    ]),
    ['a mask of zeros', [frame(BINARY, Buffer.from('plain')), BYE], [message('plain'), 'close 1000']],
    ['a length in 16 bits that 7 would hold', [raw('82fe0003 00000000 616263'), BYE], [message('abc'), 'close 1000']],
    ['a length in 64 bits that 7 would hold', [raw('82ff0000000000000003 00000000 616263'), BYE], [message('abc'), 'close 1000']],
    ['a payload that looks like frames', [frame(BINARY, frame(BINARY, frame(TEXT, Buffer.from('within')))), BYE], [message(frame(BINARY, frame(TEXT, Buffer.from('within')))), 'close 1000']],
    ['a frame without a mask', [raw('8203616263')], ['close 1002']],
    ['a frame without a mask behind a message', [of(BINARY, 'first'), raw('8203616263')], [message('first'), 'close 1002']],
  ],
  '2 pings and pongs': [
    ['an empty ping', [of(PING), BYE], [pong(), 'close 1000']],
    ['a ping with text', [of(PING, 'hello'), BYE], [pong('hello'), 'close 1000']],
    ['a ping with bytes', [of(PING, Buffer.from([0, 255, 254, 253])), BYE], [pong(Buffer.from([0, 255, 254, 253])), 'close 1000']],
    ['a ping of 125 bytes', [of(PING, filled(125)), BYE], [pong(filled(125)), 'close 1000']],
    ['a ping of 126 bytes', [of(PING, filled(126))], ['close 1002']],
    ['a pong that nobody asked for', [of(PONG), of(PONG, 'x'), BYE], ['close 1000']],
    ['a pong, then a ping', [of(PONG, 'x'), of(PING, 'y'), BYE], [pong('y'), 'close 1000']],
    ['ten pings', [...Array.from('0123456789', (digit) => of(PING, digit)), BYE], [...Array.from('0123456789', (digit) => pong(digit)), 'close 1000']],
    ['pings between messages', [of(BINARY, 'a'), of(PING, 'p'), of(BINARY, 'b'), of(PING, 'q'), BYE], [message('a'), pong('p'), message('b'), pong('q'), 'close 1000']],
  ],
  '3 reserved bits': [
    ...[0x10, 0x20, 0x40, 0x50, 0x70].map((bits): Case => [`bits ${bits.toString(16)} in a message`, [withBits(of(TEXT, 'x'), bits)], ['close 1002']]),
    ['behind a message', [of(BINARY, 'first'), withBits(of(BINARY, 'x'), 0x40), of(BINARY, 'last')], [message('first'), 'close 1002']],
    ['in a ping', [withBits(of(PING, 'x'), 0x20)], ['close 1002']],
    ['in a close', [withBits(close(1000), 0x70)], ['close 1002']],
  ],
  '4 opcodes': [
    ...[3, 4, 5, 6, 7, 11, 12, 13, 14, 15].map((opcode): Case => [`opcode ${opcode}`, [of(opcode)], ['close 1002']]),
    ['an unknown one with a payload, behind a message', [of(TEXT, 'first'), of(5, 'x'), of(PING)], [message('first'), 'close 1002']],
  ],
  '5 fragmentation': [
    ['a ping in fragments', [of(PING, 'x', false), of(CONTINUATION, 'y')], ['close 1002']],
    ['a pong in fragments', [of(PONG, 'x', false), of(CONTINUATION, 'y')], ['close 1002']],
    ['a text in two', [of(TEXT, 'one', false), of(CONTINUATION, 'two'), BYE], [message('onetwo'), 'close 1000']],
    ['a ping between them', [of(TEXT, 'one', false), of(PING, 'p'), of(CONTINUATION, 'two'), BYE], [pong('p'), message('onetwo'), 'close 1000']],
    ['empty ones', [of(BINARY, '', false), of(CONTINUATION, '', false), of(CONTINUATION), BYE], [message(''), 'close 1000']],
    ['five, with pings', [of(BINARY, '1', false), of(CONTINUATION, '2', false), of(PING, 'p'), of(CONTINUATION, '3', false), of(CONTINUATION, '4', false), of(PING, 'q'), of(CONTINUATION, '5'), BYE], [pong('p'), pong('q'), message('12345'), 'close 1000']],
    ['a continuation of nothing, final', [of(CONTINUATION, 'x'), of(TEXT, 'y')], ['close 1002']],
    ['a continuation of nothing, not final', [of(CONTINUATION, 'x', false), of(TEXT, 'y')], ['close 1002']],
    ['a continuation behind a whole message', [of(TEXT, 'first'), of(CONTINUATION, 'x')], [message('first'), 'close 1002']],
    ['a new message within another', [of(TEXT, 'x', false), of(TEXT, 'y')], ['close 1002']],
    ['a small whole message within another', [of(BINARY, 'x', false), of(BINARY, 'y'), of(CONTINUATION, 'z')], ['close 1002']],
    ['behind fragments a whole message', [of(BINARY, 'x', false), of(CONTINUATION, 'y'), of(BINARY, 'z'), BYE], [message('xy'), message('z'), 'close 1000']],
    ['128 of them', [of(BINARY, 'x', false), ...Array.from({ length: 126 }, () => of(CONTINUATION, 'x', false)), of(CONTINUATION, 'x'), BYE], [message('x'.repeat(128)), 'close 1000']],
    ['129 of them', [of(BINARY, 'x', false), ...Array.from({ length: 127 }, () => of(CONTINUATION, 'x', false)), of(CONTINUATION, 'x'), BYE], ['close 1008']],
  ],
  '6 UTF-8, which is not checked: text is bytes': [
    ['valid', [of(TEXT, 'Hällo-µ@ß'), BYE], [message('Hällo-µ@ß'), 'close 1000']],
    ['half a character', [of(TEXT, Buffer.from('cebae1bdb9cf83cebcceb5eda080', 'hex')), BYE], [message(Buffer.from('cebae1bdb9cf83cebcceb5eda080', 'hex')), 'close 1000']],
    ['a character in two fragments', [of(TEXT, Buffer.from('c3', 'hex'), false), of(CONTINUATION, Buffer.from('a4', 'hex')), BYE], [message('ä'), 'close 1000']],
    ['none', [of(TEXT, Buffer.from('fffe', 'hex')), BYE], [message(Buffer.from('fffe', 'hex')), 'close 1000']],
  ],
  '7 closing': [
    ['a close behind a message', [of(TEXT, 'x'), BYE], [message('x'), 'close 1000']],
    ['two closes', [BYE, BYE], ['close 1000']],
    ['what comes behind a close means nothing', [BYE, of(PING, 'p'), of(BINARY, 'x')], ['close 1000']],
    ['within a message', [of(TEXT, 'x', false), BYE, of(CONTINUATION, 'y')], ['close 1000']],
    ['without a code', [of(CLOSE)], ['close none']],
    ['with one byte', [of(CLOSE, 'x')], ['close 1002']],
    ['with a reason', [close(1000, 'thanks')], ['close 1000 thanks']],
    ['with a reason of 123 bytes', [close(1000, filled(123))], [`close 1000 ${filled(123)}`]],
    ['with a reason of 124 bytes', [close(1000, filled(124))], ['close 1002']],
    ...[1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 3000, 3999, 4000, 4999].map((code): Case => [`code ${code}`, [close(code)], [`close ${code}`]]),
    ...[0, 999, 1004, 1005, 1006, 1016, 1100, 2000, 2999, 5000, 65535].map((code): Case => [`code ${code}`, [close(code)], ['close 1002']]),
  ],
  '9 limits': [
    ['a message one byte longer than it may be', [of(BINARY, filled(BYTES_MAX + 1))], ['close 1009']],
    ['behind another message', [of(BINARY, 'first'), of(BINARY, filled(BYTES_MAX + 1))], [message('first'), 'close 1009']],
    ['a length of 64 bits, announced alone', [raw('82ff 7fffffffffffffff 00000000')], ['close 1009']],
    ['a length beyond 2^53', [raw('82ff 0020000000000000 00000000')], ['close 1009']],
    ['fragments that are together too long', [of(BINARY, filled(BYTES_MAX), false), of(CONTINUATION, 'x')], ['close 1009']],
    ['as long as it may be, in fragments', [of(BINARY, filled(BYTES_MAX - 1), false), of(CONTINUATION, 'x'), BYE], [message(`${filled(BYTES_MAX - 1)}x`), 'close 1000']],
  ],
  '10 many at once': [
    ['a hundred messages', [...Array.from({ length: 100 }, (_, i) => of(BINARY, filled(i))), BYE], [...Array.from({ length: 100 }, (_, i) => message(filled(i))), 'close 1000']],
  ],
};

/** What a server has sent, as the expectations say it. */
function events(received: Buffer): string[] {
  const found: string[] = [];
  for (let at = 0; at < received.length;) {
    const opcode = received[at]! & 0x0f;
    let length = received[at + 1]!;
    at += 2;
    if (length === 126) length = received.readUInt16BE(at);
    if (received[at - 1] === 126) at += 2;
    const payload = received.subarray(at, at + length);
    at += length;
    if (opcode === CLOSE) {
      const code = length === 0 ? 'none' : payload.readUInt16BE(0);
      found.push(`close ${code} ${payload.subarray(2).toString()}`.trimEnd());
    } else found.push(opcode === PONG ? pong(payload) : message(payload));
  }
  return found;
}

async function answers(port: number, pieces: readonly Buffer[]): Promise<string[]> {
  await using client = await RawSocket.open(port, 'ws');
  for (const piece of pieces) {
    client.send(piece);
    // So that they are read one by one: both ends are in this process.
    if (pieces.length > 1) await new Promise((resolve) => setImmediate(resolve));
  }
  await client.waitFor(/\r\n\r\n(?:[^]*)\x88[\x00-\x7d]/);
  // All are closed by the server, but where it waits for an answer to its own close.
  client.socket.end();
  await client.ended;
  const received = Buffer.from(client.received, 'latin1');
  return events(received.subarray(received.indexOf('\r\n\r\n') + 4));
}

/** In one piece; byte by byte; and in two, at each place or at some. */
function* waysToCut(bytes: Buffer, parts: readonly Part[]): Generator<Buffer[]> {
  yield [bytes];
  yield parts.map((part) => Buffer.from(part));
  if (bytes.length <= SHORT_BYTES) yield Array.from(bytes, (byte) => Buffer.from([byte]));
  const places = new Set<number>();
  let start = 0;
  for (const part of parts.slice(0, 12)) {
    const heads = part.length < SHORT_BYTES ? part.length : 16;
    for (let i = 0; i < heads; i++) places.add(start + i);
    places.add(start + part.length - 1);
    start += part.length;
  }
  for (const place of places)
    if (place > 0 && place < bytes.length) yield [bytes.subarray(0, place), bytes.subarray(place)];
}

describe.each(Object.entries(CASES))('%s', (_, cases) => {
  let ours: FrameEcho;
  let bare: FrameEcho;
  beforeAll(async () => {
    [ours, bare] = [await startListener(), await startBareEcho()];
  });
  afterAll(async () => {
    await ours[Symbol.asyncDispose]();
    await bare[Symbol.asyncDispose]();
  });

  test.each(cases)('%s', async (_name, parts, expected) => {
    const bytes = Buffer.concat(parts);
    expect(await answers(bare.port, [bytes])).toEqual(expected);
    for (const pieces of waysToCut(bytes, parts))
      expect(await answers(ours.port, pieces)).toEqual(expected);
  });
});

test('a client that sends more behind its close has closed in order', async () => {
  const ends: (Error | null)[] = [];
  const came: string[] = [];
  await using listener = await startListener((connection) => ({
    onBytes(chunk) {
      came.push(chunk.toString());
    },
    onDrain() {},
    onFault(fault) {
      came.push(fault);
      connection.destroy();
    },
    onClosed(error) {
      ends.push(error);
    },
  }));
  await using client = await RawSocket.open(listener.port, 'ws');
  client.send(Buffer.concat([of(BINARY, 'first'), BYE, of(BINARY, 'last'), of(PING)]));
  await client.ended;
  await eventually(() => ends.length > 0, 'the end to be told');
  expect(ends).toEqual([null]);
  expect(came).toEqual(['first']);
});

test('what has come before a client is cut off is read, though it was paused', async () => {
  const came: string[] = [];
  let connected: Connection | null = null;
  let isClosed = false;
  await using listener = await startListener((connection) => ({
    onBytes(chunk) {
      connected ??= connection;
      connection.pause();
      came.push(chunk.toString());
    },
    onDrain() {},
    onFault() {
      came.push('fault');
    },
    onClosed() {
      isClosed = true;
    },
  }));
  await using client = await RawSocket.open(listener.port, 'ws');
  client.send(Buffer.concat([of(BINARY, 'a'), of(BINARY, 'b'), of(PING), of(BINARY, 'c')]));
  await eventually(() => came.length === 3, 'the first three');
  connected!.destroy();
  await eventually(() => isClosed, 'the end to be told');
  expect(came).toEqual(['a', 'b', 'c']);
});

test('the frames of the echo are those of a server', () => {
  expect(serverFrame(BINARY, Buffer.from('abc')).toString('hex')).toBe('8203616263');
});
