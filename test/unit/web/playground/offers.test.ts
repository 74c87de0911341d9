/** Which routes are offered, and with which bodies. */
import { expect, test } from 'vitest';

import {
  definitionsOf,
  filledIn,
  NO_DEFINITIONS,
  offersOf,
  type Rule,
  ruleFor,
  sampleOf,
} from '../../../../src/web/playground/offers.ts';

const rule = (match: string, more: Partial<Rule> = {}): Rule => ({
  ...{ match, backend: match, kind: 'grpc', mode: 'link', method: '', examples: [] },
  ...more,
});

test('examples first, then full routes of the table, then what the server says', () => {
  const rules = [
    rule('chat.>', { examples: [{ route: 'chat.room.join', body: '{"a":1}', notify: false }] }),
    rule('gate.gateHandler.queryEntry'),
    rule('*.x'),
  ];
  const sys = {
    dict: { 'chat.room.send': 1, onChat: 2, 'chat.room.join': 3 },
    protos: {
      client: { 'chat.room.send': { text: { option: 'required', type: 'string', tag: 1 } } },
    },
  };
  expect(offersOf(rules, definitionsOf(sys, NO_DEFINITIONS))).toEqual([
    { route: 'chat.room.join', body: '{"a":1}', notify: false },
    { route: 'gate.gateHandler.queryEntry', body: '', notify: false },
    { route: 'chat.room.send', body: '{\n  "text": ""\n}', notify: false },
  ]);
});

test('a dictionary of a million routes is not all offered', () => {
  const dict = Object.fromEntries(Array.from({ length: 10_000 }, (_, i) => [`a.b.c${i}`, i]));
  expect(offersOf([], definitionsOf({ dict }, NO_DEFINITIONS))).toHaveLength(500);
});

test('the first rule that matches is the one', () => {
  const rules = [rule('chat.room.*'), rule('chat.>'), rule('gate.a.b'), rule('*.*.c')];
  const matched = (route: string) => ruleFor(rules, route)?.match;
  expect(matched('chat.room.join')).toBe('chat.room.*');
  expect(matched('chat.room.join.now')).toBe('chat.>');
  expect(matched('chat')).toBeUndefined();
  expect(matched('gate.a.b')).toBe('gate.a.b');
  expect(matched('x.y.c')).toBe('*.*.c');
  expect(matched('x.y.d')).toBeUndefined();
});

test('{player} is a name, whatever is in it', () => {
  expect(filledIn('{"name":"{player}"}', 'a"b\n')).toBe('{"name":"a\\"b\\n"}');
  expect(JSON.parse(filledIn('{"name":"{player}"}', '</script>$&'))).toEqual({
    name: '</script>$&',
  });
});

test('a sample has every field, nested, repeated and recursive ones too', () => {
  const field = (type: string, option = 'required') => ({ type, option, tag: 1 });
  const root = {
    r: {
      n: field('uInt32'),
      s: field('string'),
      b: field('bool'),
      list: field('int32', 'repeated'),
      inner: field('In', 'optional'),
      outer: field('Out'),
      __messages: { In: { x: field('double') } },
      __tags: { 1: 'n' },
    },
    'message Out': { again: field('Out') },
  };
  expect(JSON.parse(sampleOf(root, 'r'))).toEqual({
    ...{ n: 0, s: '', b: false, list: [0], inner: { x: 0 } },
    outer: { again: { again: { again: { again: {} } } } },
  });
});

test.each([[null], ['x'], [[1]], [{ dict: 'x', protos: 7 }], [{ protos: { client: null } }]])(
  'a server may send %j',
  (sys) => {
    expect(
      offersOf([], definitionsOf((sys ?? {}) as object as Record<string, unknown>, NO_DEFINITIONS)),
    ).toEqual([]);
  },
);
