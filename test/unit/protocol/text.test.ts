import { isUtf8 } from 'node:buffer';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';

import { clientJson } from '../../../src/protocol/packet.ts';
import { cesu8, escapeAstral, textFromClient, utf8FromClient } from '../../../src/protocol/text.ts';

const bytes = (hex: string) => Buffer.from(hex.replaceAll(' ', ''), 'hex');
const runs = { numRuns: 300 };
const wellFormed = fc.string({ unit: 'binary', maxLength: 60 });
/** Any UTF-16 units, surrogates often, paired or not. */
const anyText = fc
  .array(fc.oneof(fc.integer({ min: 0, max: 0xffff }), fc.integer({ min: 0xd7f0, max: 0xe010 })), {
    maxLength: 40,
  })
  .map((units) => String.fromCharCode(...units));
/** Any bytes, those that begin or continue a surrogate or a character of four bytes often. */
const likely = fc.constantFrom(
  0xed,
  0xa0,
  0xaf,
  0xb0,
  0xbf,
  0x80,
  0xf0,
  0x9f,
  0xf4,
  0x8f,
  0x90,
  0x61,
);
const anyBytes = fc
  .array(fc.oneof(likely, likely, likely, fc.integer({ min: 0, max: 255 })), { maxLength: 40 })
  .map((list) => Buffer.from(list));

/** Each UTF-16 unit as if it were a character: what a stock browser client does. */
function unitByUnit(text: string): Buffer {
  const units = Array.from({ length: text.length }, (_, i) => text.charCodeAt(i));
  return Buffer.concat(
    units.map((unit) => {
      if (unit < 0xd800 || unit > 0xdfff) return Buffer.from(String.fromCharCode(unit));
      return Buffer.from([0xe0 | (unit >> 12), 0x80 | ((unit >> 6) & 0x3f), 0x80 | (unit & 0x3f)]);
    }),
  );
}

/** Pairs by a pattern over the bytes as Latin-1. */
const PAIR = /\xed[\xa0-\xaf][\x80-\xbf]\xed[\xb0-\xbf][\x80-\xbf]/g;

function joined(input: Buffer): Buffer {
  const text = input.toString('latin1').replace(PAIR, (pair) => {
    const [, a, b, , c, d] = Buffer.from(pair, 'latin1');
    const high = 0xd000 | ((a! & 0x3f) << 6) | (b! & 0x3f);
    const low = 0xd000 | ((c! & 0x3f) << 6) | (d! & 0x3f);
    return Buffer.from(String.fromCharCode(high, low)).toString('latin1');
  });
  return Buffer.from(text, 'latin1');
}

describe('text of a client', () => {
  test.each([
    ['', ''],
    ['61 62', 'ab'],
    ['e4bda0 e5a5bd', '你好'],
    ['f09f9882', '\u{1f602}'],
    ['eda0bd edb882', '\u{1f602}'],
    ['61 eda0bd edb882 e4bda0', 'a\u{1f602}你'],
    ['eda080 edb080', '\u{10000}'],
    ['edafbf edbfbf', '\u{10ffff}'],
    // Half a pair, two halves in the wrong order, and a pair that is cut off.
    ['eda0bd', '\ufffd\ufffd\ufffd'],
    ['edb882 eda0bd', '\ufffd'.repeat(6)],
    ['eda0bd edb8', '\ufffd'.repeat(5)],
    // What is no UTF-8 beside a pair stays U+FFFD.
    ['ff eda0bd edb882', '\ufffd\u{1f602}'],
  ])('%s', (hex, text) => {
    expect(textFromClient(bytes(hex))).toBe(text);
  });

  test('is read from where it begins to where it ends', () => {
    const around = bytes('eda0bd 61 eda0bd edb882 62 edb882');
    expect(textFromClient(around, 3, 11)).toBe('a\u{1f602}b');
  });

  test('is the same in UTF-8 and in CESU-8', () => {
    const check = (text: string) => {
      expect(textFromClient(Buffer.from(text))).toBe(text);
      expect(textFromClient(unitByUnit(text))).toBe(text);
    };
    fc.assert(fc.property(wellFormed, check), runs);
  });

  test('is that of the joined bytes, whatever they are', () => {
    const check = (input: Buffer) => {
      expect(textFromClient(input)).toBe(joined(input).toString('utf8'));
    };
    fc.assert(fc.property(anyBytes, check), { numRuns: 1000 });
  });
});

describe('JSON of a client', () => {
  test('stays the same buffer when it is UTF-8', () => {
    for (const text of ['', '{}', '{"m":"你好"}', '{"m":"\u{1f602}"}']) {
      const json = Buffer.from(text);
      expect(utf8FromClient(json)).toBe(json);
    }
  });

  test('has its pairs joined and other bytes untouched', () => {
    const check = (input: Buffer) => {
      const before = Buffer.from(input);
      const output = utf8FromClient(input);
      expect(output.toString('hex')).toBe(joined(input).toString('hex'));
      expect(input.equals(before)).toBe(true);
      expect(output === input).toBe(joined(input).equals(input));
    };
    fc.assert(fc.property(anyBytes, check), { numRuns: 1000 });
  });
});

describe('JSON for any client', () => {
  test('stays the same buffer when it has no character of four bytes', () => {
    for (const text of ['', '{"code":200}', '{"m":"你好"}']) {
      const json = Buffer.from(text);
      expect(escapeAstral(json)).toBe(json);
    }
    const invalid = bytes('22 f09f98 ff f08080 80 f5808080 22');
    expect(escapeAstral(invalid)).toBe(invalid);
  });

  test('is what clientJson writes', () => {
    const check = (text: string, more: string) => {
      const value = { [text]: [more, 1.5, null] };
      const escaped = escapeAstral(Buffer.from(JSON.stringify(value)));
      expect(escaped.toString()).toBe(clientJson(value));
      expect(JSON.parse(escaped.toString())).toEqual(value);
    };
    fc.assert(fc.property(wellFormed, wellFormed, check), runs);
    check('\u{10000}\u{10ffff}', '\u{1f602}');
  });

  test('keeps every byte that is of no such character', () => {
    const check = (input: Buffer) => {
      const parts = input.toString('latin1').split(/([\xf0-\xf4][\x80-\xbf]{3})/);
      const expected = parts.map((part) => {
        const character = Buffer.from(part, 'latin1');
        if (character.length !== 4 || part.charCodeAt(0) < 0xf0 || !isUtf8(character)) return part;
        return JSON.stringify([...character.toString().split('')]).replaceAll(/[[\]",]/g, '');
      });
      const output = Buffer.from(escapeAstral(Uint8Array.from(input)));
      expect(output.toString('latin1')).toBe(expected.join(''));
    };
    fc.assert(fc.property(anyBytes, check), { numRuns: 1000 });
  });
});

describe('CESU-8', () => {
  test('is written unit by unit, surrogates alone as well', () => {
    expect(cesu8('\u{1f602}').toString('hex')).toBe('eda0bdedb882');
    expect(cesu8('\ud83d').toString('hex')).toBe('eda0bd');
    const check = (text: string) => {
      expect(cesu8(text).toString('hex')).toBe(unitByUnit(text).toString('hex'));
    };
    fc.assert(fc.property(anyText, check), runs);
    fc.assert(fc.property(wellFormed, check), runs);
  });
});
