/** What a backend answers to a request: any size and shape, on each transport, and the same with bytes spoilt. */
import { Metadata } from '@grpc/grpc-js';

import { linkBytes, replyBytes } from './frames.ts';
import type { Arena } from './arena.ts';
import type { Attack } from './attacks.ts';
import type { Chance } from './chance.ts';
import { EDGES } from './edges.ts';
import { bytesOf, draw, type Drawn, replyFields, replyJson } from './replies.ts';
import type { HttpSay, LinkSay } from './servers.ts';
import { depthOf, json, MIB, spoilt } from './values.ts';

/** In so many cases the bytes are spoilt after all. */
const SPOILT = 0.1;
/** The status that is a timeout by itself. */
const DEADLINE_EXCEEDED = 4;
/** A line of 65,536 is still read. */
const IPC_DEPTH = 65_000;

/** How one answer goes out; `spoil`: its bytes may be spoilt. */
type Answer = (arena: Arena, drawn: Drawn, spoil: boolean) => Promise<unknown>;

export const answerAttacks: readonly Attack[] = [
  answering('Link', 'xlink', 32 * MIB, byLink('link')),
  answering('dial-in gRPC', 'xdial', 16 * MIB, byLink('dial')),
  answering('Handle', 'xhandle', 32 * MIB, byHandle),
  answering('method', 'xmethod', 32 * MIB, byMethod),
  answering('dial-in WebSocket', 'xdialws', 8 * MIB, byWebSocket),
  answering('IPC', 'xipc', 32 * MIB, byIpc),
  answering('HTTP', 'xhttp', 32 * MIB, byHttp),
  // The server takes no more than 1 MiB.
  answering('NATS', 'xnats', 900_000, byNats),
];

/** @param most What the transport takes, bytes. */
function answering(over: string, ends: string, most: number, answer: Answer): Attack {
  return {
    what: 'answers',
    over,
    ends,
    async first(arena) {
      for (const edge of EDGES)
        if (edge.most <= Math.min(most, arena.largest) && (arena.hasTime || !edge.isLong))
          await answer(arena, edge.draw(), false);
    },
    async next(arena) {
      const { chance } = arena;
      const whole = Math.min(arena.largest, most);
      // One case in eight is as large as it may be.
      const drawn = draw(chance, whole, chance.is(1 / 8) ? whole : undefined);
      await answer(arena, drawn, chance.is(SPOILT));
    },
  };
}

function byLink(kind: 'link' | 'dial'): Answer {
  return (arena, drawn, spoil) => {
    const { chance } = arena;
    const fields = replyFields(drawn, chance);
    const bytes = bytesOf(drawn);
    const plan = ({ id, send }: LinkSay): void => send(frame(id, fields, chance, spoil));
    return arena.ask(kind, plan, bytes, { whole: !spoil });
  };
}

function byHandle(arena: Arena, drawn: Drawn, spoil: boolean): Promise<unknown> {
  const { chance } = arena;
  const encoded = replyBytes(replyFields(drawn, chance));
  const bytes = spoil ? spoilt(chance, encoded) : encoded;
  const code = spoil && chance.is(0.5) ? chance.int(1, 17) : 0;
  return arena.ask(
    'handle',
    (say) => (code === 0 ? say.reply(bytes) : say.status(code, 'what', metadata(chance))),
    bytes.length,
    { whole: code !== DEADLINE_EXCEEDED },
  );
}

function byMethod(arena: Arena, drawn: Drawn, spoil: boolean): Promise<unknown> {
  const { chance } = arena;
  const fields = words(drawn, chance);
  const code = drawn.error === null ? 0 : chance.int(1, 17);
  return arena.ask(
    'method',
    (say) => {
      if (code !== 0) say.fail(code, drawn.error!.message.slice(0, 4_000), metadata(chance));
      else if (spoil) say.answerBytes(spoilt(chance, say.encode(fields)));
      else say.answer(fields, chance.is(0.2) ? metadata(chance) : undefined);
    },
    bytesOf(drawn),
    { whole: code !== DEADLINE_EXCEEDED },
  );
}

function byWebSocket(arena: Arena, drawn: Drawn, spoil: boolean): Promise<unknown> {
  const { chance } = arena;
  const reply = replyJson(drawn, chance, 'reply', spoil);
  return arena.ask(
    'dialws',
    ({ id, send }) => {
      const text = `{"frames":[{"id":${id},"reply":{${reply}}}]}`;
      send(spoil ? spoilt(chance, Buffer.from(text)) : text);
      if (spoil) send(`{"frames":[{"id":${id},"reply":{}}]}`);
    },
    reply.length,
    { whole: !spoil },
  );
}

function byIpc(arena: Arena, drawn: Drawn, spoil: boolean): Promise<unknown> {
  const { chance } = arena;
  const members = replyJson(drawn, chance, 'payload', spoil);
  const cmd = chance.pick(['close', 'kick', 'push', 'patch', 'x']);
  const repeated = chance.is(0.3) ? `"cmd":"${cmd}",` : '';
  return arena.ask(
    'ipc',
    ({ seq, socket }) => {
      const line = Buffer.from(`{${repeated}"seq_id":${seq},${members}}`);
      socket.write(spoil ? spoilt(chance, line) : line);
      socket.write('\n');
      // A spoilt line may be nobody's answer: this one is, or comes too late to be.
      if (spoil) socket.write(`{"seq_id":${seq},"payload":{}}\n`);
    },
    members.length,
    // What is deeper counts as no JSON.
    { whole: !spoil && depthOf(members) < IPC_DEPTH },
  );
}

function byHttp(arena: Arena, drawn: Drawn, spoil: boolean): Promise<unknown> {
  const { chance } = arena;
  const answer = httpAnswer(drawn, chance, spoil);
  const bytes = spoil ? spoilt(chance, answer) : answer;
  const plan = ({ socket }: HttpSay): void => void socket.end(bytes);
  return arena.ask('http', plan, bytes.length, { whole: !spoil });
}

function byNats(arena: Arena, drawn: Drawn): Promise<unknown> {
  const { chance } = arena;
  const headers = natsHeaders(drawn, chance);
  const body = drawn.error?.own ?? drawn.body;
  return arena.ask(
    'nats',
    ({ reply, wire }) => wire.publish(reply, '', headers, body),
    bytesOf(drawn) + headers.length,
    { whole: true },
  );
}

/** One ToGateway: the reply, now and then with others beside it, twice, or spoilt. */
function frame(id: number, reply: object, chance: Chance, spoil: boolean): Buffer {
  const right = { id, reply };
  const encoded = linkBytes({ frames: [right] });
  if (!spoil) return encoded;
  const kind = chance.int(0, 4);
  if (kind === 0) return linkBytes({ frames: [right, right] });
  if (kind === 1) return linkBytes({ frames: [{ id: id + 1_000_000, reply }, right] });
  const extend = { timeout: { seconds: chance.pick(['-1', '999999999999999999']) } };
  if (kind === 2) return linkBytes({ frames: [{ id, extend }, right] });
  return spoilt(chance, encoded);
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

function httpAnswer(drawn: Drawn, chance: Chance, spoil: boolean): Buffer {
  const { error, body } = drawn;
  const status = error === null ? 200 : chance.pick(STATUSES);
  const content = error?.own ?? body;
  const early = chance.is(0.1)
    ? chance.pick(['HTTP/1.1 100 Continue\r\n\r\n', 'HTTP/1.1 103 Early\r\n\r\n'])
    : '';
  const lines = headerLines(drawn, chance, 1_000);
  const framing = spoil ? chance.int(0, 3) : chance.pick([3, 4]);
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
