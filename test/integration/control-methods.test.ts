/** The methods of Control for the whole fleet: the same answers whichever way they are asked. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';

import { admin } from '../support/admin.ts';
import { layCable } from '../support/cable.ts';
import { TestClient } from '../support/client.ts';
import { startGateway, type TestGateway } from '../support/gateway.ts';
import { call } from '../support/grpcurl.ts';
import { startNats, type TestNats } from '../support/nats.ts';
import { eventually } from '../support/wait.ts';

type Json = Record<string, unknown>;
/** What a call ends with: the answers with their zero values, or the reason of the refusal. */
type Outcome = { answers: Json[] } | { reason: string };

let nats: TestNats;
let one: TestGateway;
let two: TestGateway;
const players: TestClient[] = [];
const sids: string[] = [];

beforeAll(async () => {
  nats = await startNats();
  const start = (id: string) =>
    startGateway(`id: ${id}\nbus: ${nats.url}\nbackends: {}\nroutes: []\nsessions: { groups: 4 }`);
  [one, two] = [await start('one'), await start('two')];
  for (const gateway of [one, two, two]) {
    players.push(await TestClient.connect(gateway.port));
    sids.push([...gateway.gateway.registry.all()].at(-1)!.sid);
  }
  for (const sid of sids.slice(0, 2)) await admin(one, 'Bind', { sid, uid: '42' });
  await admin(one, 'Bind', { sid: sids[2]!, uid: '__proto__' });
  await eventually(async () => {
    const { lines } = await admin(one, 'GetPresence', { uids: ['42'] });
    return lines[0]!['gateways'] === 2;
  }, 'the gateways to know each other');
});

afterAll(async () => {
  for (const player of players) player.close();
  await two[Symbol.asyncDispose]();
  await one[Symbol.asyncDispose]();
  await nats[Symbol.asyncDispose]();
});

async function byJson(method: string, request: Json): Promise<Outcome> {
  const { status, lines } = await admin(one, method, request);
  if (status === 200) return { answers: lines };
  return { reason: (lines[0]!['error'] as { reason: string }).reason };
}

async function byGrpc(method: string, request: Json): Promise<Outcome> {
  const { status, text, answers } = await call(one, method, request, ['-emit-defaults']);
  return status === 'OK'
    ? { answers: inContractNames([...answers]) }
    : { reason: text.split(':', 1)[0]! };
}

const WAYS: readonly (readonly [string, (method: string, request: Json) => Promise<Outcome>])[] = [
  ['JSON', byJson],
  ['gRPC', byGrpc],
];

const TIME = expect.stringMatching(/^20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z$/) as unknown;

describe.each(WAYS)('over %s', (_, ask) => {
  test('GetPresence', async () => {
    const { answers } = (await ask('GetPresence', { uids: ['gone', '42', '__proto__'] })) as {
      answers: Json[];
    };
    const gateways = [one, two].map(({ gateway }) => gateway.id);
    const entry = (sid: string) => ({
      ...{ sid, gateway: sid.slice(0, sid.indexOf('.')) },
      bound_at: TIME,
    });
    expect(gateways).toContain(entry(sids[0]!).gateway);
    const presence = JSON.parse(`{
      "42": ${JSON.stringify({ sessions: 2, sids: sids.slice(0, 2) })},
      "__proto__": ${JSON.stringify({ sessions: 1, sids: [sids[2]!] })}
    }`) as Record<string, Json>;
    for (const user of Object.values(presence))
      user['entries'] = (user['sids'] as string[]).map(entry);
    expect(answers).toEqual([{ presence, silent_gateways: [], gateways: 2 }]);
  });

  test('GetPresence of nobody, and of too many', async () => {
    expect(await ask('GetPresence', {})).toEqual({
      answers: [{ presence: {}, silent_gateways: [], gateways: 1 }],
    });
    const uids = Array.from({ length: 10_001 }, (_, i) => `${i}`);
    expect(await ask('GetPresence', { uids })).toEqual({ reason: 'TOO_LARGE' });
  });

  test('Join, ListGroups and Leave', async () => {
    const result = (changed: number, refused = 0) => ({
      answers: [{ changed, gateways: 2, silent_gateways: [], refused }],
    });
    const target = { uids: ['42'] };
    expect(await ask('Join', { target, groups: ['room.1', 'x'] })).toEqual(result(2));
    expect(await ask('Join', { target, groups: ['room.1'] })).toEqual(result(0));
    expect(
      await ask('Join', { target: { sids: [sids[2]] }, groups: ['room.1', 'room.2'] }),
    ).toEqual(result(1));
    const group = (name: string, sessions: number, gateways: number) => ({
      name,
      sessions,
      gateways,
      next_page_token: '',
      silent_gateways: [],
    });
    expect(await ask('ListGroups', { prefix: 'room.' })).toEqual({
      answers: [group('room.1', 3, 2), group('room.2', 1, 1)],
    });
    const more = {
      ...{ name: '', sessions: 0, gateways: 0, next_page_token: 'room.1', silent_gateways: [] },
    };
    expect(await ask('ListGroups', { limit: 1 })).toEqual({
      answers: [group('room.1', 3, 2), more],
    });
    expect(await ask('ListGroups', { limit: 2, page_token: 'room.1' })).toEqual({
      answers: [group('room.2', 1, 1), group('x', 2, 2)],
    });
    // Four are allowed; only the third session has room for three more.
    const many = ['a', 'b', 'c'];
    expect(await ask('Join', { target, groups: many })).toEqual({ reason: 'TOO_LARGE' });
    expect(
      await ask('Leave', { target: { groups: ['room.1'] }, groups: ['room.1', 'room.2', 'x'] }),
    ).toEqual(result(3));
    expect(await ask('ListGroups', {})).toEqual({ answers: [] });
  });

  test.each([
    ['Join', { groups: ['x'] }],
    ['Leave', { target: {}, groups: ['x'] }],
    ['Join', { target: { all: true } }],
    ['Join', { target: { all: true }, groups: [''] }],
  ])('%s %j is refused', async (method, request) => {
    expect(await ask(method, request)).toEqual({ reason: 'BAD_ARGUMENT' });
  });
});

test('a gateway that is silent is named, and the others answer', async () => {
  await using cable = await layCable(nats.port);
  await using three = await startGateway(
    `id: three\nbus: nats://127.0.0.1:${cable.port}\nbackends: {}\nroutes: []`,
  );
  await using _far = await TestClient.connect(three.port);
  await eventually(async () => {
    const { lines } = await admin(one, 'GetPresence', { uids: ['42'] });
    return lines[0]!['gateways'] === 3;
  }, 'the third gateway to be known');
  cable.freeze();
  const silent_gateways = [three.gateway.id];
  const target = { all: true };
  for (const [method, request, answer] of [
    ['GetPresence', { uids: ['gone'] }, { presence: {}, gateways: 2, silent_gateways }],
    ['Join', { target, groups: ['x'] }, { changed: 3, gateways: 2, silent_gateways }],
    ['Leave', { target, groups: ['x'] }, { changed: 3, gateways: 2, silent_gateways }],
    ['ListGroups', {}, { name: '', silent_gateways }],
  ] as const) {
    const { lines } = await admin(one, method, request);
    expect(lines.at(-1), method).toMatchObject(answer);
  }
});

/** The names of the .proto, instead of grpcurl's. */
function inContractNames<T>(value: T): T {
  const names = /"(silentGateways|boundAt|nextPageToken)":/g;
  const text = JSON.stringify(value).replace(names, (name) =>
    name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`),
  );
  return JSON.parse(text) as T;
}
