import { describe, expect, test } from 'vitest';

import {
  commandOf,
  CommandPassage,
  type PassedCommand,
  WAITING_COMMAND_BYTES_MAX,
} from '../../../src/bus/command-passage.ts';
import { parseExact } from '../../../src/protocol/exact-json.ts';
import type { JsonObject } from '../../../src/contract/commands.ts';

function pushOf(route: string, body: Uint8Array = Buffer.from([0, 255])): PassedCommand {
  return {
    push: {
      ...{ target: { groups: ['lobby'] }, route, body, delivery: 'must', latestKey: '' },
      ...{ expiresInMs: 0, afterReply: false },
    },
  };
}

describe('commands that wait', () => {
  test('are carried out here in their order, whoever waits for an answer or not', async () => {
    const passage = new CommandPassage();
    const done: string[] = [];
    passage.hold();
    passage.take(pushOf('a'), () => done.push('a'));
    const answer = passage.ask(async () => done.push('b'));
    passage.take(pushOf('c'), () => done.push('c'));
    expect(done).toEqual([]);
    passage.goOn();
    expect(done).toEqual(['a', 'b', 'c']);
    expect(await answer).toBe(2);
    expect(passage.isOpen).toBe(true);
  });

  test('go elsewhere in their order, and who waits for an answer is told to ask again', async () => {
    const passage = new CommandPassage();
    const told: PassedCommand[] = [];
    let run = 0;
    let left = 0;
    passage.hold();
    const body = Buffer.from('one');
    passage.take(pushOf('a', body), () => run++, () => left++); // prettier-ignore
    body.fill(0);
    const asked = passage.ask(async () => run++);
    passage.pass((text) => told.push(commandOf(text)));
    passage.take(pushOf('b'), () => run++, () => left++); // prettier-ignore
    const refused = { code: 503, reason: 'DRAINING' };
    expect(await asked).toMatchObject(refused);
    expect(await passage.ask(async () => run++)).toMatchObject(refused);
    expect(told).toEqual([pushOf('a', Buffer.from('one')), pushOf('b')]);
    expect([run, left]).toEqual([0, 2]);
  });

  test('are refused beyond a bound', async () => {
    const passage = new CommandPassage();
    passage.hold();
    const half = Buffer.alloc(WAITING_COMMAND_BYTES_MAX / 2);
    expect(passage.take(pushOf('a', half), () => {})).toBe(null);
    expect(passage.take(pushOf('b', half), () => {})).toMatchObject({ reason: 'OVERLOADED' });
    expect(await passage.ask(async () => 1, half.length)).toMatchObject({ reason: 'OVERLOADED' });
    expect(passage.take(pushOf('c'), () => {})).toBe(null);
  });

  test('let those of the process before pass', () => {
    const passage = new CommandPassage();
    const done: string[] = [];
    passage.hold();
    passage.take(pushOf('later'), () => done.push('later'));
    passage.ahead(() => {
      expect(passage.isOpen).toBe(true);
      done.push('first');
    });
    expect(passage.isOpen).toBe(false);
    passage.goOn();
    expect(done).toEqual(['first', 'later']);
  });
});

test('a change is the same in the other process, with its numbers as they were written', () => {
  const passage = new CommandPassage();
  const texts: string[] = [];
  const set = parseExact('{"n":12345678901234567890,"f":1.0}') as JsonObject;
  passage.pass((text) => texts.push(text));
  passage.take({ verb: { target: { uids: ['ann'] }, patch: { set }, close: null } }, () => {});
  expect(texts).toEqual([
    '{"verb":{"target":{"uids":["ann"]},"patch":{"set":{"n":12345678901234567890,"f":1.0}},"close":null}}',
  ]);
  expect(commandOf(texts[0]!)).toMatchObject({ verb: { target: { uids: ['ann'] } } });
});
