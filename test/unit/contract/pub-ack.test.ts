import { describe, expect, test } from 'vitest';

import { isPubAck } from '../../../src/contract/pub-ack.ts';

const is = (text: string): boolean => isPubAck(Buffer.from(text));

describe('an acknowledgement of a stream', () => {
  test.each([
    '{"stream":"X","seq":1}',
    '{"stream":"X", "seq":1}',
    '{"stream":"X","domain":"hub","seq":1}',
    '{"stream":"X", "seq":1, "duplicate": true}',
    '{"stream":"X","seq":9007199254740991,"val":"3"}',
    '{"stream":"X","seq":7,"batch":"b","count":3}',
    '{"\\u0073eq":1,"stream":"X"}',
    '{"error":{"code":503,"err_code":10077,"description":"maximum messages exceeded"},"stream":"X","seq":0}',
  ])('is %s', (text) => {
    expect(is(text)).toBe(true);
  });

  test.each([
    '',
    '{}',
    '[]',
    'null',
    '{"stream":"X"}',
    '{"seq":1}',
    '{"stream":"X","seq":"1"}',
    '{"stream":1,"seq":1}',
    '{"stream":"X","seq":1,"viewers":3}',
    '{"stream":"X","seq":1,"__proto__":1}',
    '{"stream":"X","seq":1.5}',
    '{"stream":"X","seq":null}',
    '{"stream":"X","seq":1,"error":"no"}',
    '{"stream":"X","seq":1,"error":{"code":402,"msg":"no"}}',
    '{"stream":"X","seq":1}}',
    '{"stream":"X","seq":1',
    ' {"stream":"X","seq":1}',
    `{"stream":"X","seq":1,"val":"${'x'.repeat(2_000)}"}`,
    '{"a":{"stream":"X","seq":1}}',
  ])('is not %s', (text) => {
    expect(is(text)).toBe(false);
  });
});
