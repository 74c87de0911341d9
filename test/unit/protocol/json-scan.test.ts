import fc from 'fast-check';
import { expect, test } from 'vitest';

import { elementsOf } from '../../../src/protocol/json-elements.ts';
import { isJson, Members, sizeOfJson } from '../../../src/protocol/json-scan.ts';

function parses(text: string): boolean {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}

/** Pieces of which JSON, and what is nearly JSON, is made. */
const PIECES = [
  ...['{', '}', '[', ']', ',', ':', '"', '\\', '\\u', '\\n', '\\x', '-', '+', '.', 'e', 'E'],
  ...['0', '1', '00', '1e5', 'true', 'false', 'nul', 'null', '"a"', '"\\u12aF"', '\ufeff', 'é'],
  ...[' ', '\n', '\t', '\r', '\u0000', '\u001f', '\u007f', '\u00a0', '😀', '\u2028'],
];

test('it takes what JSON.parse takes, and nothing else', () => {
  fc.assert(
    fc.property(fc.array(fc.constantFrom(...PIECES), { maxLength: 12 }), (pieces) => {
      const text = pieces.join('');
      expect([text, isJson(Buffer.from(text))]).toEqual([text, parses(text)]);
    }),
    { numRuns: 5_000 },
  );
  fc.assert(
    fc.property(fc.json(), fc.nat(), (text, at) => {
      expect(isJson(Buffer.from(text))).toBe(true);
      const cut = text.slice(0, at % (text.length + 1));
      expect([cut, isJson(Buffer.from(cut))]).toEqual([cut, parses(cut)]);
    }),
    { numRuns: 1_000 },
  );
});

test('a view is read from where it begins to where it ends', () => {
  const bytes = Buffer.from('[1]{"a":2}]}');
  expect(isJson(bytes.subarray(3, 10))).toBe(true);
  expect(isJson(bytes.subarray(3, 9))).toBe(false);
  expect(isJson(bytes.subarray(3, 11))).toBe(false);
  const members = new Members(['a']);
  expect(members.read(bytes.subarray(3, 10))).toBe(true);
  expect(members.get('a')?.toString()).toBe('2');
});

test('it is nested as deep as anybody reads it', () => {
  const nested = (depth: number): Buffer => Buffer.from('['.repeat(depth) + ']'.repeat(depth));
  expect(isJson(nested(65_536))).toBe(true);
  expect(isJson(nested(65_537))).toBe(false);
});

test.each([
  ['5', { containers: 0, values: 1, keys: 0, depth: 0 }],
  ['[]', { containers: 1, values: 1, keys: 0, depth: 1 }],
  ['{"a":[1,2,{"b":{}}]}', { containers: 4, values: 6, keys: 2, depth: 4 }],
  ['[1', null],
])('the size of %s', (text, expected) => {
  expect(sizeOfJson(Buffer.from(text))).toEqual(expected);
});

test('members are found by name, the last of several, and only those of the object itself', () => {
  const members = new Members(['id', 'body', 'route']);
  const said =
    ' {"id" : 7 ,"x":{"id":9,"body":1},"body":[ 1, {"id":2} ] ,"r\\u006fute":"a.b","id":8}\n';
  expect(members.read(Buffer.from(said))).toBe(true);
  expect(members.get('id')?.toString()).toBe('8');
  expect(members.get('body')?.toString()).toBe('[ 1, {"id":2} ]');
  expect(members.get('route')?.toString()).toBe('"a.b"');
  expect(members.read(Buffer.from('{"id":[[]]}'))).toBe(true);
  expect(members.get('id')?.toString()).toBe('[[]]');
  expect(members.get('body')).toBeNull();
});

test.each(['', '5', '[{"id":1}]', 'null', '{"id":1', '{"id":1}}', '{"id"}', '\ufeff{"id":1}'])(
  'no object: %s',
  (text) => {
    expect(new Members(['id']).read(Buffer.from(text))).toBe(false);
  },
);

test('the value that JSON.parse finds, in any object', () => {
  const keys = fc.constantFrom('payload', 'seq_id', 'a', 'pay"load', 'payload\\', ':', '{', '');
  const object = fc.dictionary(keys, fc.jsonValue({ maxDepth: 3 }), { maxKeys: 6 });
  const members = new Members(['payload']);
  fc.assert(
    fc.property(object, fc.constantFrom(undefined, 1, '\t'), (value, space) => {
      const text = JSON.stringify(value, null, space);
      expect(members.read(Buffer.from(text))).toBe(true);
      const found = members.get('payload');
      const read = found === null ? undefined : (JSON.parse(found.toString()) as unknown);
      expect(read).toEqual((JSON.parse(text) as { payload?: unknown }).payload);
    }),
    { numRuns: 200 },
  );
});

test.each([
  ['{ "payload" : -1.50e3 , "a":1}', '-1.50e3'],
  ['{"payload":true\t}', 'true'],
  ['{"payload":"a\\"b\\\\"}', '"a\\"b\\\\"'],
  ['{"payload":[1,{"a":"]"}],"b":2}', '[1,{"a":"]"}]'],
  ['{"payload":1,"payload":{"n":2}}', '{"n":2}'],
  ['{"a":"\\\\","payload":[]}', '[]'],
])('%s → %s', (text, value) => {
  const members = new Members(['payload']);
  expect(members.read(Buffer.from(text))).toBe(true);
  expect(members.get('payload')?.toString()).toBe(value);
});

test('where something large ends is remembered for the text that it stands in, and no other', () => {
  const frames = (list: string): Buffer => {
    // Memory of its own, so that both texts begin at the same place in it.
    const text = `{"frames":[${list}],"after":7}`;
    const bytes = Buffer.from(new Uint8Array(200_000).buffer, 0, text.length);
    bytes.write(text);
    return bytes;
  };
  const members = new Members(['frames', 'after']);
  const [long, short] = [frames('1,'.repeat(60_000) + '1'), frames('2')];
  expect(members.read(long)).toBe(true);
  expect(members.readKnown(long)).toBe(true);
  expect(members.get('after')?.toString()).toBe('7');
  expect(elementsOf(members.get('frames')!)).toHaveLength(60_001);
  expect(members.readKnown(short)).toBe(true);
  expect(members.get('frames')?.toString()).toBe('[2]');
  expect(members.get('after')?.toString()).toBe('7');
});

test.each([
  ['[]', []],
  [' [ 1 , "a]" ,{"b":[2]}, [] ] ', ['1', '"a]"', '{"b":[2]}', '[]']],
  ['7', []],
])('the elements of %s', (list, elements) => {
  expect(elementsOf(Buffer.from(list)).map(String)).toEqual(elements);
});
