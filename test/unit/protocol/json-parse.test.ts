/** JSON from outside, whose keys V8 would mistake: in processes of their own, since what one has parsed stays. */
import { spawnSync } from 'node:child_process';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';

import { parseJsonText } from '../../../src/protocol/json-parse.ts';

const ROOT = new URL('../../../', import.meta.url).pathname;
/** Objects that others may have sent before, and then one with the key in its last place. */
const BEFORE = ['{"\\\\":1}', '{"\\\\u":1}', '{"a":0,"\\u005C":1}', '{"a":{"b":0,"\\\\u00":1}}'];
const AFTER = [
  ['{"\\n":1}', '\n'],
  ['{"\\"":1}', '"'],
  ['{"\\u00e9":1}', 'é'],
  ['{"\\ud83d\\ude00":1}', '😀'],
  ['{"a":0,"\\t":1}', '\t'],
  ['{"a":0,"\\u0062":1}', 'b'],
] as const;

/** What `call` makes of them in a process in which nothing was parsed before, as it is in the gateway. */
function keysBy(imports: string, call: string): string[] {
  const script = `${imports}
    const read = (text) => ${call};
    for (const text of ${JSON.stringify(BEFORE)}) read(text);
    const texts = ${JSON.stringify(AFTER.map(([text]) => text))};
    process.stdout.write(texts.map((text) => Object.keys(read(text)).at(-1)).join('|'));`;
  const args = ['--input-type=module', '--eval', script];
  const { stdout, stderr } = spawnSync(process.execPath, args, { cwd: ROOT, encoding: 'utf8' });
  expect(stderr).toBe('');
  return stdout.split('|');
}

describe('after keys with backslashes, other keys are read as they are', () => {
  test.each<readonly [by: string, file: string, call: string]>([
    ['parseJsonText', 'protocol/json-parse.ts', 'it.parseJsonText(text)'],
    ['parseAsWritten', 'protocol/exact-json.ts', 'it.parseAsWritten(text)'],
    [
      'parseExact with a number',
      'protocol/exact-json.ts',
      'it.parseExact(text.replace("1", "1e400"))',
    ],
    ['readObject', 'contract/json-shapes.ts', 'it.readObject(Buffer.from(text))'],
    [
      'parseHandshake',
      'protocol/handshake.ts',
      'it.parseHandshake(Buffer.from(`{"sys":{},"user":${text}}`)).user',
    ],
  ])('by %s', (_by, file, call) => {
    expect(keysBy(`import * as it from './src/${file}';`, call)).toEqual(
      AFTER.map(([, key]) => key),
    );
  });
});

describe('a text with such keys', () => {
  const backslashes = fc.constantFrom('\\', '\\u', 'a\\', '\\\\', '\\n', '__proto__', '1', 'a');
  const values = fc.letrec((tie) => ({
    value: fc.oneof(
      { depthSize: 'small' },
      fc.constantFrom(null, true, false, 0, -1.5e-7, 1e21, '', '\\', '"', '\\"', 'é😀\n'),
      fc.array(tie('value'), { maxLength: 3 }),
      fc.dictionary(backslashes, tie('value'), { maxKeys: 3 }),
    ),
  })).value;

  test('is the value that was written', () => {
    fc.assert(
      fc.property(values, fc.constantFrom(0, 1, '\t'), (value, space) => {
        const text = JSON.stringify({ '\\': value }, null, space);
        expect(JSON.stringify(parseJsonText(text))).toBe(JSON.stringify({ '\\': value }));
      }),
    );
  });

  test('of two equal keys has the last one, and __proto__ is a key like any other', () => {
    const read = parseJsonText('{"\\\\":1,"__proto__":[2],"\\u005c":3}') as object;
    expect(Object.entries(read)).toEqual([
      ['\\', 3],
      ['__proto__', [2]],
    ]);
    expect(Object.getPrototypeOf(read)).toBe(Object.prototype);
  });

  test('that is cut off, or goes on, is a SyntaxError', () => {
    const text = '{"\\\\":[1.5e3,{"a":"\\"x\\\\"},true,null,[],{}],"b":-0}';
    expect(parseJsonText(text)).toEqual({ '\\': [1500, { a: '"x\\' }, true, null, [], {}], b: -0 });
    for (let end = 6; end < text.length; end++)
      expect(() => parseJsonText(text.slice(0, end))).toThrow(SyntaxError);
    for (const more of ['}', ',', '1', '"', '\\'])
      expect(() => parseJsonText(text + more)).toThrow(SyntaxError);
    for (const wrong of [
      '01',
      '.5',
      '1.',
      'tru',
      "'a'",
      '[1,]',
      '{"a":}',
      '{a:1}',
      '"\n"',
      '"\\x"',
      '\u00a01',
    ])
      expect(() => parseJsonText(`{"\\\\":${wrong}}`), wrong).toThrow(SyntaxError);
  });

  test('that is nested without end is a SyntaxError, not a crash', () => {
    const deep = `{"\\\\":${'['.repeat(100_000)}${']'.repeat(100_000)}}`;
    expect(() => parseJsonText(deep)).toThrow(new SyntaxError('nested too deeply'));
  });
});
