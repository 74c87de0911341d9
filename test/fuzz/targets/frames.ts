/** What backends send in protobuf: frames, replies, and each part of them; beside @bufbuild/protobuf, and beside JSON. */
import {
  type FrameHandler,
  readToGateway,
  ToGatewayReader,
} from '../../../src/contract/backend-frames.ts';
import type { Push, Reply, Target as Sessions } from '../../../src/contract/commands.ts';
import { cursorText } from '../../../src/contract/cursor.ts';
import {
  readClose,
  readConnectResponse,
  readError,
  readPatch,
  readTarget,
} from '../../../src/contract/json-shapes.ts';
import {
  decodeClose,
  decodeConnectResponse,
  decodeError,
  decodePatch,
  decodePush,
  decodeReply,
  decodeTarget,
} from '../../../src/contract/protobuf-shapes.ts';
import { WireError, WireReader } from '../../../src/contract/protobuf-wire.ts';
import { decodeStruct, encodeStruct } from '../../../src/contract/struct.ts';
import { CONVERT_BYTES } from '../../../src/protocol/conversion-limit.ts';
import { readAttachHello } from '../../../src/upstream/dial-in/attach-hello.ts';
import { bytesOfJson, rewritten } from '../contract.ts';
import { check, orError, same, type Target } from '../target.ts';

const BODIES = [
  { text: '{"a":1}' },
  { bytes: 'e30=' },
  { json: { a: [1, null, 'x', { b: -1.5 }] } },
];
const TARGET = { sids: ['g-1.1'], uids: ['ann'], groups: ['g'], all: true, except_sids: ['x.2'], except_uids: ['bob'], where: { k: [1, { x: null }] }, scope: 'SCOPE_LOCAL' }; // prettier-ignore
const PATCH = {
  uid: 'ann',
  set: { gold: 7, inner: { a: [true] } },
  join: ['g'],
  leave: ['h'],
  if_version: '3',
};
const CLOSE = { reason: 'bye', code: -1, kick: true, retry_after: '1.5s' };
const ERROR = { code: 402, reason: 'TOO_POOR', message: 'no', retry_after: '3s', fields: { 'a.b': 'x' }, body: { text: '{"code":402}' } }; // prettier-ignore
const PUSH = { target: TARGET, route: 'onX', body: BODIES[0]!, delivery: 'DELIVERY_LATEST', latest_key: 'k', expires_in: '2s', after_reply: true, cursor: 'k3.7' }; // prettier-ignore
const REPLIES = [
  { body: BODIES[0]! },
  {
    body: BODIES[2]!,
    patch: PATCH,
    pushes: [PUSH, { route: 'onY', body: BODIES[1]! }],
    close: CLOSE,
    from: 'k3.6',
  },
  { error: ERROR },
];
const FRAMES = [
  {
    hello: {
      instance: 'one',
      version: '1',
      features: ['credit', 'x'],
      max_in_flight: 9,
      backend: 'b',
      token: 't',
    },
  },
  { id: 1, reply: REPLIES[1]! },
  { id: 2, connect: { accept: { patch: PATCH, user: { a: 1 }, expires_in: '90s' } } },
  { id: 3, push: PUSH },
  { id: 4, verb: { target: TARGET, patch: PATCH } },
  { id: 4_294_967_295, verb: { target: TARGET, close: CLOSE } },
  { credit: { frames: 5, bytes: 70_000 } },
  { goaway: { reason: 'deploy' } },
  { id: 5, extend: { timeout: '2.000000001s' } },
];

type Read = { what: string; id: number; value: unknown };

function recorder(into: Read[], takesBodies = false): FrameHandler {
  const put = (what: string, id: number, value: unknown): void => {
    into.push({ what, id, value });
  };
  return {
    convertBytesMax: CONVERT_BYTES,
    onHello: (hello, features) => put('hello', 0, { ...hello, features }),
    onReply: (id, reply) => put('reply', id, decodeReply(reply, CONVERT_BYTES)),
    onConnect: (id, connect) => put('connect', id, decodeConnectResponse(connect, CONVERT_BYTES)),
    onPush: (id, push, bytes) => put('push', id, { push, bytes }),
    onVerb: (id, verb, bytes) => put('verb', id, { verb, bytes }),
    onCredit: (credit) => put('credit', 0, credit),
    onGoaway: (reason) => put('goaway', 0, reason),
    onExtend: (id, ms) => put('extend', id, ms),
    ...(takesBodies && { onBody: (id: number, body: Buffer) => put('reply', id, body) }),
  };
}

const frames: Target = {
  name: 'frames',
  drives: [
    'contract/backend-frames.ts ToGatewayReader',
    'contract/backend-frames.ts readToGateway',
  ],
  forms: ['protobuf'],
  seeds: [
    bytesOfJson('ToGateway', { frames: FRAMES }),
    ...FRAMES.map((frame) => bytesOfJson('ToGateway', { frames: [frame] })),
    ...REPLIES.map((reply) => bytesOfJson('ToGateway', { frames: [{ id: 7, reply }] })),
  ],
  run(input) {
    const read: Read[] = [];
    const whole = orError(() => readToGateway(input, recorder(read, true)), WireError);
    const one: Read[] = [];
    const reader = new ToGatewayReader(input);
    const again = orError(() => {
      let before = 0;
      while (reader.readFrame(recorder(one))) {
        check(reader.position > before && reader.position <= input.length, 'each frame moves on');
        before = reader.position;
      }
    }, WireError);
    same(
      [again instanceof Error, one],
      [whole instanceof Error, read],
      'frame by frame is the same',
    );
    const theirs = rewritten('ToGateway', input);
    if (theirs === null) return;
    const canonical: Read[] = [];
    readToGateway(theirs.bytes, recorder(canonical));
    const list = (theirs.json['frames'] ?? []) as Record<string, unknown>[];
    const known = list.filter((frame) => Object.keys(frame).some((key) => key !== 'id'));
    same(
      canonical.map(({ what, id }) => [what, id]),
      known.map((frame) => {
        const what = Object.keys(frame).find((key) => key !== 'id')!;
        return [what, /^(?:hello|credit|goaway)$/.test(what) ? 0 : (frame['id'] ?? 0)];
      }),
      'as many frames, of the same kinds, with the same ids',
    );
  },
};

const attachHello: Target = {
  name: 'attach-hello',
  drives: ['upstream/dial-in/attach-hello.ts readAttachHello'],
  forms: ['protobuf'],
  seeds: [
    bytesOfJson('ToGateway', { frames: [FRAMES[0]!] }),
    bytesOfJson('ToGateway', { frames: FRAMES.slice(1, 3) }),
  ],
  run(input) {
    orError(() => readAttachHello(input), WireError);
    const theirs = rewritten('ToGateway', input);
    if (theirs === null) return;
    const [first] = (theirs.json['frames'] ?? []) as {
      hello?: { backend?: string; token?: string };
    }[];
    const { hello } = first ?? {};
    const expected =
      hello === undefined ? null : { backend: hello.backend ?? '', token: hello.token ?? '' };
    same(readAttachHello(theirs.bytes), expected, 'the hello of the first frame');
  },
};

/** Where the forms of the contract are known not to say the same. */
function isOdd(json: unknown): boolean {
  const text = JSON.stringify(json);
  // JavaScript's objects cannot hold it where the library builds them.
  // A negative time is refused in JSON, and none in protobuf.
  return (
    text.includes('__proto__') || /"-[0-9.]+s"/.test(text) || /"if_version":"[0-9]{16,}"/.test(text)
  );
}

/** As JSON, with the fields in one order. */
function plain(value: object | null): unknown {
  const json = JSON.parse(JSON.stringify(value)) as object | null;
  return json === null ? null : Object.entries(json).toSorted(([a], [b]) => (a < b ? -1 : 1));
}

/** A target with nothing in it that says nothing. `local` is not in JSON. */
function namesOf(target: Sessions): unknown {
  const { local: _, ...rest } = target;
  const entries = Object.entries(rest).filter(
    ([, value]) =>
      value !== undefined && value !== false && !(Array.isArray(value) && value.length === 0),
  );
  return plain(Object.fromEntries(entries));
}

/** A message that ours reads from protobuf and from JSON: it is the same in both. */
function shape<T extends object>(options: {
  readonly name: string;
  readonly message: string;
  readonly drives: readonly string[];
  readonly seeds: readonly object[];
  readonly decode: (reader: WireReader) => T;
  readonly read: (json: Record<string, unknown>) => T;
  readonly normal?: (value: T) => unknown;
}): Target {
  const { name, message, drives, seeds, decode, read, normal = plain } = options;
  return {
    name,
    drives,
    forms: ['protobuf'],
    seeds: seeds.map((seed) => bytesOfJson(message, seed as never)),
    run(input) {
      orError(() => decode(new WireReader(input)), WireError);
      // From the middle of other bytes.
      const around = Buffer.concat([Buffer.from([0xff]), input, Buffer.from([0x08, 0x01])]);
      const within = orError(() => decode(new WireReader(around, 1, 1 + input.length)), WireError);
      const alone = orError(() => decode(new WireReader(input)), WireError);
      same(
        within instanceof Error ? 'error' : within,
        alone instanceof Error ? 'error' : alone,
        'the bytes around it do not count',
      );
      const theirs = rewritten(message, input);
      if (theirs === null || isOdd(theirs.json)) return;
      const ours = decode(new WireReader(theirs.bytes));
      same(normal(ours), normal(read(theirs.json)), 'the same from protobuf and from JSON');
    },
  };
}

const patch = shape({
  name: 'patch',
  message: 'Patch',
  drives: ['contract/protobuf-shapes.ts decodePatch', 'contract/json-shapes.ts readPatch'],
  seeds: [PATCH, { uid: '' }, { set: {} }],
  decode: (reader) => decodePatch(reader, CONVERT_BYTES),
  read: readPatch,
  normal: (value) =>
    value.fault === undefined ? plain({ ...value, ifVersion: value.ifVersion ?? 0 }) : 'fault',
});

const close = shape({
  name: 'close',
  message: 'Close',
  drives: [
    'contract/protobuf-shapes.ts decodeClose',
    'contract/json-shapes.ts readClose',
    'contract/protobuf-wire.ts decodeDurationMs',
    'contract/protobuf-wire.ts decodeSignedMs',
  ],
  seeds: [CLOSE, {}],
  decode: decodeClose,
  read: readClose,
});

const error = shape({
  name: 'error',
  message: 'Error',
  drives: ['contract/protobuf-shapes.ts decodeError', 'contract/json-shapes.ts readError'],
  seeds: [ERROR, { code: 0 }, { body: BODIES[2]! }],
  decode: (reader) => decodeError(reader, CONVERT_BYTES),
  read: readError,
});

const target = shape({
  name: 'target',
  message: 'Target',
  drives: ['contract/protobuf-shapes.ts decodeTarget', 'contract/json-shapes.ts readTarget'],
  seeds: [TARGET, {}, { where: {} }],
  decode: (reader) => decodeTarget(reader, CONVERT_BYTES),
  read: readTarget,
  normal: namesOf,
});

const connectResponse = shape({
  name: 'connect-response',
  message: 'ConnectResponse',
  drives: [
    'contract/protobuf-shapes.ts decodeConnectResponse',
    'contract/json-shapes.ts readConnectResponse',
  ],
  seeds: [
    { accept: { patch: PATCH, user: { a: { b: [] } }, expires_in: '90.5s' } },
    { error: ERROR },
    { accept: {} },
  ],
  decode: (reader) => decodeConnectResponse(reader, CONVERT_BYTES),
  read: (json) => readConnectResponse(Buffer.from(JSON.stringify(json))),
  normal: (value) => {
    if ('code' in value) return plain(value);
    const { patch: own } = value;
    return plain({
      ...value,
      patch: own && plain({ ...own, ifVersion: own.ifVersion ?? 0 }),
    });
  },
});

/** A body of the contract in JSON, as the client gets it. */
function bodyOf(json: unknown): string {
  const body = (json ?? {}) as { bytes?: string; text?: string; json?: unknown };
  if (body.bytes !== undefined) return Buffer.from(body.bytes, 'base64').toString('latin1');
  if (body.text !== undefined) return Buffer.from(body.text).toString('latin1');
  return Object.hasOwn(body, 'json') ? JSON.stringify(body.json) : '';
}

/** As `bodyOf`, of what ours read; JSON is compared as a value. */
function bytesOf(body: Uint8Array | null, json: unknown): string {
  const text = Buffer.from(body ?? []);
  const isJson = Object.hasOwn((json ?? {}) as object, 'json');
  return isJson ? JSON.stringify(JSON.parse(text.toString())) : text.toString('latin1');
}

type PushJson = { target?: object; route?: string; body?: unknown; delivery?: string; latest_key?: string; after_reply?: boolean; cursor?: string }; // prettier-ignore

function samePush(ours: Push, json: PushJson): void {
  if (ours.fault !== undefined) return;
  same(
    [ours.route, ours.delivery, ours.latestKey, ours.afterReply, bytesOf(ours.body, json.body)],
    [
      json.route ?? '',
      (json.delivery ?? 'DELIVERY_MUST').slice(9).toLowerCase(),
      json.latest_key ?? '',
      json.after_reply ?? false,
      bodyOf(json.body),
    ],
    'the fields of a push',
  );
  same(ours.cursor === undefined ? '' : cursorText(ours.cursor), json.cursor ?? '', 'the cursor');
  same(
    ours.target === null ? null : namesOf(ours.target),
    json.target === undefined ? null : namesOf(readTarget(json.target)),
    "a push's target",
  );
}

const push: Target = {
  name: 'push',
  drives: ['contract/protobuf-shapes.ts decodePush', 'contract/protobuf-shapes.ts decodeBody'],
  forms: ['protobuf'],
  seeds: [PUSH, ...BODIES.map((body) => ({ route: 'r', body }))].map((one) =>
    bytesOfJson('Push', one as never),
  ),
  run(input) {
    orError(() => decodePush(new WireReader(input), CONVERT_BYTES), WireError);
    orError(() => decodePush(new WireReader(input), 16), WireError);
    const theirs = rewritten('Push', input);
    if (
      theirs === null ||
      isOdd(theirs.json) ||
      /"delivery":-?[0-9]/.test(JSON.stringify(theirs.json))
    )
      return;
    samePush(decodePush(new WireReader(theirs.bytes), CONVERT_BYTES), theirs.json);
  },
};

const reply: Target = {
  name: 'reply',
  drives: ['contract/protobuf-shapes.ts decodeReply'],
  forms: ['protobuf'],
  seeds: REPLIES.map((one) => bytesOfJson('Reply', one as never)),
  run(input) {
    orError(() => decodeReply(new WireReader(input), CONVERT_BYTES), WireError);
    const theirs = rewritten('Reply', input);
    if (
      theirs === null ||
      isOdd(theirs.json) ||
      /"delivery":-?[0-9]/.test(JSON.stringify(theirs.json))
    )
      return;
    const { json } = theirs;
    const ours = decodeReply(new WireReader(theirs.bytes), CONVERT_BYTES);
    if (ours instanceof Uint8Array) {
      check(
        Object.keys(json).every((key) => key === 'body'),
        'a body alone is all that there is',
      );
      same(bytesOf(ours, json['body']), bodyOf(json['body']), 'the body');
      return;
    }
    const mayBeBad = json['error'] === undefined || json['from'] !== undefined;
    if (ours.failure?.reason === 'BAD_REPLY' && mayBeBad) return;
    sameReply(ours, json);
  },
};

function sameReply(ours: Reply, json: Record<string, unknown>): void {
  same(bytesOf(ours.body, json['body']), bodyOf(json['body']), 'the body');
  same(
    plain(ours.failure),
    json['error'] === undefined ? null : plain(readError(json['error'] as never)),
    'the error',
  );
  same(
    plain(ours.close),
    json['close'] === undefined ? null : plain(readClose(json['close'] as never)),
    'the close',
  );
  same(ours.from === undefined ? '' : cursorText(ours.from), json['from'] ?? '', 'the from');
  same(ours.patch === null, json['patch'] === undefined, 'there is a patch');
  const pushes = (json['pushes'] ?? []) as PushJson[];
  same(ours.pushes.length, pushes.length, 'as many pushes');
  for (const [i, one] of ours.pushes.entries()) samePush(one, pushes[i]!);
}

const struct: Target = {
  name: 'struct',
  drives: [
    'contract/struct.ts decodeStruct',
    'contract/struct.ts decodeJsonValue',
    'contract/struct.ts encodeStruct',
    'contract/protobuf-wire.ts WireReader',
  ],
  forms: ['protobuf'],
  seeds: [
    { a: 1, b: 'x', c: null, d: true, e: [1, 'y', [], {}], f: { g: { h: -0.5 } }, '': '' },
  ].map((set) => bytesOfJson('Patch', { set }).subarray(2)),
  run(input) {
    const read = orError(() => decodeStruct(new WireReader(input)), WireError);
    if (read instanceof Error) return;
    const text = JSON.stringify(read);
    const written = encodeStruct(read);
    same(JSON.stringify(decodeStruct(new WireReader(written))), text, 'decode(encode(x)) = x');
    const theirs = rewritten(
      'Patch',
      Buffer.concat([Buffer.from([0x12]), lengthOf(written), written]),
    );
    if (theirs === null || isOdd(theirs.json)) return;
    // JSON.stringify makes 0 of the -0 that ours keeps.
    same(
      theirs.json['set'] ?? {},
      JSON.parse(text.replaceAll(/(?<=[:[,])-0(?=[,\]}])/g, '0')),
      'what is written is read by the library',
    );
  },
};

function lengthOf(bytes: Buffer): Buffer {
  const groups: number[] = [];
  let rest = bytes.length;
  for (; rest > 0x7f; rest >>>= 7) groups.push((rest & 0x7f) | 0x80);
  return Buffer.from([...groups, rest]);
}

export const targets: readonly Target[] = [frames, attachHello, patch, close, error, target, connectResponse, push, reply, struct]; // prettier-ignore
