/** Control in JSON and protobuf, and frames in JSON of backends that dial in. */
import { isUtf8 } from 'node:buffer';

import { AttachJson, AttachJsonError, FRAMES_PER_TURN } from '../../../src/control/attach-json.ts';
import { JsonFrameReader } from '../../../src/control/attach-reader.ts';
import { refusedCaller } from '../../../src/control/caller.ts';
import { JsonMessages } from '../../../src/control/json-messages.ts';
import { readRequest } from '../../../src/control/requests.ts';
import { answerReflection } from '../../../src/control/reflection.ts';
import { type FrameHandler, readToGateway } from '../../../src/contract/backend-frames.ts';
import type { Reply } from '../../../src/contract/commands.ts';
import { decodeConnectResponse, decodeReply } from '../../../src/contract/protobuf-shapes.ts';
import { WireError } from '../../../src/contract/protobuf-wire.ts';
import { type Failure, GatewayError } from '../../../src/errors.ts';
import { CONVERT_BYTES } from '../../../src/protocol/conversion-limit.ts';
import { sizeOfJson } from '../../../src/protocol/json-scan.ts';
import { TimerWheel } from '../../../src/timer-wheel.ts';
import { bytesOfJson } from '../contract.ts';
import { check, orError, same, type Target } from '../target.ts';
import { TurnClock } from '../../support/turn-clock.ts';

const REQUESTS: Readonly<Record<string, { type: string; seed: string }>> = {
  Push: {
    type: 'PushRequest',
    seed: '{"push":{"target":{"all":true,"where":{"a":[1]}},"route":"onX","body":{"json":{"b":null}},"delivery":"DELIVERY_LATEST","latestKey":"k","expires_in":"1s"},"wait":"0.25s"}',
  },
  Kick: {
    type: 'KickRequest',
    seed: '{"target":{"sids":["g.1"],"exceptUids":["bob"]},"close":{"reason":"x","code":4,"retryAfter":"3s"}}',
  },
  Bind: { type: 'BindRequest', seed: '{"sid":"g.1","uid":"ann"}' },
  SetData: {
    type: 'SetDataRequest',
    seed: '{"sid":"g.1","set":{"gold":7.5,"x":{"y":[]}},"if_version":"3"}',
  },
  ListSessions: {
    type: 'ListSessionsRequest',
    seed: '{"target":{"uids":["é"]},"limit":5,"page_token":"g.2"}',
  },
};
const messages = new JsonMessages('pith.v1.Control');

/** The first line names the method. */
const control: Target = {
  name: 'control-json',
  drives: ['control/json-messages.ts JsonMessages', 'control/requests.ts readRequest'],
  forms: ['json'],
  seeds: Object.entries(REQUESTS).map(([method, { seed }]) => `${method}\n${seed}`),
  run(input) {
    const text = input.toString();
    const [name = ''] = text.split('\n', 1);
    const method = Object.hasOwn(REQUESTS, name) ? name : 'Push';
    const json = text.slice(name.length + 1);
    const bytes = orError(() => messages.request(method, json), GatewayError);
    if (bytes instanceof GatewayError) {
      check(
        bytes.reason === 'BAD_BODY' || bytes.reason === 'BAD_ARGUMENT',
        'it is the body that is wrong',
        bytes.reason,
      );
      return;
    }
    if (bytes instanceof Error) return;
    const read = orError(() => readRequest(method, bytes, CONVERT_BYTES), GatewayError);
    check(!(read instanceof Error), 'what is right as JSON is right as bytes', read);
    if (json === '' || json.includes('__proto__')) return;
    const theirs = orError(
      () => bytesOfJson(REQUESTS[method]!.type, JSON.parse(json) as never),
      Error,
    );
    // Where JavaScript changes no number, the library alone makes the same of it.
    if (!(theirs instanceof Error) && !/[0-9]{16}|[0-9][eE.]|-0/.test(json))
      same(bytes.toString('hex'), theirs.toString('hex'), 'the bytes are those of the library');
  },
};

const controlBytes: Target = {
  name: 'control-protobuf',
  drives: ['control/requests.ts readRequest'],
  forms: ['protobuf'],
  seeds: Object.entries(REQUESTS).map(([, { type, seed }]) =>
    bytesOfJson(type, JSON.parse(seed) as never),
  ),
  run(input) {
    for (const method of [...Object.keys(REQUESTS), 'Unbind', 'GetSession', 'constructor']) {
      const read = orError(() => readRequest(method, input, CONVERT_BYTES), GatewayError);
      if (read instanceof GatewayError)
        same(read.reason, 'BAD_ARGUMENT', 'it is the request that is wrong');
    }
  },
};

const attach = new AttachJson();
type Seen = { what: string; id: number; held: unknown };

function recorder(into: Seen[]): FrameHandler {
  const put = (what: string, id: number, held: unknown): void => void into.push({ what, id, held });
  return {
    convertBytesMax: CONVERT_BYTES,
    onHello: (hello, features) => put('hello', 0, { hello, features }),
    onReply: (id, reply) => put('reply', id, decodeReply(reply, CONVERT_BYTES)),
    onConnect: (id, connect) => put('connect', id, decodeConnectResponse(connect, CONVERT_BYTES)),
    onPush: (id, push) => put('push', id, push),
    onVerb: (id, verb) => put('verb', id, verb),
    onCredit: (credit) => put('credit', 0, credit),
    onGoaway: (reason) => put('goaway', 0, reason),
    onExtend: (id, ms) => put('extend', id, ms),
  };
}

const clock = new TurnClock();
const wheel = new TimerWheel(clock);

/** The same as one of two messages that come on a socket. */
function readInTurns(input: Buffer): Seen[] {
  const seen: Seen[] = [];
  const reader = new JsonFrameReader(
    attach,
    {
      isPaused: false,
      hold: () => {},
      readOn: () => {},
      take: ({ bytes }) => readToGateway(bytes, recorder(seen)),
      fail: (error) => {
        throw error;
      },
    },
    wheel,
  );
  reader.take(input);
  reader.take(Buffer.from('{"frames":[]}'));
  clock.settle();
  return seen;
}

/** Bodies in JSON may be written in another form, which is the same value. */
function withValues(seen: readonly Seen[]): unknown {
  return JSON.parse(
    JSON.stringify(seen, (key, value: unknown) => {
      const isBody =
        (key === 'body' || key === 'bytes' || key === 'held') &&
        value !== null &&
        typeof value === 'object' &&
        (value as { type?: string }).type === 'Buffer';
      if (!isBody) return value;
      const text = Buffer.from((value as { data: number[] }).data).toString();
      try {
        return { value: JSON.parse(text) as unknown };
      } catch {
        return { text };
      }
    }),
  );
}

const FRAMES = [
  '{"frames":[{"id":1,"reply":{"body":{"json":{"a":[1.0,"é😀"]}},"pushes":[{"route":"r","body":{"text":"x"}}]}},{"goaway":{"reason":"x"}}]}',
  '{"frames":[{"hello":{"instance":"i","features":["credit"]}},{"id":2,"reply":{"error":{"code":402,"body":{"json":"😀"}}}}]}',
  '{"frames":[{"id":"3","push":{"target":{"all":true},"route":"r","body":{"json":null}}},{"id":4,"verb":{"patch":{"set":{"n":9007199254740993}}}},{"id":5,"connect":{"accept":{}}}]}',
  '{"x":1,"frames":[ {"credit":{"frames":5}} , {"unknown":1},{"id":6,"extend":{"timeout":"3s"}}]}',
  // The body of an error, with a character that may be written in two ways.
  '{"frames":[{"id":0,"reply":{"error":{"code":7,"body":{"json":["😀"]}}}}]}',
  '{"frames":[]}',
];

const attachJson: Target = {
  name: 'attach-json',
  drives: [
    'control/attach-json.ts AttachJson',
    'control/attach-json.ts FramesInJson',
    'control/attach-reader.ts JsonFrameReader',
  ],
  forms: ['json'],
  seeds: FRAMES,
  steps: { base: 100_000, perByte: 3_000 },
  run(input) {
    // What is no UTF-8 ends the WebSocket.
    if (!isUtf8(input)) return;
    const seen: Seen[] = [];
    const refused: unknown[] = [];
    const failed = orError(() => {
      const frames = attach.open(input);
      for (let turns = 0; !frames.isAtEnd; turns++) {
        const turn = attach.toGateway(frames);
        readToGateway(turn.bytes, recorder(seen));
        refused.push(...turn.refused);
        check(turns * FRAMES_PER_TURN <= input.length, 'each turn takes frames', turns);
      }
    }, AttachJsonError);
    if (failed instanceof AttachJsonError) {
      check(failed.message !== '', 'an error says what is wrong');
      return;
    }
    same(
      JSON.stringify(readInTurns(input)),
      JSON.stringify(seen),
      'the reader of a socket reads the same',
    );
    const size = sizeOfJson(input)!;
    check(seen.length + refused.length <= size.values, 'there are not more frames than values');
    if (refused.length > 0) return;
    // The library takes the whole message at once; what it does not take, ours may have refused frame by frame.
    const text = input.toString();
    if (/__proto__|[0-9]{16}|[0-9][eE.]|-0/.test(text)) return;
    const theirs = orError(() => bytesOfJson('ToGateway', JSON.parse(text) as never), Error);
    if (theirs instanceof Error) return;
    const expected: Seen[] = [];
    if (orError(() => readToGateway(theirs, recorder(expected)), WireError) instanceof Error)
      return;
    if ([...seen, ...expected].some(({ held }) => isBadReply(held))) return;
    same(
      withValues(seen),
      withValues(expected),
      'the frames are those that the library makes of it',
    );
  },
};

function isBadReply(held: unknown): boolean {
  return (
    (held as Partial<Reply> | null)?.failure?.reason === 'BAD_REPLY' ||
    (held as Partial<Failure> | null)?.reason === 'BAD_REPLY' ||
    JSON.stringify(held ?? null).includes('"fault"')
  );
}

const ports: Target = {
  name: 'control-callers',
  drives: ['control/caller.ts refusedCaller', 'control/reflection.ts answerReflection'],
  forms: ['lines', 'text'],
  bytesMax: 400,
  seeds: [
    '127.0.0.1:9100\nhttp://127.0.0.1:9100',
    'localhost\n',
    '[::1]:80\nhttp://evil',
    'pith.v1.Control\nx',
    '.pith.v1.Backend.Handle\npith/v1/backend.proto',
    'a.b:1\nhttp://a.b:1',
  ],
  steps: { base: 1_000_000, perByte: 1_000 },
  allocated: { base: 4_000_000 },
  run(input) {
    const [host = '', origin = ''] = input.toString('latin1').split('\n');
    const why = refusedCaller(origin === '' ? { host } : { host, origin });
    if (why === null) {
      check(
        /^(?:\[[0-9a-f:.%]+\]|[0-9.]+|localhost)(?::[0-9]*)?$/i.test(host),
        'only addresses may call',
        host,
      );
      check(
        origin === '' || origin === `http://${host}`,
        'only pages of the same place may call',
        origin,
      );
    } else check(why.length < 400, 'a refusal is short', why.length);
    for (const request of [
      { messageRequest: 'fileContainingSymbol', fileContainingSymbol: host, host },
      { messageRequest: 'fileByFilename', fileByFilename: origin, host },
      { messageRequest: host, host },
    ])
      check(Object.keys(answerReflection(request, ['a.B'])).length === 3, 'there is one answer');
  },
};

export const targets: readonly Target[] = [control, controlBytes, attachJson, ports];
