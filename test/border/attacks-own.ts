/** What a backend says of its own accord: pushes, verbs, credit, goaway, hellos; on Links, dial-ins and IPC. */
import type { Attack } from './attacks.ts';
import type { Arena } from './arena.ts';
import type { Chance } from './chance.ts';
import { dialed, type Fields, linkBytes } from './frames.ts';
import { unescaped } from './replies.ts';
import { count, json, length, MIB, NAMES, spoilt, text } from './values.ts';

export const ownAttacks: readonly Attack[] = [
  own('Link', 'xlink', (arena, frames) => onLink(arena, 'link', frames)),
  own('dial-in gRPC', 'xdial', (arena, frames) => onLink(arena, 'dial', frames)),
  own('dial-in WebSocket', 'xdialws', onWebSocket),
  { ...own('IPC', 'xipc', onIpc), next: (arena) => spoiltLines(arena) },
];

function own(
  over: string,
  ends: string,
  send: (arena: Arena, frames: readonly Fields[]) => Promise<unknown>,
): Attack {
  return {
    what: 'frames of its own',
    over,
    ends,
    fleet: true,
    async first(arena) {
      await join(arena);
      for (const frames of EDGES) await send(arena, frames());
    },
    async next(arena) {
      const frames = Array.from({ length: arena.chance.int(1, 6) }, () => frameOf(arena.chance));
      await send(arena, frames);
    },
  };
}

/** A client that pushes and verbs mean: the user ann, in the group g. */
export async function join(arena: Arena): Promise<void> {
  const say = '{"payload":{},"patch":{"uid":"ann","join":["g"]}';
  await arena.ask(
    'ipc',
    ({ seq, socket }) => void socket.write(`${say},"seq_id":${seq}}\n`),
    say.length,
    { from: ['pomelo', 'ws'] },
  );
}

/** Nobody is meant who only stands by, but by pushes. */
const TARGETS: readonly Fields[] = [
  { uids: ['ann'] },
  { groups: ['g'] },
  { groups: ['g', 'h'], uids: ['ann'] },
  { sids: ['pith-AAAAAAAAAA.1'] },
  { sids: ['', '.', 'x', 'a.b.c', '*.1', '>'] },
  { uids: Array.from({ length: 2_000 }, (_, i) => `u${i}`) },
  { uids: ['ann'], except_uids: ['ann'] },
  { uids: ['x'.repeat(100_000)] },
  {},
];

const big = 'x'.repeat(1_200_000);
const ids = (number: number): string[] => Array.from({ length: number }, (_, i) => `u${i}`);
const push = (more: Fields, body = 'x', target: Fields = { all: true }): Fields => ({
  push: { target, route: 'onX', body: { text: body }, ...more },
});

/** Each was the end of some gateway, or of those who read well. */
const EDGES: readonly (() => readonly Fields[])[] = [
  () => [{ id: 1, ...push({}, big) }],
  () => [push({}, big)],
  () => [{ id: 2, verb: { target: { sids: ['pith-AAAAAAAAAA.1'] }, patch: { set: { k: big } } } }],
  () => [{ id: 3, verb: { target: { uids: ids(50_000) }, close: { reason: 'x' } } }],
  () => [{ id: 4, verb: { target: { uids: ['nobody'] }, close: { reason: big } } }],
  () => [{ id: 5, ...push({}, 'x', { uids: ids(50_000) }) }],
  () => Array.from({ length: 60 }, () => push({}, 'x'.repeat(20_000))),
  () => Array.from({ length: 110 }, () => push({}, 'x'.repeat(10_000))),
  () => Array.from({ length: 1_200 }, () => push({}, 'x'.repeat(1_000))),
  () => Array.from({ length: 3_000 }, (_, i) => push({ delivery: 2, latest_key: `k${i % 3}` })),
  () =>
    Array.from({ length: 5_000 }, (_, i) => ({
      id: i + 1,
      ...push({}, 'x', { uids: ['nobody'] }),
    })),
  // Many small ones: no single one is over a bound.
  () => Array.from({ length: 4_000 }, () => push({}, 'x'.repeat(1_000), { uids: ['nobody'] })),
  () => Array.from({ length: 40_000 }, () => push({}, 'x', { uids: ['nobody'] })),
  () => [push({ route: 'r'.repeat(200_000) }), push({ route: '' }), push({ route: 'pith.closed' })],
  () => [
    push({ expires_in: { seconds: '315576000000' } }),
    push({ expires_in: { seconds: '-1' } }),
  ],
  () => [push({ latest_key: big, delivery: 2 }, 'x', { uids: ['ann'] })],
];

function frameOf(chance: Chance): Fields {
  const target = chance.pick(TARGETS);
  const id = chance.pick([0, 1, 1, 2, 4_294_967_295]);
  const body = unescaped(text(chance, length(chance, 100_000)));
  switch (chance.int(0, 6)) {
    case 0:
    case 1:
      return {
        id,
        push: {
          target: chance.is(0.3) ? { all: true } : target,
          route: chance.pick(NAMES),
          body: { text: body },
          delivery: chance.int(0, 3),
          latest_key: chance.pick(NAMES),
          after_reply: chance.is(0.1),
        },
      };
    case 2:
      return { id, verb: { target, patch: { uid: chance.pick(['ann', 'ann', 'b'.repeat(300)]) } } };
    case 3:
      return { id, verb: { target, patch: { join: ids(count(chance, 2_000)), leave: ['g'] } } };
    case 4:
      return {
        id,
        verb: { target, close: { reason: body.slice(0, 4_000), kick: chance.is(0.5) } },
      };
    case 5:
      return { id, credit: { frames: chance.pick([0, 1, 2 ** 32 - 1]), bytes: 2 ** 32 - 1 } };
    default:
      return chance.pick<Fields>([
        { id, extend: { timeout: { seconds: '99999999999' } } },
        { id, reply: {} },
        { id, connect: { accept: {} } },
        { id, hello: { instance: body.slice(0, 10_000), features: ids(1_000) } },
        { id },
      ]);
  }
}

/** The frames, and behind them the answer that shows that they have been read. */
function onLink(arena: Arena, kind: 'link' | 'dial', frames: readonly Fields[]): Promise<unknown> {
  const { chance } = arena;
  const encoded = linkBytes({ frames: frames.map(dialed) });
  const broken = frames.length < 7 && chance.is(0.15);
  return arena.ask(
    kind,
    ({ id, send }) => {
      send(broken ? spoilt(chance, encoded) : encoded);
      send({ frames: [{ id, reply: {} }] });
    },
    encoded.length,
  );
}

function onWebSocket(arena: Arena, frames: readonly Fields[]): Promise<unknown> {
  const { chance } = arena;
  const whole = JSON.stringify({ frames }).replaceAll(/"seconds":"(-?\d+)"/g, '"s":1');
  const broken = frames.length < 7 && chance.is(0.3);
  return arena.ask(
    'dialws',
    ({ id, send }) => {
      send(broken ? spoilt(chance, Buffer.from(whole)) : whole);
      send(JSON.stringify({ frames: [{ id, reply: {} }] }));
    },
    whole.length,
  );
}

/** A frame's push or verb as the line that says the same, as far as it can. */
function onIpc(arena: Arena, frames: readonly Fields[]): Promise<unknown> {
  const lines = frames.map((frame) => {
    const { target = {}, body, ...more } = (frame['push'] ?? frame['verb'] ?? {}) as Fields;
    const { uids, groups, sids, all } = target as Record<string, string[] | undefined>;
    const to = all
      ? { all: true }
      : { uid: uids?.[0], group: groups?.[0], sid: sids?.[0], except_uids: uids };
    const cmd = 'push' in frame ? 'push' : 'patch' in more ? 'patch' : 'kick';
    const payload = (body as { text?: string } | undefined)?.text;
    const close = more['close'] as Fields | undefined;
    return JSON.stringify({ cmd, ...to, ...more, ...close, payload });
  });
  return arena.ask(
    'ipc',
    ({ seq, socket }) => {
      socket.write(`${lines.join('\n')}\n{"seq_id":${seq},"payload":{}}\n`);
    },
    lines.reduce((sum, line) => sum + line.length, 0),
    { whole: true },
  );
}

/** Lines that are nearly right, or only long. */
async function spoiltLines(arena: Arena): Promise<void> {
  const { chance } = arena;
  const target = chance.pick([
    '"uid":"ann"',
    '"group":"g"',
    '"sid":"x.1"',
    '"uid":7',
    '"uid":"ann","all":true',
  ]);
  const cmd = chance.pick(['push', 'patch', 'close', 'kick', 'hello', 'pith.closed', '__proto__']);
  const value = json(chance, length(chance, 200_000));
  const members = chance.pick([
    `"cmd":"${cmd}",${target},"payload":${value},"route":"onX"`,
    `"cmd":"${cmd}",${target},"patch":${value}`,
    `"cmd":${value},${target}`,
    `"seq_id":${value},"payload":{}`,
    `"cmd":"push",${target},"route":${value},"payload":1,"delivery":${value},"expires_ms":${value}`,
  ]);
  const many = chance.is(0.1) ? 2_000 : 1;
  const line = Buffer.from(`{${members}}`);
  const sent = chance.is(0.3) ? spoilt(chance, line) : line;
  const lines = Array.from({ length: sent.length > 2_000 ? 1 : many }, () => sent);
  await arena.ask(
    'ipc',
    ({ seq, socket }) => {
      for (const one of lines) socket.write(Buffer.concat([one, Buffer.from('\n')]));
      socket.write(`{"seq_id":${seq},"payload":{}}\n`);
    },
    sent.length * lines.length,
  );
  if (chance.is(0.02)) await tooLong(arena);
}

/** One line that ends nowhere, longer than any may be. */
function tooLong(arena: Arena): Promise<unknown> {
  const part = Buffer.alloc(8 * MIB, 0x61);
  return arena.ask(
    'ipc',
    ({ socket }) => {
      for (let parts = 9; parts > 0; parts--) socket.write(part);
    },
    9 * part.length,
  );
}
