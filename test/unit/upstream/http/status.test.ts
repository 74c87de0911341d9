/** What a status and an error body mean. That each status has its code: test/integration/http.test.ts. */
import { describe, expect, test } from 'vitest';

import { refusalOf, retryAfterMs } from '../../../../src/upstream/http/status.ts';

const NOW = Date.UTC(2026, 0, 1);

function refusal(status: number, body = '', more: { reason?: string; retryAfter?: string } = {}) {
  return refusalOf({
    status,
    body: Buffer.from(body),
    reason: '',
    retryAfter: '',
    wallNow: NOW,
    ...more,
  });
}

describe('words', () => {
  test('a body with a code passes as it is, and its words are known', () => {
    const body = '{"code":1001,"reason":"TOO_POOR","msg":"x","more":1}';
    const { failure, spoken } = refusal(409, body);
    expect(failure).toMatchObject({ code: 1001, reason: 'TOO_POOR', message: 'x' });
    expect(Buffer.from(failure.body!).toString()).toBe(body);
    expect(spoken).toBe(true);
  });

  test('words without a code, or under error, are put into the standard body', () => {
    for (const body of [
      '{"reason":"A","msg":"x"}',
      '{"error":{"reason":"A","msg":"x"},"more":1}',
    ]) {
      const { failure } = refusal(409, body);
      expect(failure).toMatchObject({ code: 409, reason: 'A', message: 'x', body: null });
    }
  });

  test.each([
    '',
    '{',
    '[]',
    '"x"',
    '{}',
    '{"error":{}}',
    '{"error":"x"}',
    '{"code":0}',
    '{"code":"1"}',
  ])('%s has none', (body) => {
    const { failure, spoken } = refusal(500, body);
    expect(failure).toMatchObject({ code: 500, reason: 'BACKEND_ERROR', body: null });
    expect(spoken).toBe(false);
  });

  test('the header stands above the body', () => {
    const { failure, spoken } = refusal(409, '{"reason":"A"}', { reason: 'B' });
    expect(failure.reason).toBe('B');
    expect(spoken).toBe(true);
    expect(refusal(409, '', { reason: 'B' }).spoken).toBe(true);
  });

  test('a body of more than 64 KiB is not looked into', () => {
    expect(refusal(500, `{"msg":"${'x'.repeat(70_000)}"}`).spoken).toBe(false);
  });

  test('retry_after_ms and fields of the body are passed on', () => {
    const body = '{"error":{"reason":"A","retry_after_ms":1500,"fields":{"a":"bad","b":1}}}';
    expect(refusal(400, body).failure).toMatchObject({ retryAfterMs: 1_500, fields: { a: 'bad' } });
    expect(refusal(503, '', { retryAfter: '3' }).failure.retryAfterMs).toBe(3_000);
  });
});

test.each([
  ['0', 0],
  ['5', 5_000],
  ['99999999', 86_400_000],
  ['-5', 0],
  ['1.5', 0],
  ['Thu, 01 Jan 2026 00:00:07 GMT', 7_000],
  ['Wed, 31 Dec 2025 00:00:00 GMT', 0],
  ['later', 0],
])('Retry-After: %s is %i ms', (text, ms) => {
  expect(retryAfterMs(text, NOW)).toBe(ms);
});
