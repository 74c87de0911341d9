/** What comes over NATS that no gateway asked for: verbs, what the gateways say to each other, forged answers. */
import type { Arena } from './arena.ts';
import type { Attack } from './attacks.ts';
import { join } from './attacks-own.ts';
import type { Chance } from './chance.ts';
import { json, length, NAMES, spoilt, text } from './values.ts';

export const natsAttacks: readonly Attack[] = [
  { what: 'verbs', over: 'NATS', fleet: true, first: verbEdges, next: verb },
  { what: 'words between gateways', over: 'NATS', fleet: true, first: fleetEdges, next: fleet },
  { what: 'answers to nothing', over: 'NATS', fleet: true, next: forged },
];

/** The server's own limit. */
const LARGEST = 1_000_000;

const VERBS = [
  'push',
  'patch',
  'bind',
  'unbind',
  'set',
  'join',
  'leave',
  'kick',
  'close',
  'get',
  'kept',
  'x',
  'constructor',
];

/** Nobody is meant who only stands by, but by pushes and get. */
function subjectOf(chance: Chance): string {
  const word = chance.pick(VERBS);
  const scope = chance.int(0, 5);
  if (scope === 0) return `pith.user.ann.${word}`;
  if (scope === 1) return `pith.group.g.${word}`;
  if (scope === 2) return `pith.session.border-AAAAAAAAAA.1.${word}`;
  if (scope === 3) return `pith.all.${chance.pick(['push', 'get', 'x'])}`;
  if (scope === 4) return `pith.user.=${Buffer.from('ann').toString('base64url')}.${word}`;
  return chance.pick([
    'pith.user.a.b.c.push',
    'pith.session.x.push',
    'pith.group.push',
    'pith.x.y',
    'pith.keep.user.ann',
    'pith.gateway.x.push',
  ]);
}

const PUSH_HEADERS = [
  'Pith-Route',
  'Pith-Except-Sids',
  'Pith-Except-Uids',
  'Pith-Where',
  'Pith-Delivery',
  'Pith-Latest-Key',
  'Pith-Expires-Ms',
  'Pith-Target',
  'Nats-Stream',
  'Nats-Sequence',
];

function headersOf(chance: Chance): string {
  let lines = chance.is(0.8) ? 'Pith-Route: onX\r\n' : '';
  for (let i = chance.int(0, 4); i > 0; i--) {
    const value = chance.is(0.5) ? json(chance, 300) : text(chance, length(chance, 2_000));
    lines += `${chance.pick(PUSH_HEADERS)}: ${encodeURIComponent(value.toWellFormed())}\r\n`;
  }
  return lines;
}

async function verbEdges(arena: Arena): Promise<void> {
  await join(arena);
  const { nats } = arena;
  // Each line was bounded, and never their number.
  for (const lines of [1_000, 10_000, 40_000]) {
    const headers = 'Pith-Route: onX\r\n' + 'a: b\r\n'.repeat(lines);
    arena.sends(headers.length);
    nats.publish('pith.all.push', '', headers, '{}');
    const own = Array.from({ length: lines }, (_, i) => `h${i}: b\r\n`).join('');
    nats.publish('pith.user.ann.push', '', `Pith-Route: onX\r\n${own}`, '{}');
    await settled(arena);
  }
  for (const [pushes, bytes] of [
    [60, 20_000],
    [110, 10_000],
    [1_200, 1_000],
    [300, 1_000],
  ] as const) {
    const body = `{"e":"${'x'.repeat(bytes)}"}`;
    arena.sends(pushes * bytes);
    for (let i = 0; i < pushes; i++) nats.publish('pith.all.push', '', 'Pith-Route: onX\r\n', body);
    await settled(arena);
  }
}

async function verb(arena: Arena): Promise<void> {
  const { chance, nats } = arena;
  const subject = subjectOf(chance);
  const value = chance.is(0.5)
    ? json(chance, length(chance, LARGEST))
    : `{"uid":"ann","set":${json(chance, 2_000)},"join":${json(chance, 2_000)},"groups":${json(chance, 500)}}`;
  const body = Buffer.from(value).subarray(0, LARGEST);
  const headers = Buffer.from(headersOf(chance));
  const reply = chance.pick([
    '',
    '',
    '_INBOX.border.1',
    'pith.user.ann.kick',
    'pith.all.kick',
    'pith.rpc.xnats.echo.say',
  ]);
  arena.sends(body.length + headers.length);
  nats.publish(subject, reply, chance.is(0.1) ? spoilt(chance, headers) : headers, body);
  await settled(arena);
}

async function fleetEdges(arena: Arena): Promise<void> {
  const { nats } = arena;
  // Names that nobody has: each is a gateway that may be waited for.
  for (let i = 0; i < 20_000; i++)
    nats.publish('pith.fleet.hello', '', '', `{"gateway":"forged-${i}"}`);
  arena.sends(20_000 * 30);
  await settled(arena);
  for (let i = 0; i < 20_000; i++)
    nats.publish('pith.fleet.bye', '', '', `{"gateway":"forged-${i}"}`);
  await settled(arena);
}

async function fleet(arena: Arena): Promise<void> {
  const { chance, nats } = arena;
  const word = chance.pick(['hello', 'bye', 'push', 'kick', 'list', 'x', 'constructor']);
  const target = chance.pick([
    '{"uids":["ann"]}',
    '{"groups":["g"]}',
    '{}',
    'null',
    '[]',
    '{"sids":["x.1"]}',
  ]);
  const body = chance.pick([
    `{"gateway":${JSON.stringify(chance.pick(NAMES))}}`,
    `{"gateway":"${'x'.repeat(length(chance, LARGEST / 2))}"}`,
    `{"target":${target},"reason":"x","retry_after":"1e9s","limit":4294967296,"page_token":"x"}`,
    `{"target":${word === 'kick' ? target : json(chance, 500)}}`,
    word === 'kick' ? '{}' : json(chance, length(chance, LARGEST / 2)),
  ]);
  const bytes = Buffer.from(body).subarray(0, LARGEST);
  const sent = word !== 'kick' && chance.is(0.2) ? spoilt(chance, bytes) : bytes;
  arena.sends(sent.length);
  nats.publish(`pith.fleet.${word}`, chance.pick(['', '_INBOX.border.2']), headersOf(chance), sent);
  await settled(arena);
}

/** Answers to calls and questions that are not open, on the gateway's own inbox. */
async function forged(arena: Arena): Promise<void> {
  const { chance, nats } = arena;
  const number = chance.pick([
    '1',
    'zz',
    '0',
    '-1',
    '9'.repeat(20),
    String(chance.int(1, 1_000_000)),
  ]);
  const subject = `_INBOX.${chance.pick(arena.ports.gateways)}.${chance.pick(['rpc', 'ask'])}.${number}`;
  const body = Buffer.from(json(chance, length(chance, LARGEST))).subarray(0, LARGEST);
  arena.sends(body.length);
  nats.publish(subject, '', headersOf(chance), body);
  await settled(arena);
}

/** What was published before is read when this is answered: on one connection, in order. */
async function settled(arena: Arena): Promise<void> {
  await arena.ask('nats', ({ reply, wire }) => wire.publish(reply, '', '', '{}'), 2, {
    from: ['pomelo', 'tcp'],
    whole: true,
  });
}
