/**
 * The kinds of messages of the border test in process: a client's bytes into a session, a backend's frames into a Link,
 * its lines into a connection, verbs into the bus. What stands around them is the gateway's own; sockets are pipes.
 */
import { decodeMessage as decodeByClient, RESPONSE } from '../../../src/client/messages.ts';
import { PacketReader } from '../../../src/client/packets.ts';
import { JsonDialect } from '../../../src/dialect/json.ts';
import { PitayaDialect } from '../../../src/dialect/pitaya.ts';
import type { Dialect } from '../../../src/dialect/wire.ts';
import { packetOffset, PacketType } from '../../../src/protocol/packet.ts';
import { Registry } from '../../../src/session/registry.ts';
import type { Session } from '../../../src/session/session.ts';
import { TimerWheel } from '../../../src/timer-wheel.ts';
import { CallTable } from '../../../src/upstream/call-table.ts';
import { LineReader } from '../../../src/upstream/ipc/line-reader.ts';
import { Link } from '../../../src/upstream/link/link.ts';
import type { LinkStream } from '../../../src/upstream/link/link-transport.ts';
import { BareCall } from '../../support/call.ts';
import { linkParts } from '../../support/link-parts.ts';
import { keptReport } from '../../support/report.ts';
import { makeGated } from '../../unit/bus/gated.ts';
import { Exchange } from '../../unit/bus/support.ts';
import {
  ACK,
  connect,
  HANDSHAKE,
  HEARTBEAT,
  POMELO,
  makeOutboxes,
  RecordingHost,
  request,
} from '../../unit/session/support.ts';
import { bytesOfJson, rewritten } from '../contract.ts';
import { chanceOf, cutByChance } from '../cuts.ts';
import { check, same, type Target } from '../target.ts';
import { TurnClock } from '../../support/turn-clock.ts';

const clock = new TurnClock(1_000);
const world = {
  clock,
  wheel: new TimerWheel(clock),
  ...makeOutboxes(clock),
  registry: new Registry('g-0123456789', { add: () => null, remove() {} }),
};
let n = 0;

/** Sessions that one host has: it keeps what it has logged. */
const SESSIONS_PER_HOST = 200;
let host = new RecordingHost();

/** By the id that a client knows: how often. */
type Counts = ReadonlyMap<number, number>;
type Played = {
  readonly sent: readonly string[];
  readonly asked: readonly string[];
  readonly closed: string;
  readonly answers: Counts;
  readonly wanted: Counts;
};

/** A session whose backend sends each body back at once. */
function play(dialect: Dialect, pieces: readonly Buffer[]): Played {
  if (++n % SESSIONS_PER_HOST === 0) host = new RecordingHost();
  host.messages.length = 0;
  host.ended.length = 0;
  const wanted = new Map<number, number>();
  host.onMessageDo = (session: Session, { wantsAnswer, rawId, route, body }) => {
    if (!wantsAnswer) return;
    add(wanted, session.wire.idOf(rawId));
    const answer = session.wire.answer(rawId, route, body, 'raw');
    if (Buffer.isBuffer(answer)) session.push(answer, null);
  };
  const { session, connection } = connect({ world, host, dialect, n });
  world.registry.add(session);
  for (const piece of pieces) {
    if (connection.closed !== null || connection.destroyed) break;
    session.onBytes(piece);
    clock.settle();
  }
  const sent = connection.writes
    .flat()
    .map((one) => one.subarray(packetOffset(one)).toString('hex'));
  const greeted = isText(dialect) ? 0 : sent.filter((one) => one.startsWith('01')).length;
  check(greeted <= 1, 'a handshake is answered once', greeted);
  const closed = connection.closed?.reason ?? (connection.destroyed ? 'destroyed' : '');
  session.onClosed(null);
  clock.settle();
  check(world.registry.bySid(session.sid) === undefined, 'a session that has ended is not found');
  same(host.ended.length, 1, 'its end is told once');
  const asked = [...host.messages];
  return { sent, asked, closed, answers: answersIn(dialect, sent), wanted };
}

function add(counts: Map<number, number>, id: number): void {
  counts.set(id, (counts.get(id) ?? 0) + 1);
}

/** How often each id was answered, as our own client reads it. */
function answersIn(dialect: Dialect, sent: readonly string[]): Counts {
  const answers = new Map<number, number>();
  if (dialect.name === 'json') return answers;
  const reader = new PacketReader(0xffffff, (type, body) => {
    if (type !== PacketType.DATA) return;
    const message = decodeByClient(body);
    check(typeof message !== 'string', 'our client reads what the gateway sends', message);
    if (message.kind === RESPONSE) add(answers, message.id);
  });
  for (const packet of sent)
    check(reader.push(Buffer.from(packet, 'hex')) === null, 'the gateway sends packets');
  return answers;
}

const OPENED = Buffer.concat([HANDSHAKE, ACK]);
const pitaya = new PitayaDialect({
  heartbeatSeconds: 30,
  dictionary: null,
  serializer: 'json',
  compress: false,
  inflateBytesMax: 10_000,
});

function isText({ traits }: Dialect): boolean {
  return traits.framing === 'text';
}

function sessionTarget(name: string, dialect: Dialect): Target {
  const hasText = isText(dialect);
  return {
    name: `session-${name}`,
    drives: ['session/session.ts Session'],
    forms: hasText ? ['json', 'lines'] : ['packets', 'bytes'],
    seeds: hasText
      ? [
          '{"handshake":{}}\n{"id":1,"route":"a.b","body":{}}\n{"route":"x","id":0}\nnot json\n{"id":2,"route":"a.b.c"}',
        ]
      : [
          Buffer.concat([OPENED, request(1), HEARTBEAT, request(2, 'a.b.c', '{}')]),
          Buffer.concat([HANDSHAKE, request(1), ACK, request(1), request(1)]),
          Buffer.concat([OPENED, ...Array.from({ length: 12 }, (_, i) => request(i + 1))]),
          Buffer.concat([OPENED, HANDSHAKE, ACK, Buffer.from('0400000104', 'hex')]),
        ],
    steps: { base: 200_000, perByte: 3_000 },
    allocated: { base: 4_000_000 },
    run(input) {
      const whole = hasText
        ? input
            .toString('latin1')
            .split('\n')
            .map((one) => Buffer.from(one, 'latin1'))
        : [Buffer.from(input)];
      const first = play(dialect, whole);
      if (!hasText) {
        for (const longest of [1, 7]) {
          const other = play(
            dialect,
            cutByChance(input.subarray(0, 1_500), chanceOf(input), longest),
          );
          if (input.length > 1_500) continue;
          same(
            [other.asked, other.sent, other.closed],
            [first.asked, first.sent, first.closed],
            'the same however it is cut',
          );
        }
      }
      const { answers, wanted, closed } = first;
      for (const [id, times] of answers)
        check(times <= (wanted.get(id) ?? 0), 'nothing is answered that was not asked', id);
      if (closed !== '' || hasText) return;
      for (const [id, times] of wanted)
        same(answers.get(id), times, 'each request is answered once');
    },
  };
}

const FRAMES = [
  [
    { hello: { instance: 'i', features: ['credit', 'extend'] } },
    { credit: { frames: 2, bytes: 1_000 } },
    { id: 1, reply: { body: { text: '{}' } } },
  ],
  [
    { id: 1, reply: { body: { text: 'a' } } },
    { id: 1, reply: {} },
    { id: 2, connect: { accept: {} } },
  ],
  [
    { id: 513, reply: {} },
    { id: 258, connect: { accept: {} } },
    { id: 3, extend: { timeout: '1s' } },
    { id: 3, reply: { error: { code: 5 } } },
    { goaway: { reason: 'x' } },
  ],
  [
    { id: 9, push: { target: { all: true }, route: 'r' } },
    { push: { target: {}, route: 'r' } },
    { verb: { target: { uids: ['a'] }, close: {} } },
  ],
];

/** Calls in flight on a link or a connection, each of which ends once. */
function callsInFlight(count: number): BareCall[] {
  return Array.from({ length: count }, (_, i) => {
    const call = new BareCall();
    call.wantsAnswer = true;
    call.route = 'a.b';
    call.seq = i + 1;
    call.deadline = clock.now() + 5_000;
    return call;
  });
}

type LinkHeard = { ends: string[][]; hellos: number; over: number; written: number };

function playLink(messages: readonly Buffer[]): LinkHeard {
  const listeners: { data?: (message: Buffer) => void; end?: () => void } = {};
  let written = 0;
  let isPaused = false;
  const stream: LinkStream = {
    on: (event: string, listener: never) => {
      listeners[event as 'data'] = listener;
    },
    write: (_message: Buffer, done: () => void) => {
      written++;
      done();
    },
    pause: () => {
      isPaused = true;
    },
    resume: () => {
      isPaused = false;
    },
    end: () => {},
    cancel: () => {},
  };
  const heard = { hellos: 0, over: 0 };
  const nothing = (): void => {};
  const { report } = keptReport('game', 'grpc', clock);
  const link = new Link(stream, linkParts(world.wheel, report), {
    endpoint: { answered: nothing, failed: nothing, goaway: nothing },
    liveness: null,
    roundTrip: nothing,
    onHello: () => {
      heard.hellos++;
    },
    onEnd: () => {
      heard.over++;
    },
  });
  link.hello();
  const calls = callsInFlight(4);
  for (const call of calls) link.request(call, Buffer.alloc(0));
  clock.settle();
  for (const message of messages) {
    if (isPaused) clock.settle();
    listeners.data!(message);
    clock.settle();
  }
  link.destroy('the test is over');
  clock.settle();
  for (const call of calls) same(call.ends.length, 1, 'a call ends once');
  same(heard.over, 1, 'the end of a link is told once');
  same(link.inFlight, 0, 'nothing is in flight on a link that has ended');
  return { ...heard, written, ends: calls.map(({ ends }) => ends) };
}

const link: Target = {
  name: 'link',
  drives: ['upstream/link/link.ts Link', 'upstream/link/frame-reader.ts FrameReader'],
  forms: ['protobuf'],
  bytesMax: 1_000,
  seeds: FRAMES.map((frames) => bytesOfJson('ToGateway', { frames } as never)),
  steps: { base: 200_000, perByte: 3_000 },
  allocated: { base: 4_000_000 },
  run(input) {
    const { ends } = playLink([input]);
    playLink([input, input]);
    const theirs = rewritten('ToGateway', input);
    if (theirs === null) return;
    const frames = (theirs.json['frames'] ?? []) as {
      id?: number;
      reply?: object;
      connect?: object;
    }[];
    const answered = frames.filter(
      ({ reply, connect: of }) => reply !== undefined || of !== undefined,
    );
    const ids = new Set(answered.map(({ id }) => id));
    for (const [i, [end]] of ends.entries())
      check(
        ids.has(i + 1) || end!.startsWith('fail'),
        'only a frame with its number answers a call',
        i + 1,
        end,
      );
  },
};

const LINES = [
  '{"seq_id":1,"payload":{}}\n{"seq_id":1,"payload":{}}\n{"seq_id":2,"error":"x"}',
  '{"cmd":"push","route":"r","payload":{},"all":true}\n[]\n{"seq_id":3,"patch":5}\n{"seq_id":"4"}',
  'x\n'.repeat(17),
];

const lines: Target = {
  name: 'ipc-lines',
  drives: ['upstream/ipc/line-reader.ts LineReader'],
  forms: ['json', 'lines'],
  seeds: LINES,
  steps: { base: 200_000, perByte: 3_000 },
  run(input) {
    const { report } = keptReport('game', 'ipc', clock);
    const { commands } = linkParts(world.wheel, report);
    const calls = new CallTable(1_000);
    const inFlight = callsInFlight(4);
    const pending = { cancel: () => {} };
    for (const call of inFlight) calls.add(call, pending);
    const reader = new LineReader(
      { calls, commands, report, convertBytesMax: 1_048_576 },
      { goaway: () => {}, lost: () => {} },
    );
    let bad = 0;
    for (const line of input.toString('latin1').split('\n')) {
      const why = reader.onLine(Buffer.from(line, 'latin1'));
      if (why === null) continue;
      check(++bad <= 1, 'a connection is given up once');
      break;
    }
    reader.onLongLine(input.length, input.length);
    for (const call of inFlight)
      check(call.ends.length <= 1, 'a call ends at most once', call.ends);
    same(
      inFlight.filter(({ ends }) => ends.length === 0).length,
      calls.size,
      'what has not ended is still in flight',
    );
  },
};

const VERBS = [
  'pith.user.ann.push\n_INBOX.x.1\nPith-Route: onX\r\n\n{"a":1}',
  'pith.session.g-1.1.patch\n_INBOX.x.2\n\n{"uid":"bob","set":{"gold":7},"join":["h"],"if_version":"1"}',
  'pith.group.g.kick\n_INBOX.x.3\n\n{"reason":"x","code":4}',
  'pith.all.get\n_INBOX.x.4\n\n{}',
  'pith.session.g-1.1.set\n_INBOX.y\n\n{"set":{"a":{"b":[1,null]}},"if_version":3}',
  'pith.session.g-1.1.unbind\n\n\n',
  'pith.session.g-1.1.join\n_INBOX.x.8\n\n{"groups":["h","i"],"ttl":"60s"}',
  'pith.fleet.join\n_INBOX.x.ask.9\n\n{"target":{"groups":["g"]},"groups":["k"],"ttl":"1s"}',
  'pith.fleet.push\n_INBOX.x.ask.5\nPith-Route: r\r\nPith-Target: {"uids":["ann"]}\r\n\n{}',
  'pith.fleet.hello\n\n\n{"gateway":"other-1"}',
  'pith.fleet.gate\n\n\n{"gateway":"other-1","sessions":1,"room":1,"addresses":{"ws":{"host":"a","port":1}}}',
  'pith.fleet.list\n_INBOX.x.ask.6\n\n{"target":{"all":true},"limit":2}',
  'pith.user.a.b.push\n_INBOX.x.7\n\n{}',
  '_INBOX.g-1.ask.zz\n\n\n{"gateway":"x","delivered":3}',
];

/** A message: subject, reply, lines of headers, an empty line, the body. */
function published(input: Buffer): { subject: string; reply: string; head: Buffer; body: Buffer } {
  const [subject = '', reply = '', ...rest] = input.toString('latin1').split('\n');
  const empty = rest.indexOf('');
  const lines = empty < 0 ? rest : rest.slice(0, empty);
  const head =
    lines.length === 0
      ? ''
      : `NATS/1.0\r\n${lines.map((one) => one.replace(/\r$/, '')).join('\r\n')}\r\n\r\n`;
  const body = empty < 0 ? '' : rest.slice(empty + 1).join('\n');
  return { subject, reply, head: Buffer.from(head, 'latin1'), body: Buffer.from(body, 'latin1') };
}

const bus: Target = {
  name: 'bus-messages',
  drives: [
    'bus/incoming-messages.ts IncomingMessages',
    'bus/session-verbs.ts runVerb',
    'contract/json-shapes.ts readGroups',
    'contract/json-shapes.ts readJoin',
    'bus/incoming-peer-calls.ts IncomingPeerCalls',
  ],
  forms: ['lines', 'json'],
  bytesMax: 1_500,
  seeds: VERBS,
  tokens: [
    'push',
    'patch',
    'bind',
    'unbind',
    'set',
    'join',
    'leave',
    'kick',
    'close',
    'get',
    'Pith-Route: ',
    'Pith-Where: ',
    'hello',
    'bye',
    'list',
    'gate',
  ],
  steps: { base: 300_000, perByte: 3_000 },
  allocated: { base: 8_000_000 },
  run(input) {
    const exchange = new Exchange();
    const gateway = makeGated('g-1', exchange, new TurnClock(1_000));
    const client = gateway.client(1, 'ann', 'g');
    exchange.deliver();
    exchange.takeSent();
    const { subject, reply, head, body } = published(input);
    exchange.publish(subject, body, reply, head);
    exchange.deliver();
    (gateway.clock as TurnClock).settle();
    exchange.deliver();
    const [own, ...others] = exchange.takeSent();
    same(own?.subject, subject, 'what was published is sent');
    // What nobody hears the exchange itself answers, without a line or a word.
    const answers = others.filter(({ headers, payload }) => headers.length > 0 || payload !== '');
    for (const { subject: to, payload } of answers) {
      check(/^pith\.fleet\.|^_INBOX\.|^\$JS\./.test(to), 'answers go to inboxes alone', to);
      if (payload !== '' && to === reply) JSON.parse(payload);
    }
    for (const transport of ['ws', 'tls'] as const) {
      const place = gateway.gate.choose(transport);
      const isPlace = place === null || (/^[\w.:-]+$/.test(place.host) && place.port > 0);
      check(isPlace, 'clients are sent to a host and a port', place);
    }
    const toReply = answers.filter(({ subject: to }) => to === reply && reply !== '');
    check(toReply.length <= 1, 'a message is answered once');
    for (const line of gateway.lines)
      check(!/internal/i.test(String(line['msg'])), 'nothing inside goes wrong', line);
    check(client.session.groups.size <= 8, 'the limits of a session hold');
    check(
      Buffer.byteLength(JSON.stringify(client.session.data)) <= 2_000,
      'the data of a session is bounded',
    );
  },
};

export const targets: readonly Target[] = [
  sessionTarget('pomelo', POMELO),
  sessionTarget('pitaya', pitaya),
  sessionTarget('json', new JsonDialect()),
  link,
  lines,
  bus,
];
