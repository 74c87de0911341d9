/** How the client comes back to its session at Pith: the token, and the place among kept pushes. */
import { describe, expect, test } from 'vitest';

import type { StateChange } from '../../../src/client/client.ts';
import { openRig, rig, type Rig } from './support.ts';

const saidBy = ({ server }: Rig): unknown => (server.last.hello.user as { pith?: unknown }).pith;

/** Connected to a server that gives this token. */
async function openWith(resume: string): Promise<Rig> {
  const all = rig();
  const opened = all.client.connect();
  all.server.last.accept({}, { user: { pith: { resume } } });
  await opened;
  return all;
}

function comeBack(all: Rig): void {
  const { connections } = all.server;
  const { length } = connections;
  all.server.last.end();
  while (connections.length === length) all.clock.advance(250);
}

describe('a client', () => {
  test('asks for a token, and comes back with the newest', async () => {
    const all = await openWith('t1');
    expect(saidBy(all)).toEqual({ resume: '', cursor: 0 });
    all.server.last.push('pith.resume', '{"token":"t2","expires_in":60}');
    all.server.last.push('pith.cursor', '{"seq":7}');
    comeBack(all);
    all.server.last.open();
    expect(saidBy(all)).toEqual({ resume: 't2', cursor: 7 });
  });

  test('hands on that kept pushes are missing, and moves on', async () => {
    const all = await openWith('t1');
    const told: unknown[] = [];
    all.client.onPush('pith.cursor', (body) => void told.push(body));
    all.server.last.push('pith.cursor', '{"seq":7}');
    all.server.last.push('pith.cursor', '{"seq":9,"missed":true}');
    expect(told).toEqual([{ seq: 9, missed: true }]);
    comeBack(all);
    all.server.last.open();
    expect(saidBy(all)).toEqual({ resume: 't1', cursor: 9 });
  });

  test('tells whether it is the same session, and not otherwise', async () => {
    const all = await openWith('t1');
    const told: StateChange[] = [];
    all.client.onState((change) => void told.push(change));
    comeBack(all);
    all.server.last.accept({}, { user: { pith: { resume: 't2', resumed: true } } });
    comeBack(all);
    all.server.last.accept({}, { user: { pith: { resume: 't3' } } });
    const open = told.filter(({ state }) => state === 'open');
    expect(open).toEqual([{ state: 'open', resumed: true }, { state: 'open' }]);
  });

  test('keeps what is for itself from its listeners, and reads it with raw bodies too', async () => {
    const all = await openRig({ raw: true });
    const routes: string[] = [];
    all.client.onPush('*', (_body, { route }) => void routes.push(route));
    for (const route of ['pith.resume', 'pith.cursor', 'pith.gap', 'onChat'])
      all.server.last.push(route, '{"token":"t2","seq":3}');
    all.server.last.push('pith.resume', 'null');
    expect(routes).toEqual(['pith.gap', 'onChat']);
    comeBack(all);
    all.server.last.open();
    expect(saidBy(all)).toEqual({ resume: 't2', cursor: 3 });
  });

  test('is told of a push of that kind that cannot be read', async () => {
    const all = await openWith('t1');
    all.server.last.push('pith.resume', 'no json');
    expect(all.told.at(-1)).toBe('error BAD_BODY: the body of pith.resume is not JSON');
    comeBack(all);
    all.server.last.open();
    expect(saidBy(all)).toMatchObject({ resume: 't1' });
  });

  test.each(['kick', 'close', 'refusal'])('has another session after a %s', async (end) => {
    const all = await openWith('t1');
    if (end === 'kick') all.server.last.packet(5, '{"reason":"kick"}');
    if (end === 'close') void all.client.close();
    if (end === 'refusal') comeBack(all);
    if (end === 'refusal') all.server.last.open();
    if (end === 'refusal') all.server.last.packet(1, '{"code":500}');
    all.server.last.end();
    expect(all.client.state).toBe('closed');
    all.client.connect().catch(() => {});
    all.server.last.open();
    expect(saidBy(all)).toEqual({ resume: '', cursor: 0 });
  });

  test('comes back after the kick of a server that drains', async () => {
    const all = await openWith('t1');
    all.server.last.packet(5, '{"reason":"draining"}');
    comeBack(all);
    all.server.last.open();
    expect(saidBy(all)).toMatchObject({ resume: 't1' });
  });

  test('forgets its token where the server gives none any more', async () => {
    const all = await openWith('t1');
    comeBack(all);
    all.server.last.accept({}, { user: { level: 3 } });
    comeBack(all);
    all.server.last.open();
    expect(saidBy(all)).toEqual({ resume: '', cursor: 0 });
  });

  test.each([null, undefined, { token: 't' }])('says it beside the user block %j', async (user) => {
    const all = await openRig({ user });
    expect(all.server.last.hello.user).toEqual({ ...user, pith: { resume: '', cursor: 0 } });
  });

  test.each(['text', [1]])('says nothing where the block is %j', async (user) => {
    const all = await openRig({ user });
    expect(all.server.last.hello.user).toEqual(user);
  });

  test('says nothing where the application does not want it', async () => {
    const all = await openRig({ resume: false, user: { token: 't' } });
    expect(all.server.last.hello.user).toEqual({ token: 't' });
  });
});
