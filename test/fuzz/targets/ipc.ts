/** Lines of backends on a Unix socket: read whole, read through when they are too long, and cut out of a stream. */
import { EventEmitter } from 'node:events';
import type net from 'node:net';

import { ShapeError } from '../../../src/contract/json.ts';
import { CONVERT_BYTES } from '../../../src/protocol/conversion-limit.ts';
import { readLine, SeqIdError, UnreadableLine } from '../../../src/upstream/ipc/backend-lines.ts';
import { type LineHandler, LineSocket } from '../../../src/upstream/ipc/line-socket.ts';
import { LongLine } from '../../../src/upstream/ipc/long-line.ts';
import { TimerWheel } from '../../../src/timer-wheel.ts';
import { waysToCut } from '../cuts.ts';
import { check, orError, same, type Target } from '../target.ts';
import { TurnClock } from '../../support/turn-clock.ts';

const LINES = [
  '{"seq_id":7,"payload":{"a":[1,"x\\n"]}}',
  '{"seq_id":8,"payload":null,"error":{"code":402,"reason":"TOO_POOR","msg":"no"},"patch":{"uid":"ann","set":{"n":1.0}},"close":{"reason":"bye"}}',
  '{"cmd":"push","route":"onX","payload":{},"uid":"ann","delivery":"latest","latest_key":"k","expires_ms":5,"except_sids":["a.1"]}',
  '{"cmd":"patch","sid":"g.1","patch":{"join":["g"],"leave":[],"if_version":"2"}}',
  '{"cmd":"kick","group":"g","reason":"x","code":4,"retry_after":"1.5s"}',
  '{"cmd":"close","all":true,"where":{"k":1}}',
  '{"cmd":"chat.say","seq_id":0,"session":{"sid":"g.1"}}',
  '{"seq_id":"12","payload":1}',
  '{"x":{"seq_id":1},"seq_id" : 3 ,"payload":"\\u0041"}',
];

function parsed(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return undefined;
  }
}

const isMap = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

const line: Target = {
  name: 'ipc-line',
  drives: ['upstream/ipc/backend-lines.ts readLine'],
  forms: ['json'],
  seeds: LINES,
  run(input) {
    const value = parsed(input.toString());
    for (const awaited of [false, true]) {
      const read = orError(() => readLine(input, CONVERT_BYTES, () => awaited), ShapeError);
      if (!isMap(value)) {
        check(read instanceof UnreadableLine, 'what is no JSON object is unreadable', read);
        continue;
      }
      check(!(read instanceof UnreadableLine), 'a JSON object is readable', read);
      if (read instanceof SeqIdError)
        check(
          !Number.isSafeInteger(value['seq_id']),
          'a whole number is a seq_id',
          value['seq_id'],
        );
      if (read instanceof Error) continue;
      if (read.kind === 'answer') {
        same(read.seqId, value['seq_id'], 'the answer is to its seq_id');
        const body = read.reply instanceof Uint8Array ? read.reply : read.reply.body;
        const payload = Object.hasOwn(value, 'payload') ? (value['payload'] ?? {}) : {};
        if (body !== null)
          same(JSON.parse(Buffer.from(body).toString()), payload, 'the payload is as it came');
      } else if (read.kind === 'push') {
        same(read.push.route, value['route'], 'the push has its route');
        same(
          JSON.parse(Buffer.from(read.push.body).toString()),
          value['payload'] ?? {},
          'the push has its payload',
        );
      } else if (read.kind === 'verb') {
        const { patch, close } = read.verb;
        check((patch === null) !== (close === null), 'a verb is a patch or a close');
      } else if (read.kind === 'goaway') {
        same(read.reason, value['reason'] ?? '', 'the reason is as it came');
      } else same(read.cmd, value['cmd'], 'the cmd is as it came');
    }
  },
};

const long: Target = {
  name: 'ipc-long-line',
  drives: ['upstream/ipc/long-line.ts LongLine'],
  forms: ['json'],
  seeds: [
    ...LINES,
    '{"seq_id":               1234567,"payload":1}',
    '{"a\\"seq_id":5,"seq_id":4294967295}',
    '{"payload":{"seq_id":9},"seq_id":6}',
    '[{"seq_id":1}]',
  ],
  tokens: ['"seq_id":', 'seq_id', ' '],
  run(input) {
    const ids = waysToCut(input).map((pieces) => {
      const read = new LongLine();
      for (const piece of pieces) read.take(piece);
      same(read.bytes, input.length, 'all bytes are counted');
      return read.seqId;
    });
    for (const id of ids) same(id, ids[0], 'the same however it is cut');
    const text = input.toString();
    const value = parsed(text);
    if (!isMap(value)) return;
    const [id] = ids;
    const given = value['seq_id'];
    // Texts are taken for the number in them, and other notations of a number for none; of two the last counts.
    const isPlain =
      (text.match(/"(?:\\.|[^"\\])*"(?=\s*:)/g) ?? []).filter((key) => JSON.parse(key) === 'seq_id')
        .length <= 1 && !/s?e?q?\\u/.test(text);
    if (id !== null && isPlain) same(id, Number(given), 'the number is that of seq_id');
    if (
      id === null &&
      isPlain &&
      typeof given === 'number' &&
      /^[0-9]{1,10}$/.test(String(given)) &&
      new RegExp(`"seq_id":${given}[,}]`).test(text)
    )
      check(false, 'an ordinary seq_id is found', given);
  },
};

const LIMITS = { lineBytesMax: 200, skipBytesMax: 2_000, unsentBytesMax: 10_000 };

/** A socket without a network: what a LineSocket uses of one. */
class Pipe extends EventEmitter {
  isPaused = false;
  writableLength = 0;
  pause(): this {
    this.isPaused = true;
    return this;
  }
  resume(): this {
    this.isPaused = false;
    return this;
  }
  write(): boolean {
    return true;
  }
  destroy(): this {
    return this;
  }
}

const clock = new TurnClock();
const wheel = new TimerWheel(clock);

type Heard = { lines: string[]; long: [number | null, number][]; ends: number };

function heard(pieces: readonly Buffer[]): Heard {
  const all: Heard = { lines: [], long: [], ends: 0 };
  const handler: LineHandler = {
    onLine: (one) => {
      all.lines.push(one.toString('latin1'));
      return null;
    },
    onLongLine: (seqId, bytes) => {
      all.long.push([seqId, bytes]);
    },
    onEnd: () => {
      all.ends++;
    },
  };
  const pipe = new Pipe();
  const socket = new LineSocket(pipe as unknown as net.Socket, LIMITS, handler, wheel);
  for (const piece of pieces) {
    // A socket that is paused gives nothing.
    if (pipe.isPaused) clock.settle();
    pipe.emit('data', piece);
  }
  const held = all.ends === 0 ? socket.heldBytes : 0;
  check(held <= LIMITS.skipBytesMax, 'what is held is bounded', held);
  pipe.emit('end');
  clock.settle();
  return all;
}

const socket: Target = {
  name: 'ipc-socket',
  // In five ways, of which one is byte by byte.
  allocated: { perByte: 1_000 },
  drives: ['upstream/ipc/line-socket.ts LineSocket'],
  forms: ['lines', 'json'],
  seeds: [
    LINES.slice(0, 4).join('\n'),
    `${LINES[0]}\n\n\r\n${LINES[2]}\n`,
    `{"seq_id":5,"payload":"${'x'.repeat(300)}"}\n{"seq_id":6}\n`,
  ],
  run(input) {
    const whole = input.toString('latin1').split('\n');
    whole.pop();
    const kept = whole.filter((one) => one.length <= LIMITS.lineBytesMax);
    const longs = whole.filter((one) => one.length > LIMITS.lineBytesMax);
    for (const pieces of waysToCut(input)) {
      const all = heard(pieces);
      check(all.ends <= 1, 'the end is told once', all.ends);
      if (input.length > LIMITS.skipBytesMax) continue;
      same(all.lines, kept, 'every line comes once, in order');
      same(
        all.long.map(([, bytes]) => bytes),
        longs.map((one) => one.length),
        'every line that is too long is told once',
      );
    }
  },
};

export const targets: readonly Target[] = [line, long, socket];
