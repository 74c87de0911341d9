/** The headers of a request. That they arrive, and no others: test/integration/http.test.ts. */
import { expect, test } from 'vitest';

import { idOfRaw, rawIdOf } from '../../../../src/protocol/message.ts';
import { Lane } from '../../../../src/session/lane.ts';
import type { Session } from '../../../../src/session/session.ts';
import type { Target } from '../../../../src/routing/rule.ts';
import type { Call } from '../../../../src/upstream/call.ts';
import { BareCall } from '../../../support/call.ts';
import { RequestHeaders } from '../../../../src/upstream/http/request-headers.ts';

function call(body: string | Buffer, codec: 'auto' | 'raw' = 'auto'): Call {
  const made = new BareCall();
  made.session = {
    sid: 'g-1.7',
    uid: '',
    remoteIp: '::1',
    data: {},
    version: 0,
    wire: { idOf: idOfRaw },
  } as unknown as Session;
  made.lane = new Lane();
  made.target = { ordinal: 0, forward: [], codec } as unknown as Target;
  made.route = 'a.b.c';
  made.seq = 9;
  made.wantsAnswer = true;
  made.rawId = rawIdOf(300);
  made.body = Buffer.from(body);
  return made;
}

const TRACE = { traceId: 'ab', tell: () => {}, failedOnce: () => {} };

function headersOf(one: Call, fixed: Record<string, string> = {}): Record<string, string> {
  const headers = new RequestHeaders(fixed);
  const pairs = headers.of(one, headers.ofSession(one.session, one.target.forward), 250);
  return Object.fromEntries(
    pairs.flatMap((name, i) => (i % 2 === 0 ? [[name, pairs[i + 1]!]] : [])),
  );
}

test('facts, deadline, id and trace', () => {
  const one = call('{}');
  one.trace = { ...TRACE, traceparent: '00-ab-cd-01', tracestate: 'a=1' };
  expect(headersOf(one, { 'X-Game': 'chess' })).toEqual({
    'X-Game': 'chess',
    'Content-Type': 'application/json',
    'Pith-Sid': 'g-1.7',
    'Pith-Client-Ip': '::1',
    'Pith-Seq': '9',
    'Pith-Route': 'a.b.c',
    'Pith-Timeout-Ms': '250',
    'Pith-Id': '300',
    traceparent: '00-ab-cd-01',
    tracestate: 'a=1',
  });
  one.trace = { ...TRACE, traceparent: '00-ab-cd-01', tracestate: '' };
  expect(headersOf(one)).not.toHaveProperty('tracestate');
});

test.each([
  ['', true],
  ['{}', true],
  ['[1]', true],
  ['"x"', true],
  [' 7', true],
  ['null', true],
  ['hello', false],
  [Buffer.from([0x0a, 0x01, 0x7b]), false],
  [Buffer.from([0x08, 0x96, 0x01]), false],
])('%j is JSON: %s', (body, isJson) => {
  const type = isJson ? 'application/json' : 'application/octet-stream';
  expect(headersOf(call(body))['Content-Type']).toBe(type);
  expect(headersOf(call(body, 'raw'))['Content-Type']).toBe('application/octet-stream');
});
