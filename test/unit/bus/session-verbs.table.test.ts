/** Which verbs there are, for whom, and what they do and answer: proto/README.md has the same tables. */
import { describe, expect, test } from 'vitest';

import { SessionCommands } from '../../../src/bus/session-commands.ts';
import { runVerb } from '../../../src/bus/session-verbs.ts';
import { Registry } from '../../../src/session/registry.ts';
import { Metrics } from '../../../src/telemetry/metrics.ts';
import type { Scope } from '../../../src/upstream/nats/subjects.ts';
import { keptLog } from '../../support/report.ts';
import { activate, makeWorld } from '../session/support.ts';
import { readBlock } from '../../../src/upstream/nats/header-block.ts';

/** A gateway with one session, bound to `ann`, in the group `g`. */
function setUp() {
  const world = makeWorld();
  const registry = new Registry('g-0123456789', { add: () => null, remove() {} });
  const limits = { dataBytesMax: 1_024, groupsMax: 8 };
  const { clock, fanouts } = world;
  const { log } = keptLog();
  const metrics = new Metrics();
  const sessionCommands = new SessionCommands({
    ...{ registry, limits, groupTtlMs: 0, clock, wheel: world.wheel, log, metrics, fanouts },
  });
  const client = activate({ world, n: 7 });
  const { session } = client;
  registry.add(session);
  expect([registry.bind(session, 'ann', 1_000), registry.join(session, 'g')]).toEqual([null, null]);
  const run = (scope: Scope, verb: string, body = '', lines = '') =>
    runVerb(
      {
        scope,
        verb,
        group: scope === 'group' ? 'g' : '',
        sessions: [session],
        headers: () => readBlock(Buffer.from(`NATS/1.0\r\n${lines}\r\n`)),
        body: Buffer.from(body),
        gatewayId: 'g-0123456789',
        convertBytesMax: 1_048_576,
        answerBytesMax: 1_048_576,
      },
      sessionCommands,
    );
  return { ...client, run };
}

const SCOPES: readonly Scope[] = ['session', 'user', 'group', 'all', 'gateway'];

// oxfmt-ignore
const VERBS: readonly (readonly [verb: string, scopes: readonly Scope[], body: string, answer: object])[] = [
  ['push',   ['session', 'user', 'group', 'all'], '{}',            { delivered: 1, dropped: 0, refused: 0 }],
  ['kick',   ['session', 'user', 'group', 'all'], '',              { closed: 1 }],
  ['get',    ['session', 'user', 'group', 'all'], '',              { sessions: expect.anything() as unknown }],
  ['patch',  ['session', 'user'],                 '{"set":{}}',    { changed: 0, version: 0 }],
  ['bind',   ['session'],                         '{"uid":"ann"}', { changed: 0, version: 0 }],
  ['unbind', ['session'],                         '',              { changed: 1, version: 1 }],
  ['set',    ['session'],                         '{"set":{"a":1}}', { changed: 1, version: 1 }],
  ['join',   ['session'],                         '{"groups":["h"]}', { changed: 1, version: 1 }],
  ['leave',  ['session'],                         '{"groups":["g"]}', { changed: 1, version: 1 }],
  ['close',  ['session'],                         '',              { closed: 1 }],
];

describe.each(VERBS)('%s for %j', (verb, scopes, body, answer) => {
  test.each(SCOPES)('and a %s', async (scope) => {
    const { run } = setUp();
    const answered = await run(scope, verb, body, 'Pith-Route: onX\r\n');
    const unsupported = { code: 501, reason: 'UNSUPPORTED' };
    expect(answered).toMatchObject(scopes.includes(scope) ? answer : unsupported);
  });
});

test.each<readonly [Scope, string]>([
  ['session', 'push, kick, get, patch, bind, unbind, set, join, leave, close'],
  ['user', 'push, kick, get, patch'],
  ['group', 'push, kick, get'],
  ['all', 'push, kick, get'],
])('an unknown verb for a %s is told the others: %s', async (scope, others) => {
  expect(await setUp().run(scope, 'dance')).toMatchObject({
    code: 501,
    message: `no verb dance for a ${scope}; there are ${others}`,
  });
});

describe('what they do', () => {
  test.each<readonly [verb: string, body: string, uid: string, groups: string[], data: object]>([
    ['patch', '{"set":{"a":1},"leave":["g"]}', 'ann', [], { a: 1 }],
    ['bind', '{"uid":"ann"}', 'ann', ['g'], {}],
    ['unbind', '', '', ['g'], {}],
    ['set', '{"set":{"a":1}}', 'ann', ['g'], { a: 1 }],
    ['join', '{"groups":["h"]}', 'ann', ['g', 'h'], {}],
    ['leave', '{"groups":["g"]}', 'ann', [], {}],
  ])('%s %s', async (verb, body, uid, groups, data) => {
    const { run, session } = setUp();
    await run('session', verb, body);
    expect([session.uid, [...session.groups], session.data]).toEqual([uid, groups, data]);
  });

  test('bind, once it is unbound', async () => {
    const { run, session } = setUp();
    expect(await run('session', 'bind', '{"uid":"bob"}')).toMatchObject({ reason: 'CONFLICT' });
    await run('session', 'unbind');
    expect(await run('session', 'bind', '{"uid":"bob"}')).toEqual({ changed: 1, version: 2 });
    expect(session.uid).toBe('bob');
  });

  test('push', async () => {
    const { run, session, connection } = setUp();
    await run('user', 'push', '{"a":1}', 'Pith-Route: onX\r\n');
    session.outbox.flush();
    expect(connection.messages).toEqual(['onX {"a":1}']);
  });

  test.each<readonly [verb: string, kicks: string[], reason: string]>([
    ['kick', ['{"reason":"bye"}'], 'kick'],
    ['close', [], 'closed'],
  ])('%s', async (verb, kicks, reason) => {
    const { run, connection, host } = setUp();
    await run('session', verb, '{"reason":"bye"}');
    expect(connection.packets.map(({ body }) => body.toString())).toEqual(kicks);
    expect(host.ended).toMatchObject([{ reason, details: { text: 'bye' } }]);
  });

  test('get: the sessions; of all, how many', async () => {
    const { run } = setUp();
    expect(await run('user', 'get')).toMatchObject({ sessions: [{ uid: 'ann', groups: ['g'] }] });
    expect(await run('all', 'get')).toEqual({ sessions: 1 });
  });
});
