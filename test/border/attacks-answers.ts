/** What a backend answers to a request: any size and shape, on each transport, and the same with bytes spoilt. */
import { Metadata } from '@grpc/grpc-js';

import { backendService } from '../support/grpc-shapes.ts';
import type { Arena } from './arena.ts';
import type { Attack } from './attacks.ts';
import type { Chance } from './chance.ts';
import { bytesOf, draw, type Drawn, replyFields, replyJson } from './replies.ts';
import { json, MIB, spoilt } from './values.ts';

const linkBytes = backendService['Link']!.responseSerialize as (fields: unknown) => Buffer;
const replyBytes = backendService['Handle']!.responseSerialize as (fields: unknown) => Buffer;

/** In so many cases the bytes are spoilt after all. */
const SPOILT = 0.1;

export const answerAttacks: readonly Attack[] = [
  {
    what: 'answers',
    over: 'Link',
    ends: 'xlink',
    next: async (arena) => {
      const { drawn, chance } = drawnBy(arena);
      const fields = replyFields(drawn, chance);
      await arena.ask('link', ({ id, send }) => send(frame(id, fields, chance)), bytesOf(drawn));
    },
  },
  {
    what: 'answers',
    over: 'dial-in gRPC',
    ends: 'xdial',
    next: async (arena) => {
      const { drawn, chance } = drawnBy(arena, 16 * MIB);
      const fields = replyFields(drawn, chance);
      await arena.ask('dial', ({ id, send }) => send(frame(id, fields, chance)), bytesOf(drawn));
    },
  },
  {
    what: 'answers',
    over: 'Handle',
    ends: 'xhandle',
    next: async (arena) => {
      const { drawn, chance } = drawnBy(arena);
      const encoded = replyBytes(replyFields(drawn, chance));
      const bytes = chance.is(SPOILT) ? spoilt(chance, encoded) : encoded;
      const code = chance.is(0.1) ? chance.int(0, 17) : 0;
      await arena.ask(
        'handle',
        (say) => (code === 0 ? say.reply(bytes) : say.status(code, 'what', metadata(chance))),
        bytes.length,
        { whole: true },
      );
    },
  },
  {
    what: 'answers',
    over: 'method',
    ends: 'xmethod',
    next: async (arena) => {
      const { drawn, chance } = drawnBy(arena);
      const fields = words(drawn, chance);
      const code = chance.is(0.1) ? chance.int(1, 17) : 0;
      const broken = chance.is(SPOILT);
      await arena.ask(
        'method',
        (say) => {
          if (code !== 0) say.fail(code, 'what', metadata(chance));
          else if (broken) say.answerBytes(spoilt(chance, say.encode(fields)));
          else say.answer(fields, chance.is(0.2) ? metadata(chance) : undefined);
        },
        bytesOf(drawn),
        { whole: true },
      );
    },
  },
  {
    what: 'answers',
    over: 'dial-in WebSocket',
    ends: 'xdialws',
    next: async (arena) => {
      const { drawn, chance } = drawnBy(arena, 8 * MIB);
      const reply = replyJson(drawn, chance, 'reply');
      const broken = chance.is(SPOILT);
      await arena.ask(
        'dialws',
        ({ id, send }) => {
          const text = `{"frames":[{"id":${id},"reply":{${reply}}}]}`;
          send(broken ? spoilt(chance, Buffer.from(text)) : text);
          if (broken) send(`{"frames":[{"id":${id},"reply":{}}]}`);
        },
        reply.length,
      );
    },
  },
  {
    what: 'answers',
    over: 'IPC',
    ends: 'xipc',
    next: async (arena) => {
      const { drawn, chance } = drawnBy(arena);
      const members = replyJson(drawn, chance, 'payload');
      const repeated = chance.is(0.3)
        ? `"cmd":"${chance.pick(['close', 'kick', 'push', 'x'])}",`
        : '';
      const broken = chance.is(SPOILT);
      await arena.ask(
        'ipc',
        ({ seq, socket }) => {
          const line = Buffer.from(`{${repeated}"seq_id":${seq},${members}}`);
          if (broken) socket.write(Buffer.concat([spoilt(chance, line), Buffer.from('\n')]));
          else socket.write(Buffer.concat([line, Buffer.from('\n')]));
          // A spoilt line may be nobody's answer: this one is, or comes too late to be.
          if (broken) socket.write(`{"seq_id":${seq},"payload":{}}\n`);
        },
        members.length,
        { whole: !broken },
      );
    },
  },
  {
    what: 'answers',
    over: 'HTTP',
    ends: 'xhttp',
    next: async (arena) => {
      const { drawn, chance } = drawnBy(arena);
      const answer = httpAnswer(drawn, chance);
      const bytes = chance.is(SPOILT) ? spoilt(chance, answer) : answer;
      await arena.ask('http', ({ socket }) => void socket.end(bytes), bytes.length);
    },
  },
  {
    what: 'answers',
    over: 'NATS',
    next: async (arena) => {
      // The server takes no more.
      const { drawn, chance } = drawnBy(arena, 900_000);
      const headers = natsHeaders(drawn, chance);
      await arena.ask(
        'nats',
        ({ reply, wire }) => wire.publish(reply, '', headers, drawn.error?.own ?? drawn.body),
        bytesOf(drawn) + headers.length,
        { whole: true },
      );
    },
  },
];

/** One case in eight is as large as it may be. */
function drawnBy({ chance, largest }: Arena, most = Infinity): { drawn: Drawn; chance: Chance } {
  const whole = Math.min(largest, most);
  return { drawn: draw(chance, whole, chance.is(1 / 8) ? whole : undefined), chance };
}

/** One ToGateway: the reply, now and then with others beside it, twice, or spoilt. */
function frame(id: number, reply: object, chance: Chance): Buffer {
  const kind = chance.int(0, 9);
  const right = { id, reply };
  if (kind === 0) return linkBytes({ frames: [right, right] });
  if (kind === 1) return linkBytes({ frames: [{ id: id + 1_000_000, reply }, right] });
  if (kind === 2)
    return linkBytes({ frames: [{ id, extend: { timeout: { seconds: '9'.repeat(18) } } }, right] });
  const encoded = linkBytes({ frames: [right] });
  return chance.is(SPOILT) ? spoilt(chance, encoded) : encoded;
}

const HEADER_NAMES = [
  'Pith-Bind',
  'Pith-Set',
  'Pith-Join',
  'Pith-Leave',
  'Pith-If-Version',
  'Pith-Close',
  'Pith-Error-Reason',
  'Retry-After',
  'Nats-Service-Error-Code',
  'Nats-Service-Error',
  'X-Other',
];

/** Lines `Name: value`, of the names that are read and others; up to `most` of them. */
function headerLines(drawn: Drawn, chance: Chance, most: number): string {
  const { patch, error, close } = drawn;
  let lines = '';
  if (patch !== null) {
    if ('set' in patch) lines += `Pith-Set: ${ascii(JSON.stringify(patch['set']))}\r\n`;
    if ('join' in patch) lines += `Pith-Join: ${ascii(JSON.stringify(patch['join']))}\r\n`;
    if ('uid' in patch) lines += `Pith-Bind: ${ascii(String(patch['uid']))}\r\n`;
  }
  if (close !== null) lines += `Pith-Close: ${ascii(close.reason)}\r\n`;
  if (error !== null) lines += `Pith-Error-Reason: ${ascii(error.reason)}\r\n`;
  const more = chance.is(0.1)
    ? chance.pick([10, 1_000, 10_000, 20_000].filter((n) => n <= most))
    : 0;
  const same = chance.is(0.5);
  for (let i = 0; i < more; i++) lines += same ? 'a: b\r\n' : `h${i}: ${i}\r\n`;
  if (chance.is(0.2)) lines += `${chance.pick(HEADER_NAMES)}: ${ascii(json(chance, 2_000))}\r\n`;
  return lines;
}

/** As a header value may be: ASCII without line ends. */
function ascii(text: string): string {
  return encodeURIComponent(text.toWellFormed()).slice(0, 60_000);
}

function natsHeaders(drawn: Drawn, chance: Chance): string {
  const { error } = drawn;
  const refused =
    error === null
      ? ''
      : `Nats-Service-Error-Code: ${error.code}\r\nNats-Service-Error: ${ascii(error.message)}\r\n`;
  return refused + headerLines(drawn, chance, 20_000);
}

const STATUSES = [200, 200, 204, 206, 301, 400, 401, 403, 404, 409, 413, 429, 500, 503, 599, 999];

function httpAnswer(drawn: Drawn, chance: Chance): Buffer {
  const { error, body } = drawn;
  const status = error === null ? 200 : chance.pick(STATUSES);
  const content = error?.own ?? body;
  const early = chance.is(0.1)
    ? chance.pick(['HTTP/1.1 100 Continue\r\n\r\n', 'HTTP/1.1 103 Early\r\n\r\n'])
    : '';
  const lines = headerLines(drawn, chance, 1_000);
  const framing = chance.int(0, 9);
  const length =
    framing === 0
      ? `Content-Length: ${content.length + 5}\r\n`
      : framing === 1
        ? 'Content-Length: 99999999999999999999\r\n'
        : framing === 2
          ? ''
          : `Content-Length: ${content.length}\r\n`;
  if (framing === 3)
    return Buffer.concat([
      Buffer.from(`${early}HTTP/1.1 ${status} X\r\nTransfer-Encoding: chunked\r\n${lines}\r\n`),
      Buffer.from(`${content.length.toString(16)}\r\n`),
      content,
      Buffer.from('\r\n0\r\n\r\n'),
    ]);
  return Buffer.concat([
    Buffer.from(`${early}HTTP/1.1 ${status} X\r\n${length}${lines}\r\n`),
    content,
  ]);
}

/** Fields of border.Words. */
function words(drawn: Drawn, chance: Chance): Record<string, unknown> {
  const { body } = drawn;
  const kind = chance.int(0, 6);
  if (kind === 0) return { data: body };
  if (kind === 1) return { text: body.toString() };
  if (kind === 2) return { list: Array.from({ length: chance.pick([1, 1_000, 100_000]) }, String) };
  if (kind === 3)
    return { many: Array.from({ length: chance.pick([1, 1_000, 50_000]) }, () => ({ text: 'x' })) };
  if (kind === 4) {
    let inner: Record<string, unknown> = { text: 'x' };
    for (let depth = chance.pick([1, 30, 90, 500]); depth > 0; depth--) inner = { inner };
    return inner;
  }
  if (kind === 5)
    return { real: chance.pick([Infinity, -Infinity, NaN, -0, 5e-324]), big: -(2n ** 63n) };
  return {
    lasts: {
      seconds: chance.pick([0n, 315576000000n, -315576000001n]),
      nanos: chance.pick([0, 1, -1, 1e9]),
    },
  };
}

function metadata(chance: Chance): Metadata {
  const made = new Metadata();
  for (let i = chance.pick([0, 1, 50]); i > 0; i--)
    made.set(
      chance.pick(HEADER_NAMES).toLowerCase().replace(/^pith/, 'x-pith'),
      ascii(json(chance, 300)).slice(0, 2_000),
    );
  if (chance.is(0.3)) made.add('grpc-status-details-bin', chance.bytes(chance.int(0, 200)));
  return made;
}
