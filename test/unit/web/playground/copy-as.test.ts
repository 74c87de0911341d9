/** What is copied, as it would be run: every text here is for a shell or a file. */
import { execFileSync } from 'node:child_process';
import { describe, expect, test } from 'vitest';

import { MockAnswers } from '../../../../src/cli/mock-answers.ts';
import { type Copied, copiesOf, quoted } from '../../../../src/web/playground/copy-as.ts';
import type { Rule } from '../../../../src/web/playground/offers.ts';

const message: Copied = {
  ...{ url: 'ws://127.0.0.1:3010', dialect: 'pomelo', user: '{}', route: 'chat.room.join' },
  ...{ body: '{ "name": "ann" }', notify: false, answer: null },
};
const rule = (more: Partial<Rule>): Rule => ({
  ...{ match: '>', backend: 'chat', kind: 'grpc', mode: 'link', method: '', examples: [] },
  ...more,
});
const NOWHERE = { rule: undefined, address: '' };

function copy(
  title: string,
  more: Partial<Copied> = {},
  to: Parameters<typeof copiesOf>[1] = NOWHERE,
) {
  return copiesOf({ ...message, ...more }, to).find((one) => one.title === title)!;
}

describe('pith client', () => {
  test('a request', () => {
    expect(copy('pith client').text).toBe(
      `pith client ws://127.0.0.1:3010 --request chat.room.join --data '{"name":"ann"}'`,
    );
  });

  test('another dialect, and a user', () => {
    expect(
      copy('pith client', { dialect: 'pitaya', user: '{ "token": "t" }', body: '' }).text,
    ).toBe(
      `pith client ws://127.0.0.1:3010 --dialect pitaya --user '{"token":"t"}' --request chat.room.join --data '{}'`,
    );
  });

  test('a notify', () => {
    expect(copy('pith client', { notify: true }).text).toBe(
      `echo 'notify chat.room.join {"name":"ann"}' | pith client ws://127.0.0.1:3010`,
    );
  });
});

describe('nats', () => {
  test('straight to its backend', () => {
    const to = { rule: rule({ kind: 'nats' }), address: 'game.rpc.chat.room.join' };
    expect(copy('nats', {}, to)).toEqual({
      title: 'nats',
      text: `nats request game.rpc.chat.room.join '{"name":"ann"}' -H Pith-Sid:play.1 -H Pith-Route:chat.room.join`,
      note: 'Straight to the backend, as the gateway asks it.',
    });
  });

  test('of a route that goes elsewhere it says so', () => {
    const { text, note } = copy(
      'nats',
      { notify: true },
      { rule: rule({}), address: '127.0.0.1:9000' },
    );
    expect(text).toMatch(/^nats pub pith\.rpc\.chat\.room\.join /);
    expect(note).toBe(
      'As the gateway would ask a backend on NATS; this route goes to chat, on grpc.',
    );
  });
});

describe('grpcurl', () => {
  test('asks Backend.Handle, its body in base64', () => {
    const { text } = copy('grpcurl', {}, { rule: rule({}), address: 'dns:///chat:9000' });
    const request = `{"session":{"sid":"play.1"},"route":"chat.room.join","body":"${Buffer.from('{"name":"ann"}').toString('base64')}"}`;
    expect(text).toBe(
      `grpcurl -plaintext -import-path proto -proto pith/v1/backend.proto -d '${request}' chat:9000 pith.v1.Backend/Handle`,
    );
  });

  test('calls the method that the route calls', () => {
    const to = {
      rule: rule({ mode: 'method', method: '/{server}.v1.Rooms/{method}' }),
      address: '127.0.0.1:9000',
    };
    expect(copy('grpcurl', {}, to).text).toBe(
      `grpcurl -plaintext -d '{"name":"ann"}' 127.0.0.1:9000 chat.v1.Rooms/join`,
    );
  });
});

describe('a fixture of the mock backend', () => {
  const asked = { route: 'chat.room.join', uid: '', sid: 'g.1', body: {} };

  test('answers as the server did', () => {
    const { text } = copy('Mock', { answer: '{"code":200,"room":"a: #b"}' });
    expect(MockAnswers.of(text).of(asked)).toMatchObject({
      answer: { code: 200, room: 'a: #b' },
      error: null,
    });
  });

  test('and with its error', () => {
    const { text } = copy('Mock', {
      answer: '{"code":404,"reason":"NO_ROUTE","msg":"no: \\"x\\""}',
    });
    expect(MockAnswers.of(text).of(asked)).toMatchObject({
      error: { code: 404, reason: 'NO_ROUTE', message: 'no: "x"' },
    });
  });

  test.each([null, 'not json', '3 bytes: ff fe 01'])('of %j it is empty, and valid', (answer) => {
    const { text } = copy('Mock', { answer });
    expect(MockAnswers.of(text).of(asked).answer).toEqual({});
  });
});

test.each([`it's`, '$(id)', '`id`', 'a\nb', '"', '\\', '!!', '', ' ', '-n;rm', "'; echo '"])(
  '%j is one word for a shell',
  (text) => {
    const printed = execFileSync('sh', ['-c', `printf %s ${quoted(text)}`], { encoding: 'utf8' });
    expect(printed).toBe(text);
  },
);
