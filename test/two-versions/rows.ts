/** What must work while N and N+1 share a bus and a backend. Each row is played both ways. */
import type { TestClient } from '../support/client.ts';
import { come } from '../support/resuming.ts';
import { push, tell, tellJson } from '../support/nats-backend.ts';
import { eventually } from '../support/wait.ts';
import { expectEqual, expectHas, type Side, type Stage } from './stage.ts';

export type Row = {
  readonly what: string;
  /**
   * `near` is asked, `far` has the player who is meant. Throws a sentence if it is not as promised.
   * @returns What the table says; nothing: it works.
   */
  play(stage: Stage, near: Side, far: Side, uid: string): Promise<string | void>;
};

const ONE = { delivered: 1, dropped: 0, refused: 0 };

export const ROWS: readonly Row[] = [
  {
    what: 'a login on NATS, a request on gRPC with what the login has set',
    async play(stage, _near, far, uid) {
      const player = await stage.player(far, uid);
      const seen = { code: 200, uid, data: { room: 'r1' } };
      expectEqual(await player.request('game.user.whoami'), seen);
    },
  },
  {
    what: 'a push of the backend, by a Link of one gateway to a player of the other',
    async play(stage, near, far, uid) {
      const sender = await stage.player(near, `${uid}-sender`);
      const player = await stage.player(far, uid);
      await sender.request('game.room.push', { target: { uids: [uid] }, text: 'hi' });
      expectEqual(await player.push('onSay'), { text: 'hi' });
    },
  },
  {
    what: 'the same to a group, and to all',
    async play(stage, near, far, uid) {
      const sender = await stage.player(near, `${uid}-sender`);
      const player = await stage.player(far, uid);
      await sender.request('game.room.push', { target: { groups: ['room.r1'] }, text: 'group' });
      await sender.request('game.room.push', { target: { all: true }, text: 'all' });
      for (const one of [sender, player])
        expectEqual(
          [await one.push('onSay'), await one.push('onSay', 1)],
          [{ text: 'group' }, { text: 'all' }],
        );
    },
  },
  {
    what: 'the same to users and groups at once, but for some',
    async play(stage, near, far, uid) {
      const sender = await stage.player(near, `${uid}-sender`);
      const player = await stage.player(far, uid);
      const target = { uids: [uid], groups: ['room.r1'], except_uids: [`${uid}-sender`] };
      await sender.request('game.room.push', { target, text: 'some' });
      await sender.request('game.room.push', { target: { all: true }, text: 'end' });
      expectEqual(await player.push('onSay'), { text: 'some' });
      for (const one of [sender, player]) {
        const said = (): unknown[] => one.pushes('onSay').map(({ body }) => body['text']);
        await eventually(() => said().includes('end'), 'the last push');
        expectEqual(said(), one === player ? ['some', 'end'] : ['end']);
      }
    },
  },
  {
    what: 'pushes published on NATS: to a user, a session, a group, counted',
    async play(stage, _near, far, uid) {
      const player = await stage.player(far, uid);
      const sid = await stage.sidOf(uid);
      const to = [`user.${uid}`, `session.${sid}`];
      for (const [n, one] of to.entries()) {
        const counted = await tellJson(
          stage.nc,
          `pith.${one}.push`,
          { n },
          { 'Pith-Route': 'onSay' },
        );
        expectEqual(counted, ONE);
        expectEqual(await player.push('onSay', n), { n });
      }
      push(stage.nc, 'pith.group.=cm9vbS5yMQ.push', 'onSay', { n: 2 });
      expectEqual(await player.push('onSay', 2), { n: 2 });
    },
  },
  {
    what: 'Control Push and PushMany',
    async play(stage, near, far, uid) {
      const player = await stage.player(far, uid);
      const request = {
        push: { target: { uids: [uid] }, route: 'onSay', body: { json: { n: 0 } } },
      };
      expectHas(await stage.control(near, 'Push', request), {
        delivered: 1,
        dropped: 0,
        refused: 0,
      });
      expectEqual(await player.push('onSay'), { n: 0 });
    },
  },
  {
    what: 'Control Bind, SetData, Join, Leave and Unbind of a session of the other',
    async play(stage, near, far, uid) {
      const player = await stage.player(far, uid);
      const sid = await stage.sidOf(uid);
      const [target, groups] = [{ sids: [sid] }, [`only.${uid}`]];
      const steps: [string, object, (() => Promise<unknown>)?][] = [
        ['SetData', { sid, set: { room: 'r2' } }, () => sees(player, { data: { room: 'r2' } })],
        ['Join', { target, groups }, () => reaches(stage, near, { groups }, player)],
        ['Leave', { target, groups }],
        ['Unbind', { sid }, () => sees(player, { uid: '' })],
        ['Bind', { sid, uid: `${uid}-2` }, () => sees(player, { uid: `${uid}-2` })],
      ];
      const missing: string[] = [];
      for (const [method, request, look] of steps) {
        const answer = await served(stage, near, method, request);
        // Where N+1 was asked, and N does not know what it is asked in turn, N is named.
        if (answer === null || isSilent(answer, far)) missing.push(method);
        else await look?.();
      }
      return missing.length === 0 ? undefined : `N has no ${missing.join(', ')}`;
    },
  },
  {
    what: 'Control ListSessions: players of both',
    async play(stage, near, far, uid) {
      await stage.player(near, `${uid}-near`);
      await stage.player(far, uid);
      const uids = [uid, `${uid}-near`];
      const listed = await stage.list(near, 'ListSessions', { target: { uids } });
      const found = listed.flatMap(({ uid: one }) => (one === undefined ? [] : [one]));
      expectEqual(new Set(found), new Set(uids));
    },
  },
  {
    what: 'Control GetPresence: players of both, or the gateway that was not heard is named',
    async play(stage, near, far, uid) {
      await stage.player(far, uid);
      const answer = await served(stage, near, 'GetPresence', { uids: [uid] });
      if (answer === null) return 'not known to N';
      if (isSilent(answer, far)) return 'N is named as silent';
      expectEqual(Object.keys(answer['presence'] as object), [uid]);
      return undefined;
    },
  },
  {
    what: 'Control Kick of a player of the other',
    async play(stage, near, far, uid) {
      const player = await stage.player(far, uid);
      await stage.control(near, 'Kick', { target: { uids: [uid] }, close: { reason: 'bye' } });
      expectEqual((await player.next('kick')).body, { reason: 'bye' });
      await player.ended;
    },
  },
  {
    what: 'Control over NATS, whichever gateway takes it',
    async play(stage, _near, far, uid) {
      const player = await stage.player(far, uid);
      const request = {
        push: { target: { uids: [uid] }, route: 'onSay', body: { json: { n: 0 } } },
      };
      for (let n = 0; n < 6; n++)
        expectHas(await tellJson(stage.nc, 'pith.control.Push', request), { delivered: 1 });
      expectEqual(await player.push('onSay', 5), { n: 0 });
    },
  },
  {
    what: 'verbs on NATS: patch, set, join, leave, get, kick',
    async play(stage, _near, far, uid) {
      const player = await stage.player(far, uid);
      const sid = await stage.sidOf(uid);
      const verb = (name: string, body: object): Promise<Record<string, unknown>> =>
        tellJson(stage.nc, `pith.session.${sid}.${name}`, body);
      expectHas(await verb('patch', { set: { room: 'r3' } }), { changed: 1 });
      expectHas(await player.request('game.user.whoami'), { data: { room: 'r3' } });
      expectHas(await verb('join', { groups: [uid] }), { changed: 1 });
      expectEqual(
        await tellJson(stage.nc, `pith.group.${uid}.push`, {}, { 'Pith-Route': 'onSay' }),
        ONE,
      );
      expectHas(await verb('leave', { groups: [uid] }), { changed: 1 });
      expectEqual(await verb('kick', { reason: 'bye' }), { closed: 1 });
      expectEqual((await player.next('kick')).body, { reason: 'bye' });
    },
  },
  {
    what: 'headers, fields and verbs that N does not know are ignored or refused, and nothing else',
    async play(stage, _near, far, uid) {
      const player = await stage.player(far, uid);
      const words = {
        'Pith-Route': 'onSay',
        'Pith-Of-Tomorrow': 'x',
        'Pith-Gateway': 'gw-tomorrow',
      };
      const subject = `pith.user.${uid}`;
      expectEqual(await tellJson(stage.nc, `${subject}.push`, { n: 0 }, words), ONE);
      const sid = await stage.sidOf(uid);
      const patch = { set: { a: 1 }, of_tomorrow: { x: [1] } };
      const { changed, error } = await tellJson(stage.nc, `pith.session.${sid}.patch`, patch);
      const answer = await tell(stage.nc, `pith.session.${sid}.of_tomorrow`, '{}');
      expectEqual(answer?.headers['Nats-Service-Error-Code'], '501');
      expectEqual(await player.push('onSay'), { n: 0 });
      return changed === 1 ? undefined : `a field that is not known: ${JSON.stringify(error)}`;
    },
  },
  {
    what: 'a uid that is bound on both: only what N+1 knows of is closed',
    async play(stage, near, far, uid) {
      const first = await stage.player(near, uid);
      const second = await stage.player(far, uid);
      for (const one of [first, second]) expectHas(await one.request('game.user.whoami'), { uid });
      const here = await stage.player(stage.fresh, uid);
      const again = await stage.player(stage.fresh, uid);
      expectEqual((await here.next('kick')).body, { reason: 'logged_in_elsewhere' });
      expectHas(await again.request('game.user.whoami'), { uid });
      const onOld = near === stage.old ? first : second;
      expectHas(await onOld.request('game.user.whoami'), { uid });
    },
  },
  {
    what: 'a resume token of N+1 at N is no error, and still good at N+1',
    async play(stage, _near, far, uid) {
      const { client, pith } = await come(stage.fresh.gateway.port);
      await client.request('login.user.enter', { uid });
      const token = (await client.push('pith.resume'))['token'] as string;
      expectEqual(pith.resume === '', false);
      client.close();
      if (far === stage.old) {
        const there = await come(stage.old.gateway.port, token);
        expectHas(there.answer, { code: 200 });
        expectHas(await there.client.request('game.user.whoami'), { uid: '' });
        there.client.close();
      }
      const back = await come(stage.fresh.gateway.port, token);
      expectEqual(back.pith.resumed, true);
      expectHas(await back.client.request('game.user.whoami'), { uid });
      back.client.close();
    },
  },
  {
    what: 'events: those of N+1 are told; N is not announced as lost',
    async play(stage, _near, far, uid) {
      const closedAt = new Set<string>();
      const lost: string[] = [];
      const events = stage.nc.subscribe('pith.event.>', {
        callback: (_error, msg) => {
          const event = msg.json<{
            session?: { uid: string; gateway: string };
            gateway?: string;
          }>();
          const isClosed = msg.subject.endsWith('.session.closed');
          if (isClosed && event.session?.uid === uid) closedAt.add(event.session.gateway);
          if (msg.subject.endsWith('.gateway.lost')) lost.push(String(event.gateway));
        },
      });
      await stage.nc.flush();
      // Those of `far` come first, if it tells any.
      for (const side of [far, stage.fresh]) {
        const player = await stage.player(side, uid);
        player.close();
        await player.ended;
        const target = { uids: [uid] };
        await eventually(
          async () =>
            (await stage.list(side, 'ListSessions', { target })).every((one) => one['uid'] !== uid),
          'the end of the session',
        );
      }
      await eventually(() => closedAt.has(stage.fresh.id), 'the event closed of N+1');
      events.unsubscribe();
      expectEqual(lost, []);
      return closedAt.has(far.id) ? undefined : 'N tells none';
    },
  },
  {
    what: 'no fault inside far, and no warning but of what it does not know',
    async play(_stage, _near, far) {
      const page = await fetch(`http://127.0.0.1:${far.gateway.healthPort}/metrics`);
      const metrics = await page.text();
      const faults = /^pith_internal_errors_total(?:\{.*\})? (\S+)$/m.exec(metrics)?.[1] ?? '0';
      expectEqual(faults, '0');
      const warnings = far.gateway
        .log()
        .filter(({ level }) => level === 'warn' || level === 'error');
      const unknown = warnings.filter(({ reason }) => reason === 'UNSUPPORTED');
      expectEqual(
        warnings.filter((one) => !unknown.includes(one)),
        [],
      );
      const verbs = unknown.map(({ subject }) => String(subject).split('.').at(-1)!);
      const others = [...new Set(verbs)].filter((verb) => verb !== 'of_tomorrow');
      return others.length === 0 ? undefined : `unknown: ${others.toSorted().join(', ')}`;
    },
  },
];

/** null where the gateway says that it does not serve this method. */
async function served(
  stage: Stage,
  near: Side,
  method: string,
  request: object,
): Promise<Record<string, unknown> | null> {
  try {
    return await stage.control(near, method, request);
  } catch (error) {
    if (/: 501 /.test((error as Error).message)) return null;
    throw error;
  }
}

function isSilent(answer: Record<string, unknown>, { id }: Side): boolean {
  return (answer['silent_gateways'] as string[] | undefined)?.includes(id) === true;
}

async function sees(player: TestClient, expected: Record<string, unknown>): Promise<void> {
  expectHas(await player.request('game.user.whoami'), expected);
}

async function reaches(
  stage: Stage,
  near: Side,
  target: object,
  player: TestClient,
): Promise<void> {
  const request = { push: { target, route: 'onReached', body: { json: { n: 1 } } } };
  expectHas(await stage.control(near, 'Push', request), { delivered: 1 });
  expectEqual(await player.push('onReached'), { n: 1 });
}

/** N is stopped, as in a rolling update: played once, at the end. */
export async function stopOld(stage: Stage): Promise<void> {
  const leaving = await stage.player(stage.old, 'leaving');
  const staying = await stage.player(stage.fresh, 'staying');
  const ids = Array.from({ length: 50 }, () => leaving.send('game.user.whoami', {}));
  stage.old.gateway.running.kill('SIGTERM');
  // What it had not read yet is refused.
  for (const id of ids) {
    const { code, reason } = await leaving.answer(id);
    if (code !== 200) expectEqual({ code, reason }, { code: 503, reason: 'DRAINING' });
  }
  expectEqual(await stage.old.gateway.running.exited, 0);
  const request = { push: { target: { uids: ['staying'] }, route: 'onSay', body: { json: {} } } };
  expectHas(await stage.control(stage.fresh, 'Push', request), { delivered: 1 });
  expectHas(await staying.request('game.user.whoami'), { uid: 'staying' });
}
