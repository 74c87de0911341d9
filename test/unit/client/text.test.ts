/** What a server's bytes say: UTF-8 and CESU-8, and U+FFFD for anything else. */
import { describe, expect, test } from 'vitest';

import { ClientError, errorOfAnswer, isFailure } from '../../../src/client/client-error.ts';
import { readHandshake } from '../../../src/client/handshake.ts';
import { decodeText } from '../../../src/client/text.ts';

describe('text', () => {
  test.each<readonly [what: string, hex: string, text: string]>([
    ['ASCII', '6162', 'ab'],
    ['UTF-8', 'e6bca2f09f9882', '漢😂'],
    ['a pair of halves', '61eda0bdedb88262', 'a😂b'],
    ['two pairs', 'eda0bdedb882eda0bdedb882', '😂😂'],
    ['a half alone', '61eda0bd62', 'a\ufffd\ufffd\ufffdb'],
    ['halves in the wrong order', 'edb882eda0bd', '\ufffd'.repeat(6)],
    ['a pair beside what is no UTF-8', 'eda0bdedb88280c080', '😂\ufffd\ufffd\ufffd'],
    ['a pair that is cut off', 'eda0bdedb8', '\ufffd'.repeat(5)],
    ['a letter between U+D000 and U+D7FF', 'ed9fbf', '\ud7ff'],
  ])('%s', (_what, hex, text) => {
    expect(decodeText(Buffer.from(hex, 'hex'))).toBe(text);
  });
});

describe('what a server sends as a code or a reason', () => {
  const noText = JSON.parse('{"toString":0,"valueOf":0}') as object;

  test('may be an object without a text', () => {
    const error = errorOfAnswer({ code: noText, reason: noText });
    expect([error.code, error.reason]).toEqual(['unknown', 'unknown']);
    expect(isFailure({ code: noText, reason: 'X' })).toBe(false);
    const refused = readHandshake({ code: noText }, '{}');
    expect(refused).toBeInstanceOf(ClientError);
    expect((refused as ClientError).code).toBe(0);
  });
});
