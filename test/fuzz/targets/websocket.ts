/** The frames of a WebSocket client, to a real connection and to bare `ws`: both must hear and send the same. */
import type { IncomingMessage } from 'node:http';
import type { Socket } from 'node:net';
import { Duplex } from 'node:stream';
import { WebSocketServer } from 'ws';

import { TimerWheel } from '../../../src/timer-wheel.ts';
import type { Peer } from '../../../src/transport/transport.ts';
import {
  MESSAGE_ROOM_BYTES,
  WebSocketUpgrader,
} from '../../../src/transport/websocket-upgrader.ts';
import { ManualClock } from '../../support/clock.ts';
import { waysToCut } from '../cuts.ts';
import { same, type Target } from '../target.ts';

/** Of a message. */
const BYTES_MAX = 2_000;
const FRAGMENTS_MAX = 128;
/** A message may come in about so many pieces. */
const PIECES_MAX = 64;
/** More pings at once are a flood, and `ws` knows none. */
const PINGS_MAX = 50;

/** A socket of bytes alone. */
class Pipe extends Duplex {
  sent = '';

  override _read(): void {}

  override _write(chunk: Buffer, _encoding: string, done: () => void): void {
    this.sent += chunk.toString('hex');
    done();
  }
}

const REQUEST = {
  method: 'GET',
  headers: {
    upgrade: 'websocket',
    'sec-websocket-key': 'dGhlIHNhbXBsZSBub25jZQ==',
    'sec-websocket-version': '13',
  },
} as unknown as IncomingMessage;
const NOTHING_READ = Buffer.alloc(0);

const clock = new ManualClock();
const upgrader = new WebSocketUpgrader(BYTES_MAX - MESSAGE_ROOM_BYTES, new TimerWheel(clock));
const server = new WebSocketServer({
  noServer: true,
  clientTracking: false,
  perMessageDeflate: false,
  maxPayload: BYTES_MAX,
  maxFragments: FRAGMENTS_MAX,
  skipUTF8Validation: true,
});

type Heard = { readonly events: string[]; readonly pipe: Pipe };

function ours(): Heard {
  const pipe = new Pipe();
  const events: string[] = [];
  const socket = pipe as unknown as Socket;
  const peer: Peer = { raw: socket, remoteAddress: '192.0.2.1', secure: false };
  upgrader.upgrade(REQUEST, socket, NOTHING_READ, peer, () => ({
    onBytes: (chunk) => events.push(`message ${chunk.toString('hex')}`),
    onPong: (isAnswer) => events.push(isAnswer ? 'pong' : 'ping'),
    onDrain() {},
    onFault: (_, error) => events.push(error.message),
    onClosed: (error) => events.push(`closed ${error?.message ?? ''}`),
  }));
  return { events, pipe };
}

function bare(): Heard {
  const pipe = new Pipe();
  const events: string[] = [];
  server.handleUpgrade(REQUEST, pipe, NOTHING_READ, (socket) => {
    let failed = '';
    socket.on('message', (data: Buffer) => events.push(`message ${data.toString('hex')}`));
    socket.on('ping', () => events.push('ping'));
    socket.on('pong', () => events.push('pong'));
    socket.on('error', ({ message }) => events.push((failed = message)));
    socket.on('close', () => events.push(`closed ${failed}`));
  });
  return { events, pipe };
}

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

/** @param isPaced Each piece has a turn of the event loop; else they are read together. */
async function play(
  { events, pipe }: Heard,
  pieces: readonly Buffer[],
  isPaced: boolean,
): Promise<unknown> {
  await turn();
  for (const piece of pieces) {
    if (pipe.destroyed) break;
    pipe.push(Buffer.from(piece));
    if (isPaced) await turn();
  }
  await turn();
  if (!pipe.destroyed) pipe.push(null);
  // Its end, and that of both streams of it.
  for (let i = 0; i < 3; i++) await turn();
  const { sent } = pipe;
  pipe.destroy();
  await turn();
  return { events, sent };
}

const hex = (text: string): Buffer => Buffer.from(text.replaceAll(' ', ''), 'hex');

const connection: Target = {
  name: 'websocket-connection',
  drives: ['transport/frame-reader.ts FrameReader'],
  forms: ['bytes'],
  isAsync: true,
  bytesMax: 3_000,
  replays: 30,
  steps: { base: 1_000_000, perByte: 20_000 },
  allocated: { base: 8_388_608, perByte: 20_000 },
  seeds: [
    hex('8285010203046969666869'),
    hex('8183000000006162638980000000008282ff00ff00616288820000000003e8'),
    hex('018200000000616289800000000080820000000063648281000000007a'),
    Buffer.concat([hex('82fe00800000000a'), Buffer.alloc(128, 0x82), hex('820000000000')]),
    Buffer.concat([hex('82fe07d000000000'), Buffer.alloc(2_000, 1), hex('82fe07d100000000')]),
    hex('82 80 00000000 c2 80 00000000 82 81 00000000 61'),
    hex('82 84 00000000 82810000 0000 61 8a80 00000000 8880 00000000 82 80 00000000'),
    hex('82ff000000000000000501020304 6162636465 8200'),
    hex('02 80 00000000 82 80 00000000'),
  ],
  tokens: [
    hex('8281000000'),
    hex('8980'),
    hex('8a80'),
    hex('8882'),
    hex('0280'),
    hex('8080'),
    hex('82fe'),
    hex('82ff'),
    hex('03e8'),
  ],
  async run(input) {
    const pings = input.filter((byte) => (byte & 0x0f) === 9).length;
    if (pings > PINGS_MAX) return;
    const expected = await play(bare(), [input], false);
    for (const pieces of waysToCut(input).filter(({ length }) => length < PIECES_MAX))
      for (const isPaced of [false, true])
        same(await play(ours(), pieces, isPaced), expected, 'however it is cut, it is the same');
  },
};

export const targets: readonly Target[] = [connection];
