/** Control's messages in JSON, as the methods take and give them: in bytes. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';

import { JsonMessages } from '../../../src/control/json-messages.ts';
import { sessionMessage } from '../../../src/control/answers.ts';
import { readRequest, type Request } from '../../../src/control/requests.ts';
import { encodePushed } from '../../../src/contract/gateway-frames.ts';
import { GatewayError, type Reason } from '../../../src/errors.ts';

const messages = new JsonMessages('pith.v1.Control');

function request(method: string, text: string): Request {
  return readRequest(method, messages.request(method, text), Infinity);
}

function refusal(method: string, text: string): { reason: Reason; message: string } {
  try {
    messages.request(method, text);
  } catch (error) {
    if (error instanceof GatewayError) return { reason: error.reason, message: error.message };
    throw error;
  }
  throw new Error(`${text} was taken`);
}

/** What a client gets that is pushed this body. */
function pushed(body: unknown): string {
  const text = JSON.stringify({ push: { target: { all: true }, route: 'onX', body } });
  return Buffer.from(request('Push', text).push!.body).toString();
}

describe('requests', () => {
  test('are read by the names of the .proto, and in camelCase', () => {
    const names = {
      push: {
        target: { all: true, except_sids: ['g.1'], where: { room_id: 1 } },
        route: 'onX',
        latest_key: 'k',
        delivery: 'DELIVERY_LATEST',
        expires_in: '1.5s',
      },
      wait: '0.1s',
    };
    const { target, latest_key: latestKey, expires_in: expiresIn, ...rest } = names.push;
    const { all, where, except_sids: exceptSids } = target;
    const camel = {
      push: { ...rest, target: { all, where, exceptSids }, latestKey, expiresIn },
      wait: '0.1s',
    };
    const read = request('Push', JSON.stringify(names));
    expect(request('Push', JSON.stringify(camel))).toEqual(read);
    expect(read.waitMs).toBe(100);
    expect(read.push).toEqual({
      target: {
        ...{ sids: [], uids: [], groups: [], exceptUids: [] },
        ...{ all: true, exceptSids: ['g.1'], where: { room_id: 1 } },
      },
      route: 'onX',
      body: Buffer.alloc(0),
      delivery: 'latest',
      latestKey: 'k',
      expiresInMs: 1_500,
      afterReply: false,
    });
  });

  test('without a body have no fields', () => {
    expect(request('Push', '')).toEqual({});
    expect(request('Push', '{}')).toEqual({});
  });

  test.each([
    [{ json: { list: [null, true, []], n: 1.5 } }, '{"list":[null,true,[]],"n":1.5}'],
    [{ json: 'zoë 🎈' }, '"zoë \\ud83c\\udf88"'],
    [{ json: null }, 'null'],
    [{ json: [] }, '[]'],
    [{ json: 'x' }, '"x"'],
    [{ text: '{"raw":1}' }, '{"raw":1}'],
    [{ bytes: Buffer.from('{"raw":2}').toString('base64') }, '{"raw":2}'],
    [{ bytes: Buffer.from('~~~???').toString('base64url') }, '~~~???'],
    [{}, ''],
    [undefined, ''],
  ])('with the body %j', (body, expected) => {
    expect(pushed(body)).toBe(expected);
  });

  test('any JSON is pushed as it is', () => {
    fc.assert(
      fc.property(fc.json({ maxDepth: 4 }), (text) => {
        const json = JSON.parse(text) as unknown;
        expect(JSON.parse(pushed({ json }))).toEqual(json);
      }),
      { numRuns: 100 },
    );
  });

  test.each([
    [
      'Push',
      '{"push":{"target":{"al":true}}}',
      'push.target.al: unknown field; did you mean "all"?',
    ],
    ['Push', '{"psh":{}}', 'psh: unknown field; did you mean "push"?'],
    ['Push', '{"push":{"delivery":"MUST"}}', 'push.delivery: '],
    ['Push', '{"push":{"route":5}}', 'push.route: '],
    ['Push', '{"push":[]}', 'push: '],
    ['Push', '{"push":{"target":{"uids":["a",7]}}}', 'push.target.uids[1]: '],
    ['Push', '{"push":{"body":{"bytes":"%%"}}}', 'push.body.bytes: '],
    ['Push', '{"wait":"soon"}', 'wait: '],
    ['SetData', '{"if_version":-1}', 'if_version: '],
    ['SetData', '{"set":[]}', 'set: '],
    ['ListSessions', '{"limit":"many","x":1}', 'x: unknown field'],
  ])('%s %s: says which field', (method, text, why) => {
    const { reason, message } = refusal(method, text);
    expect(reason).toBe('BAD_ARGUMENT');
    expect(message).toContain(`the body is not a pith.v1.${method}Request: `);
    expect(message).toContain(why);
  });

  test.each([
    ['half an object', '{', 'BAD_BODY', 'the body is not JSON: '],
    ['a list', '[]', 'BAD_BODY', 'the body is not a JSON object'],
    ['null', 'null', 'BAD_BODY', 'the body is not a JSON object'],
    ['a number', '7', 'BAD_BODY', 'the body is not a JSON object'],
    ['a string', '"x"', 'BAD_BODY', 'the body is not a JSON object'],
    ['a name twice', '{"sid":"a","sid":"b"}', 'BAD_ARGUMENT', 'duplicate object key "sid"'],
    ['a name both ways', '{"if_version":1,"ifVersion":1}', 'BAD_ARGUMENT', 'multiple times'],
    ['objects 33 deep', `{"set":${nested('{"a":', '}', 32)}}`, 'BAD_BODY', 'deeper than 32'],
    ['lists 33 deep', `{"set":{"a":${nested('[', ']', 31)}}}`, 'BAD_BODY', 'deeper than 32'],
    ['very deep', `{"set":{"a":${nested('[', ']', 100_000)}}}`, 'BAD_BODY', 'deeper than 32'],
  ])('refused: %s', (_what, text, reason, why) => {
    const refused = refusal('SetData', text);
    expect(refused.reason).toBe(reason);
    expect(refused.message).toContain(why);
  });

  test.each([
    ['objects', `{"set":${nested('{"a":', '}', 31)}}`],
    ['lists', `{"set":{"a":${nested('[', ']', 30)}}}`],
  ])('with %s as deep as may be', (_what, text) => {
    expect(request('SetData', text).set).toEqual((JSON.parse(text) as { set: unknown }).set);
  });
});

/** A 1 in so many of something. */
function nested(open: string, close: string, times: number): string {
  return `${open.repeat(times)}1${close.repeat(times)}`;
}

describe('answers', () => {
  test('have the names of the .proto, and zero values', () => {
    const none = {
      dropped: 0,
      refused: 0,
      gateways: 0,
      kept: 0,
      unknownSids: [],
      silentGateways: [],
    };
    const pushed = encodePushed({ ...none, delivered: 2, unknownUids: ['x'] });
    expect(messages.answer('Push', pushed)).toEqual({
      delivered: 2,
      dropped: 0,
      refused: 0,
      gateways: 0,
      unknown_uids: ['x'],
      unknown_sids: [],
      silent_gateways: [],
      kept: 0,
    });
  });

  test('a session is as it is on NATS', () => {
    const session = {
      ...{ sid: 'g.1', uid: '', gateway: 'g', remote_ip: '::1', client_type: '', version: '7' },
      ...{ client_version: '1', groups: ['a'], transport: 'ws', dialect: 'pomelo' },
      opened_at: '2026-01-02T03:04:05.678Z',
      data: { room_id: 1.5, a: [null, { b: 'zoë' }], __proto: true },
    };
    expect(messages.answer('GetSession', sessionMessage(session))).toEqual(session);
  });
});
