/** What clients send: packets and messages in each dialect, handshakes, WebSocket frames. */
import { deflateSync } from 'node:zlib';

import type { Arena } from './arena.ts';
import type { Attack } from './attacks.ts';
import type { Chance } from './chance.ts';
import { Client, message, packet, type Dialect, type Transport } from './client.ts';
import { KINDS, PACKET_BYTES } from './config.ts';
import { bytesOf, draw } from './replies.ts';
import { depthOf, json, length, NAMES, NUMBERS, spoilt, text } from './values.ts';

const DIALECTS = ['pomelo', 'pitaya', 'nano'] as const;
const PATIENCE_MS = 40_000;
/** Deeper is no JSON to the gateway. */
const DEPTH = 65_000;

export const clientAttacks: readonly Attack[] = [
  ...DIALECTS.flatMap((dialect) =>
    (
      [
        ['requests', request],
        ['packets', bytes],
        ['handshakes', handshake],
      ] as const
    ).map(([what, attack]): Attack => {
      const next = (arena: Arena, n: number): Promise<void> =>
        attack(arena, dialect, n % 2 === 0 ? 'ws' : 'tcp');
      return { what: `${what} of ${dialect}`, over: 'ws and tcp', next };
    }),
  ),
  { what: 'requests of json', over: 'ws', next: (arena) => request(arena, 'json', 'ws') },
  { what: 'messages of json', over: 'ws', next: jsonMessage },
  { what: 'frames below the messages', over: 'ws', next: frames },
];

const ROUTES = [
  ...NAMES,
  'a',
  'a.b',
  'a.b.c.d',
  'x'.repeat(127),
  'x'.repeat(255),
  'nowhere.at.all',
];

/** A whole request, of a body and route by chance, to any backend: answered once, or the connection is closed. */
async function request(arena: Arena, dialect: Dialect, transport: Transport): Promise<void> {
  const { chance } = arena;
  const client = await arena.client(dialect, transport);
  const side = chance.pick(['a', 'x']);
  const route = chance.is(0.5) ? `${side}${chance.pick(KINDS)}.echo.say` : chance.pick(ROUTES);
  const most = Math.min(arena.largest, PACKET_BYTES + 100_000);
  const drawn = draw(chance, most);
  const body = dialect === 'json' ? jsonBody(chance, most) : drawn.body;
  arena.sends(dialect === 'json' ? body.length : bytesOf(drawn));
  arena.settle(await client.ask(route, body, PATIENCE_MS), `${dialect}/${transport} ${route}`);
}

/** JSON that can be read: else nobody knows the id beside it. */
function jsonBody(chance: Chance, most: number): Buffer {
  const made = json(chance, length(chance, most));
  const isWhole =
    depthOf(made) < DEPTH &&
    (made.match(/[[{]/g)?.length ?? 0) === (made.match(/[\]}]/g)?.length ?? 0);
  return Buffer.from(isWhole ? made : '[]');
}

/** Bytes that are nearly packets, on a connection of their own; the gateway may answer, drop, or close. */
async function bytes(arena: Arena, dialect: Dialect, transport: Transport): Promise<void> {
  const { chance } = arena;
  const client = chance.is(0.5)
    ? await Client.open(arena.port(dialect), transport, dialect)
    : await Client.join(arena.port(dialect), transport, dialect);
  for (let parts = chance.int(1, 6); parts > 0; parts--) {
    const made = nearlyPacket(chance, arena.largest);
    arena.sends(made.length);
    client.raw(made);
  }
  await endOf(arena, client, dialect);
}

function nearlyPacket(chance: Chance, largest: number): Buffer {
  const body = Buffer.from(json(chance, length(chance, Math.min(largest, 8_388_608))));
  const right = message(
    chance.pick([0, 1, 127, 128, 2 ** 28, 2 ** 35 - 1]),
    chance.pick(ROUTES),
    body,
  );
  const flags = Buffer.from(right);
  flags[0] = chance.int(0, 255);
  switch (chance.int(0, 6)) {
    case 0:
      return packet(chance.int(0, 255), body);
    case 1:
      return packet(4, flags);
    case 2:
      return packet(4, spoilt(chance, right));
    case 3:
      return packet(4, right, chance.pick([0, 1, right.length + 1, 0xffffff]));
    case 4:
      return spoilt(chance, packet(4, right));
    case 5: {
      // Pitaya's flag for a compressed body, true or not; small as it is, it may be large.
      const zipped = deflateSync(Buffer.alloc(chance.pick([10, 100_000, 20_000_000]), 0x20));
      const made = message(7, 'alink.echo.say', chance.is(0.5) ? zipped : body);
      made[0] = 0x10;
      return packet(4, made);
    }
    default:
      return Buffer.concat(
        Array.from({ length: chance.pick([1, 100, 5_000]) }, () => packet(chance.int(1, 5))),
      );
  }
}

async function handshake(arena: Arena, dialect: Dialect, transport: Transport): Promise<void> {
  const { chance } = arena;
  const client = await Client.open(arena.port(dialect), transport, dialect);
  const member = (): string =>
    chance.is(0.5)
      ? json(chance, length(chance, 4_000))
      : `"${text(chance, length(chance, 100_000))}"`;
  const whole = chance.is(0.2)
    ? json(chance, length(chance, Math.min(arena.largest, PACKET_BYTES + 1)))
    : `{"sys":{"type":${member()},"version":${member()},"dictVersion":${member()},"protoVersion":${chance.pick(NUMBERS)}},"user":${member()}}`;
  const body = chance.is(0.2) ? spoilt(chance, Buffer.from(whole)) : Buffer.from(whole);
  arena.sends(body.length);
  client.raw(packet(1, body));
  if (chance.is(0.3)) client.raw(packet(1, body));
  client.raw(packet(2));
  await endOf(arena, client, dialect);
}

async function jsonMessage(arena: Arena): Promise<void> {
  const { chance } = arena;
  const client = await Client.join(arena.port('json'), 'ws', 'json');
  for (let parts = chance.int(1, 5); parts > 0; parts--) {
    const body = json(chance, length(chance, Math.min(arena.largest, 8_388_608)));
    const id = chance.pick([...NUMBERS, '"7"', 'null', '[]', '{}', '""']);
    const route = chance.is(0.8) ? JSON.stringify(chance.pick(ROUTES)) : json(chance, 100);
    const whole = chance.pick([
      body,
      `{"id":${id},"route":${route},"body":${body}}`,
      `{"route":${route},"body":${body},"id":${id}}`,
      `{"id":1,"id":2,"route":${route},"route":"a.b","body":${body},"body":1}`,
      `{"handshake":${body}}`,
      `{"kick":${body}}`,
    ]);
    arena.sends(whole.length);
    client.raw(chance.is(0.2) ? spoilt(chance, Buffer.from(whole)).toString() : whole);
  }
  await endOf(arena, client, 'json');
}

/** WebSocket frames that are torn, too long, out of order, or not masked. */
async function frames(arena: Arena): Promise<void> {
  const { chance } = arena;
  const client = await Client.open(arena.port('pomelo'), 'ws', 'pomelo');
  for (let parts = chance.int(1, 5); parts > 0; parts--) {
    const body = chance.bytes(chance.logarithmic(2_000));
    const head = Buffer.alloc(chance.pick([2, 4, 10]));
    head[0] = chance.int(0, 255);
    head[1] = chance.int(0, 255);
    const made = chance.is(0.3)
      ? chance.bytes(chance.int(1, 40))
      : Buffer.concat([head, chance.bytes(chance.is(0.5) ? 4 : 0), body]);
    arena.sends(made.length);
    client.stream.write(made);
  }
  await endOf(arena, client, 'pomelo');
}

/** Closes the connection once what was sent has been read: a request on another one has been answered after it. */
async function endOf(arena: Arena, client: Client, dialect: Dialect): Promise<void> {
  const other = await arena.client(dialect, client.transport);
  const outcome = await other.ask('alink.echo.say', '{}', PATIENCE_MS);
  if (outcome.kind === 'silent')
    arena.fault(`${dialect}/${client.transport}: another client's request was never answered`);
  if (client.isOpen) arena.tally.answered++;
  else arena.tally.closed++;
  await client.close();
}
