import { describe, expect, test } from 'vitest';

import { MockAnswers } from '../../../src/cli/mock-answers.ts';

const asked = {
  route: 'chat.room.join',
  uid: 'u1',
  sid: 's.1',
  body: { name: 'ann', n: 5, list: [1] },
};
const of = (yaml: string, more = {}) => MockAnswers.of(yaml).of({ ...asked, ...more });

test('without rules a request is answered with what it said', () => {
  const { route, uid, body } = asked;
  expect(MockAnswers.echo().of(asked)).toMatchObject({ answer: { route, uid, body }, error: null });
  expect(of('[{ match: "shop.>", answer: 1 }]').answer).toEqual({ route, uid, body });
});

test('the first rule that matches counts', () => {
  const yaml =
    '[{ match: "chat.*.leave", answer: 1 }, { match: "chat.>", answer: 2 }, { match: ">", answer: 3 }]';
  expect(of(yaml).answer).toBe(2);
  expect(of(yaml, { route: 'a' }).answer).toBe(3);
});

describe('a text in braces', () => {
  test('stands for a part of the request, alone with its type', () => {
    const yaml = `
- match: ">"
  answer: { n: "{body.n}", list: "{body.list}", text: "{uid}:{body.n} {body.list}", missing: "{body.x}", odd: "{what}" }
  bind: "{body.name}"
  pushes: [{ route: onJoin, body: ["{sid}"], after: 2s }]
`;
    expect(of(yaml)).toEqual({
      delayMs: 0,
      answer: { n: 5, list: [1], text: 'u1:5 [1]', missing: null, odd: null },
      error: null,
      bind: 'ann',
      pushes: [{ route: 'onJoin', body: ['s.1'], afterMs: 2_000 }],
    });
  });

  test('reaches nothing that the request does not hold', () => {
    const text = of('[{ match: ">", answer: "{body.constructor} {body.__proto__}" }]').answer;
    expect(text).toBe('{body.constructor} {body.__proto__}');
  });
});

test('an error has code, reason and msg', () => {
  const yaml =
    '[{ match: ">", error: { code: 409, reason: TAKEN, msg: "{body.name} is taken" }, delay: 250ms }]';
  expect(of(yaml)).toMatchObject({
    delayMs: 250,
    error: { code: 409, reason: 'TAKEN', message: 'ann is taken' },
  });
});

test('a code, a reason and a uid may be objects without a text', () => {
  const yaml =
    '[{ match: ">", error: { code: { toString: 0 }, reason: { toString: 0 } }, bind: { toString: 0 } }]';
  expect(of(yaml)).toMatchObject({
    error: { code: 400, reason: '{"toString":0}' },
    bind: '{"toString":0}',
  });
});

test.each([
  ['{}', 'expected a list'],
  ['[1]', 'entry 1: expected a map'],
  ['[{ answer: 1 }]', 'entry 1: match: is missing'],
  ['[{ match: ">" }, { match: "a..b" }]', 'entry 2: match:'],
  ['[{ match: ">", answers: 1 }]', 'unknown key "answers"'],
  ['[{ match: ">", delay: 5 }]', 'delay: expected a duration'],
  ['[{ match: ">", error: no }]', 'error: expected'],
  ['[{ match: ">", pushes: [{}] }]', 'pushes[0]'],
  ['[{ match: ">", pushes: 1 }]', 'pushes: expected a list'],
  ['[{', ''],
])('%s is refused: %s', (yaml, why) => {
  expect(() => MockAnswers.of(yaml)).toThrow(why);
});
