/** What the lines of a backend mean. What becomes of them: test/integration/ipc.test.ts. */
import { describe, expect, test } from 'vitest';

import { type Answer, readLine } from '../../../../src/upstream/ipc/backend-lines.ts';
import type { Reply } from '../../../../src/contract/commands.ts';
import { ShapeError } from '../../../../src/contract/json.ts';

function read(line: object | string) {
  return readLine(Buffer.from(typeof line === 'string' ? line : JSON.stringify(line)), 1_048_576);
}

function reply(line: object): Reply {
  return (read({ seq_id: 1, ...line }) as Answer).reply as Reply;
}

describe('answers', () => {
  test('the payload alone, as its bytes', () => {
    const { seqId, reply: body, fault } = read('{"seq_id":7,"payload":{ "n":1.0 }}') as Answer;
    expect(seqId).toBe(7);
    expect(fault).toBe('');
    expect(Buffer.from(body as Uint8Array).toString()).toBe('{ "n":1.0 }');
  });

  test.each([
    {},
    { payload: null },
    { error: null },
    { error: '' },
    { error: { code: 0, reason: '', msg: '' } },
    { error: { code: 0 } },
    { cmd: 'chat.room.join', session: { sid: 'x' }, patch: null, close: null },
  ])('%j is an empty object', (line) => {
    const { reply: body } = read({ seq_id: 1, ...line }) as Answer;
    expect(Buffer.from(body as Uint8Array).toString()).toBe('{}');
  });

  test('errors', () => {
    expect(
      reply({ error: { code: 402, reason: 'A', msg: 'x', retry_after_ms: 5 } }).failure,
    ).toEqual({
      code: 402,
      reason: 'A',
      message: 'x',
      retryAfterMs: 5,
      fields: null,
      body: null,
      bytes: null,
      detail: '',
    });
    expect(reply({ error: { code: 1, message: 'x' }, payload: {} }).failure).toMatchObject({
      code: 1,
      message: 'x',
      body: null,
    });
    expect(reply({ error: {} }).failure).toMatchObject({ code: 500, reason: 'BACKEND_ERROR' });
  });

  test.each([
    [{ error: 7 }, 'error is neither an object'],
    [{ patch: { set: 7 } }, 'set is not a JSON object'],
    [{ patch: [] }, 'patch is not a JSON object'],
    [{ close: 'x' }, 'close is not a JSON object'],
    [
      { patch: { set: JSON.parse('{"a":'.repeat(70) + '1' + '}'.repeat(70)) as object } },
      'nested deeper',
    ],
  ])('what of it cannot be read fails the request: %#', (line, words) => {
    const { reply: bad, fault } = read({ seq_id: 1, ...line }) as Answer;
    expect(fault).toContain(words);
    expect((bad as Reply).failure).toMatchObject({ code: 502, reason: 'BAD_REPLY' });
    expect((bad as Reply).patch).toBeNull();
  });
});

describe('commands', () => {
  test('a push with everything', () => {
    const line = {
      cmd: 'push',
      seq_id: 5,
      route: 'onChat',
      group: 'g',
      payload: { a: 1 },
      except_sids: ['s'],
      except_uids: ['u'],
      where: { level: 3 },
      delivery: 'latest',
      latest_key: 'k',
      expires_ms: 100,
      keep: true,
    };
    const { push } = read(line) as Extract<ReturnType<typeof readLine>, { kind: 'push' }>;
    expect({ ...push, body: Buffer.from(push.body).toString() }).toEqual({
      target: {
        all: false,
        sids: [],
        uids: [],
        groups: ['g'],
        exceptSids: ['s'],
        exceptUids: ['u'],
        where: { level: 3 },
      },
      route: 'onChat',
      body: '{"a":1}',
      delivery: 'latest',
      latestKey: 'k',
      expiresInMs: 100,
      afterReply: false,
      keep: true,
    });
  });

  test('patch, kick and close', () => {
    expect(read({ cmd: 'patch', sid: 's', patch: { uid: '' } })).toMatchObject({
      verb: { target: { sids: ['s'] }, patch: { uid: '' }, close: null },
    });
    const words = { reason: 'r', code: 7, retry_after: '1.5s' };
    for (const cmd of ['kick', 'close'])
      expect(read({ cmd, uid: 'u', ...words })).toMatchObject({
        verb: {
          target: { uids: ['u'] },
          patch: null,
          close: { reason: 'r', code: 7, retryAfterMs: 1_500, kick: cmd === 'kick' },
        },
      });
  });

  test('goaway, unless a client has chosen that word', () => {
    expect(read({ cmd: 'goaway' })).toEqual({ kind: 'goaway', reason: '' });
    expect(read({ cmd: 'goaway', reason: 'bye', seq_id: 0 })).toEqual({
      kind: 'goaway',
      reason: 'bye',
    });
    expect(read({ cmd: 'goaway', session: {} })).toEqual({ kind: 'echo', cmd: 'goaway' });
    expect(() => read({ cmd: 'goaway', reason: 7 })).toThrow('reason');
  });

  test('one that is unknown is said to be so', () => {
    expect(read({ cmd: 'dance', all: true })).toEqual({ kind: 'unknown', cmd: 'dance' });
  });

  test.each([
    '',
    'x',
    '7',
    'null',
    '[]',
    '{}',
    '{"seq_id":"7"}',
    '{"seq_id":1.5}',
    '{"cmd":7}',
    '{"cmd":"push","seq_id":"7","route":"x","all":true}',
    '{"cmd":"push","route":"x","all":"yes"}',
    '{"cmd":"push","route":"x","all":true,"except_sids":"s"}',
    '{"cmd":"push","route":"x","all":true,"where":[]}',
    '{"cmd":"push","route":"x","uid":"u","keep":1}',
    '{"cmd":"push","route":"x","all":true,"expires_ms":-1}',
    '{"cmd":"push","route":"x","all":true,"latest_key":1}',
    '{"cmd":"kick","all":true,"code":"x"}',
    '{"cmd":"kick"}',
  ])('%s is refused with a ShapeError', (line) => {
    expect(() => read(line)).toThrow(ShapeError);
  });
});
