/** What a refusal comes to. That each way to a backend goes by it: test/integration/refusals.test.ts. */
import { expect, test } from 'vitest';

import { refusal, speaks } from '../../../src/contract/refusal.ts';

const bytes = (text: string) => Buffer.from(text);

test('says nothing: the backend failed', () => {
  expect(refusal({}, null)).toMatchObject({
    code: 500,
    reason: 'BACKEND_ERROR',
    body: null,
    bytes: null,
  });
});

test('texts are cut, without half a character, and halves that came are no half any more', () => {
  const { reason, message, fields } = refusal(
    {
      reason: '😀'.repeat(1_000),
      message: `a${'😀'.repeat(1_000)}`,
      fields: { ['p'.repeat(5_000)]: '\ud83dx' },
    },
    null,
  );
  expect(reason).toBe('😀'.repeat(64));
  expect(message).toBe(`a${'😀'.repeat(511)}`);
  expect(fields).toEqual({ ['p'.repeat(1_024)]: '\ufffdx' });
});

test.each([
  ['beside the body', { code: 200 }, null],
  ['in the body', {}, '{"code":200,"reason":"POOR"}'],
  ['in both', { code: 200, reason: 'POOR' }, '{"code":200}'],
  ['under error', {}, '{"error":{"code":200,"reason":"POOR"}}'],
])('a refusal never looks like a success: 200 %s is no code', (_where, said, body) => {
  const why = refusal(said, body === null ? null : bytes(body));
  expect([why.code, why.reason, why.body]).toEqual([
    500,
    body === null ? 'BACKEND_ERROR' : 'POOR',
    null,
  ]);
});

test('64 fields and a wait of a day are passed on', () => {
  const many = Object.fromEntries(Array.from({ length: 1_000 }, (_, n) => [`f${n}`, 'x']));
  const why = refusal({ fields: many, retryAfterMs: 1e15 }, null);
  expect(Object.keys(why.fields!)).toHaveLength(64);
  expect(why.retryAfterMs).toBe(86_400_000);
});

const LONG = 'x'.repeat(70_000);

test.each([
  [`{"code":7,"a":"${LONG}"}`, true],
  [`{"a":{"b":[1,"}"]},"code":-1,"c":"${LONG}"}`, true],
  [` {\n"code" : 0.5,"c":"${LONG}"}`, true],
  [`{"a":"\\"code\\":7","b":"${LONG}"}`, false],
  [`{"a":{"code":7},"b":"${LONG}"}`, false],
  [`{"code":0,"b":"${LONG}"}`, false],
  [`{"code":200,"b":"${LONG}"}`, false],
  [`{"code":2001,"b":"${LONG}"}`, true],
  [`{"code":null,"b":"${LONG}"}`, false],
  [`{"b":"${LONG}","code":7}`, false],
  [`[{"code":7,"b":"${LONG}"}]`, false],
  [`"code":7,${LONG}`, false],
  [`{}{"code":7,"b":"${LONG}"}`, false],
  [LONG, false],
  [`{${'"a":"\\\\",'.repeat(8_000)}"code":7}`, false],
])('a long body is looked at for its code only: %.30s', (body, hasCode) => {
  const why = refusal({ code: 403 }, bytes(body));
  expect(why).toMatchObject({ code: 403, reason: 'FORBIDDEN' });
  expect([why.body !== null, speaks(bytes(body))]).toEqual([hasCode, hasCode]);
});

test.each(['{"code":"7"}', '{"code":[7]}', '{"code":true}', '{"Code":7}', '{"code":7', '7'])(
  '%s is no body with a code',
  (body) => {
    expect(refusal({ code: 403 }, bytes(body))).toMatchObject({ body: null, bytes: bytes(body) });
  },
);
