/** What a backend commands over its Link or Unix socket: carried out, answered, and reported where it is refused. */
import { describe, expect, test } from 'vitest';

import { BackendFleetCommands } from '../../../src/bus/backend-fleet-commands.ts';
import { EmbeddedBus } from '../../../src/bus/embedded-bus.ts';
import { PassableCommands } from '../../../src/bus/passable-commands.ts';
import type { SessionVerb } from '../../../src/contract/backend-frames.ts';
import type { Push } from '../../../src/contract/commands.ts';
import { keptReport } from '../../support/report.ts';
import { makeGateway } from './support.ts';

const G = 'g-0123456789';
const VERB: SessionVerb = { target: { uids: ['ann'] }, patch: null, close: null };
const KICK = { reason: 'bye', code: 0, kick: true, retryAfterMs: 0 };
const PUSH: Push = {
  target: { all: true },
  route: 'onChat',
  body: Buffer.from('{}'),
  delivery: 'must',
  latestKey: '',
  expiresInMs: 0,
  afterReply: false,
};

/** A gateway without a bus, with two sessions of ann. */
function stage() {
  const gateway = makeGateway(G);
  const clients = [gateway.client(1, 'ann'), gateway.client(2, 'ann')];
  const fleet = new PassableCommands(G, gateway.sessionCommands, new EmbeddedBus());
  const { report, lines, metrics } = keptReport('game', 'grpc', gateway.clock);
  const commands = new BackendFleetCommands(fleet, report, 1_048_576);
  const dropped = (what: string) =>
    metrics.count('pith_backend_messages_dropped_total', ['game', what]);
  return { ...gateway, clients, fleet, commands, lines, dropped };
}

describe('a verb', () => {
  test('changes every session meant', async () => {
    const { commands, clients, lines } = stage();
    const verb = { ...VERB, patch: { set: { x: 1 } } };
    expect(await commands.verb(verb, true)).toEqual({ changed: 2, version: 1, failure: null });
    expect(clients.map(({ session }) => session.data)).toEqual([{ x: 1 }, { x: 1 }]);
    expect(await commands.verb(verb, true)).toEqual({ changed: 0, version: 1, failure: null });
    expect(lines).toEqual([]);
  });

  test('takes effect before it is answered, in the order of the verbs', async () => {
    const { commands, clients } = stage();
    const done = [1, 2, 3].map((x) => commands.verb({ ...VERB, patch: { set: { x } } }, true));
    expect(clients[0]!.session.data).toEqual({ x: 3 });
    expect((await Promise.all(done)).map(({ version }) => version)).toEqual([1, 2, 3]);
  });

  test('closes every session meant, and changes none of them', async () => {
    const { commands, clients } = stage();
    const verb = { ...VERB, patch: { set: { x: 1 } }, close: KICK };
    expect(await commands.verb(verb, true)).toEqual({ changed: 2, version: 0, failure: null });
    expect(clients.map(({ session }) => [session.state, session.data])).toEqual([
      ['closed', {}],
      ['closed', {}],
    ]);
  });

  test('that says nothing does nothing', async () => {
    expect(await stage().commands.verb(VERB, true)).toEqual({
      changed: 0,
      version: 0,
      failure: null,
    });
  });

  test.each<readonly [string, Partial<SessionVerb>, object]>([
    [
      'that names nobody',
      { target: { exceptUids: ['bob'] }, patch: { uid: '' } },
      { code: 400, message: 'the verb has no target: give sids, uids, groups or all' },
    ],
    [
      'with a fault',
      { patch: { fault: 'set is no object' } },
      { code: 400, message: 'set is no object' },
    ],
    [
      'with a fault, for a session elsewhere',
      { target: { sids: ['x.1'] }, patch: { fault: 'set is no object' } },
      { code: 400, message: 'set is no object' },
    ],
    ['of a session that is nowhere', { target: { sids: ['x.1'] }, patch: {} }, { code: 404 }],
    ['against another version', { patch: { ifVersion: 3 } }, { code: 409, reason: 'CONFLICT' }],
  ])('%s is refused, counted and logged', async (_, more, why) => {
    const { commands, lines, dropped } = stage();
    const done = await commands.verb({ ...VERB, ...more }, true);
    expect(done).toMatchObject({ changed: 0, version: 0, failure: why });
    expect(dropped('change')).toBe(1);
    expect(lines).toMatchObject([
      { backend: 'game', level: 'warn', msg: 'session change refused' },
    ]);
  });

  test('that is refused for one session says in how many others it was made', async () => {
    const { commands, clients, lines } = stage();
    clients[1]!.session.version = 7;
    const done = await commands.verb({ ...VERB, patch: { set: { x: 1 }, ifVersion: 7 } }, true);
    expect(done).toMatchObject({ changed: 1, version: 8, failure: { code: 409 } });
    expect(lines).toMatchObject([
      { why: expect.stringMatching(/; it was made in 1 other session$/) as never },
    ]);
  });

  test('in which the gateway fails is answered 500, and logged', async () => {
    const { fleet, commands, lines } = stage();
    fleet.patchAll = () => Promise.reject(new Error('a bug'));
    const done = await commands.verb({ ...VERB, patch: {} }, true);
    expect(done).toMatchObject({ changed: 0, failure: { code: 500, reason: 'INTERNAL' } });
    expect(lines).toMatchObject([{ level: 'error', why: 'a bug', msg: 'session change failed' }]);
  });
});

describe('a push', () => {
  const NOWHERE = { delivered: 0, dropped: 0, refused: 0, gateways: 0, kept: 0, unknownUids: [], unknownSids: [], silentGateways: [] }; // prettier-ignore

  test('with and without counts', async () => {
    const { commands, clients } = stage();
    commands.push(PUSH);
    expect(await commands.pushCounted(PUSH)).toEqual({ ...NOWHERE, delivered: 2, gateways: 1 });
    const { session, connection } = clients[0]!;
    session.outbox.flush();
    expect(connection.messages).toEqual(['onChat {}', 'onChat {}']);
  });

  test('that is refused is counted and logged, and answered if it is to be counted', async () => {
    const { commands, dropped, lines } = stage();
    const push = { ...PUSH, target: null };
    commands.push(push);
    expect(await commands.pushCounted(push)).toMatchObject({ ...NOWHERE, failure: { code: 400 } });
    expect(dropped('push')).toBe(2);
    const line = { level: 'warn', backend: 'game', route: 'onChat', msg: 'push refused' };
    expect(lines).toMatchObject([line, line]);
  });

  test('in which the gateway fails is answered 500, and logged', async () => {
    const { fleet, commands, dropped } = stage();
    fleet.pushCounted = () => Promise.reject(new Error('a bug'));
    expect(await commands.pushCounted(PUSH)).toMatchObject({ ...NOWHERE, failure: { code: 500 } });
    expect(dropped('push')).toBe(1);
  });
});
