/** Headers in NATS and HTTP, what other gateways send, and what a refusal means to a client. */
import { readPeerPush, peerPushHeaders } from '../../../src/bus/peer-push-codec.ts';
import { readClaim, readHeld } from '../../../src/bus/claims.ts';
import { readKept } from '../../../src/bus/kept-push.ts';
import { readAlive, readLost } from '../../../src/bus/gateway-events.ts';
import { readFailure as readPeerFailure, readPeerReply } from '../../../src/bus/peer-reply.ts';
import { compareSids, readPage } from '../../../src/bus/session-pages.ts';
import type { Push } from '../../../src/contract/commands.ts';
import { cursorText, readCursor, readPushCursor } from '../../../src/contract/cursor.ts';
import {
  decodeValue,
  encodeJsonValue,
  encodeValue,
  type Headers,
  readable,
  readClose,
  readFailure,
  readFrom,
  readPatch,
  readPush,
} from '../../../src/contract/headers.ts';
import { deliveryOf, ShapeError } from '../../../src/contract/json.ts';
import { readObject, readTarget, targetJson } from '../../../src/contract/json-shapes.ts';
import { isPubAck } from '../../../src/contract/pub-ack.ts';
import {
  errorFields,
  FIELDS_MAX,
  REASON_CHARACTERS_MAX,
  refusal,
  RETRY_AFTER_MS_MAX,
  speaks,
  TEXT_CHARACTERS_MAX,
} from '../../../src/contract/refusal.ts';
import {
  HeaderBlock,
  linesOf,
  readBlock,
  readHeaders,
} from '../../../src/upstream/nats/header-block.ts';
import type { NatsMessage } from '../../../src/upstream/nats/nats-connection.ts';
import { answersTo, encodeToken, Subjects } from '../../../src/upstream/nats/subjects.ts';
import { anyText } from '../fresh.ts';
import { check, orError, same, type Target } from '../target.ts';

/** As the client library would hand it over. */
export function natsMessage(
  subject: string,
  block: Uint8Array,
  data: Uint8Array,
  reply = '',
): NatsMessage {
  const rdata = Buffer.concat([block, data]);
  return {
    subject,
    reply,
    data: rdata.subarray(block.length),
    _msg: { hdr: block.length },
    _rdata: rdata,
  };
}

const values: Target = {
  name: 'header-values',
  drives: [
    'contract/headers.ts decodeValue',
    'contract/headers.ts encodeValue',
    'contract/headers.ts readable',
    'contract/headers.ts encodeJsonValue',
  ],
  forms: ['text', 'bytes'],
  seeds: [
    'ann',
    '%41%zz%',
    'zo%C3%AB',
    '%E4%BD%A0%00',
    'a b',
    '100%',
    '%25%32%35',
    Buffer.from('c3a9ff', 'hex'),
  ],
  tokens: ['%', '%25', '%C3%A9', '%ff'],
  fresh: anyText(),
  run(input) {
    const text = input.toString().toWellFormed();
    const encoded = encodeValue(text);
    check(/^[\x21-\x7e]*$/.test(encoded), 'an encoded value is printable ASCII');
    same(decodeValue(encoded), text, 'decode(encode(x)) = x');
    const raw = input.toString('latin1');
    const decoded = decodeValue(raw);
    check(Buffer.byteLength(decoded) <= Buffer.byteLength(raw), 'decoding makes nothing longer');
    if (decoded !== raw)
      check(raw.includes('%') && decoded.isWellFormed(), 'only escapes are decoded, to UTF-8');
    const whole = readable(raw);
    check(
      whole === raw || Buffer.from(whole).equals(Buffer.from(raw, 'latin1')),
      'readable changes how bytes are read, and none of them',
    );
    same(
      JSON.parse(decodeValue(encodeJsonValue(text))),
      text,
      'JSON in a header is the same value',
    );
  },
};

const BLOCKS = [
  'NATS/1.0\r\nPith-Route: onX\r\nPith-Delivery: latest\r\nPith-Latest-Key: k%20k\r\nPith-Expires-Ms: 10\r\n\r\n',
  'NATS/1.0\r\nPith-Bind: ann\r\nPith-Set: {"gold":7}\r\nPith-Join: ["g"]\r\nPith-Leave: ["h"]\r\nPith-If-Version: 3\r\nPith-Close: bye\r\n\r\n',
  'NATS/1.0\r\nNats-Service-Error-Code: 402\r\nNats-Service-Error: too poor\r\nPith-Error-Reason: TOO_POOR\r\n\r\n',
  'NATS/1.0\r\nPith-Route: onX\r\nPith-Cursor: k3.7\r\nPith-From: k3.6\r\n\r\n',
  'NATS/1.0 503 no responders\r\n\r\n',
  'NATS/1.0\r\nPith-Route:a\r\nno colon\r\npith-route: b\r\n\r\n',
  'NATS/1.0\r\nPith-Route: onX\r\nPith-Except-Sids: ["a.1"]\r\nPith-Except-Uids: ["ann"]\r\nPith-Where: {"a":1}\r\nPith-Target: {"all":true}\r\n\r\n',
];

/** By the pages: `name: value` lines, the first of a name counts; ours are decoded. null: refused. */
function expectedHeaders(block: Buffer): Map<string, string> | null {
  const whole = block.toString('utf8');
  const text = Buffer.from(whole).equals(block) ? whole : block.toString('latin1');
  const lines = text.split('\r\n');
  if (lines.pop() !== '' || !text.startsWith('NATS/1.0')) return null;
  const read = new Map<string, string>();
  const rest = lines.slice(1);
  for (const [i, line] of rest.entries()) {
    if (line !== '' && i >= 256) return null;
    const at = line.indexOf(':');
    if (at < 0) continue;
    const shown = text === whole ? line : readable(line);
    const name = shown.slice(0, shown.indexOf(':')).toLowerCase();
    if (/[^\x21-\x7e]/.test(name) || /[\r\n]/.test(shown)) return null;
    const value = Buffer.from(shown.slice(shown.indexOf(':') + 1).trim()).toString();
    if (!read.has(name)) read.set(name, name.startsWith('pith-') ? decodeValue(value) : value);
  }
  return read;
}

const block: Target = {
  name: 'header-block',
  drives: [
    'upstream/nats/header-block.ts readBlock',
    'upstream/nats/header-block.ts readHeaders',
    'contract/headers.ts readPatch',
    'contract/headers.ts readClose',
    'contract/headers.ts readFailure',
    'contract/headers.ts readFrom',
    'contract/headers.ts readPush',
  ],
  forms: ['lines', 'text'],
  seeds: BLOCKS,
  tokens: ['\r\n', ': ', 'Pith-', '%'],
  run(input) {
    const read = orError(() => readBlock(input), ShapeError);
    const message = natsMessage('s', input, Buffer.from('{}'));
    const again = input.length === 0 ? read : orError(() => readHeaders(message), ShapeError);
    same(again instanceof Error, read instanceof Error, 'a message has the headers of its block');
    const expected = expectedHeaders(input);
    check(
      read instanceof Error === (expected === null),
      'only what the page refuses is refused',
      read,
    );
    if (read instanceof Error) return;
    same([...read], [...expected!], 'the headers are those of the lines');
    readAll(read, Buffer.from('{"code":7}'));
    const plain = [...read]
      .filter(([name]) => name !== '')
      .flatMap(([name, value]) => [name, encodeValue(value.toWellFormed())]);
    if (plain.length > 512 || [...read.values()].some((value) => !value.isWellFormed())) return;
    const written = new HeaderBlock(linesOf(plain)).encode();
    const ours = [...readBlock(Buffer.from(written))].filter(([name]) => name.startsWith('pith-'));
    same(
      ours,
      [...read].filter(([name]) => name.startsWith('pith-')),
      'read(write(x)) = x for our headers',
    );
  },
};

/** What a sender may write before the lines that JetStream adds. */
const kept: Target = {
  name: 'kept-push',
  drives: ['bus/kept-push.ts readKept', 'upstream/nats/header-block.ts streamLines'],
  forms: ['lines', 'bytes'],
  seeds: [
    'Pith-Route: onMail\r\nNats-Msg-Id: 7\r\n',
    'Pith-Route: onMail\r\nNats-Stream: X\r\nNats-Sequence: 900\r\nNats-Num-Pending: 9\r\n',
    'Pith-Route: a\r\nNats-Time-Stamp: 2026-01-01T00:00:00Z\r\n\r\n',
    'Nats-Sequence: -1\r\nNats-Sequence: 99999999999999999999\r\n',
  ],
  tokens: ['Nats-Stream: ', 'Nats-Sequence: ', 'Nats-Num-Pending: ', 'Nats-Last-Sequence: '],
  run(input) {
    readKept(natsMessage('s', input, Buffer.from('{}')));
    const added =
      'Nats-Stream: S\r\nNats-Subject: pith.keep.user.a\r\nNats-Sequence: 7\r\n' +
      'Nats-Time-Stamp: 2026-01-02T03:04:05.678901234Z\r\nNats-Last-Sequence: 3\r\n\r\n';
    const whole = [
      'NATS/1.0\r\n',
      input,
      input.subarray(-2).equals(Buffer.from('\r\n')) ? '' : '\r\n',
      added,
    ];
    const message = natsMessage('s', Buffer.concat(whole.map((part) => Buffer.from(part))), input);
    const read = readKept(message);
    same(
      [read?.seq, read?.previous, read?.pending, read?.storedAtWall],
      [7, 3, -1, Date.UTC(2026, 0, 2, 3, 4, 5, 678)],
      'the numbers are those of the stream, whatever a sender writes',
    );
  },
};

function readAll(headers: Headers, body: Buffer): void {
  orError(() => readPatch(headers), ShapeError);
  readClose(headers);
  readFailure(headers, body);
  orError(() => readFrom(headers), ShapeError);
  orError(() => readPush(headers, body), ShapeError);
}

const cursor: Target = {
  name: 'cursor',
  drives: ['contract/cursor.ts readCursor', 'contract/cursor.ts readPushCursor'],
  forms: ['text'],
  seeds: [
    'k3.7',
    'a-B_9.0',
    'e.9007199254740991',
    'e.9007199254740992',
    'e.01',
    '.1',
    'e.',
    'a.b.1',
  ],
  tokens: ['.', '0', '9007199254740991'],
  run(input) {
    const text = input.toString();
    const read = orError(() => readCursor(text, 'it'), ShapeError);
    const isOne = /^[\w-]{1,64}\.(0|[1-9]\d{0,15})$/.test(text) && !text.endsWith('\n');
    const isSafe = isOne && BigInt(text.slice(text.indexOf('.') + 1)) < 2n ** 53n;
    same(read instanceof Error, !isSafe, 'only a cursor is read');
    if (read instanceof Error) return;
    same(cursorText(read), text, 'write(read(x)) = x');
    const ofPush = orError(() => readPushCursor(text, 'it'), ShapeError);
    same(ofPush instanceof Error, read.n === 0, 'a push counts from 1');
  },
};

const peerPush: Target = {
  name: 'peer-push',
  drives: ['bus/peer-push-codec.ts readPeerPush', 'contract/json-shapes.ts readObject'],
  forms: ['json'],
  seeds: [
    '{"target":{"sids":["g-1.1"],"uids":["ann"],"groups":["g"],"except_sids":["x.1"],"except_uids":["é"],"where":{"a":[1,{"b":null}]}},"route":"onX","delivery":"latest","latest_key":"k k","expires_ms":10}',
    '{"target":{"all":true},"route":"漢"}',
  ],
  run(input) {
    const asked = orError(() => {
      const fields = readObject(input);
      const push: Push = {
        target: null,
        route: JSON.stringify(fields['route'] ?? '').toWellFormed(),
        body: Buffer.from('{}'),
        delivery: deliveryOf(fields['delivery'] ?? 'must', 'delivery'),
        latestKey: JSON.stringify(fields['latest_key'] ?? '').toWellFormed(),
        expiresInMs:
          typeof fields['expires_ms'] === 'number'
            ? Math.abs(Math.trunc(fields['expires_ms'])) % 1e9
            : 0,
        afterReply: false,
      };
      return { push, target: readTarget(fields['target']) };
    }, ShapeError);
    if (asked instanceof Error || asked.push.route === '') return;
    const { push, target } = asked;
    const header = peerPushHeaders(target, push, 'a-0123456789').encode();
    const read = orError(
      () => readPeerPush(natsMessage('s', header, push.body), 'b-0123456789'),
      ShapeError,
    );
    check(read !== null && !(read instanceof Error), 'what one gateway writes another reads', read);
    same(targetJson(read.target), targetJson(target), 'the target is the same');
    const { target: _read, ...rest } = read;
    const { target: _sent, ...sent } = push;
    same(rest, sent, 'the push is the same');
  },
};

const peerReply: Target = {
  name: 'peer-reply',
  drives: [
    'bus/peer-reply.ts readPeerReply',
    'bus/peer-reply.ts readFailure',
    'bus/session-pages.ts readPage',
  ],
  forms: ['json'],
  seeds: [
    '{"gateway":"g-1","delivered":3,"dropped":1,"refused":0,"closed":2,"uids":["ann"],"sids":["g.1"],"more":true,"sessions":[{"sid":"g.1"},{"sid":"g.10"},7]}',
    '{"gateway":"g","error":{"code":429,"reason":"TOO_MANY","msg":"no"}}',
    '{"gateway":"g","error":{"code":"x"},"limit":5,"page_token":"g.2"}',
  ],
  run(input) {
    const read = readPeerReply(input);
    let value: Record<string, unknown>;
    try {
      value = JSON.parse(input.toString()) as Record<string, unknown>;
    } catch {
      check(input.length === 0 || read === null, 'only JSON is read');
      return;
    }
    if (read === null) return;
    same(read.gateway, value['gateway'], 'the gateway is as it says');
    for (const name of ['delivered', 'dropped', 'refused', 'closed'] as const) {
      const count = read[name];
      if (count !== undefined)
        check(
          Number.isSafeInteger(count) && count > 0 && count === value[name],
          'a count is one',
          count,
        );
    }
    for (const name of ['uids', 'sids'] as const) {
      for (const one of read[name] ?? []) check(typeof one === 'string', 'names are texts', one);
    }
    const sids = (read.sessions ?? []).map(({ sid }) => sid);
    for (const sid of sids) check(typeof sid === 'string', 'a session has a sid', sid);
    check(compareSids('a.1', 'a.1') === 0, 'sids equal themselves');
    const failed = readPeerFailure(value['error']);
    same(read.failure ?? null, failed, 'the failure is that of the error');
    const page = orError(() => readPage(value['limit'], value['page_token']), ShapeError);
    if (!(page instanceof Error))
      check(
        page.limit >= 1 && page.limit <= 1_000 && typeof page.after === 'string',
        'a page is bounded',
        page,
      );
  },
};

const events: Target = {
  name: 'gateway-events',
  drives: ['bus/gateway-events.ts readAlive', 'bus/gateway-events.ts readLost'],
  forms: ['json'],
  seeds: [
    '{"gateway":"g-0123456789","seq":"7","sessions":3,"term":1,"started_at":"2026-01-01T00:00:00Z"}',
    '{"gateway":"g-1","term":2,"sessions":0,"last_heard":"2026-01-01T00:00:00.5Z","last_seq":9,"by":"h-2","seq":1}',
    '{"gateway":"g-1","seq":"7","sessions":3,"term":1,"started_at":"2026-01-01T00:00:00Z","generation":"pith/5c2b","age_ms":"61500","generations":[{"generation":"pith/5c2b","age_ms":"70000"}],"room":5000,"moved":{"since_ms":"9","until_ms":"8"}}',
    '{"gateway":"a.b","term":-1}',
  ],
  run(input) {
    const fields = orError(() => readObject(input), ShapeError);
    if (fields instanceof Error) return;
    const alive = orError(() => readAlive(fields), ShapeError);
    const lost = orError(() => readLost(fields), ShapeError);
    for (const read of [alive, lost]) {
      if (read instanceof Error) continue;
      check(
        /^[A-Za-z0-9_-]{1,64}$/.test(read.gateway),
        'a gateway has the id of one',
        read.gateway,
      );
      const { gateway: _, ...rest } = read;
      for (const [name, value] of Object.entries(rest))
        if (!['id', 'by', 'generation', 'generations', 'moved'].includes(name))
          check(Number.isSafeInteger(value), 'counts and times are whole', name, value);
      if ('generations' in read) {
        const ages = [...read.generations.map(({ ageMs }) => ageMs), read.moved?.sinceMs ?? 0];
        check(ages.every(Number.isSafeInteger), 'ages are whole', ages);
        check(read.generations.length <= 16, 'generations are few', read.generations.length);
      }
    }
  },
};

const claims: Target = {
  name: 'claims',
  drives: ['bus/claims.ts readClaim', 'bus/claims.ts readHeld'],
  forms: ['json'],
  seeds: [
    '{"sid":"g-1.7","uid":"ann","bound_at":1767225600000,"age_ms":5,"again":true,"floor":{"sid":"h-2.1","bound_at":1}}',
    '{"sid":"g-1.7","bound_at":-1,"held":[[1,2],[3,1e400],"x",[4]]}',
  ],
  run(input) {
    const fields = orError(() => readObject(input), ShapeError);
    if (fields instanceof Error) return;
    const claim = readClaim(fields);
    const held = readHeld('g-1', fields['held'], 3);
    check(held.length <= 3, 'no more are read than asked for', held.length);
    for (const place of [...held, ...(claim === null ? [] : [claim])]) {
      check(typeof place.sid === 'string', 'a place has a sid', place.sid);
      check(
        Number.isSafeInteger(place.boundAt) && place.boundAt >= 0,
        'a place has a time',
        place.boundAt,
      );
    }
    if (claim !== null) check(Number.isSafeInteger(claim.ageMs), 'an age is whole', claim.ageMs);
  },
};

const refused: Target = {
  name: 'refusal',
  drives: [
    'contract/refusal.ts refusal',
    'contract/refusal.ts errorFields',
    'contract/refusal.ts speaks',
  ],
  forms: ['json'],
  seeds: [
    '{"code":402,"reason":"TOO_POOR","msg":"no","retry_after_ms":5,"fields":{"a":"b"}}',
    '{"error":{"code":7,"message":"no"}}',
    ' {"x":{"code":1},"code":-5}',
    '{"code":200,"msg":"ok"}',
    '{"code":0,"reason":"😀😀"}',
    '\u0000\u0001',
  ],
  run(input) {
    const given = { code: input[0] ?? 0, otherwise: 404, reason: '', message: 'm'.repeat(2_000) };
    const failure = refusal(given, input);
    check(
      Number.isInteger(failure.code) && failure.code === (failure.code | 0) && failure.code !== 0,
      'the code is an int32, not 0',
      failure.code,
    );
    check(
      failure.reason.length <= REASON_CHARACTERS_MAX,
      'the reason is bounded',
      failure.reason.length,
    );
    check(
      failure.message.length <= TEXT_CHARACTERS_MAX,
      'the message is bounded',
      failure.message.length,
    );
    check(
      failure.retryAfterMs >= 0 && failure.retryAfterMs <= RETRY_AFTER_MS_MAX,
      'the wait is bounded',
      failure.retryAfterMs,
    );
    const texts = Object.entries(failure.fields ?? {});
    check(texts.length <= FIELDS_MAX, 'the fields are bounded');
    for (const text of [failure.reason, failure.message, ...texts.flat()])
      check(text.isWellFormed(), 'texts are well-formed');
    check(failure.body === null || failure.body === input, 'a body passes unchanged');
    let value: unknown;
    try {
      value = JSON.parse(input.toString());
    } catch {
      check(failure.body === null, 'only JSON is a body with a code');
      return;
    }
    if (typeof value !== 'object' || value === null || Array.isArray(value)) return;
    const fields = errorFields(value as Record<string, unknown>);
    if (fields.code !== undefined)
      check(speaks(input) && failure.body !== null, 'a body with a code speaks for itself');
    // What is too long to be parsed is seen the same way, if its code is an ordinary one.
    const { code } = value as { code?: unknown };
    const text = input.toString();
    const isPlain =
      (text.match(/"code"/g)?.length ?? 0) <= 1 &&
      !text.includes('\\') &&
      /^[^]*"code"\s*:\s*-?[1-9][0-9]*\s*[,}]/.test(text);
    if (typeof code !== 'number' || !isPlain) return;
    const long = Buffer.concat([input, Buffer.alloc(66_000, 0x20)]);
    same(
      refusal(given, long).body !== null,
      failure.body !== null,
      'a long body has a code if a short one has',
    );
  },
};

const ack: Target = {
  name: 'pub-ack',
  drives: ['contract/pub-ack.ts isPubAck'],
  forms: ['json'],
  seeds: [
    '{"stream":"ORDERS","seq":17,"duplicate":true}',
    '{"stream":"S","seq":1,"domain":"d","val":"x","batch":"b","count":2}',
    '{"error":{"code":503,"err_code":10077,"description":"no"},"stream":"S","seq":0}',
    '{"stream":"lobby-tv","seq":17,"viewers":3}',
  ],
  run(input) {
    const is = isPubAck(input);
    let value: unknown = null;
    try {
      value = JSON.parse(input.toString());
    } catch {
      // Then it is none.
    }
    const isMap = typeof value === 'object' && value !== null && !Array.isArray(value);
    const { stream, seq, error, ...more } = (isMap ? value : {}) as Record<string, unknown>;
    const hasError =
      typeof error === 'object' &&
      error !== null &&
      !Array.isArray(error) &&
      typeof (error as { code?: unknown }).code === 'number' &&
      typeof (error as { err_code?: unknown }).err_code === 'number';
    const expected =
      input[0] === 0x7b &&
      input.length <= 1_024 &&
      typeof stream === 'string' &&
      Number.isSafeInteger(seq) &&
      (error === undefined || hasError) &&
      Object.keys(more).every((name) =>
        ['domain', 'duplicate', 'val', 'batch', 'count'].includes(name),
      );
    // A name in escapes is never the server's.
    if (input.toString().includes('"stream"')) same(is, expected, 'exactly what a stream sends');
    else check(!is, 'an acknowledgement names its stream');
  },
};

const subjects: Target = {
  name: 'subjects',
  drives: [
    'upstream/nats/subjects.ts Subjects',
    'upstream/nats/subjects.ts answersTo',
    'upstream/nats/subjects.ts encodeToken',
  ],
  forms: ['lines', 'text'],
  seeds: [
    'pith.user.ann.push\nann',
    'pith.session.g-1.7.kick\nzoë',
    'pith.all.get\na.b',
    'pith.fleet.hello\n=YQ',
    '_INBOX.g.ask.zz\n*',
    '_INBOX.a.b\nx>',
  ],
  tokens: ['.', '*', '>', '_INBOX.', 'rpc', 'ask', '='],
  run(input) {
    const [subject = '', name = ''] = input.toString().toWellFormed().split('\n');
    const own = new Subjects('pith', 'g-1');
    const parsed = own.parse(subject);
    if (parsed !== null && subject.startsWith('pith.')) {
      const { scope, name: token, verb } = parsed;
      const again = [
        'pith',
        scope,
        ...(token === '' && (scope === 'all' || scope === 'fleet') ? [] : [token]),
        verb,
      ].join('.');
      same(again, subject, 'print(parse(x)) = x');
    }
    const token = encodeToken(name);
    check(token.length <= 130 && /^=?[A-Za-z0-9_-]*$/.test(token), 'a token is one token', token);
    if (token.startsWith('=') && !token.startsWith('=h'))
      same(Buffer.from(token.slice(1), 'base64url').toString(), name, 'a token can be decoded');
    const to = own.parse(own.everyVerb('user', name).replace(/\*$/, 'push'));
    same(to, { scope: 'user', name: token, verb: 'push' }, "a user's subject is parsed again");
    const who = answersTo(subject);
    if (who !== null) {
      check(
        subject.startsWith('_INBOX.') && !/[*>\s]/.test(subject),
        'answers go to inboxes alone',
        subject,
      );
      check(
        subject.split('.')[2] !== 'rpc' || subject.split('.').length < 4,
        'answers never go where gateways wait for backends',
        subject,
      );
    }
    const session = own.session(name, 'get');
    if (session !== null)
      same(own.parse(session), { scope: 'session', name, verb: 'get' }, 'the subject of a session');
    const id = own.answerId(subject);
    check(Number.isSafeInteger(id), 'an id is a number');
    const n = input.length;
    same(own.answerId(own.answer(n)), n, "an answer's number");
  },
};

export const targets: readonly Target[] = [
  values,
  block,
  cursor,
  peerPush,
  peerReply,
  kept,
  events,
  claims,
  refused,
  ack,
  subjects,
];
