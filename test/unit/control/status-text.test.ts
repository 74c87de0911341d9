import fc from 'fast-check';
import { expect, test } from 'vitest';

import { statusText } from '../../../src/control/status-text.ts';

test.each([
  ['plain', 'BAD_ARGUMENT: no', 'BAD_ARGUMENT: no'],
  ['half a character', 'bound to x\ud83d; unbind', 'bound to x\ufffd; unbind'],
  ['cut in two', `${'a'.repeat(1_023)}😀`, `${'a'.repeat(1_023)}\ufffd`],
  ['long in the header', '中'.repeat(1_024), '中'.repeat(256)],
])('%s', (_what, details, expected) => {
  expect(statusText(details)).toBe(expected);
});

test('any text can be sent, in a header that anybody reads', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary', maxLength: 50 }), fc.nat(60), (part, times) => {
      const text = statusText(part.repeat(times));
      expect(encodeURI(text).length).toBeLessThanOrEqual(4_096);
    }),
  );
  expect(encodeURI(statusText('\ud800'.repeat(5_000))).length).toBeLessThanOrEqual(4_096);
});
