/** JSON inside JSON: taken in only when it is sound, on one line, and found again byte for byte. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';

import {
  copyOnOneLine,
  faultOfJson,
  PAYLOAD_DEPTH_MAX,
} from '../../../../src/upstream/ipc/json-text.ts';

/** JSON texts with spaces and line breaks between their tokens. */
const spacedJson = fc
  .tuple(fc.json({ maxDepth: 4 }), fc.constantFrom(undefined, 1, '\t', '\n', ' \r\n'))
  .map(([json, space]) => JSON.stringify(JSON.parse(json), null, space));

function oneLine(text: string): string {
  const body = Buffer.from(text);
  const into = Buffer.alloc(body.length + 6, '|');
  copyOnOneLine(body, into, 3);
  expect(into.toString('latin1', 0, 3) + into.toString('latin1', into.length - 3)).toBe('||||||');
  return into.toString('utf8', 3, into.length - 3);
}

describe('copyOnOneLine', () => {
  test('means the same, on one line', () => {
    fc.assert(
      fc.property(spacedJson, (text) => {
        const line = oneLine(text);
        expect(line).not.toMatch(/[\r\n]/);
        expect(JSON.parse(line)).toEqual(JSON.parse(text));
      }),
      { numRuns: 100 },
    );
  });

  test('leaves alone what needs no change', () => {
    expect(oneLine('{"a":"\\n 1"}')).toBe('{"a":"\\n 1"}');
    expect(oneLine('\r\n[\n1,\r2 ]\n')).toBe('  [ 1, 2 ] ');
  });
});

describe('faultOfJson', () => {
  test('is null exactly for JSON', () => {
    fc.assert(
      fc.property(fc.oneof(spacedJson, fc.string()), (text) => {
        let isJson = true;
        try {
          JSON.parse(text);
        } catch {
          isJson = false;
        }
        expect(faultOfJson(Buffer.from(text)) === null).toBe(isJson);
      }),
      { numRuns: 200 },
    );
  });

  test.each([
    [Buffer.from([0x22, 0xc3, 0x22]), 'it is not UTF-8'],
    [Buffer.from('\ufeff{}'), 'it is not JSON'],
    [Buffer.from('{} {}'), 'it is not JSON'],
    [Buffer.from('"a\nb"'), 'it is not JSON'],
    [Buffer.from('{"a":"\\"]]]]"}'), null],
    [Buffer.from('['.repeat(256) + ']'.repeat(256)), null],
    [
      Buffer.from('['.repeat(257) + ']'.repeat(257)),
      `it is nested deeper than ${PAYLOAD_DEPTH_MAX}`,
    ],
    [Buffer.from('{"a":'.repeat(1_000_000)), 'it is not JSON'],
  ])('case %#', (body, fault) => {
    expect(faultOfJson(body)).toBe(fault);
  });
});
